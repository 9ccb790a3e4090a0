"""Writing records: check, compare with what is there, and send only what is new or has changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass, field
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any, Final

from asyncpg import exceptions as pg

from pgrecall.collection.indexes import automatic
from pgrecall.errors import ConfigError, DatabaseError, PermissionDenied, RecordError, SchemaError
from pgrecall.records import Record, RecordBatch, UpsertResult, as_records
from pgrecall.rows import Rows, prepare
from pgrecall.sql import dml, documents
from pgrecall.sql.dialect import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence

    from pgrecall.collection.handle import Handle
    from pgrecall.collection.namespaces.companion import Companion
    from pgrecall.distance import VectorType
    from pgrecall.postgres import Session
    from pgrecall.server import Server
    from pgrecall.table import Table

    _Tell = Callable[[Session, Rows], Awaitable[None]]

DEFAULT_BATCH: Final = 5_000
MAX_BATCH: Final = 100_000
# Larger arrays cost more than they save: 30 MB of parameters halved the speed.
_STATEMENT_ROWS: Final = 1_000
# Below this, COPY's extra round trips cost more than its speed gains.
_COPY_ROWS: Final = 50


@dataclass(slots=True)
class Tally:
    """What has been done so far."""

    ids: list[str] = field(default_factory=list[str])
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0

    def add(self, more: UpsertResult) -> None:
        """Count what another upsert did."""
        self.ids += more.ids
        self.inserted += more.inserted
        self.updated += more.updated
        self.unchanged += more.unchanged

    def result(self) -> UpsertResult:
        """Return the sum."""
        return UpsertResult(ids=self.ids, inserted=self.inserted, updated=self.updated, unchanged=self.unchanged)


async def upsert(
    handle: Handle,
    records: Iterable[Record] | AsyncIterable[Record] | RecordBatch,
    batch_size: int,
    companion: Companion | None = None,
) -> UpsertResult:
    """See `AsyncCollection.upsert`."""
    tally = Tally()
    if isinstance(records, RecordBatch | list | tuple):
        # All of it is at hand, so all of it is checked before any of it is sent.
        tally.add(await _upsert(handle, as_records(records), batch_size, companion))
    elif isinstance(records, AsyncIterable):
        async for batch in _gathered(records, batch_size):
            tally.add(await _upsert(handle, batch, batch_size, companion))
    else:
        for batch in batches(records, batch_size):
            tally.add(await _upsert(handle, batch, batch_size, companion))
    return tally.result()


def batches(records: Iterable[Record], size: int) -> Iterator[RecordBatch]:
    """Return *records* in batches of *size*, made as they are taken.

    Raises:
        ConfigError: They are no records.
    """
    if isinstance(records, str | bytes | dict) or not isinstance(records, Iterable):
        msg = f"records must be Records, or a RecordBatch, not {type(records).__name__}"
        raise ConfigError(msg)
    remaining = iter(records)
    while gathered := list(islice(remaining, size)):
        yield as_records(gathered)


async def _gathered(records: AsyncIterable[Record], size: int) -> AsyncIterator[RecordBatch]:
    gathered: list[Record] = []
    async for record in records:
        gathered.append(record)
        if len(gathered) == size:
            yield as_records(gathered)
            gathered = []
    if gathered:
        yield as_records(gathered)


async def _upsert(handle: Handle, batch: RecordBatch, batch_size: int, companion: Companion | None) -> UpsertResult:
    if not len(batch):
        return UpsertResult(ids=[], inserted=0, updated=0, unchanged=0)
    table, rows, ids = await checked(handle, batch)
    tell = None if companion is None else await _teller(companion, batch, ids)
    inserted = updated = 0
    likely_new = False
    parts = _parts(rows, batch_size)
    part = next(parts)
    part.finish()
    while part is not None:
        following = next(parts, None)
        # While the server takes one batch, the next is encoded and hashed.
        ahead = None if following is None else asyncio.create_task(asyncio.to_thread(following.finish))
        try:
            counts = await write(handle, table, part, then=tell, likely_new=likely_new)
        finally:
            if ahead is not None:
                await ahead
        inserted, updated = inserted + counts[0], updated + counts[1]
        likely_new = counts[0] == len(part)
        part = following
    if inserted or updated:
        handle.knowledge.forget_estimates()
    if inserted:
        automatic.written(handle, inserted)
    return UpsertResult(ids=ids, inserted=inserted, updated=updated, unchanged=len(rows) - inserted - updated)


async def checked(handle: Handle, batch: RecordBatch) -> tuple[Table, Rows, list[str]]:
    """Return the table, made if it is missing, and *batch* as its rows; a batch with a fault makes no table."""
    dimensions = _dimensions(batch, handle.config.new_vector_type)
    planned = await handle.planned_table(dimensions)
    rows, ids = prepare(batch, planned, handle.scope)
    table = await handle.made_table(planned.dimensions)
    if table is not planned and not planned.takes_the_same_rows(table):
        rows, ids = prepare(batch, table, handle.scope)
    return table, rows, ids


def _parts(rows: Rows, size: int) -> Iterator[Rows]:
    for start in range(0, len(rows), size):
        yield rows.slice(start, start + size)


def _dimensions(batch: RecordBatch, vector_type: VectorType) -> int:
    """Return how many dimensions the first embedding has, if a column can have as many."""
    first = batch.embeddings[0]
    if isinstance(first, str | bytes) or not hasattr(first, "__len__"):
        msg = f"record 0: the embedding must be a list or array of numbers, not {type(first).__name__}"
        raise RecordError(msg)
    dimensions = len(first)  # pyright: ignore[reportArgumentType] - it has a length
    if not 1 <= dimensions <= vector_type.max_dimensions:
        msg = (
            f"record 0: the embedding has {dimensions} dimensions; a column can have 1 to {vector_type.max_dimensions}"
        )
        raise RecordError(msg)
    return dimensions


async def _teller(companion: Companion, batch: RecordBatch, ids: Sequence[str]) -> _Tell:
    """Return what tells *companion* of rows that were written, under the ids that the caller knows them by."""
    # A UUID or a number can be spelled in several ways, of which the table keeps one.
    told = () if batch.ids is None else batch.ids
    spelled = {kept: given for kept, given in zip(ids, told, strict=False) if isinstance(given, str) and given != kept}
    await companion.ready([spelled.get(row_id) or row_id for row_id in ids])

    async def tell(session: Session, rows: Rows) -> None:
        row_ids = rows.columns["id"]
        await companion.written(session, [spelled.get(row_id) or row_id for row_id in row_ids], rows)

    return tell


async def write(
    handle: Handle,
    table: Table,
    rows: Rows,
    *,
    first: _Tell | None = None,
    then: _Tell | None = None,
    likely_new: bool = False,
) -> tuple[int, int]:
    """Write *rows* in one transaction and return how many were inserted and how many replaced.

    Args:
        handle: Where.
        table: The table.
        rows: The rows, finished.
        first: What else to do in the transaction, before; a transaction may be run again after a conflict.
        then: What else to do in it, behind.
        likely_new: Whether it saves time to insert without a look at what is there; it decides nothing else.
    """
    # Where ids are unique over all domains, only that look finds out whose a row is.
    unseen = rows.made or (likely_new and table.columns.domain_id in (None, *table.key))

    async def work(session: Session) -> tuple[int, int]:
        check_writable(table, session.server)
        _check_fits(table, rows)
        if first is not None:
            await first(session, rows)
        if table.newest_by is not None and not rows.made:
            return await _put_in_place(session, handle, table, rows, then)
        new, changed = (range(len(rows)), ()) if unseen else await _sort_out(session, table, rows)
        # First all that is new, then all that is there, each in the order of the keys: no two writers can
        # then wait for each other.
        fresh = rows if len(new) == len(rows) else rows.take(new)
        late = await _insert_new(session, table, fresh) if new else []
        again = [new[position] for position in late]
        existing = rows.take(sorted([*changed, *again]))
        updated = 0
        for part in _parts(existing, _STATEMENT_ROWS):
            updated += await session.execute(dml.upsert(table, part, session.dialect))
        if then is not None:
            await then(session, rows)
        return len(new) - len(again), updated

    try:
        # Without a key nothing would stop a second try from writing again what the first one has committed.
        return await handle.transaction(work, repeat=bool(table.key or table.newest_by))
    except DatabaseError as error:
        if table.metadata_columns and isinstance(error.__cause__, pg.DataError):
            ids = rows.columns["id"]
            msg = f"the metadata of one of the records {ids[0]!r} to {ids[-1]!r} does not fit its column: {error}"
            raise RecordError(msg) from error
        raise


async def _put_in_place(
    session: Session, handle: Handle, table: Table, rows: Rows, then: _Tell | None
) -> tuple[int, int]:
    """Write *rows* in the place of all that have their ids, where no unique key holds ids apart."""
    ids = rows.columns["id"]
    # What a unique key would do: of two writers of an id, the second waits, and sees what the first has written.
    await session.fetch(documents.lock(table, handle.scope.domain, ids, "ids"))
    deleted = await session.fetch(dml.delete_returning(table, [dml.has_id(table, ids)]))
    await _insert_new(session, table, rows)
    if then is not None:
        await then(session, rows)
    replaced = len({row[0] for row in deleted})
    return len(rows) - replaced, replaced


async def _sort_out(session: Session, table: Table, rows: Rows) -> tuple[Sequence[int], Sequence[int]]:
    """Return the positions of the rows that are new, and of those that are there and differ."""
    stored = {(row[1], row[0]): row[2] for row in await session.fetch(dml.existing(table, rows))}
    if not stored:
        return range(len(rows)), ()
    keys = list(_keys(rows))
    if table.columns.domain_id not in (None, *table.key):
        _refuse_takeover(table, stored, keys)
    hashes: Iterable[Any] = rows.columns.get("content_hash") or repeat(None)
    new: list[int] = []
    changed: list[int] = []
    for position, (key, digest) in enumerate(zip(keys, hashes, strict=False)):
        if key not in stored:
            new.append(position)
        elif digest is None or stored[key] != digest:
            changed.append(position)
    return new, changed


def _refuse_takeover(table: Table, stored: Mapping[tuple[Any, str], Any], keys: Iterable[tuple[Any, str]]) -> None:
    """Raise `SchemaError` where an id exists in another domain and the table's key is the id alone."""
    owners = {row_id: domain for domain, row_id in stored}
    for domain, row_id in keys:
        if owners.get(row_id, domain) != domain:
            msg = (
                f"id {row_id!r} belongs to another domain, and in {table.qualified_name} ids are unique over all of "
                "them; choose another id, or make (domain, id) its key"
            )
            raise SchemaError(msg)


async def _insert_new(session: Session, table: Table, rows: Rows) -> list[int]:
    """Write rows that were not there a moment ago; return the positions of those that are there by now."""
    # COPY converts nothing: it is for metadata that is all in one column of type jsonb.
    if len(rows) >= _COPY_ROWS and session.dialect.wire is Wire.BINARY and table.is_plain:
        names = [getattr(table.columns, logical) for logical in rows.columns]
        try:
            async with session.transaction():
                await session.copy(table.schema, table.name, names, rows.tuples())
        except (pg.UniqueViolationError, pg.FeatureNotSupportedError):
            # Another writer was faster with one of them, or row-level security forbids COPY: both go
            # the way that allows for it.
            pass
        else:
            return []
    written: set[tuple[Any, str]] = set()
    for part in _parts(rows, _STATEMENT_ROWS):
        inserted = await session.fetch(dml.insert_missing(table, part, session.dialect))
        written.update((row[1], row[0]) for row in inserted)
    if len(written) == len(rows):
        return []
    return [position for position, key in enumerate(_keys(rows)) if key not in written]


def _keys(rows: Rows) -> Iterator[tuple[Any, str]]:
    """Return the domain (`None` where the table has none) and the id of each row."""
    return zip(rows.columns.get("domain_id") or repeat(None), rows.columns["id"], strict=False)


def check_writable(table: Table, server: Server) -> None:
    """Raise `PermissionDenied` where the server or the role does not let us write."""
    if server.read_only:
        msg = f"nothing can be written to {table.qualified_name}: the server is read-only"
        raise PermissionDenied(msg)
    if not table.writable:
        msg = f"role {server.user!r} needs INSERT, UPDATE and DELETE on {table.qualified_name}"
        raise PermissionDenied(msg)


def _check_fits(table: Table, rows: Rows) -> None:
    if table.unfilled:
        msg = (
            f"{table.qualified_name} has columns that take no NULL, have no default, and are not mapped: "
            f"{', '.join(table.unfilled)}; give them defaults"
        )
        raise SchemaError(msg)
    if not table.key and not table.newest_by and not rows.made:
        msg = (
            f"{table.qualified_name} has no unique key on its id, so rows cannot be replaced; add one: "
            f"CREATE UNIQUE INDEX ON {table.qualified_name} ({table.columns.id})"
        )
        raise SchemaError(msg)
