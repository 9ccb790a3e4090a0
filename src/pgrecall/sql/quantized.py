"""What a vector index is on: the embedding's column, or something coarser that is made from it.

An index serves a query only where both are about the same expression, so both take it from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

from pgrecall.distance import Distance, VectorType
from pgrecall.sql.compose import SQL, Composable, Identifier, Integer

if TYPE_CHECKING:
    from pgrecall.sql.dialect import Dialect
    from pgrecall.table import Table


def indexed_expression(
    table: Table, quantized: VectorType | None, embedding: Composable, dialect: Dialect
) -> Composable:
    """Return *embedding*, the column or a query, as the index holds it."""
    if quantized is None:
        return embedding
    if quantized is VectorType.BIT:
        embedding = SQL("{quantize}({embedding})").format(
            quantize=Identifier(dialect.vector_schema, "binary_quantize"), embedding=embedding
        )
    return SQL("({embedding}::{type}({dimensions}))").format(
        embedding=embedding, type=dialect.type(quantized), dimensions=Integer(table.dimensions or 1)
    )


def indexed_operator(table: Table, quantized: VectorType | None) -> tuple[LiteralString, LiteralString]:
    """Return the operator that orders what the index holds, and the operator class that serves it."""
    distance = Distance.HAMMING if quantized is VectorType.BIT else table.distance
    return distance.operator, distance.operator_class(quantized or table.vector_type)
