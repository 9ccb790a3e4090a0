"""Maximal marginal relevance: near to the query, and not all saying the same.

Carbonell and Goldstein, "The use of MMR, diversity-based reranking for reordering documents and producing
summaries" (SIGIR 1998): each next pick is the candidate with the largest

    lambda · sim(candidate, query) - (1 - lambda) · max over the picks so far of sim(candidate, pick)

where sim is the cosine of the angle between two embeddings, whatever distance found the candidates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def maximal_marginal_relevance(query: NDArray[Any], candidates: NDArray[Any], k: int, lambda_mult: float) -> list[int]:
    """Return the positions of the k picks, or of all where there are fewer, in the order of picking.

    Args:
        query: Shape ``(d,)``.
        candidates: Shape ``(n, d)``, the nearest first; of equals the first is picked. Bits are ``uint8``;
            the sides of the angle are then +1 and -1, so that the cosine is ``1 - 2 · hamming / d``.
        k: How many to pick.
        lambda_mult: From 0, only unlike those picked before, to 1, only near to the query.
    """
    bits = candidates.dtype == np.uint8
    units = _units(candidates, bits=bits)
    relevance = units @ _units(query[np.newaxis], bits=bits)[0]
    overlap = np.full(len(units), -np.inf)
    open_positions = np.ones(len(units), bool)
    picks: list[int] = []
    for _ in range(min(k, len(units))):
        # Before the first pick there is nothing to be unlike.
        worth = lambda_mult * relevance - (1.0 - lambda_mult) * overlap if picks else relevance
        pick = int(np.argmax(np.where(open_positions, worth, -np.inf)))
        picks.append(pick)
        open_positions[pick] = False
        np.maximum(overlap, units @ units[pick], out=overlap)
    return picks


def _units(matrix: NDArray[Any], *, bits: bool) -> NDArray[np.float64]:
    """Return the rows scaled to length 1; a zero vector, which has no direction, stays and is like nothing."""
    numbers = matrix.astype(np.float64)
    if bits:
        numbers = 2.0 * numbers - 1.0
    lengths = np.linalg.norm(numbers, axis=1, keepdims=True)
    return np.divide(numbers, lengths, out=np.zeros_like(numbers), where=lengths > 0)
