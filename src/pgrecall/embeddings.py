"""Embeddings as callers give them, to one checked matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pgrecall.distance import Distance, VectorType
from pgrecall.errors import DimensionMismatch, RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from pgrecall.records import Embedding


# Squared lengths between which single precision neither rounds to zero nor overflows.
_LEAST: Final = 1e-30
_MOST: Final = 1e37


def as_matrix(
    embeddings: NDArray[Any] | Sequence[Embedding | None],
    dimensions: int | None,
    vector_type: VectorType,
    distance: Distance,
    describe: Callable[[int], str],
) -> NDArray[Any]:
    """Return *embeddings* as one matrix that the column can hold.

    Args:
        embeddings: n embeddings of d numbers; for a bit column 0 and 1 (or booleans).
        dimensions: The d that the column wants; `None` takes any, the same for all.
        vector_type: Type of the column.
        distance: Under cosine a zero vector has no direction, and is refused.
        describe: How a message names the record at a position.

    Returns:
        Shape ``(n, d)``: ``float32`` for vector, ``float16`` for halfvec, ``uint8`` of 0 and 1 for bit.

    Raises:
        DimensionMismatch: An embedding has another length.
        RecordError: An embedding is missing, not made of numbers, not finite (also after conversion to
            the column's precision), zero under cosine, or for bit holds anything but 0 and 1.
    """
    matrix = _stack(embeddings, dimensions, describe)
    if dimensions is not None and len(matrix) and matrix.shape[1] != dimensions:
        raise DimensionMismatch(_mismatch(describe(0), matrix.shape[1], dimensions))
    if vector_type is VectorType.BIT:
        with np.errstate(invalid="ignore"):
            bits = matrix.astype(np.uint8)
        _refuse(np.not_equal(bits, matrix) | np.greater(bits, 1), describe, "must hold only 0 and 1 for a bit column")
        return bits
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        numbers = matrix.astype(np.float16 if vector_type is VectorType.HALFVEC else np.float32, copy=False)
    _refuse(
        ~np.isfinite(numbers),
        describe,
        f"has NaN, infinity, or a number that {vector_type.value} cannot hold",
    )
    if distance is Distance.COSINE and len(numbers):
        _refuse_extreme(numbers, describe)
        _refuse(
            ~numbers.any(axis=1, keepdims=True),
            describe,
            "is a zero vector, which has no direction for cosine distance",
        )
    return numbers


def as_vector(
    embedding: Embedding, dimensions: int | None, vector_type: VectorType, distance: Distance
) -> NDArray[Any]:
    """Return one embedding, a query's, as `as_matrix` does.

    Returns:
        Shape ``(d,)``, and the type that `as_matrix` gives.

    Raises:
        DimensionMismatch: It has another length.
        RecordError: See `as_matrix`.
    """
    if vector_type is VectorType.VECTOR:
        vector = _plain(embedding)
        # An ordinary length is proof that nothing is wrong; all else is looked at closely.
        if vector is not None and vector.shape == (dimensions,) and _LEAST < float(np.dot(vector, vector)) < _MOST:
            return vector
    return as_matrix([embedding], dimensions, vector_type, distance, lambda _: "query")[0]


def _plain(embedding: Embedding) -> NDArray[np.float32] | None:
    if isinstance(embedding, np.ndarray):
        if embedding.dtype.kind != "f":
            return None
        with np.errstate(over="ignore"):
            return embedding.astype(np.float32, copy=False)
    if isinstance(embedding, list) and set(map(type, embedding)) <= {float}:
        with np.errstate(over="ignore"):
            return np.array(embedding, np.float32)
    return None


def _stack(
    embeddings: NDArray[Any] | Sequence[Embedding | None],
    dimensions: int | None,
    describe: Callable[[int], str],
) -> NDArray[Any]:
    if len(embeddings) == 0:
        return np.empty((0, dimensions or 0), np.float32)
    try:
        matrix = np.asarray(embeddings)
        if matrix.dtype == object:
            rows = [np.asarray(row) for row in embeddings]
            # Of a complex number half would be lost, and a text would be read as a number.
            matrix = np.stack([row.astype(np.float64) if row.dtype.kind in "fiubO" else row for row in rows])
    except (ValueError, TypeError, OverflowError):
        raise _first_fault(embeddings, dimensions, describe) from None
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiub":  # noqa: PLR2004 - rows and columns
        raise _first_fault(embeddings, dimensions, describe)
    return matrix


def _first_fault(
    embeddings: NDArray[Any] | Sequence[Embedding | None],
    dimensions: int | None,
    describe: Callable[[int], str],
) -> Exception:
    """Return the error for the first embedding that does not fit in with the others."""
    wanted = dimensions
    for position, row in enumerate(embeddings):
        if row is None:
            return RecordError(f"{describe(position)} has no embedding")
        try:
            values = np.asarray(row)
            values = values.astype(np.float64) if values.dtype == object else values
            good = values.ndim == 1 and values.dtype.kind in "fiub"
        except (ValueError, TypeError, OverflowError):
            good, values = False, np.empty(0)
        if not good:
            shown = type(row).__name__ if values.ndim != 1 else f"{type(row).__name__} of {values.dtype}"
            return RecordError(
                f"{describe(position)}: the embedding must be a flat list or array of numbers, not {shown}"
            )
        wanted = len(values) if wanted is None else wanted
        if len(values) != wanted:
            return DimensionMismatch(_mismatch(describe(position), len(values), wanted))
    return RecordError("the embeddings must be n rows of d numbers")


def _mismatch(name: str, found: int, wanted: int) -> str:
    return f"{name}: the embedding has {found} dimensions, but {wanted} are expected; was another model used?"


def _refuse_extreme(numbers: NDArray[Any], describe: Callable[[int], str]) -> None:
    """Raise for lengths whose square single precision cannot hold, in which pgvector computes cosine distance."""
    squares = np.einsum("ij,ij->i", numbers, numbers, dtype=np.float64)
    faults = (squares > 0) & ((squares < _LEAST) | (squares > _MOST))
    _refuse(faults[:, np.newaxis], describe, "is too short or too long for cosine distance; scale it to length 1")


def _refuse(faults: Any, describe: Callable[[int], str], why: str) -> None:
    """Raise for the first row in which any entry of *faults* is true."""
    if faults.any():
        position = int(np.flatnonzero(faults.any(axis=1))[0])
        msg = f"{describe(position)}: the embedding {why}"
        raise RecordError(msg)
