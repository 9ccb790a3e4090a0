"""How searches are timed: one after the other, or several ways in turn."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Search = Callable[[int], Awaitable[Any]]
"""Runs the query of that number."""


async def timed(search: Search, position: int) -> float:
    """Return how long one search takes, in ms."""
    start = time.perf_counter()
    await search(position)
    return (time.perf_counter() - start) * 1_000


async def one_pass(search: Search, count: int) -> list[float]:
    """Return the times of all searches, one after the other."""
    return [await timed(search, position) for position in range(count)]


async def in_turn(searches: Mapping[str, Search], count: int) -> dict[str, list[float]]:
    """Return the times of all searches for each query.

    Who goes first changes with every query: the first one brings the pages to the processor's caches.
    """
    names = list(searches)
    times: dict[str, list[float]] = {name: [0.0] * count for name in names}
    for position in range(count):
        for turn in range(len(names)):
            name = names[(position + turn) % len(names)]
            times[name][position] = await timed(searches[name], position)
    return times
