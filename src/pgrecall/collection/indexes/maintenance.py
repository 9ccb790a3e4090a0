"""Keeping a table and its indexes in shape: what PostgreSQL's statistics say is worth doing, done without blocking."""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pgrecall.collection.indexes.building import (
    FOREVER,
    Build,
    alone,
    build,
    configured,
    note_rows,
    require_direct,
)
from pgrecall.collection.indexes.resources import Resources
from pgrecall.config import HNSW, IVFFlat
from pgrecall.errors import PermissionDenied
from pgrecall.postgres import catalog, statistics
from pgrecall.postgres.statistics import TableFigures
from pgrecall.sql import ddl, upkeep

if TYPE_CHECKING:
    from pgrecall.collection.handle import Handle
    from pgrecall.config import Index
    from pgrecall.postgres import Session
    from pgrecall.table import Table, VectorIndex

# As the tables that pgrecall makes tell autovacuum, with PostgreSQL's own 50 rows on top.
_CHANGED: Final = 0.05
_ROWS: Final = 50
# A dead row costs every search that comes across it. Above the first share, vacuuming an HNSW graph, which
# mends the surroundings of every dead row, takes longer than building it anew.
_MANY_DEAD: Final = 0.10
_SOME_DEAD: Final = 0.02
# Counting and covering scans look into every page that is not known to be visible to all.
_VISIBLE: Final = 0.9
_PAGES: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceAction:
    """One thing that was done, or would be.

    Attributes:
        what: What, in SQL's words, such as ``VACUUM public.docs``.
        why: The reason.
        seconds: How long it took; `None` where it was not done.
    """

    what: str
    why: str
    seconds: float | None = None

    def __str__(self) -> str:
        took = "" if self.seconds is None else f" ({self.seconds:.1f} s)"
        return f"{self.what}{took}: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceReport:
    """What a table needed, and what was done.

    Attributes:
        table: Name of the table.
        figures: What the statistics said before anything was done.
        actions: What was done, in its order; in a dry run, what would be.
        dry_run: Whether it was one.
    """

    table: str
    figures: TableFigures = field(default_factory=TableFigures)
    actions: tuple[MaintenanceAction, ...] = ()
    dry_run: bool = False

    def __str__(self) -> str:
        figures = self.figures
        state = (
            f"{self.table}: {figures.rows} rows, {figures.dead} dead, {figures.changed} changed since the last "
            f"ANALYZE, {figures.visible:.0%} of {figures.pages} pages visible to all"
        )
        if not self.actions:
            return f"{state}; nothing to do"
        head = f"{state}; to do:" if self.dry_run else f"{state}; done:"
        return "\n".join([head, *(f"  {action}" for action in self.actions)])


class Kind(enum.Enum):
    """What can be done."""

    DROP = "DROP INDEX"
    REINDEX = "REINDEX INDEX"
    VACUUM = "VACUUM"
    ANALYZE = "ANALYZE"
    PREWARM = "pg_prewarm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to do.

    Attributes:
        kind: What.
        why: The reason.
        index: The index, where it is about one.
    """

    kind: Kind
    why: str
    index: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a table when it is decided what to do.

    Attributes:
        figures: What the statistics say.
        broken: Names of the indexes that builds which died have left.
        indexes: The vector indexes that work.
        buffers: ``shared_buffers`` in bytes; 0 where indexes cannot be read into it.
    """

    figures: TableFigures
    broken: tuple[str, ...] = ()
    indexes: tuple[VectorIndex, ...] = ()
    buffers: int = 0


def steps(facts: Facts) -> list[Step]:
    """Return what is worth doing, in its order."""
    figures = facts.figures
    chosen = [
        Step(kind=Kind.DROP, index=name, why="a build that died has left it; it slows writes and serves no query")
        for name in facts.broken
    ]
    share = figures.dead / max(1, figures.dead + figures.rows)
    rebuilt = share >= _MANY_DEAD
    if rebuilt:
        why = f"{share:.0%} of the rows in it are dead; building it anew is quicker than vacuuming it"
        chosen += [Step(kind=Kind.REINDEX, index=index.name, why=why) for index in facts.indexes]
    if rebuilt or (figures.dead > _ROWS and share >= _SOME_DEAD):
        chosen.append(Step(kind=Kind.VACUUM, why=f"{figures.dead} rows are dead, {share:.0%} of them all"))
    elif figures.pages >= _PAGES and figures.visible < _VISIBLE:
        why = f"only {figures.visible:.0%} of its pages are known to be visible to all, so that counting reads the rest"
        chosen.append(Step(kind=Kind.VACUUM, why=why))
    elif (why := _stale(figures)) is not None:
        chosen.append(Step(kind=Kind.ANALYZE, why=why))
    chosen += _prewarmed(facts)
    return chosen


def _stale(figures: TableFigures) -> str | None:
    """Return why the planner's statistics are too old; `None` where they are not."""
    if figures.analyzed_at is None and figures.rows:
        return "the planner has no statistics of it"
    if figures.changed > _ROWS + _CHANGED * figures.rows:
        return f"{figures.changed} rows have changed since the planner's statistics were taken"
    return None


def _prewarmed(facts: Facts) -> list[Step]:
    # Half of the memory at most: the table's own pages are read there too.
    room = facts.buffers // 2
    chosen: list[Step] = []
    for index in facts.indexes:
        if 0 < index.size <= room:
            room -= index.size
            why = "the first searches after a restart, or a rebuild, would read it from the disk"
            chosen.append(Step(kind=Kind.PREWARM, index=index.name, why=why))
    return chosen


async def maintain(handle: Handle, *, dry_run: bool) -> MaintenanceReport:
    """See `AsyncCollection.maintain`."""

    async def work(session: Session) -> MaintenanceReport:
        table = await catalog.read_table(session, handle.config)
        if table is None:
            return MaintenanceReport(table=f"{handle.config.schema}.{handle.config.name}", dry_run=dry_run)
        if dry_run:
            facts = await look(session, table)
            return _report(table, facts, [_action(table, step) for step in steps(facts)], dry_run=True)
        require_direct(session)
        if not await statistics.may_maintain(session, table):
            msg = f"role {session.server.user!r} may not maintain {table.qualified_name}: only its owner may"
            raise PermissionDenied(msg)
        async with alone(session, table):
            # Whoever was waited for may have done some of it, or built an index.
            table = await catalog.read_table(session, handle.config) or table
            facts = await look(session, table)
            done = [await _done(handle, session, table, step) for step in steps(facts)]
        return _report(table, facts, done, dry_run=False)

    try:
        return await handle.run(work)
    finally:
        if not dry_run:
            handle.knowledge.forget()


async def look(session: Session, table: Table) -> Facts:
    """Return what is known of a table when it is decided what to do."""
    limits = await statistics.limits(session)
    prewarms = await catalog.extension_schema(session, "pg_prewarm") is not None
    return Facts(
        figures=await statistics.figures(session, table),
        broken=tuple(await statistics.broken_indexes(session, table)),
        indexes=tuple(index for index in (*table.indexes, *table.sparse_indexes) if index.valid),
        # An index of a table with partitions has no pages of its own that could be read.
        buffers=limits.buffers if prewarms and not table.partitioned else 0,
    )


async def _done(handle: Handle, session: Session, table: Table, step: Step) -> MaintenanceAction:
    began = time.monotonic()
    limits = await statistics.limits(session)
    usual = Resources(memory=limits.memory, workers=limits.workers, parallel=limits.parallel)
    match step.kind:
        case Kind.DROP:
            await session.execute(ddl.drop_index(table.schema, step.index or ""), timeout=FOREVER)
        case Kind.REINDEX:
            await _reindex(handle, session, table, step.index or "")
        case Kind.PREWARM:
            schema = await catalog.extension_schema(session, "pg_prewarm") or ""
            await session.execute(upkeep.prewarm(schema, table.schema, step.index or ""), timeout=FOREVER)
        case Kind.VACUUM | Kind.ANALYZE:
            statement = upkeep.vacuum(table) if step.kind is Kind.VACUUM else ddl.analyze(table)
            async with configured(session, usual):
                await session.execute(statement, timeout=FOREVER)
    return _action(table, step, time.monotonic() - began)


async def _reindex(handle: Handle, session: Session, table: Table, name: str) -> None:
    index = next(index for index in (*table.indexes, *table.sparse_indexes) if index.name == name)
    size = None
    if table.sparse is not None and index in table.sparse_indexes:
        size = await statistics.mean_width(session, table, table.sparse.column)
    wanted = Build(
        table=table,
        statement=upkeep.reindex(table.schema, name),
        what=f"{name} on {table.qualified_name}",
        index=_kind(index),
        vector_type=index.quantized,
        rows=None if index.condition is None else int(index.rows),
        size=size,
    )
    await build(handle, session, wanted)
    if index.method == "ivfflat":
        await note_rows(session, table, name)


def _kind(index: VectorIndex) -> Index:
    """Return kind and parameters of an index that exists."""
    options = dict(index.options)
    if index.method == "ivfflat":
        return IVFFlat(lists=int(options.get("lists", "100")))
    return HNSW(m=int(options.get("m", "16")), ef_construction=int(options.get("ef_construction", "64")))


def _action(table: Table, step: Step, seconds: float | None = None) -> MaintenanceAction:
    name = table.qualified_name if step.index is None else f"{table.schema}.{step.index}"
    return MaintenanceAction(what=f"{step.kind.value} {name}", why=step.why, seconds=seconds)


def _report(table: Table, facts: Facts, actions: list[MaintenanceAction], *, dry_run: bool) -> MaintenanceReport:
    return MaintenanceReport(table=table.qualified_name, figures=facts.figures, actions=tuple(actions), dry_run=dry_run)
