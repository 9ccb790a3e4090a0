"""Reading rows by id, page by page, and counting them; rows of the driver to values of ours."""

from __future__ import annotations

import json
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from pgrecall.checks import check_instance, check_list, check_range
from pgrecall.errors import ConfigError, RecordError, SchemaError
from pgrecall.filters import parse
from pgrecall.metadata_types import COLUMN_NOTES, restore
from pgrecall.records import Match, Page, Record
from pgrecall.rows import check_id
from pgrecall.rows.values import all_plain, content, id_text
from pgrecall.scope import Scope
from pgrecall.sql import dml, select

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pgrecall.collection.handle import Handle
    from pgrecall.filters import Filter
    from pgrecall.postgres import Session
    from pgrecall.sql.dialect import Dialect
    from pgrecall.table import Table

MAX_PAGE: Final = 10_000
MAX_WINDOW: Final = 1_000
_ID, _CONTENT, _METADATA, _TYPES, _DOCUMENT, _CHUNK, _DOMAIN, _EMBEDDING, _ENVELOPE, _SPARSE, _LAST = range(11)


async def get(handle: Handle, ids: Sequence[str], extras: frozenset[str]) -> list[Record | None]:
    """See `AsyncCollection.get`."""
    ids = listed_ids(ids)

    async def work(session: Session) -> list[Record | None]:
        table = await handle.table(session)
        if table is None:
            return [None] * len(ids)
        wanted = checked_ids(ids, table)
        check_one_domain(handle.scope, table, "get")
        rows = await session.fetch(select.by_ids(handle.selection(session, table), wanted, extras))
        found = {row[_ID]: as_record(row, table, session.dialect, handle.scope.domain) for row in rows}
        return [found.get(row_id) for row_id in wanted]

    return await handle.run(work)


async def exists(handle: Handle) -> bool:
    """See `AsyncCollection.exists`."""

    async def work(session: Session) -> bool:
        return await handle.table(session) is not None

    return await handle.run(work)


async def neighbours(
    handle: Handle,
    chunks: Sequence[Match | Record],
    window: int,
    *,
    filter: Filter | Mapping[str, Any] | None,
    extras: frozenset[str],
) -> list[list[Record]]:
    """See `AsyncCollection.neighbours`."""
    check_range(window, "window", 0, MAX_WINDOW)
    chunks = check_list(chunks, "chunks", "records or matches")
    for position, chunk in enumerate(chunks):
        check_instance(chunk, f"chunks[{position}]", Match | Record, "a Record or a Match")
    parsed = parse(filter)
    places = sorted({place for chunk in chunks if (place := _place(chunk, window)) is not None})

    async def work(session: Session) -> list[list[Record]]:
        table = await handle.table(session)
        if table is None or not places:
            return [[] for _ in chunks]
        if table.columns.document_id is None or table.columns.chunk_index is None:
            msg = f"{table.qualified_name} has no columns for document_id and chunk_index, so chunks have no neighbours"
            raise SchemaError(msg)
        check_one_domain(handle.scope, table, "neighbours")
        statement = select.around(handle.selection(session, table, parsed), places, extras)
        rows = await session.fetch(statement)
        found = [as_record(row, table, session.dialect, handle.scope.domain) for row in rows]
        found.sort(key=attrgetter("chunk_index", "id"))
        return [_around(chunk, window, found) for chunk in chunks]

    return await handle.run(work)


def _place(chunk: Match | Record, window: int) -> tuple[str, int, int] | None:
    """Return the document, and the first and the last place of its that is wanted; `None` for no chunk of any."""
    if chunk.document_id is None or chunk.chunk_index is None:
        return None
    return chunk.document_id, chunk.chunk_index - window, chunk.chunk_index + window


def _around(chunk: Match | Record, window: int, found: Sequence[Record]) -> list[Record]:
    place = _place(chunk, window)
    if place is None:
        return []
    document, first, last = place
    return [
        record
        for record in found
        if record.document_id == document and record.chunk_index is not None and first <= record.chunk_index <= last
    ]


def check_one_domain(scope: Scope, table: Table, verb: str) -> None:
    """Raise `ConfigError` where *scope* holds many domains, in which ids mean nothing by themselves."""
    if scope.domain is None and table.columns.domain_id is not None:
        msg = f"the same id can be in many domains: {verb}() needs a handle of one domain"
        raise ConfigError(msg)


async def page(
    handle: Handle,
    *,
    limit: int,
    after: str | None,
    prefix: str | None,
    filter: Filter | Mapping[str, Any] | None,
    extras: frozenset[str],
) -> Page:
    """See `AsyncCollection.list`."""
    check_range(limit, "limit", 1, MAX_PAGE)
    if prefix is not None:
        _check_prefix(prefix)
    parsed = parse(filter)

    async def work(session: Session) -> Page:
        table = await handle.table(session)
        if table is None:
            return Page([], None)
        if not table.key and not table.newest_by:
            msg = f"{table.qualified_name} has no unique key, so its rows have no order to be listed in"
            raise SchemaError(msg)
        everywhere = _is_everywhere(handle.scope, table)
        start = _start(after, everywhere=everywhere, table=table)
        statement = select.page(
            handle.selection(session, table, parsed), limit=limit + 1, after=start, prefix=prefix, extras=extras
        )
        rows = await session.fetch(statement)
        records = [as_record(row, table, session.dialect, handle.scope.domain) for row in rows[:limit]]
        return Page(records, cursor(records[-1], handle.scope, table) if len(rows) > limit else None)

    return await handle.run(work)


def cursor(record: Record, scope: Scope, table: Table | None) -> str | None:
    """Return what begins a page behind *record*."""
    return json.dumps([record.domain_id, record.id]) if table and _is_everywhere(scope, table) else record.id


def _is_everywhere(scope: Scope, table: Table) -> bool:
    return scope.domain is None and table.columns.domain_id in table.key


async def count(handle: Handle, filter: Filter | Mapping[str, Any] | None) -> int:
    """See `AsyncCollection.count`."""
    parsed = parse(filter)

    async def work(session: Session) -> int:
        table = await handle.table(session)
        if table is None:
            return 0
        return await session.fetch_value(dml.count(handle.selection(session, table, parsed)))

    return await handle.run(work)


async def metadata_keys(handle: Handle, filter: Filter | Mapping[str, Any] | None) -> list[str]:
    """See `AsyncCollection.metadata_keys`."""
    parsed = parse(filter)

    async def work(session: Session) -> list[str]:
        table = await handle.table(session)
        statement = None if table is None else select.metadata_keys(handle.selection(session, table, parsed))
        return [] if statement is None else [row[0] for row in await session.fetch(statement)]

    return await handle.run(work)


def listed_ids(ids: object) -> list[Any]:
    """Return *ids* as a list, checked as far as that can be done before the table is known.

    Raises:
        ConfigError: They are no sequence of ids.
        RecordError: An entry can be an id of no table.
    """
    listed = check_list(ids, "ids", "ids")
    if not (all_plain(listed) and all(listed)):
        _each(listed, id_text)
    return listed


def checked_ids(ids: Sequence[Any], table: Table) -> list[str]:
    """Return ids, which `listed_ids` has seen, as this table has them.

    Raises:
        RecordError: An entry cannot be an id of this table.
    """
    return _each(ids, lambda row_id: check_id(row_id, table))


def _each(ids: Sequence[Any], check: Callable[[object], str]) -> list[str]:
    checked: list[str] = []
    for position, row_id in enumerate(ids):
        if row_id is None:
            msg = f"ids[{position}] is None: say which record is meant"
            raise RecordError(msg)
        try:
            checked.append(check(row_id))
        except ValueError as error:
            msg = f"ids[{position}]: id {error}"
            raise RecordError(msg) from None
    return checked


def as_record(row: Any, table: Table, dialect: Dialect, domain: str | None) -> Record:
    """Return a row that was read by id or page."""
    return Record(
        id=row[_ID],
        content=row[_CONTENT],
        metadata=_metadata(row[_METADATA], row[_TYPES], table, dialect),
        document_id=row[_DOCUMENT],
        chunk_index=row[_CHUNK],
        domain_id=row[_DOMAIN] if domain is None else domain,
        embedding=dialect.read_embedding(row[_EMBEDDING], table.vector_type),
        envelope=dialect.read_json(row[_ENVELOPE]),
        sparse_embedding=dialect.read_sparse_embedding(row[_SPARSE]),
        created_at=row[_LAST],
    )


def as_matches(rows: Sequence[Any], table: Table, dialect: Dialect, domain: str | None) -> list[Match]:
    """Return the rows that a search found, nearest first.

    An HNSW index under cosine distance orders by rounded numbers, so neighbours that are almost equally
    far can come in the wrong order; sorting ten rows costs nothing.
    """
    score = table.distance.score
    matches = [as_match(row, score(row[_LAST]), table, dialect, domain) for row in rows]
    matches.sort(key=attrgetter("distance"))
    return matches


def as_match(row: Any, score: float, table: Table, dialect: Dialect, domain: str | None) -> Match:
    """Return one row that a search found: the columns of `select.ROW`, and its distance."""
    row_id, content, metadata, types, document, chunk, row_domain, embedding, envelope, sparse, distance = row
    return Match(
        row_id,
        score,
        distance,
        content,
        _metadata(metadata, types, table, dialect),
        document,
        chunk,
        row_domain if domain is None else domain,
        None if embedding is None else dialect.read_embedding(embedding, table.vector_type),
        None if envelope is None else dialect.read_json(envelope),
        sparse_embedding=None if sparse is None else dialect.read_sparse_embedding(sparse),
    )


def _metadata(value: Any, types: Any, table: Table, dialect: Dialect) -> dict[str, Any]:
    metadata = dialect.read_json(value)
    if not isinstance(metadata, dict):
        metadata = dict[str, Any]()  # NULL; and others may have stored a list, or a null of JSON
    if table.metadata_columns:
        restore(metadata, {column.name: COLUMN_NOTES.get(column.type) for column in table.metadata_columns})
    return metadata if types is None else restore(metadata, dialect.read_json(types))


def _check_prefix(prefix: object) -> None:
    try:
        content(prefix)
    except ValueError as error:
        msg = f"prefix {error}"
        raise ConfigError(msg) from None


def _start(after: str | None, *, everywhere: bool, table: Table) -> tuple[str, ...] | None:
    if after is None:
        return None
    try:
        if not everywhere:
            return (check_id(content(after), table),)
        domain, row_id = json.loads(after)
        return (str(Scope.of(domain).domain), check_id(row_id, table))
    except (ValueError, TypeError):
        msg = f"after={after!r} is not where a page of this collection ends; pass Page.next"
        raise ConfigError(msg) from None
