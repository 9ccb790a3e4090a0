"""Vector indexes, as the catalog gives them: what distance each serves, and those on the sparse embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgrecall.distance import Distance, VectorType
from pgrecall.errors import DimensionMismatch
from pgrecall.table import SparseColumn, VectorIndex

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.config import CollectionConfig


def vector_index(index: dict[str, Any], distance: Distance | None) -> VectorIndex:
    """Return an index of all rows, on a column as it is, from its facts."""
    return VectorIndex(
        name=index["name"],
        method=index["method"],
        distance=distance,
        valid=index["valid"],
        options=tuple(tuple(option.split("=", 1)) for option in index["options"] or ()),
        size=index["size"],
        rows=index["rows"],
    )


def served(name: str, quantized: VectorType | None, vector_type: VectorType, own: Distance) -> Distance | None:
    """Return the distance that an index with the operator class *name* serves in a collection of distance *own*."""
    held = quantized or vector_type
    classes = {distance.operator_class(held): distance for distance in Distance if distance.is_defined_on(held)}
    found = classes.get(name)
    if quantized is VectorType.BIT:
        # Signs are compared by Hamming distance, whatever the embeddings are then ordered by.
        return own if found is Distance.HAMMING else None
    return found


def sparse_column(
    config: CollectionConfig, name: str, dimensions: int, indexes: Sequence[dict[str, Any]]
) -> SparseColumn:
    """Return the column with the sparse embeddings, and what indexes are on it.

    Args:
        config: What was asked for.
        name: Name of the column.
        dimensions: How many it has.
        indexes: The facts of all indexes of the table.

    Raises:
        DimensionMismatch: Another number of dimensions was asked for.
    """
    wanted = config.sparse_dimensions
    if wanted not in (None, dimensions):
        msg = (
            f"collection {config.name!r} holds sparse embeddings of {dimensions} dimensions, not {wanted}; "
            "was it made with another model?"
        )
        raise DimensionMismatch(msg)
    found = [
        index
        for index in indexes
        if index["method"] == "hnsw" and index["columns"] == [name] and not index["expressions"]
    ]
    serving = [
        vector_index(index, Distance.INNER_PRODUCT)
        for index in found
        if index["valid"] and index["class"] == "sparsevec_ip_ops" and index["condition"] is None
    ]
    return SparseColumn(column=name, dimensions=dimensions, index=serving[0] if serving else None, limited=bool(found))
