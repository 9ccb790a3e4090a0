"""The only place that talks to a server."""

from __future__ import annotations

from pgrecall.postgres.address import Address, resolve
from pgrecall.postgres.database import Database, LentSource, PoolSource, Session
from pgrecall.postgres.pools import Pools

__all__ = ["Address", "Database", "LentSource", "PoolSource", "Pools", "Session", "resolve"]
