"""Searching: estimate, choose, run, and make sure that k rows come back if k exist."""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pgrecall import vectors
from pgrecall.collection.reading import as_matches
from pgrecall.config import MAX_K, SearchOptions, check_range
from pgrecall.embeddings import as_vector
from pgrecall.errors import ConfigError
from pgrecall.filters import parse
from pgrecall.plan import Access, Plan
from pgrecall.planner import Situation, choose, exact_limit
from pgrecall.scope import Scope
from pgrecall.sql import dml, select

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgrecall.collection.handle import Handle
    from pgrecall.filters import Filter
    from pgrecall.postgres import Session
    from pgrecall.records import Embedding, Match
    from pgrecall.sql.select import Search
    from pgrecall.sql.selection import Selection
    from pgrecall.table import Table

_ESTIMATE_SECONDS: Final = 60.0
_MAX_KNOWN: Final = 4_096
_ROWS: Final = re.compile(r"rows=(\d+)")
_NO_OPTIONS: Final = SearchOptions()
# A scope that keeps this share of the table is not worth filtering for: nearly every row found passes.
_NEARLY_ALL: Final = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One search, checked.

    Attributes:
        embedding: Shape ``(d,)``.
        k: Rows wanted.
        filter: Which rows may be found.
        options: The caller's overrides of the planner.
        min_score: Rows with a lower score are left out.
        extras: Which of ``embedding`` and ``envelope`` to return too.
    """

    embedding: Embedding
    k: int
    filter: Filter | None
    options: SearchOptions
    min_score: float | None = None
    extras: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        embedding: Embedding,
        k: int,
        filter: Filter | Mapping[str, Any] | None,
        options: SearchOptions | None,
        *,
        min_score: float | None = None,
        extras: frozenset[str] = frozenset(),
    ) -> Query:
        """Return a search with its parts checked.

        Raises:
            ConfigError: k or the score is out of range.
            FilterError: The filter is malformed.
        """
        check_range(k, "k", 1, MAX_K)
        return cls(
            embedding=embedding,
            k=k,
            filter=parse(filter),
            options=options or _NO_OPTIONS,
            min_score=_check_score(min_score),
            extras=extras,
        )


async def search(handle: Handle, query: Query) -> list[Match]:
    """See `AsyncCollection.search`."""

    async def work(session: Session) -> list[Match]:
        table = await handle.table(session)
        if table is None:
            return []
        encoded = _encode(query, table)
        selection = handle.selection(session, table, query.filter)
        plan, statement = await _ready(handle, session, selection, query)
        rows = await session.fetch_with_settings(statement.bind(encoded))
        if plan.access is not Access.EXACT and len(rows) < query.k:
            exact = _statement(selection, replace(plan, access=Access.EXACT, fell_back=True), query)
            rows = await session.fetch(exact.bind(encoded))
        matches = as_matches(rows, table, session.dialect, handle.scope.domain)
        if query.min_score is not None:
            matches = [match for match in matches if match.score >= query.min_score]
        return matches

    return await handle.run(work)


async def explain(handle: Handle, query: Query) -> Plan:
    """See `AsyncCollection.explain`."""

    async def work(session: Session) -> Plan:
        table = await handle.table(session)
        if table is None:
            return Plan(access=Access.EXACT, reason="nothing has been written yet", k=query.k, fetch=query.k)
        _encode(query, table)
        plan, _ = await _ready(handle, session, handle.selection(session, table, query.filter), query)
        return plan

    return await handle.run(work)


def _encode(query: Query, table: Table) -> bytes:
    vector = as_vector(query.embedding, table.dimensions, table.vector_type, table.distance)
    return vectors.encode(vector[np.newaxis], table.vector_type)[0]


async def _ready(handle: Handle, session: Session, selection: Selection, query: Query) -> tuple[Plan, Search]:
    """Return the plan of *query* and its statement, as they were for the same search a moment ago."""
    known = handle.knowledge.searches
    key = (selection.scope, query.filter, query.k, query.options, query.min_score, query.extras)
    ready = known.get(key)
    if ready is None:
        plan = await _plan(handle, session, selection, query)
        ready = plan, _statement(selection, plan, query)
        if len(known) >= _MAX_KNOWN:
            known.clear()
        known[key] = ready
    return ready


def _statement(selection: Selection, plan: Plan, query: Query) -> Search:
    limit = None
    if query.min_score is not None and plan.access is Access.EXACT:
        limit = selection.table.distance.distance_of(query.min_score)
    return select.search(selection, plan, extras=query.extras, max_distance=limit)


async def _plan(handle: Handle, session: Session, selection: Selection, query: Query) -> Plan:
    table = selection.table
    index = table.usable_index()
    rows = matches = 0
    filtered = query.filter is not None
    if index is not None and not query.options.exact:
        everything = replace(selection, scope=Scope.everything(), filter=None)
        matches = rows = await _estimate(handle, session, everything)
        limit = exact_limit(query.k, rows, query.options)
        if not selection.scope.is_everything and table.columns.domain_id is not None:
            matches = await _estimate(handle, session, replace(selection, filter=None), limit)
            filtered = filtered or matches < _NEARLY_ALL * rows
        if query.filter is not None:
            matches = await _estimate(handle, session, selection, limit)
    lists = dict(index.options).get("lists", "100") if index is not None else "100"
    return choose(
        Situation(
            k=query.k,
            index=index,
            iterative=session.server.has_iterative_scan,
            rows=rows,
            matches=min(matches, rows),
            filtered=filtered,
            lists=int(lists),
            options=query.options,
        )
    )


async def _estimate(handle: Handle, session: Session, selection: Selection, limit: int = 0) -> int:
    """Return how many rows are selected: exactly up to *limit*, and PostgreSQL's own estimate above.

    Its estimate alone can be off by any factor for what is inside of JSON, but counting up to the limit
    at which the plan changes is cheap, and its result is kept for a minute.
    """
    known = handle.knowledge.estimates
    key = (selection.scope, selection.filter)
    now = time.monotonic()
    if (cached := known.get(key)) is not None and now - cached[1] < _ESTIMATE_SECONDS:
        return cached[0]
    passing = await session.fetch_value(dml.count_up_to(selection, limit + 1)) if limit else 0
    if passing > limit or not limit:
        first = await session.fetch_value(dml.explain(dml.matching(selection)))
        passing = max(int(_ROWS.findall(first)[0]), passing)
    if len(known) >= _MAX_KNOWN:
        known.clear()
    known[key] = (passing, now)
    return passing


def _check_score(value: object) -> float | None:
    """Return *value* if it can be a smallest score.

    Raises:
        ConfigError: It is not a finite number.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        msg = f"score_threshold must be a finite number, not {value!r}"
        raise ConfigError(msg)
    return float(value)
