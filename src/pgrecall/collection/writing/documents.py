"""Whole documents: replacing all chunks of a document at once, and listing which documents there are."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pgrecall.checks import check_range
from pgrecall.collection.finding.reading import check_one_domain
from pgrecall.collection.handle import Bound
from pgrecall.collection.indexes import automatic
from pgrecall.collection.writing import changes, upserting
from pgrecall.errors import ConfigError, SchemaError
from pgrecall.filters import parse
from pgrecall.records import RecordBatch, as_records
from pgrecall.rows.values import content
from pgrecall.sql import documents as sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pgrecall.collection.handle import Handle
    from pgrecall.filters import Filter
    from pgrecall.postgres import Session
    from pgrecall.records import Record
    from pgrecall.rows import Rows
    from pgrecall.table import Table

MAX_PAGE: Final = 10_000


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """A document of which there are chunks.

    Attributes:
        id: Its id, which is the ``document_id`` of its chunks.
        chunks: How many there are.
    """

    id: str
    chunks: int


@dataclass(frozen=True, slots=True, eq=False)
class SourceDocumentPage:
    """Some documents in the order of their ids, and where the next page starts.

    Attributes:
        documents: The documents, ascending by id.
        next: What to pass as ``after=`` for the following page; `None` on the last one.
    """

    documents: list[SourceDocument]
    next: str | None


@dataclass(frozen=True, slots=True)
class ReplaceResult:
    """What replacing documents did.

    Attributes:
        ids: One id for each record that was passed, in order.
        inserted: Rows that are new.
        updated: Rows that were there under the same id and have changed.
        unchanged: Rows that were there and are just as before; nothing was written for them.
        deleted: Rows of the documents that are not there any more.
    """

    ids: list[str]
    inserted: int
    updated: int
    unchanged: int
    deleted: int


class Documents(Bound):
    """What `AsyncCollection` does with whole documents."""

    async def replace_documents(
        self, records: Iterable[Record] | RecordBatch, *, document_ids: Sequence[str] = ()
    ) -> ReplaceResult:
        """Put records in the place of all that their documents have, all in one transaction.

        Whoever reads sees the documents as they were, or as they are afterwards, and nothing between. Chunks
        that keep their ids are replaced, or left alone where they are unchanged; records without
        ``document_id`` are upserted. Calls that replace the same document take turns.

        Args:
            records: The chunks that the documents are to have; all of them are held in memory.
            document_ids: More documents whose chunks are to go, such as those that have no chunks any more.

        Raises:
            RecordError: A record cannot be stored; the message names it.
            DimensionMismatch: An embedding has another length than the collection's.
            ConfigError: The handle is one of all domains.
            SchemaError: The table has no column for the document's id.
        """
        return await replace_documents(self._handle, as_records(records), changes.checked_document_ids(document_ids))

    async def list_documents(
        self,
        *,
        limit: int = 100,
        after: str | None = None,
        prefix: str | None = None,
        filter: Filter | Mapping[str, Any] | None = None,
    ) -> SourceDocumentPage:
        """Return which documents there are chunks of, in the order of their ids, a page at a time.

        Args:
            limit: Most documents of the page, 1 to 10,000.
            after: ``SourceDocumentPage.next`` of the page before.
            prefix: What the documents' ids must begin with.
            filter: Which chunks count.

        Raises:
            ConfigError: The handle is one of all domains.
            FilterError: The filter is malformed.
            SchemaError: The table has no column for the document's id.
        """
        return await list_documents(self._handle, limit=limit, after=after, prefix=prefix, filter=filter)


async def replace_documents(handle: Handle, batch: RecordBatch, document_ids: Sequence[str]) -> ReplaceResult:
    """See `AsyncCollection.replace_documents`."""
    if not len(batch):
        there = await handle.run(handle.table)
        if there is not None:
            check_one_domain(handle.scope, there, "replace_documents")
        deleted = await changes.delete(handle, None, None, document_ids) if document_ids else 0
        return ReplaceResult(ids=[], inserted=0, updated=0, unchanged=0, deleted=deleted)
    table, rows, ids = await upserting.checked(handle, batch)
    check_one_domain(handle.scope, table, "replace_documents")
    _check_documents(table)
    await asyncio.to_thread(rows.finish)
    # Also the documents of records that gave way to a later one of the same id: they were meant to be replaced.
    replaced = sorted({*document_ids, *(one for one in batch.document_ids or () if one is not None)})
    deleted = 0

    async def make_room(session: Session, rows: Rows) -> None:
        nonlocal deleted
        await session.fetch(sql.lock(table, handle.scope.domain, replaced))
        gone = sql.delete_others(handle.selection(session, table), replaced, rows.columns["id"])
        deleted = await session.execute(gone)

    inserted, updated = await upserting.write(handle, table, rows, first=make_room if replaced else None)
    handle.knowledge.forget_estimates()
    automatic.written(handle, inserted)
    return ReplaceResult(
        ids=ids, inserted=inserted, updated=updated, unchanged=len(rows) - inserted - updated, deleted=deleted
    )


async def list_documents(
    handle: Handle,
    *,
    limit: int,
    after: str | None,
    prefix: str | None,
    filter: Filter | Mapping[str, Any] | None,
) -> SourceDocumentPage:
    """See `AsyncCollection.list_documents`."""
    check_range(limit, "limit", 1, MAX_PAGE)
    for name, value in (("after", after), ("prefix", prefix)):
        if value is not None:
            _text(name, value)
    parsed = parse(filter)

    async def work(session: Session) -> SourceDocumentPage:
        table = await handle.table(session)
        if table is None:
            return SourceDocumentPage([], None)
        check_one_domain(handle.scope, table, "list_documents")
        _check_documents(table)
        selection = handle.selection(session, table, parsed)
        rows = await session.fetch(sql.page(selection, limit=limit + 1, after=after, prefix=prefix))
        found = [SourceDocument(str(row[0]), row[1]) for row in rows[:limit]]
        return SourceDocumentPage(found, found[-1].id if len(rows) > limit else None)

    return await handle.run(work)


def _check_documents(table: Table) -> None:
    if not table.knows_documents:
        msg = f"{table.qualified_name} has no column for document_id, so it is not known which chunks a document has"
        raise SchemaError(msg)


def _text(what: str, value: object) -> str:
    try:
        return content(value)
    except ValueError as error:
        msg = f"{what} {error}"
        raise ConfigError(msg) from None
