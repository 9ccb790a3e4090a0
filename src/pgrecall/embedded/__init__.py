"""A real PostgreSQL with pgvector from a wheel: nothing to install, configure or stop.

``start()`` gives a hold on the server of one directory. The first hold on the machine
starts it, all others join it, the last one to leave stops it; a process that dies leaves
by dying. Rooms: `server` (holds), `cluster` (one data directory and its postmaster),
`locks` (who is there), `account` (whom the server runs as), `settings` (what it runs with),
`places` (directories, URLs, the wheel's programs).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgrecall.embedded.places import available, default_path, path_from_url

if TYPE_CHECKING:
    from pgrecall.embedded.server import EmbeddedServer, start

__all__ = ["EmbeddedServer", "available", "default_path", "path_from_url", "start"]


def __getattr__(name: str) -> Any:
    """Load what starts servers when it is first asked for: most users have a server already."""
    if name in ("EmbeddedServer", "start"):
        from pgrecall.embedded import server

        return getattr(server, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
