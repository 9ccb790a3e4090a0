"""What the embeddings of given rows, dense and sparse, have in common with a query's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgrecall.distance import Distance
from pgrecall.sql.compose import SQL, Identifier, Param, Statement
from pgrecall.sql.dml import has_id
from pgrecall.sql.domains import domain_text
from pgrecall.sql.text_search import distance_to
from pgrecall.sql.where import conditions, where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.sql.dialect import Encoded
    from pgrecall.sql.selection import Selection
    from pgrecall.table import SparseColumn


def compare(
    selection: Selection, sparse: SparseColumn, ids: Sequence[str], embedding: Encoded, weights: Encoded
) -> Statement:
    """Return the statement that compares given rows: domain, id, distance, and negative inner product.

    Args:
        selection: Which rows may be found.
        sparse: The column with the sparse embeddings.
        ids: Ids of the rows.
        embedding: The query's embedding, in pgvector's binary format.
        weights: Its sparse embedding, likewise.
    """
    table, dialect = selection.table, selection.dialect
    return selection.compile(
        SQL(
            "SELECT {domain}, {id}::text, {distance}, {column} OPERATOR({schema}.{operator}) {weights} "
            "FROM {table} {where}"
        ).format(
            domain=domain_text(table) if table.columns.domain_id is not None else SQL("NULL"),
            id=Identifier(table.columns.id),
            distance=distance_to(selection, embedding),
            column=Identifier(sparse.column),
            schema=Identifier(dialect.vector_schema),
            operator=SQL(Distance.INNER_PRODUCT.operator),
            weights=Param(dialect.sparse_embedding(weights), dialect.sparse_embedding_type),
            table=Identifier(table.schema, table.name),
            where=where([*conditions(selection), has_id(table, ids)]),
        )
    )
