"""Searching: estimate, choose, run, and make sure that k rows come back if k exist."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pgrecall import codes, vectors
from pgrecall.checks import check_instance, check_range, check_score
from pgrecall.collection.finding.drift import warn_if_outgrown
from pgrecall.collection.finding.estimating import Counts, counts, learn
from pgrecall.collection.finding.reading import as_matches
from pgrecall.config import MAX_K, SearchOptions
from pgrecall.embeddings import as_vector
from pgrecall.errors import PerformanceWarning
from pgrecall.filters import leaves, parse
from pgrecall.filters.limits import may_be_kept
from pgrecall.mmr import maximal_marginal_relevance
from pgrecall.plan import Access, Plan
from pgrecall.planner import Situation, choose
from pgrecall.sql import dml
from pgrecall.sql.fields import is_covered, is_entered, is_indexed
from pgrecall.sql.search import search as compose
from pgrecall.sql.where import Leaf

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Mapping

    from numpy.typing import NDArray

    from pgrecall.collection.handle import Handle
    from pgrecall.config import MMR
    from pgrecall.filters import Filter
    from pgrecall.postgres import Session
    from pgrecall.records import Embedding, Match
    from pgrecall.sql.compose import Statement
    from pgrecall.sql.search import Search
    from pgrecall.sql.selection import Selection
    from pgrecall.table import Table, VectorIndex

_MAX_KNOWN: Final = 4_096
_NO_OPTIONS: Final = SearchOptions()
# Comparing so many rows takes tens of milliseconds.
_LARGE: Final = 20_000
_NOTHING: Final = Plan(access=Access.EXACT, reason="nothing has been written yet", k=0, fetch=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One search, checked.

    Attributes:
        embedding: Shape ``(d,)``.
        k: Rows wanted.
        filter: Which rows may be found.
        options: The caller's overrides of the planner.
        score_threshold: Rows with a lower score are left out.
        extras: Which of ``embedding`` and ``envelope`` to return too.
    """

    embedding: Embedding
    k: int
    filter: Filter | None
    options: SearchOptions
    score_threshold: float | None = None
    extras: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        embedding: Embedding,
        k: int,
        filter: Filter | Mapping[str, Any] | None,
        options: SearchOptions | None,
        *,
        score_threshold: float | None = None,
        extras: frozenset[str] = frozenset(),
    ) -> Query:
        """Return a search with its parts checked.

        Raises:
            ConfigError: k or the score is out of range.
            FilterError: The filter is malformed.
        """
        check_range(k, "k", 1, MAX_K)
        check_instance(options, "options", SearchOptions | None, "SearchOptions")
        return cls(
            embedding=embedding,
            k=k,
            filter=parse(filter),
            options=options or _NO_OPTIONS,
            score_threshold=check_score(score_threshold),
            extras=extras,
        )


async def search(handle: Handle, query: Query) -> list[Match]:
    """See `AsyncCollection.search`."""

    async def work(session: Session) -> list[Match]:
        return (await run(handle, session, query))[0]

    return await handle.run(work)


async def search_mmr(handle: Handle, query: Query, k: int, mmr: MMR, *, keep_embedding: bool) -> list[Match]:
    """See `AsyncCollection.search_mmr`; *query* finds what is picked from."""
    found = await search(handle, query)
    if not found:
        return []
    candidates = np.stack([np.asarray(match.embedding) for match in found])
    picks = maximal_marginal_relevance(np.asarray(query.embedding), candidates, k, mmr.lambda_mult)
    picked = [found[position] for position in picks]
    if not keep_embedding:
        for match in picked:
            match.embedding = None
    return picked


async def run(handle: Handle, session: Session, query: Query) -> tuple[list[Match], Plan]:
    """Return what *query* finds in this session, and how it was found."""
    table = await handle.table(session)
    if table is None:
        return [], _NOTHING
    asked = _Asked.of(query, table)
    selection = handle.selection(session, table, query.filter)
    key = key_of(selection, query)
    plan, statement = await _ready(handle, session, selection, query)
    bound = asked.bind(statement)
    started = time.perf_counter()
    if plan.access is Access.EXACT:
        rows = await session.fetch(bound)
    else:
        rows = await session.fetch_with_settings(bound)
    again = handle.knowledge.experience.observe(key, plan, 1e6 * (time.perf_counter() - started))
    if plan.access is not Access.EXACT and len(rows) < query.k:
        found, tried = len(rows), plan
        plan = replace(plan, access=Access.EXACT, fell_back=True)
        rows = await session.fetch(asked.bind(_statement(selection, plan, query)))
        again = _learn(handle, selection, query, tried, found=found, there=len(rows)) or again
    if again:
        handle.knowledge.searches.pop(key, None)
    matches = as_matches(rows, table, session.dialect, handle.scope.domain)
    if query.score_threshold is not None:
        matches = [match for match in matches if match.score >= query.score_threshold]
    return matches, plan


def _learn(handle: Handle, selection: Selection, query: Query, plan: Plan, *, found: int, there: int) -> bool:
    """Have the planner know that a way gave fewer rows than there are; return whether to plan anew."""
    if query.score_threshold is None and there < query.k:
        learn(handle, selection, there)
        return True
    return there > found and handle.knowledge.experience.fell_short(key_of(selection, query), plan)


async def explain(handle: Handle, query: Query, *, postgres: bool = False) -> Plan:
    """See `AsyncCollection.explain`."""

    async def work(session: Session) -> Plan:
        table = await handle.table(session)
        if table is None:
            return replace(_NOTHING, k=query.k, fetch=query.k)
        asked = _Asked.of(query, table)
        plan, statement = await _ready(handle, session, handle.selection(session, table, query.filter), query)
        if not postgres:
            return plan
        lines = await session.fetch_with_settings(dml.explain(asked.bind(statement)))
        return replace(plan, postgres=tuple(line[0] for line in lines))

    return await handle.run(work)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A query's embedding, checked and encoded."""

    vector: NDArray[Any]
    encoded: bytes

    @classmethod
    def of(cls, query: Query, table: Table) -> _Asked:
        vector = as_vector(query.embedding, table.dimensions, table.vector_type, table.distance)
        return cls(vector, vectors.encode(vector[np.newaxis], table.vector_type)[0])

    def bind(self, statement: Search) -> Statement:
        code = codes.encode(self.vector) if statement.needs_code else b""
        return statement.bind(self.encoded, code)


def key_of(selection: Selection, query: Query) -> Hashable:
    """Return all that the plan and the statement of *query* depend on."""
    return (selection.scope, query.filter, query.k, query.options, query.score_threshold, query.extras)


async def _ready(handle: Handle, session: Session, selection: Selection, query: Query) -> tuple[Plan, Search]:
    """Return the plan of *query* and its statement, as they were for the same search a moment ago."""

    async def make() -> tuple[Plan, Search]:
        plan = await plan_of(handle, session, selection, query)
        return plan, _statement(selection, plan, query)

    return await remembered(handle, selection, key_of(selection, query), make)


async def remembered(
    handle: Handle, selection: Selection, key: Hashable, make: Callable[[], Awaitable[tuple[Plan, Search]]]
) -> tuple[Plan, Search]:
    """Return the plan and the statement that are known for *key*, or those that *make* makes for *selection*."""
    known = handle.knowledge.searches
    ready = known.get(key)
    if ready is None:
        ready = await make()
        if not (selection.scope.may_be_kept and may_be_kept(selection.filter)):
            return ready
        if len(known) >= _MAX_KNOWN:
            known.clear()
        known[key] = ready
    return ready


def _statement(selection: Selection, plan: Plan, query: Query) -> Search:
    limit = None
    if query.score_threshold is not None and plan.access is Access.EXACT:
        limit = selection.table.distance.distance_of(query.score_threshold)
    return compose(selection, plan, extras=query.extras, max_distance=limit)


async def plan_of(handle: Handle, session: Session, selection: Selection, query: Query) -> Plan:
    """Return how *query* is to be run, whatever its embedding is."""
    table, scope, filter = selection.table, selection.scope, query.filter
    index = table.usable_index()
    partial = table.partial_indexes()
    # Without the domain a covering index cannot be entered.
    reachable = not scope.is_everything or table.columns.domain_id is None
    covers = bool(reachable and table.key and table.code) and any(i.covering and i.valid for i in table.field_indexes)
    rows = max(0, round(table.rows))
    there = Counts(rows, rows, filter is not None)
    if (index is not None or partial or covers) and not query.options.exact:
        there = await counts(handle, session, selection, query.k, query.options, table.dimensions or 1)
    elif index is None and not query.options.exact:
        warn_of_scans(handle, table, f"{table.distance.value} distance")
    await warn_if_outgrown(handle, session, table)
    found = [table.field(leaf.field) for leaf in leaves(filter) if isinstance(leaf, Leaf)] if filter else []
    return choose(
        Situation(
            k=query.k,
            dimensions=table.dimensions or 1,
            index=index,
            partial=partial,
            code_bits=codes.bits_per_dimension(table.dimensions or 1) if covers else 0,
            visible=table.all_visible,
            tuned=_tuned(table, index),
            iterative=session.server.has_iterative_scan,
            rows=there.rows,
            matches=there.matches,
            filtered=there.filtered,
            filter=filter,
            covered=filter is not None and is_covered(table, filter),
            entered=filter is not None and is_entered(table, filter),
            indexed=filter is None or is_indexed(table, filter),
            correlations=tuple(None if field is None else field.correlation for field in found),
            observed=handle.knowledge.experience.of(key_of(selection, query)),
            options=query.options,
        )
    )


def _tuned(table: Table, index: VectorIndex | None) -> int | None:
    return None if index is None else dict(table.tuned).get("probes" if index.method == "ivfflat" else "ef_search")


def warn_of_scans(handle: Handle, table: Table, lacking: str) -> None:
    """Warn, once, that each search of a large table compares all of its rows, *lacking* an index."""
    if table.rows < _LARGE or lacking in handle.knowledge.warned:
        return
    handle.knowledge.warned.add(lacking)
    msg = (
        f"{table.qualified_name} has about {table.rows:.0f} rows and no vector index for {lacking}, so every search "
        "compares all of them; build one with create_index()"
    )
    warnings.warn(msg, PerformanceWarning, stacklevel=2)
