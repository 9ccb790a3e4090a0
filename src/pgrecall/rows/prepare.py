"""Records to rows: everything is checked and encoded here, before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgrecall import vectors
from pgrecall.checks import has_order
from pgrecall.embeddings import as_matrix
from pgrecall.errors import RecordError
from pgrecall.rows.reader import Reader
from pgrecall.rows.rows import Rows
from pgrecall.rows.values import chunk_index, content, json_object, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pgrecall.records import RecordBatch
    from pgrecall.scope import Scope
    from pgrecall.table import Table


def prepare(batch: RecordBatch, table: Table, scope: Scope) -> tuple[Rows, list[str]]:
    """Return *batch* checked, and one id for each of its records, in their order.

    `Rows.finish` does the rest of the encoding, batch by batch. Of records with the same id only the last
    becomes a row.

    Raises:
        RecordError: A record cannot be stored; the message names it. Also where a record sets a field
            for which the table has no column, or names a domain outside of *scope*.
        DimensionMismatch: An embedding has another length than the table's column.
    """
    reader = Reader(table, batch.ids, len(batch), batch.optional)
    columns: dict[str, list[Any]] = {"id": reader.ids()}
    columns |= reader.domains(scope, batch.domain_ids)
    metadatas = reader.with_documents(batch.metadatas, batch.document_ids)
    columns |= reader.documents(batch.document_ids)
    columns |= reader.column("chunk_index", batch.chunk_indexes, chunk_index)
    columns |= reader.column("content", batch.contents, content)
    columns |= reader.metadata(metadatas)
    columns |= reader.types(metadatas)
    columns |= reader.column("envelope", batch.envelopes, json_object)
    columns |= reader.sparse(batch.sparse_embeddings)
    columns |= reader.created(batch.created_ats)
    matrix = as_matrix(batch.embeddings, table.dimensions, table.vector_type, table.distance, reader.describe)
    given = columns["id"]
    made = batch.ids is None or all(given_id is None for given_id in batch.ids)
    return _distinct(Rows(table=table, columns=columns, matrix=matrix, made=made)), given


def prepare_changes(table: Table, ids: Sequence[str], columns: Mapping[str, Any], *, merge: bool) -> Rows:
    """Return what is to be changed, checked and encoded: the id and the columns that were given.

    Of equal ids only the last is kept.

    Args:
        table: The table.
        ids: Whom to change.
        columns: ``embeddings``, ``contents``, ``metadatas``, ``sparse_embeddings``, ``document_ids`` and
            ``chunk_indexes``, as far as they change; `None` for those that do not.
        merge: Whether metadata is merged into what is there.

    Raises:
        RecordError: A value cannot be stored, or a column has another length than *ids*.
        DimensionMismatch: An embedding has another length than the table's column.
    """
    given = {name: values for name, values in columns.items() if values is not None}
    check_lengths(ids, given)
    reader = Reader(table, ids, len(ids))
    encoded: dict[str, list[Any]] = {"id": reader.ids()}
    for name, values in given.items():
        match name:
            case "contents":
                encoded |= reader.column("content", values, content)
            case "document_ids":
                encoded |= reader.column("document_id", values, text)
            case "chunk_indexes":
                encoded |= reader.column("chunk_index", values, chunk_index)
            case "metadatas":
                encoded |= reader.metadata(values, merged=merge)
                encoded |= reader.types(values, merged=merge)
            case "sparse_embeddings":
                encoded |= reader.sparse(values)
            case _:
                matrix = as_matrix(values, table.dimensions, table.vector_type, table.distance, reader.describe)
                encoded["embedding"] = list(vectors.encode(matrix, table.vector_type)) if len(ids) else []
    return _distinct(Rows(table=table, columns=encoded, matrix=None, made=False))


def check_lengths(ids: Sequence[str | None], columns: Mapping[str, Any]) -> None:
    """Raise `RecordError` where a column, unless it is `None`, has not one entry for each id."""
    for name, values in columns.items():
        if values is None:
            continue
        if isinstance(values, str | bytes) or not has_order(values):
            msg = f"{name} must be a sequence with one entry for each id, not one {type(values).__name__}"
            raise RecordError(msg)
        if len(values) != len(ids):
            msg = f"{name} has {len(values)} entries, but there are {len(ids)} ids"
            raise RecordError(msg)
    if None in ids:
        msg = f"ids[{list(ids).index(None)}] is None: say which record is to be changed"
        raise RecordError(msg)


def _distinct(rows: Rows) -> Rows:
    """Return *rows* sorted by (domain, id), and of equal ids only the last."""
    if rows.made:
        return rows
    domains = rows.columns.get("domain_id") or [""] * len(rows)
    last = {key: position for position, key in enumerate(zip(domains, rows.columns["id"], strict=True))}
    positions = [last[key] for key in sorted(last)]
    return rows if positions == list(range(len(rows))) else rows.take(positions)
