"""What each way to the nearest rows takes: a base, and so much for each row.

All in microseconds, measured by ``python -m benchmarks calibrate``. Machines differ by more than these
numbers do among themselves, but the planner only compares them with each other.
"""

from __future__ import annotations

import math
from typing import Final

STATEMENT: Final = 180.0
"""What any search takes, however few rows there are."""
UNINDEXED: Final = 1.0
"""Looking at a row that is then filtered away."""
_REFERENCE_ROWS: Final = 20_000
_MAX_DEFAULT_EF: Final = 600


def exact(dimensions: int, rows: float) -> float:
    """Return what it takes to compare *rows* embeddings in the table."""
    return rows * (1.5 + 0.0015 * dimensions)


def scan(dimensions: int, rows: float) -> float:
    """Return what it takes to have a vector index give *rows* rows."""
    return rows * (8.0 + 0.01 * dimensions)


def compare_codes(bits: int, rows: float) -> float:
    """Return what it takes to compare *rows* codes of so many bits in an index."""
    return rows * (0.07 + 0.00012 * bits)


def rerank(dimensions: int, rows: float) -> float:
    """Return what it takes to look *rows* rows up and compare their embeddings."""
    return rows * (3.5 + 0.0015 * dimensions)


def default_ef_search(rows: int) -> int:
    """Return the ``ef_search`` that finds 97 of 100 nearest rows in a graph of m=16 over *rows* rows.

    A fit to searches of real text embeddings (384 dimensions, 10,000 to 200,000 rows): recall at the same
    ef_search falls as the graph grows.
    """
    return min(_MAX_DEFAULT_EF, max(100, math.ceil(100 * (rows / 30_000) ** 0.66)))


def reranked(k: int, rows: float, bits_per_dimension: int) -> int:
    """Return how many of the nearest codes among *rows* to compare exactly to find 98 of 100 nearest rows.

    A fit to the same data: the k-th nearest row is the deeper among the codes the more rows compete with
    it, and the fewer bits a code has.
    """
    crowd = math.sqrt(max(1.0, rows / _REFERENCE_ROWS))
    coarseness = {4: 1.0, 3: 1.2, 2: 1.6}.get(bits_per_dimension, 3.0)
    return max(100, math.ceil((6 * k + 14 * math.sqrt(10 * k)) * crowd * coarseness))
