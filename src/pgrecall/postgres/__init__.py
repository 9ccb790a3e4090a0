"""The only place that talks to a server."""

from __future__ import annotations

from pgrecall.postgres.address import Address, from_environment, resolve
from pgrecall.postgres.database import Database, LentSource
from pgrecall.postgres.pools import Pools
from pgrecall.postgres.session import Session

__all__ = ["Address", "Database", "LentSource", "Pools", "Session", "from_environment", "resolve"]
