"""Which way to the nearest rows: compare all that pass, or scan the vector index.

Comparing costs about ``c_e`` for each row that passes. An index scan under a filter looks at
``k * overfetch / s`` rows, s being the share that passes, at about ``c_a`` each. Both cost the same at
``n* = sqrt(c_a / c_e * k * overfetch * N)`` matching rows of N; below that, comparing is cheaper and
also always right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pgrecall.plan import Access, Plan

if TYPE_CHECKING:
    from pgrecall.config import SearchOptions
    from pgrecall.table import VectorIndex

# Measured with pgvector 0.8 on 384 dimensions kept in the row: 4 µs a compared row, 16 µs a scanned one.
COST_RATIO: Final = 4.0
SMALL_TABLE: Final = 1_000
ALWAYS_EXACT: Final = 2_000
DEFAULT_EF_SEARCH: Final = 100
DEFAULT_OVERFETCH: Final = 2
MAX_EF_SEARCH: Final = 1_000
MIN_SCAN: Final = 20_000
MAX_SCAN: Final = 200_000
# An iterative scan keeps about 190 bytes for each row that it has visited, in units of work_mem, which
# is at least 4 MB on any server that was not tuned down.
_SCAN_BYTES: Final = 190
_WORK_MEM: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the planner knows about one search.

    Attributes:
        k: Rows wanted.
        index: The vector index that could serve it.
        iterative: Whether pgvector can scan an index on until enough rows pass.
        rows: Estimated rows of the table.
        matches: Estimated rows that pass scope and filter; equal to *rows* where nothing is filtered.
        filtered: Whether a filter, or a scope that keeps only a part of the rows, is in force.
        lists: Cells of an IVFFlat index.
        options: The caller's overrides.
    """

    k: int
    index: VectorIndex | None
    iterative: bool
    rows: int
    matches: int
    filtered: bool
    lists: int
    options: SearchOptions


def exact_limit(k: int, rows: int, options: SearchOptions) -> int:
    """Return the number of matching rows up to which comparing them all is the better way."""
    overfetch = options.overfetch or DEFAULT_OVERFETCH
    return max(ALWAYS_EXACT, math.ceil(math.sqrt(COST_RATIO * k * overfetch * max(rows, 1))))


def choose(situation: Situation) -> Plan:
    """Return the plan for *situation*."""
    s, options = situation, situation.options
    if options.exact:
        return _exact(s, "it was asked for")
    if s.index is None:
        return _exact(s, "no vector index serves this distance; create_index() builds one")
    if s.rows <= SMALL_TABLE:
        return _exact(s, f"the table has only about {s.rows} rows")
    if s.filtered and s.matches <= (limit := exact_limit(s.k, s.rows, options)):
        return _exact(s, f"only {s.matches} rows pass, and up to {limit} are compared faster than found by index")
    if not s.filtered and (s.k <= MAX_EF_SEARCH or s.index.method == "ivfflat"):
        return _scan(s, s.index, Access.INDEX, s.k, "nothing is filtered")
    if not s.iterative:
        return _exact(s, "this pgvector (before 0.8) cannot scan an index until enough rows pass")
    fetch = s.k * (options.overfetch or DEFAULT_OVERFETCH if s.filtered else 1)
    why = f"about {s.matches} of {s.rows} rows pass" if s.filtered else f"k={s.k} is more than one index scan returns"
    return _scan(s, s.index, Access.ITERATIVE, fetch, why)


def _exact(s: Situation, reason: str) -> Plan:
    return Plan(access=Access.EXACT, reason=reason, k=s.k, fetch=s.k, rows=s.rows, matches=s.matches)


def _scan(s: Situation, index: VectorIndex, access: Access, fetch: int, reason: str) -> Plan:
    expected = math.ceil(4 * fetch * s.rows / max(s.matches, 1))
    most = s.options.max_scan_tuples or min(max(expected, MIN_SCAN), MAX_SCAN)
    return Plan(
        access=access,
        reason=reason,
        k=s.k,
        fetch=fetch,
        index=index.name,
        method=index.method,
        candidates=_candidates(s),
        max_scan_tuples=most,
        scan_memory=max(1, min(1_000, math.ceil(most * _SCAN_BYTES / _WORK_MEM))),
        rows=s.rows,
        matches=s.matches,
    )


def _candidates(s: Situation) -> int:
    if s.index is not None and s.index.method == "ivfflat":
        # As many cells as hold twice the rows that are wanted, if they hold equally many.
        needed = math.ceil(2 * s.k * s.lists / max(s.rows, 1))
        return s.options.probes or min(max(1, round(math.sqrt(s.lists)), needed), s.lists)
    return min(max(s.options.ef_search or DEFAULT_EF_SEARCH, s.k), MAX_EF_SEARCH)
