"""A real PostgreSQL with pgvector from a wheel: nothing to install, configure or stop.

``start()`` gives a hold on the server of one directory. The first hold on the machine
starts it, all others join it, the last one to leave stops it; a process that dies leaves
by dying. Rooms: `server` (holds), `cluster` (one data directory and its postmaster),
`locks` (who is there), `account` (whom the server runs as), `settings` (what it runs with),
`places` (directories, URLs, the wheel's programs).
"""

from pgrecall.embedded.places import available, default_path, path_from_url
from pgrecall.embedded.server import EmbeddedServer, start

__all__ = ["EmbeddedServer", "available", "default_path", "path_from_url", "start"]
