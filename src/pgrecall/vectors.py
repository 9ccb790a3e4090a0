"""Embeddings as pgvector sends and receives them, a whole matrix at a time.

Binary formats (pgvector's ``*_send`` functions): vector and halfvec are two big-endian 16-bit numbers
(the dimensions, and 0) and then the elements as big-endian IEEE 754 numbers of 32 or 16 bits; bit is a
32-bit length and then the bits, the first one highest.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pgrecall.distance import VectorType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_ELEMENT: Final[Mapping[VectorType, str]] = {VectorType.VECTOR: ">f4", VectorType.HALFVEC: ">f2"}
_HEADER_BYTES: Final = 4


def encode(matrix: NDArray[Any], vector_type: VectorType) -> list[bytes]:
    """Return the rows of *matrix* in pgvector's binary format.

    Args:
        matrix: Shape ``(n, d)``, numbers; for bit anything that is 0 or not.
        vector_type: Type of the column.
    """
    count, dimensions = matrix.shape
    row_type = _row_type(dimensions, vector_type)
    rows = np.empty(count, row_type)
    if vector_type is VectorType.BIT:
        rows["length"] = dimensions
        rows["bits"] = np.packbits(matrix != 0, axis=1)
    else:
        rows["dimensions"] = dimensions
        rows["zero"] = 0
        rows["values"] = matrix
    # Bytes, not views: the garbage collector follows each of those, tens of thousands of them.
    whole = rows.tobytes()
    size = row_type.itemsize
    return [whole[start : start + size] for start in range(0, count * size, size)]


@lru_cache(maxsize=64)
def _row_type(dimensions: int, vector_type: VectorType) -> np.dtype[np.void]:
    if vector_type is VectorType.BIT:
        return np.dtype([("length", ">i4"), ("bits", "u1", (-(-dimensions // 8),))])
    return np.dtype([("dimensions", ">u2"), ("zero", ">u2"), ("values", _ELEMENT[vector_type], (dimensions,))])


def decode(data: bytes | memoryview, vector_type: VectorType) -> NDArray[Any]:
    """Return the embedding of one value in binary format: ``(d,) float32``, for bit ``(d,) uint8``."""
    if vector_type is VectorType.BIT:
        length = int.from_bytes(data[:_HEADER_BYTES], "big")
        return np.unpackbits(np.frombuffer(data, np.uint8, offset=_HEADER_BYTES))[:length]
    return np.frombuffer(data, _ELEMENT[vector_type], offset=_HEADER_BYTES).astype(np.float32)


def to_text(data: bytes | memoryview, vector_type: VectorType) -> str:
    """Return a value in binary format as PostgreSQL's text form of it."""
    values = decode(data, vector_type)
    if vector_type is VectorType.BIT:
        return "".join(map(str, values.tolist()))
    return "[" + ",".join(map(repr, values.tolist())) + "]"


def from_text(text: str, vector_type: VectorType) -> NDArray[Any]:
    """Return the embedding in PostgreSQL's text form: ``(d,) float32``, for bit ``(d,) uint8``."""
    if vector_type is VectorType.BIT:
        return np.frombuffer(text.encode(), np.uint8) - ord("0")
    return np.fromstring(text[1:-1], np.float32, sep=",")
