"""LlamaIndex's own kind of maximal marginal relevance, with its scores.

It differs from the published one, which is in `pgrecall.mmr`: a candidate is held only against the pick before it,
not against the most similar of all picks, and what is returned as similarity is what the pick was worth:

    threshold · sim(candidate, query) - (1 - threshold) · sim(candidate, the pick before)

where the first pick has no pick before it, and sim is the cosine. Thresholds of callers were chosen with these scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pick(query: NDArray[Any], candidates: NDArray[Any], k: int, threshold: float) -> list[tuple[int, float]]:
    """Return position and worth of k candidates, or of all where there are fewer, in the order of picking.

    Args:
        query: Shape ``(d,)``.
        candidates: Shape ``(n, d)``; of equals the first is picked.
        k: How many to pick.
        threshold: From 0, only unlike the pick before, to 1, only near to the query.
    """
    units = _units(candidates)
    relevance = threshold * (units @ _units(query[np.newaxis])[0])
    worth = relevance
    left = np.ones(len(units), bool)
    picks: list[tuple[int, float]] = []
    for _ in range(min(k, len(units))):
        best = int(np.argmax(np.where(left, worth, -np.inf)))
        picks.append((best, float(worth[best])))
        left[best] = False
        worth = relevance - (1.0 - threshold) * (units @ units[best])
    return picks


def _units(matrix: NDArray[Any]) -> NDArray[np.float64]:
    """Return the rows scaled to length 1; a zero vector, which has no direction, stays and is like nothing."""
    numbers = matrix.astype(np.float64)
    lengths = np.linalg.norm(numbers, axis=1, keepdims=True)
    return np.divide(numbers, lengths, out=np.zeros_like(numbers), where=lengths > 0)
