"""Codes: what is left of an embedding when each dimension keeps a few bits.

Every dimension of the embedding, scaled to unit length, is compared with b thresholds and gives one bit for
each. The Hamming distance of two codes is then a coarse L1 distance. The thresholds divide a normal
distribution of variance 1/d, which the coordinates of unit vectors in d dimensions come near to, into b + 1
parts of equal probability. They do not depend on the data, so a code never goes out of date.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# An entry of a B-tree has 2,704 bytes, and the code shares it with domain, id and fields.
MAX_CODE_BITS: Final = 4_096
_MAX_BITS: Final = 4


def bits_per_dimension(dimensions: int) -> int:
    """Return how many bits a code keeps of each dimension, 1 to 4; 0 where even one is too much."""
    return min(MAX_CODE_BITS // dimensions, _MAX_BITS)


@lru_cache(maxsize=64)
def thresholds(dimensions: int) -> tuple[float, ...]:
    """Return what the coordinates of a unit vector are compared with, ascending."""
    bits = bits_per_dimension(dimensions)
    normal = NormalDist(0, 1 / math.sqrt(dimensions))
    return tuple(normal.inv_cdf((step + 1) / (bits + 1)) for step in range(bits))


def encode(embedding: NDArray[Any]) -> bytes:
    """Return the code of one embedding, shape ``(d,)``, in PostgreSQL's binary format of bit.

    The bits of the lowest threshold come first, one for each dimension.
    """
    dimensions = embedding.shape[0]
    length = float(np.linalg.norm(embedding)) or 1.0
    unit = embedding.astype(np.float32) / np.float32(length)
    limits = np.asarray(thresholds(dimensions), np.float32)
    code = (unit[np.newaxis] > limits[:, np.newaxis]).ravel()
    return len(code).to_bytes(4, "big") + np.packbits(code).tobytes()
