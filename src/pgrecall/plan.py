"""How a search will run, and why."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgrecall.distance import VectorType
    from pgrecall.filters import Equals


class Access(enum.StrEnum):
    """The way to the nearest rows."""

    EXACT = "exact"
    """Compare every row that passes scope and filter."""

    INDEX = "index"
    """One scan of the vector index; nothing is filtered away afterwards."""

    ITERATIVE = "iterative"
    """Scan the vector index until enough rows pass scope and filter, then re-sort the best."""

    PARTIAL = "partial"
    """The same in an index of only those rows that have one value of a promoted field."""

    COVERING = "covering"
    """Compare the codes of all rows that pass, which an index on a promoted field holds, and then the
    embeddings of those with the nearest codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the planner decided for one search.

    Attributes:
        access: The way to the rows.
        reason: Why, in one sentence.
        k: Rows wanted.
        fetch: Rows that an approximate way returns before the best k are kept.
        index: The vector index, where one is used.
        method: Its access method.
        quantized: What it holds where that is coarser than the column.
        condition: What the rows in it have in common, where it does not hold all of them.
        candidates: ``ef_search`` of HNSW, or ``probes`` of IVFFlat.
        max_scan_tuples: Most rows that an iterative scan looks at.
        scan_memory: Multiple of ``work_mem`` that an iterative scan may use.
        rows: Estimated rows in the table; `None` where nothing had to be estimated.
        matches: Estimated rows that pass scope and filter.
        cost: What it should take, in microseconds on the machine of `planner.costs`.
        considered: The other ways there were, and what they should take.
        postgres: PostgreSQL's own plan, a line each, where it was asked for.
        fell_back: The index gave fewer than k rows, so the rows were compared exactly after all.
    """

    access: Access
    reason: str
    k: int
    fetch: int
    index: str | None = None
    method: str | None = None
    quantized: VectorType | None = None
    condition: Equals | None = None
    candidates: int | None = None
    max_scan_tuples: int | None = None
    scan_memory: int | None = None
    rows: int | None = None
    matches: int | None = None
    cost: float | None = None
    considered: tuple[tuple[Access, float], ...] = ()
    postgres: tuple[str, ...] = ()
    fell_back: bool = False

    def __str__(self) -> str:
        parts = [self.access.value]
        if self.index is not None:
            knob = "probes" if self.method == "ivfflat" else "ef_search"
            parts.append(f"on {self.index} ({knob}={self.candidates})")
        if self.access in (Access.ITERATIVE, Access.PARTIAL, Access.COVERING):
            parts.append(f"fetching {self.fetch} for k={self.k}")
        parts.append(f"because {self.reason}")
        if self.fell_back:
            parts.append("[fell back to exact: the index gave fewer than k rows]")
        return " ".join(parts)
