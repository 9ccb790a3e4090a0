"""Reading rows: by id, and page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pgrecall.sql.compose import SQL, Composable, Identifier, Integer, Param, Statement
from pgrecall.sql.dml import has_id, id_type
from pgrecall.sql.document_ids import document_id
from pgrecall.sql.domains import domain_text, domain_value
from pgrecall.sql.metadata import metadata_object
from pgrecall.sql.where import conditions, where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.sql.selection import Selection
    from pgrecall.table import Table

ROW = (
    "id",
    "content",
    "metadata",
    "metadata_types",
    "document_id",
    "chunk_index",
    "domain_id",
    "embedding",
    "envelope",
    "sparse_embedding",
)
"""What every row that is read consists of, in this order; a search puts the distance behind it."""
_EXTRAS: Final = ("embedding", "envelope", "sparse_embedding")
_CONVERTED: Final = (*_EXTRAS, "metadata", "metadata_types")


def projection(selection: Selection, extras: frozenset[str]) -> Composable:
    """Return the columns of `ROW`; those that the table lacks, or nobody asked for, are NULL."""
    table, columns = selection.table, selection.table.columns
    wanted: dict[str, Composable | None] = {
        name: None if (column := getattr(columns, name)) is None else Identifier(column) for name in ROW
    }
    wanted["metadata"] = metadata_object(table)
    wanted["document_id"] = document_id(table)
    wanted["domain_id"] = domain_text(table) if selection.scope.domain is None and columns.domain_id else None
    if table.sparse is None:
        wanted["sparse_embedding"] = None
    for extra in _EXTRAS:
        if extra not in extras:
            wanted[extra] = None
    parts: list[Composable] = []
    for name in ROW:
        value = wanted[name]
        if value is None:
            value = SQL("NULL")
        elif name == "id" and table.id_type != "text":
            value = SQL("{c}::text").format(c=value)
        elif name in _CONVERTED:
            value = selection.dialect.select(value)
        parts.append(SQL("{value} AS {alias}").format(value=value, alias=Identifier(name)))
    return SQL(", ").join(parts)


def by_ids(selection: Selection, ids: Sequence[str], extras: frozenset[str]) -> Statement:
    """Return the statement that reads rows by id: the columns of `ROW`, then the time of creation."""
    table = selection.table
    return _read(selection, extras, [*conditions(selection), has_id(table, ids)], _newest(table))


def around(selection: Selection, places: Sequence[tuple[str, int, int]], extras: frozenset[str]) -> Statement:
    """Return the statement that reads the chunks of documents that lie between two places each.

    Args:
        selection: Which rows; the table has columns for the document and the place in it.
        places: Document, and the first and the last place in it.
        extras: Which of ``embedding`` and ``envelope`` to return too.
    """
    table = selection.table
    documents, firsts, lasts = zip(*places, strict=True)
    document = Identifier(table.schema, table.name, str(table.columns.document_id))
    within = SQL(
        "{document} = ANY({documents}) AND EXISTS (SELECT FROM unnest({documents}, {firsts}, {lasts}) "
        "AS wanted(document, first, last) WHERE wanted.document = {document} "
        "AND {place} BETWEEN wanted.first AND wanted.last)"
    ).format(
        document=document,
        place=Identifier(table.schema, table.name, str(table.columns.chunk_index)),
        documents=Param(list(documents), "text[]"),
        firsts=Param(list(firsts), "bigint[]"),
        lasts=Param(list(lasts), "bigint[]"),
    )
    return _read(selection, extras, [*conditions(selection), within], _newest(table))


def page(
    selection: Selection, *, limit: int, after: tuple[str, ...] | None, prefix: str | None, extras: frozenset[str]
) -> Statement:
    """Return the statement that reads *limit* rows in the order of their (domain and) id.

    Args:
        selection: Which rows.
        limit: Most rows.
        after: The id, or domain and id, behind which the page starts.
        prefix: What the ids must begin with.
        extras: Which of ``embedding`` and ``envelope`` to return too.
    """
    table = selection.table
    # With the table's name: a bare name in ORDER BY would first mean an output column.
    identifier = Identifier(table.schema, table.name, table.columns.id)
    order: list[Composable] = [identifier]
    if selection.scope.domain is None and table.columns.domain_id is not None and table.columns.domain_id in table.key:
        order.insert(0, Identifier(table.schema, table.name, table.columns.domain_id))
    parts = conditions(selection)
    if after is not None:
        values: list[Composable] = [domain_value(table, domain) for domain in after[:-1]]
        values.append(SQL("{value}::{type}").format(value=Param(after[-1], "text"), type=id_type(table)))
        parts.append(SQL("({order}) > ({values})").format(order=SQL(", ").join(order), values=SQL(", ").join(values)))
    if prefix:
        parts.append(SQL("starts_with({id}::text, {prefix})").format(id=identifier, prefix=Param(prefix, "text")))
    ordering: Composable = SQL("ORDER BY {order}").format(order=SQL(", ").join(order))
    if table.newest_by is not None:
        parts.append(SQL("{id} IS NOT NULL").format(id=identifier))
        ordering = _newest(table)
    return _read(selection, extras, parts, SQL("{o} LIMIT {limit}").format(o=ordering, limit=Integer(limit)))


def _newest(table: Table) -> Composable:
    """Return the order in which the newest of several rows with one id comes first, where there can be several."""
    if table.newest_by is None:
        return SQL("")
    names = (table.columns.id, table.newest_by)
    row_id, newest = (Identifier(table.schema, table.name, name) for name in names)
    return SQL("ORDER BY {id}, {newest} DESC").format(id=row_id, newest=newest)


def locked_ids(selection: Selection, limit: int, after: str | None) -> Statement:
    """Return the statement that locks selected rows, in the order of their ids, and reads those as text.

    For a transaction that has said whose rows it is about: locks of a statement that says so itself would end with it.
    """
    table = selection.table
    row_id = Identifier(table.columns.id)
    parts = [*conditions(selection), SQL("{id} IS NOT NULL").format(id=row_id)]
    if after is not None:
        behind = SQL("{id} > {after}::{type}")
        parts.append(behind.format(id=row_id, after=Param(after, "text"), type=id_type(table)))
    return (
        SQL("SELECT {id}::text FROM {table} AS stored {where} ORDER BY stored.{id} LIMIT {limit} FOR UPDATE")
        .format(
            id=row_id,
            table=Identifier(table.schema, table.name),
            where=where(parts),
            limit=Integer(limit),
        )
        .compile()
    )


def metadata_keys(selection: Selection) -> Statement | None:
    """Return the statement that reads which keys the metadata of rows has; `None` where the table has none."""
    metadata = metadata_object(selection.table)
    if metadata is None:
        return None
    # NULL has no keys, and others may have stored a list.
    return selection.compile(
        SQL(
            "SELECT DISTINCT jsonb_object_keys(CASE WHEN jsonb_typeof(stored.held) = 'object' THEN stored.held END) "
            "FROM (SELECT {metadata} AS held FROM {table} {where}) AS stored ORDER BY 1"
        ).format(
            metadata=metadata,
            table=Identifier(selection.table.schema, selection.table.name),
            where=where(conditions(selection)),
        )
    )


def _read(selection: Selection, extras: frozenset[str], parts: list[Composable], tail: Composable) -> Statement:
    table = selection.table
    created = table.columns.created_at
    distinct: Composable = SQL("")
    if table.newest_by is not None:
        row_id = Identifier(table.schema, table.name, table.columns.id)
        distinct = SQL("DISTINCT ON ({id})").format(id=row_id)
    return selection.compile(
        SQL("SELECT {distinct} {columns}, {created} AS created_at FROM {table} {where} {tail}").format(
            distinct=distinct,
            columns=projection(selection, extras),
            created=SQL("NULL") if created is None else Identifier(created),
            table=Identifier(table.schema, table.name),
            where=where(parts),
            tail=tail,
        )
    )
