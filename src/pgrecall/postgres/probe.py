"""One look at a new connection: what is the server, and does a pooler stand in between?"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Final

from pgrecall.server import Server

if TYPE_CHECKING:
    from asyncpg import Connection

_PROBE: Final = """
SELECT current_setting('server_version_num')::int AS version,
       (SELECT e.extversion FROM pg_extension e WHERE e.extname = 'vector') AS vector_version,
       (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
         WHERE e.extname = 'vector') AS vector_schema,
       pg_is_in_recovery() OR current_setting('transaction_read_only')::bool AS read_only,
       has_database_privilege(current_database(), 'CREATE') AS can_create_schema,
       current_user::text AS "user", current_database()::text AS database,
       pg_backend_pid() AS backend,
       current_setting('random_page_cost')::float8 AS random_page_cost
"""
_PREPARED: Final = (
    "SELECT name FROM pg_prepared_statements WHERE statement LIKE '%pgrecall pooler check%' /* pgrecall pooler check */"
)


async def probe(connection: Connection, *, refused_settings: bool = False) -> Server:
    """Return what *connection* is connected to.

    A pooler is known by its refusal of startup parameters, or because it gives out a process id of its
    own for cancelling, which is not the one that the server reports.
    """
    (row,) = await connection.fetch(_PROBE)
    pooled = refused_settings or row["backend"] != connection.get_server_pid()
    return Server(
        version=row["version"],
        vector_version=None if row["vector_version"] is None else _numbers(row["vector_version"]),
        vector_schema=row["vector_schema"] or "public",
        read_only=row["read_only"],
        can_create_schema=row["can_create_schema"],
        user=row["user"],
        database=row["database"],
        pooled=pooled,
        random_page_cost=row["random_page_cost"],
    )


async def keeps_prepared_statements(connection: Connection) -> bool:
    """Whether the pooler in between looks after prepared statements.

    PgBouncer (1.21 and later, with ``max_prepared_statements``) gives statements names of its own, so a
    statement that sees itself under a name that the driver did not choose is looked after.
    """
    ours = f"pgrecall_{uuid.uuid4().hex}"  # another client's may be left on the server that we are given
    async with connection.transaction():
        statement = await connection.prepare(_PREPARED, name=ours)
        names = [row["name"] for row in await statement.fetch()]
        if ours in names:
            await connection.execute(f"DEALLOCATE {ours}")
    return any(name.startswith("PGBOUNCER_") for name in names)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))
