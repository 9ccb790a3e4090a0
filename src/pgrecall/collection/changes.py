"""Changing and deleting rows that exist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pgrecall.collection.ingest import check_writable
from pgrecall.collection.reading import checked_ids
from pgrecall.errors import ConfigError, FilterError
from pgrecall.filters import parse
from pgrecall.rows import prepare_changes
from pgrecall.rows.values import content
from pgrecall.sql import dml
from pgrecall.sql.compose import SQL, Identifier, Param
from pgrecall.sql.where import conditions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pgrecall.collection.handle import Handle
    from pgrecall.filters import Filter
    from pgrecall.postgres import Session
    from pgrecall.records import Embedding

_STATEMENT_ROWS: Final = 1_000


async def update(
    handle: Handle,
    ids: Sequence[str],
    *,
    embeddings: NDArray[Any] | Sequence[Embedding] | None,
    contents: Sequence[str | None] | None,
    metadatas: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
    merge: bool,
) -> int:
    """See `AsyncCollection.update`."""
    if isinstance(ids, str):
        msg = "ids must be a sequence of ids, not one string"
        raise ConfigError(msg)
    if embeddings is None and contents is None and metadatas is None:
        msg = "there is nothing to change: pass embeddings, contents or metadatas"
        raise ConfigError(msg)
    if isinstance(metadatas, Mapping):
        metadatas = [metadatas] * len(ids)

    async def work(session: Session) -> int:
        table = await handle.table(session)
        if table is None:
            return 0
        check_writable(table, session.server)
        rows = prepare_changes(table, ids, embeddings=embeddings, contents=contents, metadatas=metadatas, merge=merge)
        changed = 0
        for start in range(0, len(rows), _STATEMENT_ROWS):
            part = rows.slice(start, start + _STATEMENT_ROWS)
            statement = dml.update(handle.selection(session, table), part.columns, merge=merge)
            changed += await session.execute(statement)
        return changed

    return await handle.transaction(work)


async def delete(
    handle: Handle,
    ids: Sequence[str] | None,
    filter: Filter | Mapping[str, Any] | None,
    document_ids: Sequence[str] | None,
) -> int:
    """See `AsyncCollection.delete`."""
    parsed = parse(filter)
    if filter is not None and parsed is None:
        msg = "an empty filter would delete everything; to do that, call clear()"
        raise FilterError(msg)
    if ids is None and parsed is None and document_ids is None:
        msg = "say what to delete: ids, a filter or document_ids; to delete everything, call clear()"
        raise ConfigError(msg)

    async def work(session: Session) -> int:
        table = await handle.table(session)
        if table is None:
            return 0
        check_writable(table, session.server)
        parts = conditions(handle.selection(session, table, parsed))
        if ids is not None:
            array = dml.ids_array(checked_ids(ids, table), table)
            parts.append(SQL("{id} = ANY({ids})").format(id=Identifier(table.columns.id), ids=array))
        if document_ids is not None:
            if table.columns.document_id is None:
                msg = f"{table.qualified_name} has no column for the document's id"
                raise ConfigError(msg)
            column = Identifier(table.columns.document_id)
            parts.append(SQL("{c} = ANY({ids})").format(c=column, ids=Param(_texts(document_ids), "text[]")))
        return await session.execute(dml.delete(table, parts))

    deleted = await handle.transaction(work)
    handle.knowledge.forget_estimates()
    return deleted


async def clear(handle: Handle) -> int:
    """See `AsyncCollection.clear`."""

    async def work(session: Session) -> int:
        table = await handle.table(session)
        if table is None:
            return 0
        check_writable(table, session.server)
        return await session.execute(dml.delete(table, conditions(handle.selection(session, table))))

    deleted = await handle.transaction(work)
    handle.knowledge.forget_estimates()
    return deleted


def _texts(values: Sequence[str]) -> list[str]:
    if isinstance(values, str):
        msg = f"document_ids must be a sequence of ids, not one string: [{values!r}]"
        raise ConfigError(msg)
    try:
        return [content(value) for value in values]
    except ValueError as error:
        msg = f"an entry of document_ids {error}"
        raise ConfigError(msg) from None
