"""How a search will run, and why."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Access(enum.StrEnum):
    """The way to the nearest rows."""

    EXACT = "exact"
    """Compare every row that passes scope and filter."""

    INDEX = "index"
    """One scan of the vector index; nothing is filtered away afterwards."""

    ITERATIVE = "iterative"
    """Scan the vector index until enough rows pass scope and filter, then re-sort the best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the planner decided for one search.

    Attributes:
        access: The way to the rows.
        reason: Why, in one sentence.
        k: Rows wanted.
        fetch: Rows that the index scan returns before the best k are kept.
        index: Name of the vector index, where one is used.
        method: Its access method.
        candidates: ``ef_search`` of HNSW, or ``probes`` of IVFFlat.
        max_scan_tuples: Most rows that an iterative scan looks at.
        scan_memory: Multiple of ``work_mem`` that an iterative scan may use.
        rows: Estimated rows in the table; `None` where nothing had to be estimated.
        matches: Estimated rows that pass scope and filter.
        fell_back: The index gave fewer than k rows, so the rows were compared exactly after all.
    """

    access: Access
    reason: str
    k: int
    fetch: int
    index: str | None = None
    method: str | None = None
    candidates: int | None = None
    max_scan_tuples: int | None = None
    scan_memory: int | None = None
    rows: int | None = None
    matches: int | None = None
    fell_back: bool = False

    def __str__(self) -> str:
        parts = [self.access.value]
        if self.index is not None:
            knob = "probes" if self.method == "ivfflat" else "ef_search"
            parts.append(f"on {self.index} ({knob}={self.candidates})")
        if self.access is Access.ITERATIVE:
            parts.append(f"fetching {self.fetch} for k={self.k}")
        parts.append(f"because {self.reason}")
        if self.fell_back:
            parts.append("[fell back to exact: the index gave fewer than k rows]")
        return " ".join(parts)
