"""Records to rows: everything is checked and encoded here, before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgrecall import vectors
from pgrecall.embeddings import as_matrix
from pgrecall.errors import RecordError
from pgrecall.rows.reader import Reader
from pgrecall.rows.rows import Rows
from pgrecall.rows.values import chunk_index, content, json_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from pgrecall.records import Embedding, RecordBatch
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
    columns |= reader.created(batch.created_ats)
    matrix = as_matrix(batch.embeddings, table.dimensions, table.vector_type, table.distance, reader.describe)
    given = columns["id"]
    made = batch.ids is None or all(given_id is None for given_id in batch.ids)
    return _distinct(Rows(table=table, columns=columns, matrix=matrix, made=made)), given


def prepare_changes(
    table: Table,
    ids: Sequence[str],
    *,
    embeddings: NDArray[Any] | Sequence[Embedding] | None,
    contents: Sequence[str | None] | None,
    metadatas: Sequence[Mapping[str, Any]] | None,
    merge: bool,
) -> Rows:
    """Return what is to be changed, checked and encoded: the id and the columns that were given.

    Of equal ids only the last is kept.

    Raises:
        RecordError: A value cannot be stored, or a column has another length than *ids*.
        DimensionMismatch: An embedding has another length than the table's column.
    """
    for name, values in (("embeddings", embeddings), ("contents", contents), ("metadatas", metadatas)):
        if values is not None and len(values) != len(ids):
            msg = f"{name} has {len(values)} entries, but there are {len(ids)} ids"
            raise RecordError(msg)
    reader = Reader(table, ids, len(ids))
    columns: dict[str, list[Any]] = {"id": reader.ids()}
    if contents is not None:
        columns |= reader.column("content", contents, content)
    if metadatas is not None:
        columns |= reader.metadata(metadatas, merged=merge)
        columns |= reader.types(metadatas, merged=merge)
    if embeddings is not None:
        matrix = as_matrix(embeddings, table.dimensions, table.vector_type, table.distance, reader.describe)
        columns["embedding"] = list(vectors.encode(matrix, table.vector_type)) if len(ids) else []
    return _distinct(Rows(table=table, columns=columns, matrix=None, made=False))


def _distinct(rows: Rows) -> Rows:
    """Return *rows* sorted by (domain, id), and of equal ids only the last."""
    if rows.made:
        return rows
    domains = rows.columns.get("domain_id") or [""] * len(rows)
    last = {key: position for position, key in enumerate(zip(domains, rows.columns["id"], strict=True))}
    positions = [last[key] for key in sorted(last)]
    return rows if positions == list(range(len(rows))) else rows.take(positions)
