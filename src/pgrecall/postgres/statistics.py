"""What PostgreSQL says about the state of things: limits, dead rows, broken indexes, builds under way.

Unlike the catalog's, these figures are old or estimated, so they decide what is worth doing, never what is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pgrecall.sql.compose import Statement

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pgrecall.postgres.session import Session
    from pgrecall.table import Table

_LIMITS: Final = """
SELECT pg_size_bytes(current_setting('maintenance_work_mem')) AS memory,
       pg_size_bytes(current_setting('shared_buffers')) AS buffers,
       pg_size_bytes(current_setting('effective_cache_size')) AS cache,
       current_setting('max_parallel_maintenance_workers')::int AS workers,
       current_setting('max_parallel_workers')::int AS parallel,
       current_setting('max_worker_processes')::int AS processes
"""
# Settings that a server does not know yet, such as transaction_timeout, are passed over.
_SET: Final = """
SELECT set_config(s.name, wanted.value, false)
FROM pg_settings s JOIN unnest($1::text[], $2::text[]) AS wanted (name, value) ON wanted.name = s.name
"""
# NULL is what set_config takes for RESET.
_RESET: Final = "SELECT set_config(name, NULL, false) FROM pg_settings WHERE name = ANY ($1::text[])"
# A partitioned table has no pages of its own. What is in a table is judged as PostgreSQL's planner does it:
# by the rows on a page when that was last counted, and the pages there are now.
_FIGURES: Final = """
WITH parts AS (
  SELECT to_regclass(format('%I.%I', $1::text, $2::text))::oid AS oid
  UNION SELECT relid FROM pg_partition_tree(to_regclass(format('%I.%I', $1::text, $2::text)))
), stored AS (
  SELECT c.oid, c.reltuples, c.relpages, c.relallvisible,
         pg_relation_size(c.oid) / current_setting('block_size')::int AS pages
  FROM parts JOIN pg_class c USING (oid) WHERE c.relkind = 'r'
)
SELECT CASE WHEN bool_and(pages = 0 OR relpages > 0 AND reltuples >= 0)
            THEN coalesce(sum(reltuples / greatest(relpages, 1) * pages), 0)::bigint END AS rows,
       coalesce(sum(s.n_live_tup), 0)::bigint AS live,
       coalesce(sum(s.n_dead_tup), 0)::bigint AS dead,
       coalesce(sum(s.n_mod_since_analyze), 0)::bigint AS changed,
       coalesce(sum(pages), 0)::bigint AS pages,
       least(1, coalesce(sum(relallvisible)::float8 / nullif(sum(pages), 0), 1)) AS visible,
       min(greatest(s.last_analyze, s.last_autoanalyze)) AS analyzed_at
FROM stored LEFT JOIN pg_stat_user_tables s ON s.relid = stored.oid
"""
# While somebody builds, reindexes or vacuums they hold this lock on the table; what is not valid may then be
# theirs, and not dead.
_BROKEN: Final = """
SELECT x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
WHERE i.indrelid = to_regclass(format('%I.%I', $1::text, $2::text)) AND NOT i.indisvalid AND NOT i.indisunique
  AND x.relkind = 'i' AND NOT EXISTS (
    SELECT FROM pg_locks l WHERE l.relation = i.indrelid AND l.mode = 'ShareUpdateExclusiveLock'
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND l.pid <> pg_backend_pid())
ORDER BY x.relname
"""
_INDEXES: Final = """
SELECT x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
WHERE i.indrelid = to_regclass(format('%I.%I', $1::text, $2::text)) ORDER BY x.oid
"""
_MISSING: Final = """
SELECT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = to_regclass(format('%I.%I', $1::text, $2::text))
  AND i.indisvalid AND i.indpred IS NOT NULL
  AND starts_with(pg_get_expr(i.indpred, i.indrelid), '((' || quote_ident($3::text) || ' IS NULL)'))
"""
_LOCKED: Final = """
SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND ((classid::bigint << 32) | objid::bigint) = $1)
"""
_PROGRESS: Final = """
SELECT phase, blocks_done, blocks_total, tuples_done, tuples_total, lockers_done, lockers_total,
       (SELECT relname FROM pg_class WHERE oid = index_relid) AS index
FROM pg_stat_progress_create_index WHERE pid = $1
"""
_INDEX_ROWS: Final = "SELECT reltuples FROM pg_class WHERE oid = to_regclass(format('%I.%I', $1::text, $2::text))"
_WIDTH: Final = "SELECT avg_width FROM pg_stats WHERE schemaname = $1 AND tablename = $2 AND attname = $3 LIMIT 1"
_INDEX_NOTE: Final = "SELECT obj_description(to_regclass(format('%I.%I', $1::text, $2::text)), 'pg_class')"
# The right to MAINTAIN came with PostgreSQL 17.
_MAINTAINS: Final = """
SELECT pg_has_role(c.relowner, 'USAGE') OR CASE WHEN current_setting('server_version_num')::int >= 170000
       THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE false END
FROM pg_class c WHERE c.oid = to_regclass(format('%I.%I', $1::text, $2::text))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the server is set to use, in bytes and processes.

    Attributes:
        memory: ``maintenance_work_mem``.
        buffers: ``shared_buffers``.
        cache: ``effective_cache_size``.
        workers: ``max_parallel_maintenance_workers``.
        parallel: ``max_parallel_workers``.
        processes: ``max_worker_processes``.
    """

    memory: int
    buffers: int
    cache: int
    workers: int
    parallel: int
    processes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFigures:
    """What PostgreSQL's statistics say about a table, partitions included.

    Attributes:
        rows: Rows that live.
        dead: Rows that were deleted or replaced and still take up space, in the table and in its indexes.
        changed: Rows written or deleted since the last ANALYZE.
        pages: Pages of the table, TOAST left out.
        visible: Share of the pages that an index-only scan need not look into.
        analyzed_at: When ANALYZE last ran; `None` for never.
    """

    rows: int = 0
    dead: int = 0
    changed: int = 0
    pages: int = 0
    visible: float = 1.0
    analyzed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildState:
    """What a build is doing at this moment.

    Attributes:
        phase: PostgreSQL's name for it.
        done: Blocks, rows or transactions that the phase is through with.
        total: How many of them there are; 0 where that is not known.
        index: Name of what is built, once it has one.
    """

    phase: str
    done: int
    total: int
    index: str | None = None


async def limits(session: Session) -> Limits:
    """Return what the session may use."""
    (row,) = await session.fetch(Statement(_LIMITS))
    return Limits(**dict(row))


async def configure(session: Session, settings: Mapping[str, str]) -> None:
    """Set parameters of the session until `reset`, outside of any transaction."""
    await session.fetch(Statement(_SET, (list(settings), list(settings.values()))))


async def reset(session: Session, names: list[str]) -> None:
    """Give parameters of the session the values that it began with."""
    await session.fetch(Statement(_RESET, (names,)))


async def estimated_rows(session: Session, table: Table) -> int | None:
    """Return about how many rows there are; `None` where nobody has ever counted."""
    (row,) = await session.fetch(Statement(_FIGURES, _name(table)))
    return row["rows"]


async def figures(session: Session, table: Table) -> TableFigures:
    """Return what the statistics say about *table*."""
    (row,) = await session.fetch(Statement(_FIGURES, _name(table)))
    return TableFigures(
        # What lives is counted as it comes and goes, but forgotten in a crash.
        rows=row["live"] or row["rows"] or 0,
        dead=row["dead"],
        changed=row["changed"],
        pages=row["pages"],
        visible=row["visible"],
        analyzed_at=row["analyzed_at"],
    )


async def broken_indexes(session: Session, table: Table) -> list[str]:
    """Return the names of the indexes that a build which died has left behind.

    They slow every write and serve no query. While somebody else builds on the table, or vacuums it,
    nothing is known to be dead, and none is returned.
    """
    return [row[0] for row in await session.fetch(Statement(_BROKEN, _name(table)))]


async def index_names(session: Session, table: Table) -> list[str]:
    """Return the names of all indexes of *table*, valid or not, the oldest first."""
    return [row[0] for row in await session.fetch(Statement(_INDEXES, _name(table)))]


async def is_locked(session: Session, key: int) -> bool:
    """Whether somebody holds the advisory lock *key*."""
    return await session.fetch_value(Statement(_LOCKED, (key,)))


async def build_state(session: Session, backend: int) -> BuildState | None:
    """Return what the build is doing that the server's process *backend* runs, if it runs one."""
    rows = await session.fetch(Statement(_PROGRESS, (backend,)))
    if not rows:
        return None
    found = rows[0]
    # Several counters keep the value of an earlier phase; the one that still has far to go is the phase's own.
    counted = [(found[f"{what}_done"], found[f"{what}_total"]) for what in ("blocks", "tuples", "lockers")]
    open_ = [(done, total) for done, total in counted if done < total]
    done, total = open_[0] if open_ else counted[0]
    return BuildState(phase=found["phase"], done=done, total=total, index=found["index"])


async def mean_width(session: Session, table: Table, column: str) -> int:
    """Return about how many bytes a value of *column* takes up, by the last ANALYZE; 0 where nobody knows."""
    return await session.fetch_value(Statement(_WIDTH, (table.schema, table.name, column))) or 0


async def index_rows(session: Session, schema: str, name: str) -> int:
    """Return how many rows an index has; exact right after it was built, and only then."""
    return int(await session.fetch_value(Statement(_INDEX_ROWS, (schema, name))) or 0)


async def index_note(session: Session, schema: str, name: str) -> str:
    """Return the comment on an index."""
    return await session.fetch_value(Statement(_INDEX_NOTE, (schema, name))) or ""


async def may_maintain(session: Session, table: Table) -> bool:
    """Whether the role may vacuum, analyze and reindex *table*."""
    return bool(await session.fetch_value(Statement(_MAINTAINS, _name(table))))


def _name(table: Table) -> tuple[str, str]:
    return table.schema, table.name


async def has_missing_index(session: Session, table: Table, column: str) -> bool:
    """Whether an index finds the rows in which *column* is empty."""
    return await session.fetch_value(Statement(_MISSING, (table.schema, table.name, column)))
