"""Statements about whole documents: all chunks that have one document's id."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from pgrecall.sql.compose import SQL, Composable, Identifier, Integer, Param, Statement
from pgrecall.sql.dml import ids_array
from pgrecall.sql.document_ids import document_id, is_of
from pgrecall.sql.where import conditions, where

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pgrecall.sql.selection import Selection
    from pgrecall.table import Table

# A server has room for some thousands of locks, which a large import would use up if it took one a document.
_LOCKS: Final = 64


def lock(table: Table, domain: str | None, names: Iterable[str], what: str = "documents") -> Statement:
    """Return the statement that waits until nobody else replaces these documents, until the transaction ends.

    Two transactions that replace a document at the same time would each not see, and so not delete, the chunks
    that the other inserts.

    Args:
        table: The table.
        domain: The domain of the documents.
        names: Their ids, or those of *what* else is replaced.
        what: Things of one kind do not wait for those of another.
    """
    places = {_number(name) % _LOCKS for name in names}
    whose = [table.schema, table.name, domain or "", *(() if what == "documents" else (what,))]
    keys = sorted(_number("\0".join([*whose, str(place)])) for place in places)
    # In one order for everybody, so that nobody waits for somebody who waits for them.
    statement = SQL("SELECT pg_advisory_xact_lock(wanted.key) FROM unnest({keys}) AS wanted(key)")
    return statement.format(keys=Param(keys, "bigint[]")).compile()


def delete_others(selection: Selection, document_ids: Sequence[str], kept: Sequence[str]) -> Statement:
    """Return the statement that deletes the chunks of documents but for those with the ids *kept*."""
    table = selection.table
    parts = [*conditions(selection), *filter(None, [is_of(table, document_ids)])]
    if kept:
        # Not "<> ALL", which before PostgreSQL 15 takes time with the product of both numbers.
        parts.append(
            SQL("NOT EXISTS (SELECT FROM unnest({kept}) AS kept(id) WHERE kept.id = {id})").format(
                kept=ids_array(kept, table), id=Identifier(table.schema, table.name, table.columns.id)
            )
        )
    return (
        SQL("DELETE FROM {table} {where}")
        .format(table=Identifier(table.schema, table.name), where=where(parts))
        .compile()
    )


def page(selection: Selection, *, limit: int, after: str | None, prefix: str | None) -> Statement:
    """Return the statement that reads *limit* documents in the order of their ids: id, number of chunks.

    Args:
        selection: Which rows count.
        limit: Most documents.
        after: The id behind which the page starts.
        prefix: What the ids must begin with.
    """
    table = selection.table
    document = document_id(table) or SQL("NULL::text")
    parts: list[Composable] = [*conditions(selection), SQL("{document} IS NOT NULL").format(document=document)]
    if after is not None:
        parts.append(SQL("{document} > {after}").format(document=document, after=Param(after, "text")))
    if prefix:
        begins = SQL("starts_with({document}::text, {prefix})")
        parts.append(begins.format(document=document, prefix=Param(prefix, "text")))
    return selection.compile(
        SQL("SELECT {document}, count(*) FROM {table} {where} GROUP BY 1 ORDER BY 1 LIMIT {limit}").format(
            document=document,
            table=Identifier(table.schema, table.name),
            where=where(parts),
            limit=Integer(limit),
        )
    )


def _number(text: str) -> int:
    """Return a whole number of 64 bits, the same in every process."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)
