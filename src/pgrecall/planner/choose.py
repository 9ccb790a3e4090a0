"""Which way to the nearest rows.

Comparing all rows that pass costs so much for each of them. An index scan under a filter looks at
``k * overfetch / s`` rows, s being the share that passes, if what passes is spread evenly over the rows near
the query. Where it is not, because the filter and the embeddings are about the same thing, a scan looks at
many more, and still misses some: then indexes that are made for the filter are better, or comparing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from pgrecall.errors import ConfigError
from pgrecall.filters import And, Equals, Field, Filter, In
from pgrecall.plan import Access, Plan
from pgrecall.planner import costs
from pgrecall.planner.experience import UNTRIED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgrecall.config import SearchOptions
    from pgrecall.table import VectorIndex

NOTICEABLE: Final = 0.1
"""From this correlation with the embeddings on, a field makes index scans look at many more rows."""
SMALL_TABLE: Final = 1_000
ALWAYS_EXACT: Final = 2_000
DEFAULT_OVERFETCH: Final = 2
MAX_EF_SEARCH: Final = 1_000
MIN_SCAN: Final = 20_000
MAX_SCAN: Final = 200_000
# What a scan of signs gives is in a coarse order: so many times k are taken and put into the right one.
_BIT_OVERFETCH: Final = 15
# How many times more rows than spread evenly a scan is expected to look at.
_CORRELATED: Final = 16.0
_UNKNOWN: Final = 1.5
# Queries are often about something else than the rows that have the value: those are found less easily.
_PARTIAL_EF: Final = 3
# Below this share of pages that need no look into the table, an index-only scan is none.
_VISIBLE: Final = 0.8
# An iterative scan keeps about 190 bytes for each row that it has visited, in units of work_mem, which
# is at least 4 MB on any server that was not tuned down.
_SCAN_BYTES: Final = 190
_WORK_MEM: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the planner knows about one search.

    Attributes:
        k: Rows wanted.
        dimensions: Length of the embeddings.
        index: The vector index of all rows that could serve it.
        partial: The vector indexes of parts of the rows.
        code_bits: Bits that a code keeps of each dimension, where covering indexes hold codes; else 0.
        visible: Share of the pages that an index-only scan need not look into.
        tuned: ``ef_search`` or ``probes`` that was found by tuning.
        iterative: Whether pgvector can scan an index on until enough rows pass.
        rows: Estimated rows of the table.
        matches: Estimated rows that pass scope and filter; equal to *rows* where nothing is filtered.
        filtered: Whether a filter, or a scope that keeps only a part of the rows, is in force.
        filter: The filter.
        covered: Whether covering indexes hold all that scope and filter are about.
        entered: Whether such an index finds the rows that pass; otherwise all of it is read.
        indexed: Whether some index finds the rows that pass.
        correlations: The correlation of each field that the filter is about with the embeddings, as
            `PromotedField` has it; `None` where nobody knows.
        observed: What ways took that were tried, in microseconds on the machine of `costs`.
        options: The caller's overrides.
    """

    k: int
    dimensions: int
    index: VectorIndex | None
    partial: tuple[VectorIndex, ...] = ()
    code_bits: int = 0
    visible: float = 0.0
    tuned: int | None = None
    iterative: bool
    rows: int
    matches: int
    filtered: bool
    filter: Filter | None = None
    covered: bool = False
    entered: bool = True
    indexed: bool = True
    correlations: tuple[float | None, ...] = ()
    observed: Mapping[Access, float] = field(default_factory=dict["Access", "float"])
    options: SearchOptions


def exact_limit(k: int, rows: int, options: SearchOptions, dimensions: int = 384) -> int:
    """Return the number of matching rows up to which comparing them all is the better way.

    A scan of ``k * overfetch / s`` rows at c_a each and a comparison of ``s * N`` rows at c_e each cost the
    same at ``sqrt(c_a / c_e * k * overfetch * N)`` rows.
    """
    overfetch = options.overfetch or DEFAULT_OVERFETCH
    ratio = costs.scan(dimensions, 1) / costs.exact(dimensions, 1)
    return max(ALWAYS_EXACT, math.ceil(math.sqrt(ratio * k * overfetch * max(rows, 1))))


def choose(s: Situation) -> Plan:
    """Return the plan for a situation.

    Raises:
        ConfigError: The caller asks for a way that there is not.
    """
    if s.options.access is not None and not s.options.exact:
        return _forced(s, s.options.access)
    if s.options.exact:
        return _exact(s, "it was asked for")
    if s.rows <= SMALL_TABLE and (s.index is not None or s.code_bits):
        return _exact(s, f"the table has only about {s.rows} rows")
    if s.filtered and s.matches <= ALWAYS_EXACT:
        return _exact(s, f"only about {s.matches} rows pass, and up to {ALWAYS_EXACT} are always compared")
    if not s.filtered and s.index is not None and (s.k <= MAX_EF_SEARCH or s.index.method == "ivfflat"):
        return _scan(s, s.index, Access.INDEX, "nothing is filtered")
    ways = _ways(s)
    if len(ways) == 1:
        return ways[0]
    doubt = UNTRIED if s.observed else 1.0
    ranked = sorted(ways, key=lambda way: s.observed.get(way.access, doubt * (way.cost or 0.0)))
    best = ranked[0]
    others = tuple((way.access, round(way.cost or 0.0)) for way in ranked[1:])
    return replace(best, considered=others)


def _ways(s: Situation) -> list[Plan]:
    """Return every way that gives the right rows, the exact one first."""
    ways = [_exact(s, _why_exact(s))]
    covering = s.code_bits > 0 and s.covered and s.visible >= _VISIBLE
    # Where filter and embeddings go together a scan finds too little, whatever it takes.
    misses = _spread(s, Access.ITERATIVE) > _UNKNOWN and (covering or _fitting(s) is not None)
    if s.index is not None and s.iterative and not misses:
        why = f"about {s.matches} of {s.rows} rows pass" if s.filtered else f"k={s.k} is more than a scan returns"
        ways.append(_scan(s, s.index, Access.ITERATIVE, why))
    if s.iterative and (partial := _fitting(s)) is not None:
        ways.append(_scan(s, partial, Access.PARTIAL, f"it holds just the {round(partial.rows)} rows with that value"))
    if covering:
        ways.append(_covering(s, f"it holds the codes of the {s.matches} rows that pass"))
    return ways


def _forced(s: Situation, access: Access) -> Plan:
    why = "it was asked for"
    if access is Access.EXACT:
        return _exact(s, why)
    if access is Access.COVERING and s.code_bits and s.covered:
        return _covering(s, why)
    partial = _fitting(s)
    if access is Access.PARTIAL and s.iterative and partial is not None:
        return _scan(s, partial, access, why)
    if s.index is not None and (access is Access.INDEX or (access is Access.ITERATIVE and s.iterative)):
        return _scan(s, s.index, access, why)
    msg = f"access={access.value!r} was asked for, but nothing here can serve this search so; see explain()"
    raise ConfigError(msg)


def _why_exact(s: Situation) -> str:
    if s.index is None:
        return "no vector index serves this distance; create_index() builds one"
    if not s.iterative:
        return "this pgvector (before 0.8) cannot scan an index until enough rows pass"
    return f"comparing the {s.matches} rows that pass takes least"


def _exact(s: Situation, reason: str) -> Plan:
    cost = costs.STATEMENT + costs.exact(s.dimensions, s.matches)
    if not s.indexed:
        cost += costs.UNINDEXED * s.rows
    return Plan(access=Access.EXACT, reason=reason, k=s.k, fetch=s.k, rows=s.rows, matches=s.matches, cost=cost)


def _covering(s: Situation, reason: str) -> Plan:
    fetch = s.k * s.options.overfetch if s.options.overfetch else costs.reranked(s.k, s.matches, s.code_bits)
    read = s.matches if s.entered else s.rows
    cost = costs.compare_codes(s.code_bits * s.dimensions, read) + costs.rerank(s.dimensions, fetch)
    return Plan(
        access=Access.COVERING,
        reason=reason,
        k=s.k,
        fetch=fetch,
        rows=s.rows,
        matches=s.matches,
        cost=costs.STATEMENT + cost,
    )


def _scan(s: Situation, index: VectorIndex, access: Access, reason: str) -> Plan:
    held = s.rows if access is not Access.PARTIAL else min(round(index.rows), s.rows)
    share = min(1.0, max(s.matches, 1) / max(held, 1))
    fetch = _fetch(s, index, access)
    expected = fetch / share * _spread(s, access)
    candidates = _candidates(s, index, access, fetch)
    iterates = access is not Access.INDEX and s.iterative
    most = None
    if iterates:
        most = s.options.max_scan_tuples or min(max(math.ceil(4 * fetch / share), MIN_SCAN), MAX_SCAN)
    return Plan(
        access=access,
        reason=reason,
        k=s.k,
        fetch=fetch,
        index=index.name,
        method=index.method,
        quantized=index.quantized,
        condition=index.condition,
        candidates=candidates,
        max_scan_tuples=most,
        scan_memory=None if most is None else max(1, min(1_000, math.ceil(most * _SCAN_BYTES / _WORK_MEM))),
        rows=s.rows,
        matches=s.matches,
        cost=costs.STATEMENT + costs.scan(s.dimensions, max(expected, candidates)),
    )


def _fetch(s: Situation, index: VectorIndex, access: Access) -> int:
    overfetch = s.options.overfetch
    if index.quantized == "bit":
        return s.k * (overfetch or _BIT_OVERFETCH)
    if access is Access.INDEX and index.quantized is None:
        return s.k
    if access is Access.ITERATIVE and not s.filtered and index.quantized is None:
        return s.k
    return s.k * (overfetch or DEFAULT_OVERFETCH)


def _spread(s: Situation, access: Access) -> float:
    """Return how many times more rows than spread evenly the scan is expected to look at."""
    if not s.filtered or (access is Access.PARTIAL and isinstance(s.filter, Equals)):
        return 1.0
    known = [correlation for correlation in s.correlations if correlation is not None]
    if max(known, default=0.0) <= NOTICEABLE and len(known) < len(s.correlations):
        return _UNKNOWN
    factor = _CORRELATED if max(known, default=0.0) > NOTICEABLE else 1.0
    # The correlation that the index is there for is gone; what is left may have one too.
    return math.sqrt(factor) if access is Access.PARTIAL else factor


def _candidates(s: Situation, index: VectorIndex, access: Access, fetch: int) -> int:
    if index.method == "ivfflat":
        # As many cells as hold twice the rows that are wanted, if they hold equally many.
        needed = math.ceil(2 * fetch * index.lists / max(s.rows, 1))
        return s.options.probes or min(max(s.tuned or max(1, round(math.sqrt(index.lists))), needed), index.lists)
    base = s.tuned or costs.default_ef_search(s.rows)
    if access is not Access.INDEX:
        # What was found to be enough was found without a filter.
        base = max(base, costs.default_ef_search(s.rows)) * (_PARTIAL_EF if access is Access.PARTIAL else 1)
    return min(max(s.options.ef_search or base, fetch), MAX_EF_SEARCH)


def _fitting(s: Situation) -> VectorIndex | None:
    """Return the smallest partial index that holds every row that can pass."""
    required = {_value(value) for value in _required(s.filter)} if s.filter is not None else set[object]()
    fitting = [index for index in s.partial if index.condition is not None and _value(index.condition) in required]
    return min(fitting, key=lambda index: index.rows, default=None)


def _value(condition: Equals) -> tuple[Field, object]:
    """Return key and value, equal however a number is written."""
    is_number = condition.json[:1] in b"-0123456789"
    return condition.field, Decimal(condition.json.decode()) if is_number else condition.json


def _required(filter: Filter) -> list[Equals]:
    """Return the values that every row that passes has."""
    match filter:
        case And(clauses):
            return [value for clause in clauses for value in _required(clause)]
        case Equals():
            return [filter]
        case In(key, (json,)):
            return [Equals(key, json)]
        case _:
            return []
