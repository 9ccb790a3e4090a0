"""Changing and deleting rows that exist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pgrecall.checks import check_flag, check_list
from pgrecall.collection.finding.reading import check_one_domain, checked_ids, listed_ids
from pgrecall.collection.namespaces.runs import forget_runs
from pgrecall.collection.writing.upserting import check_writable
from pgrecall.errors import ConfigError, FilterError
from pgrecall.filters import parse
from pgrecall.records import as_records
from pgrecall.rows import check_lengths, prepare, prepare_changes
from pgrecall.rows.values import content
from pgrecall.sql import dml
from pgrecall.sql.document_ids import is_of
from pgrecall.sql.where import conditions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.collection.handle import Handle
    from pgrecall.collection.namespaces.companion import Companion
    from pgrecall.filters import Filter
    from pgrecall.postgres import Session
    from pgrecall.records import Record, RecordBatch
    from pgrecall.rows import Rows
    from pgrecall.sql.compose import Composable
    from pgrecall.sql.selection import Selection
    from pgrecall.table import Table

_STATEMENT_ROWS: Final = 1_000
# What an update finds a row by, or leaves as it is.
_UNTOUCHED: Final = frozenset({"domain_id", "created_at", "content_hash"})


async def update(handle: Handle, ids: Sequence[str], given: Mapping[str, Any], *, merge: bool) -> int:
    """See `AsyncCollection.update`; *given* are the columns of `prepare_changes`, or metadata for all ids."""
    check_flag(merge, "merge")
    ids = listed_ids(ids)
    columns = {name: [values] * len(ids) if isinstance(values, Mapping) else values for name, values in given.items()}
    if all(values is None for values in columns.values()):
        msg = "there is nothing to change: pass embeddings, contents, metadatas or sparse_embeddings"
        raise ConfigError(msg)
    check_lengths(ids, columns)

    async def work(session: Session) -> int:
        table = await handle.table(session)
        if table is None:
            return 0
        check_writable(table, session.server)
        rows = prepare_changes(table, ids, columns, merge=merge)
        return await update_rows(session, handle.selection(session, table), rows, merge=merge)

    changed = await handle.transaction(work)
    handle.knowledge.forget_estimates()
    return changed


async def replace(handle: Handle, records: Sequence[Record] | RecordBatch) -> int:
    """See `AsyncCollection.replace`."""
    batch = as_records(records)
    if not len(batch):
        return 0
    for position, row_id in enumerate((None,) if batch.ids is None else batch.ids):
        if row_id is None:
            msg = f"record {position} has no id, so it is not known which one to replace; upsert() adds new ones"
            raise ConfigError(msg)

    async def work(session: Session) -> int:
        table = await handle.table(session)
        if table is None:
            return 0
        check_writable(table, session.server)
        check_one_domain(handle.scope, table, "replace")
        rows, _ = prepare(batch, table, handle.scope)
        rows.finish()
        return await update_rows(session, handle.selection(session, table), rows, merge=False)

    changed = await handle.transaction(work)
    handle.knowledge.forget_estimates()
    return changed


async def update_rows(session: Session, selection: Selection, rows: Rows, *, merge: bool) -> int:
    """Change the rows that exist, and return how many there were."""
    changed = 0
    for start in range(0, len(rows), _STATEMENT_ROWS):
        part = rows.slice(start, start + _STATEMENT_ROWS)
        columns = {name: values for name, values in part.columns.items() if name not in _UNTOUCHED}
        changed += await session.execute(dml.update(selection, columns, merge=merge))
    return changed


async def delete(
    handle: Handle,
    ids: Sequence[str] | None,
    filter: Filter | Mapping[str, Any] | None,
    document_ids: Sequence[str] | None,
    companion: Companion | None = None,
) -> int:
    """See `AsyncCollection.delete`."""
    parsed = _checked(ids, filter, document_ids)
    ids = None if ids is None else listed_ids(ids)
    document_ids = None if document_ids is None else checked_document_ids(document_ids)

    async def work(session: Session) -> int:
        table = await handle.table(session)
        if table is None:
            return 0
        check_writable(table, session.server)
        wanted = None if ids is None else checked_ids(ids, table)
        parts = _parts(handle.selection(session, table, parsed), wanted, document_ids)
        if companion is None:
            return await session.execute(dml.delete(table, parts))
        gone = [row[0] for row in await session.fetch(dml.delete_returning(table, parts))]
        # Ids that were given and did not exist are as gone as the others, unless they only failed a condition.
        told = gone if parsed is not None or document_ids is not None else wanted
        await companion.deleted(session, _spelled(told or (), ids or (), wanted or ()))
        return len(gone)

    if companion is not None:
        await companion.ready(())
    deleted = await handle.transaction(work)
    handle.knowledge.forget_estimates()
    return deleted


async def delete_returning(
    handle: Handle,
    ids: Sequence[str] | None,
    filter: Filter | Mapping[str, Any] | None,
    document_ids: Sequence[str] | None,
) -> list[str]:
    """See `AsyncCollection.delete_returning`."""
    parsed = _checked(ids, filter, document_ids)
    ids = None if ids is None else listed_ids(ids)
    document_ids = None if document_ids is None else checked_document_ids(document_ids)

    async def work(session: Session) -> list[str]:
        table = await handle.table(session)
        if table is None:
            return []
        check_writable(table, session.server)
        wanted = None if ids is None else checked_ids(ids, table)
        parts = _parts(handle.selection(session, table, parsed), wanted, document_ids)
        return [row[0] for row in await session.fetch(dml.delete_returning(table, parts))]

    # Run again after a connection was lost in its commit, it would find that nothing is left to delete.
    deleted = await handle.transaction(work, repeat=False)
    handle.knowledge.forget_estimates()
    return deleted


async def clear(handle: Handle) -> int:
    """See `AsyncCollection.clear`."""

    async def work(session: Session) -> int:
        table = await handle.table(session)
        if table is None:
            return 0
        check_writable(table, session.server)
        await forget_runs(session, table.schema, table.name, handle.scope)
        return await session.execute(dml.delete(table, conditions(handle.selection(session, table))))

    deleted = await handle.transaction(work)
    handle.knowledge.forget_estimates()
    return deleted


def _checked(ids: object, filter: Filter | Mapping[str, Any] | None, document_ids: object) -> Filter | None:
    """Return the filter of a deletion.

    Raises:
        ConfigError: It is not said what to delete.
    """
    parsed = parse(filter)
    if filter is not None and parsed is None:
        msg = "an empty filter would delete everything; to do that, call clear()"
        raise FilterError(msg)
    if ids is None and parsed is None and document_ids is None:
        msg = "say what to delete: ids, a filter or document_ids; to delete everything, call clear()"
        raise ConfigError(msg)
    return parsed


def _parts(selection: Selection, ids: Sequence[str] | None, document_ids: Sequence[str] | None) -> list[Composable]:
    """Return the conditions that a row which is to be deleted meets."""
    table = selection.table
    parts = conditions(selection)
    if ids is not None:
        parts.append(dml.has_id(table, ids))
    if document_ids is not None:
        parts.append(_of_documents(table, document_ids))
    return parts


def _of_documents(table: Table, document_ids: Sequence[str]) -> Composable:
    condition = is_of(table, document_ids)
    if condition is None:
        msg = f"{table.qualified_name} has no column for the document's id"
        raise ConfigError(msg)
    return condition


def _spelled(row_ids: Sequence[str], given: Sequence[str], kept: Sequence[str]) -> list[str]:
    """Return *row_ids*, and those of the ids that were given that are the same, however they were spelled."""
    told = set(row_ids)
    return sorted(told.union(str(one) for one, row_id in zip(given, kept, strict=True) if row_id in told))


def checked_document_ids(document_ids: object) -> list[str]:
    """Return *document_ids* as a list.

    Raises:
        ConfigError: It is no sequence, or an entry is no text that can be stored.
    """
    listed = check_list(document_ids, "document_ids", "ids")
    try:
        return [content(value) for value in listed]
    except ValueError as error:
        msg = f"an entry of document_ids {error}"
        raise ConfigError(msg) from None
