"""What a check of a server and of a table looks at, read in one query each; nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pgrecall.sql.compose import Statement

if TYPE_CHECKING:
    from pgrecall.postgres.session import Session
    from pgrecall.table import Table

# Settings have units of their own in pg_settings: statement_timeout is in milliseconds there.
_SERVER: Final = """
SELECT current_setting('server_encoding') AS encoding,
       current_setting('autovacuum')::bool AND current_setting('track_counts')::bool AS autovacuum,
       current_setting('fsync')::bool AS fsync,
       current_setting('full_page_writes')::bool AS full_page_writes,
       (SELECT setting::bigint / 1000.0::float8 FROM pg_settings WHERE name = 'statement_timeout') AS statement_timeout,
       current_setting('max_connections')::int AS max_connections,
       activity.connections, activity.oldest_transaction,
       (SELECT default_version FROM pg_available_extensions WHERE name = 'vector') AS available_vector,
       has_schema_privilege(n.oid, 'CREATE') AS can_create_table,
       indexes.total AS index_bytes, indexes.largest AS largest_index
FROM (SELECT count(*)::int AS connections,
             coalesce(extract(epoch FROM max(now() - xact_start) FILTER (
               WHERE datname = current_database() AND pid <> pg_backend_pid())), 0)::float8 AS oldest_transaction
      FROM pg_stat_activity WHERE backend_type = 'client backend') activity
CROSS JOIN (SELECT coalesce(sum(pg_relation_size(x.oid)), 0)::bigint AS total,
                   coalesce(max(pg_relation_size(x.oid)), 0)::bigint AS largest
            FROM pg_class x JOIN pg_am m ON m.oid = x.relam
            WHERE x.relkind = 'i' AND m.amname IN ('hnsw', 'ivfflat')) indexes
LEFT JOIN pg_namespace n ON n.nspname = $1
"""
_VACUUMED: Final = """
WITH parts AS (
  SELECT to_regclass(format('%I.%I', $1::text, $2::text))::oid AS oid
  UNION SELECT relid FROM pg_partition_tree(to_regclass(format('%I.%I', $1::text, $2::text)))
)
SELECT coalesce(bool_and(coalesce((SELECT option_value::bool FROM pg_options_to_table(c.reloptions)
                                   WHERE option_name = 'autovacuum_enabled'), true)), true)
FROM parts JOIN pg_class c USING (oid) WHERE c.relkind = 'r'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCondition:
    """How a server is set up, and what goes on there, as far as it matters to searches.

    Attributes:
        encoding: Encoding of the database.
        autovacuum: Whether PostgreSQL vacuums by itself, and counts what it needs for that.
        fsync: Whether what was committed is on the disk.
        full_page_writes: Whether a page that was written in part is repaired after a crash.
        statement_timeout: Seconds after which statements are cancelled; 0 for never.
        max_connections: Most connections.
        connections: Connections of clients at this moment.
        oldest_transaction: Seconds since the oldest transaction in this database began, as far as the role sees.
        available_vector: Version of pgvector that could be installed, or updated to; `None` where the server has
            none.
        can_create_table: Whether the role may make tables in the schema; `None` where there is no such schema.
        index_bytes: Size of all vector indexes of the database.
        largest_index: Size of the largest of them.
    """

    encoding: str = "UTF8"
    autovacuum: bool = True
    fsync: bool = True
    full_page_writes: bool = True
    statement_timeout: float = 0.0
    max_connections: int = 100
    connections: int = 1
    oldest_transaction: float = 0.0
    available_vector: str | None = None
    can_create_table: bool | None = True
    index_bytes: int = 0
    largest_index: int = 0


async def server_condition(session: Session, schema: str) -> ServerCondition:
    """Return how the server is; rights are about *schema*."""
    (row,) = await session.fetch(Statement(_SERVER, (schema,)))
    return ServerCondition(**dict(row))


async def is_vacuumed(session: Session, table: Table) -> bool:
    """Whether autovacuum is not switched off for *table*, or one of its partitions."""
    return await session.fetch_value(Statement(_VACUUMED, (table.schema, table.name)))
