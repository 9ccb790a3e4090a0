"""What a vector index is on: the embedding's column, or something coarser that is made from it.

An index serves a query only where both are about the same expression, so both take it from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, LiteralString

from pgrecall.config import HNSW, Index
from pgrecall.distance import Distance, VectorType
from pgrecall.errors import ConfigError
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


def quantization(table: Table, index: Index) -> VectorType | None:
    """Return what the index is to hold, where that is coarser than the column.

    Raises:
        ConfigError: pgvector cannot index this column so.
    """
    if table.dimensions is None:
        msg = f"{table.qualified_name} does not say how many dimensions its embeddings have, which an index needs"
        raise ConfigError(msg)
    asked = index.quantization if isinstance(index, HNSW) else "none"
    if asked == "none" or table.vector_type is VectorType.BIT:
        held = table.vector_type
    elif asked is not None:
        held = VectorType(asked)
    else:
        finest = (table.vector_type, VectorType.HALFVEC, VectorType.BIT)
        held = next(kind for kind in finest if kind.max_indexed_dimensions >= table.dimensions)
    if table.dimensions > held.max_indexed_dimensions:
        most = held.max_indexed_dimensions
        msg = (
            f"pgvector indexes up to {most} dimensions of {held.value}, and {table.qualified_name} has "
            f"{table.dimensions}; HNSW() by itself chooses a coarser type for the index"
        )
        raise ConfigError(msg)
    if not isinstance(index, HNSW) and table.distance.operator_class(table.vector_type) not in _IVFFLAT_CLASSES:
        msg = f"IVFFlat knows no {table.distance.value} distance on {table.vector_type.value}; use HNSW"
        raise ConfigError(msg)
    return None if held is table.vector_type else held


_IVFFLAT_CLASSES: Final = frozenset(
    f"{kind}_{distance}_ops" for kind in ("vector", "halfvec") for distance in ("cosine", "l2", "ip")
) | {"bit_hamming_ops"}
