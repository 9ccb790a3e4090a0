"""Sparse embeddings as callers give them and as pgvector sends and receives them.

Binary format (pgvector's ``sparsevec_send``): the dimensions, the number n of weights that are not zero, and 0,
each a big-endian 32-bit number; then n ascending indices, counted from 0, as such numbers; then n weights as
big-endian IEEE 754 numbers of 32 bits. The text form, ``{1:0.5,3:2}/5``, counts from 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pgrecall.records import SparseEmbedding

MAX_WEIGHTS: Final = 16_000
"""The most weights that a sparsevec holds."""
MAX_INDEXED_WEIGHTS: Final = 1_000
"""The most that an HNSW index takes."""
_HEADER: Final = np.dtype(">i4").itemsize * 3
_PAIR: Final = 2


def encode(embedding: SparseEmbedding, dimensions: int, most: int = MAX_WEIGHTS) -> bytes:
    """Return a sparse embedding in pgvector's binary format, without the weights that are zero.

    Args:
        embedding: Index, from 0, to weight; or the indices and the weights.
        dimensions: Indices are below it.
        most: How many weights other than zero there may be.

    Raises:
        ValueError: It is none; the message says what an embedding must be.
    """
    indices, weights = _arrays(embedding)
    if len(indices) and indices[-1] >= dimensions:
        msg = f"has the index {indices[-1]}, but there are {dimensions} dimensions, counted from 0"
        raise ValueError(msg)
    if len(indices) > most:
        msg = f"has {len(indices)} weights that are not zero, and {most} are the most"
        if most == MAX_INDEXED_WEIGHTS:
            msg += " that the index of this column takes"
        raise ValueError(msg)
    header = np.array((dimensions, len(indices), 0), ">i4")
    return header.tobytes() + indices.astype(">i4").tobytes() + weights.astype(">f4").tobytes()


def checked(embedding: SparseEmbedding) -> dict[int, float]:
    """Return a sparse embedding as a mapping, ascending, in single precision, without the weights that are zero.

    Raises:
        ValueError: It is none.
    """
    indices, weights = _arrays(embedding)
    return dict(zip(indices.tolist(), weights.tolist(), strict=True))


def norm_square(embedding: SparseEmbedding) -> float:
    """Return the inner product of a sparse embedding with itself."""
    weights = _arrays(embedding)[1].astype(np.float64)
    return float(weights @ weights)


def decode(data: bytes | memoryview) -> dict[int, float]:
    """Return index, from 0, to weight of a value in binary format."""
    count = int(np.frombuffer(data, ">i4", 1, 4)[0])
    indices = np.frombuffer(data, ">i4", count, _HEADER)
    weights = np.frombuffer(data, ">f4", count, _HEADER + 4 * count)
    return dict(zip(indices.tolist(), weights.tolist(), strict=True))


def to_text(data: bytes | memoryview) -> str:
    """Return a value in binary format as PostgreSQL's text form of it."""
    dimensions = int(np.frombuffer(data, ">i4", 1)[0])
    pairs = ",".join(f"{index + 1}:{weight!r}" for index, weight in decode(data).items())
    return f"{{{pairs}}}/{dimensions}"


def from_text(text: str) -> dict[int, float]:
    """Return index, from 0, to weight of a value in PostgreSQL's text form."""
    pairs = [pair.split(":") for pair in text[1 : text.rindex("}")].split(",") if pair]
    weights = np.array([weight for _, weight in pairs], np.float32)  # as precise as the column, like `decode`
    return {int(index) - 1: weight for (index, _), weight in zip(pairs, weights.tolist(), strict=True)}


def _arrays(embedding: SparseEmbedding) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return indices, ascending, and weights, of which none is zero."""
    given = _given(embedding)
    indices, weights = (_numbers(values, kinds, what) for values, (kinds, what) in zip(given, _WANTED, strict=True))
    if len(indices) != len(weights):
        msg = f"has {len(indices)} indices and {len(weights)} weights"
        raise ValueError(msg)
    with np.errstate(over="ignore", under="ignore"):
        single = weights.astype(np.float32)
    if not np.isfinite(single).all():
        msg = "has NaN, infinity, or a weight that single precision cannot hold"
        raise ValueError(msg)
    order = np.argsort(indices, kind="stable")
    indices, single = indices[order].astype(np.int64), single[order]
    if len(indices) and indices[0] < 0:
        msg = f"has the index {indices[0]}; indices are counted from 0"
        raise ValueError(msg)
    if (twice := np.flatnonzero(indices[1:] == indices[:-1])).size:
        msg = f"has the index {indices[twice[0]]} twice"
        raise ValueError(msg)
    kept = single != 0
    return indices[kept], single[kept]


_WANTED: Final = (("iu", "indices"), ("fiu", "weights"))


def _given(embedding: object) -> tuple[Any, Any]:
    if isinstance(embedding, Mapping):
        return list(embedding.keys()), list(embedding.values())
    if isinstance(embedding, tuple | list) and len(embedding) == _PAIR:
        return embedding[0], embedding[1]
    msg = f"must be a mapping of index to weight, or indices and weights, not {type(embedding).__name__}"
    raise ValueError(msg)


def _numbers(values: object, kinds: str, what: str) -> NDArray[Any]:
    """Return *values* as an array of one dimension, whose type is one of *kinds*."""
    try:
        found = np.asarray(values)
        if found.size == 0 and found.ndim == 1:
            return np.empty(0, np.int64)
        # NumPy would take True for 1 among other numbers.
        good = found.ndim == 1 and found.dtype.kind in kinds and not _has_bool(values)
    except (ValueError, TypeError, OverflowError):
        good, found = False, np.empty(0)
    if not good:
        kind = "whole numbers below 2**63" if kinds == "iu" else "numbers"
        msg = f"must have {kind} for {what}, in one flat list or array"
        raise ValueError(msg)
    return found


def _has_bool(values: object) -> bool:
    return isinstance(values, list | tuple) and any(isinstance(value, bool | np.bool_) for value in values)
