"""Where the server's socket is: in its own directory if the path to it is short enough."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from pgrecall.embedded.settings import PORT
from pgrecall.errors import EmbeddedServerError

if TYPE_CHECKING:
    from pgrecall.embedded.account import Account

# The kernel takes 107 bytes on Linux, 103 on macOS.
LONGEST = 100
# Clients and server split lists of directories at commas, and each quotes in its own way.
PLAIN = re.compile(r"[A-Za-z0-9/._+-]+")


def socket_directory(directory: Path, name: str, account: Account, previous: Path | None = None) -> Path:
    """Return the directory for the server's socket, made if need be.

    Args:
        directory: The server's own directory, taken if it fits.
        name: Name of a short directory for temporary files, taken otherwise.
        account: Whom that one has to belong to.
        previous: Where the socket was before; preferred, because holders know it.

    Raises:
        EmbeddedServerError: The short directory belongs to somebody else.
    """
    if _fits(directory):
        return directory
    import tempfile

    bases = [Path(tempfile.gettempdir()).resolve(), Path("/tmp").resolve()]
    if previous is not None and previous.name == name:
        bases.insert(0, previous.parent)
    short = next(base / name for base in bases if base.is_dir() and _fits(base / name))
    account.open_way(short.parent)
    try:
        short.mkdir(mode=0o700)
        account.take(short)
    except FileExistsError:
        found = short.lstat()
        # Whoever owns the directory can put a server of his own in the place of ours.
        private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
        if not private or found.st_uid not in {account.uid, os.geteuid()}:
            raise EmbeddedServerError(
                f"{short} is needed for the socket of the embedded server in {directory}, but it "
                "is not a private directory of this user: remove it, or use a shorter path"
            ) from None
        account.take(short)
    return short


def url(directory: Path) -> str:
    """Return the URL of the server whose socket is in a directory."""
    from urllib.parse import quote

    # The port is there because a client would else take it from PGPORT.
    host = quote(str(directory), safe="")
    return f"postgresql://postgres@/postgres?host={host}&port={PORT}"


def _fits(directory: Path) -> bool:
    path = f"{directory}/.s.PGSQL.{PORT}"
    return len(os.fsencode(path)) <= LONGEST and PLAIN.fullmatch(path) is not None
