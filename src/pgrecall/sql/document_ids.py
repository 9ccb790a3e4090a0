"""The document that a row is a part of: a column says it, or a key of the metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgrecall.sql.compose import SQL, Composable, Identifier, Param

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.table import Table


def document_id(table: Table) -> Composable | None:
    """Return the id of a row's document, NULL where it is part of none; `None` where the table does not say."""
    stored = as_stored(table)
    if stored is None or table.columns.no_document is None:
        return stored
    return SQL("NULLIF({stored}, {none})").format(stored=stored, none=Param(table.columns.no_document, "text"))


def as_stored(table: Table) -> Composable | None:
    """Return what the row says of its document, in the form that an index is on."""
    columns = table.columns
    if columns.document_id is not None:
        return Identifier(columns.document_id)
    if columns.document_key is None or columns.metadata is None:
        return None
    return SQL("({metadata} ->> {key})").format(
        metadata=Identifier(columns.metadata), key=Param(columns.document_key, "text")
    )


def is_of(table: Table, document_ids: Sequence[str]) -> Composable | None:
    """Return the condition that a row is part of one of these documents; `None` where the table does not say."""
    stored = as_stored(table)
    if stored is None:
        return None
    named = [one for one in document_ids if one != table.columns.no_document]
    return SQL("{document} = ANY({documents})").format(document=stored, documents=Param(named, "text[]"))
