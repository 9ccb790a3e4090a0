"""Searching by sparse embeddings: by inner product, through the index where there is one, and k rows if k exist."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pgrecall import sparse
from pgrecall.collection.finding.estimating import Counts, counts
from pgrecall.collection.finding.reading import as_match
from pgrecall.collection.finding.searching import Query, key_of, remembered, warn_of_scans
from pgrecall.errors import RecordError, SchemaError
from pgrecall.plan import Access, Plan
from pgrecall.planner import Situation, choose
from pgrecall.records import Scores
from pgrecall.sql import dml
from pgrecall.sql.fields import is_indexed
from pgrecall.sql.search import search as compose

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from pgrecall.collection.handle import Handle
    from pgrecall.postgres import Session
    from pgrecall.records import Match, SparseEmbedding
    from pgrecall.sql.search import Search
    from pgrecall.sql.selection import Selection
    from pgrecall.table import SparseColumn, Table

# To compare two sparse embeddings takes about as long as two dense ones of so many dimensions.
_LIKE_DIMENSIONS: Final = 256
_NOTHING: Final = Plan(access=Access.EXACT, reason="nothing has been written yet", k=0, fetch=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseQuery:
    """One search by a sparse embedding, checked.

    Attributes:
        weights: The sparse embedding.
        asked: All else that is asked for; its embedding plays no part.
    """

    weights: Mapping[int, float]
    asked: Query

    @classmethod
    def of(cls, weights: SparseEmbedding, asked: Query) -> SparseQuery:
        """Return a search with its parts checked.

        Raises:
            RecordError: *weights* is no sparse embedding.
        """
        try:
            return cls(weights=sparse.checked(weights), asked=asked)
        except ValueError as error:
            msg = f"query: the sparse embedding {error}"
            raise RecordError(msg) from None

    def encoded(self, column: SparseColumn) -> bytes:
        """Return the sparse embedding as it is compared with those in *column*.

        Raises:
            RecordError: It does not fit in there.
        """
        try:
            return sparse.encode(self.weights, column.dimensions)
        except ValueError as error:
            msg = f"query: the sparse embedding {error}"
            raise RecordError(msg) from None


async def search_sparse(handle: Handle, query: SparseQuery) -> list[Match]:
    """See `AsyncCollection.search_sparse`."""

    async def work(session: Session) -> list[Match]:
        table = await handle.table(session)
        return (
            []
            if table is None
            else await _run(handle, session, handle.selection(session, table, query.asked.filter), query)
        )

    return await handle.run(work)


async def explain_sparse(handle: Handle, query: SparseQuery, *, postgres: bool = False) -> Plan:
    """See `AsyncCollection.explain_sparse`."""

    async def work(session: Session) -> Plan:
        table = await handle.table(session)
        if table is None:
            return replace(_NOTHING, k=query.asked.k, fetch=query.asked.k)
        encoded = query.encoded(sparse_of(table))
        plan, statement = await _ready(handle, session, handle.selection(session, table, query.asked.filter), query)
        if not postgres:
            return plan
        lines = await session.fetch_with_settings(dml.explain(statement.bind(encoded)))
        return replace(plan, postgres=tuple(line[0] for line in lines))

    return await handle.run(work)


def sparse_of(table: Table) -> SparseColumn:
    """Return the column that searches by sparse embeddings look into.

    Raises:
        SchemaError: There is none.
    """
    if table.sparse is None:
        msg = (
            f"{table.qualified_name} has no column for sparse embeddings yet: call add_sparse_embeddings(30522), or "
            "make the collection with CollectionConfig(sparse_dimensions=30522), with the size of your encoder's "
            "vocabulary"
        )
        raise SchemaError(msg)
    return table.sparse


async def _run(handle: Handle, session: Session, selection: Selection, query: SparseQuery) -> list[Match]:
    encoded = query.encoded(sparse_of(selection.table))
    key = _key(selection, query)
    plan, statement = await _ready(handle, session, selection, query)
    exact = plan.access is Access.EXACT
    started = time.perf_counter()
    bound = statement.bind(encoded)
    rows = await (session.fetch(bound) if exact else session.fetch_with_settings(bound))
    again = handle.knowledge.experience.observe(key, plan, 1e6 * (time.perf_counter() - started))
    if not exact and len(rows) < query.asked.k:
        found = len(rows)
        rows = await session.fetch(_statement(selection, replace(plan, access=Access.EXACT), query).bind(encoded))
        if len(rows) > found:
            again = handle.knowledge.experience.fell_short(key, plan) or again
    if again:
        handle.knowledge.searches.pop(key, None)
    matches = [_as_match(row, selection, handle.scope.domain) for row in rows]
    matches.sort(key=lambda match: -match.score)
    return (
        matches
        if query.asked.score_threshold is None
        else [match for match in matches if match.score >= query.asked.score_threshold]
    )


def _as_match(row: Any, selection: Selection, domain: str | None) -> Match:
    score = 0.0 - row[-1]  # not -0.0
    match = as_match(row, score, selection.table, selection.dialect, domain)
    match.scores = Scores(sparse=score)
    return match


def _key(selection: Selection, query: SparseQuery) -> Hashable:
    """Return all that the plan and the statement of *query* depend on."""
    return "sparse", key_of(selection, query.asked)


async def _ready(handle: Handle, session: Session, selection: Selection, query: SparseQuery) -> tuple[Plan, Search]:
    """Return the plan of *query* and its statement, as they were for the same search a moment ago."""

    async def make() -> tuple[Plan, Search]:
        plan = await _plan(handle, session, selection, query)
        return plan, _statement(selection, plan, query)

    return await remembered(handle, selection, _key(selection, query), make)


def _statement(selection: Selection, plan: Plan, query: SparseQuery) -> Search:
    limit = (
        None if query.asked.score_threshold is None or plan.access is not Access.EXACT else -query.asked.score_threshold
    )
    column = sparse_of(selection.table)
    return compose(selection, plan, extras=query.asked.extras, max_distance=limit, sparse=column)


async def _plan(handle: Handle, session: Session, selection: Selection, query: SparseQuery) -> Plan:
    table, filter = selection.table, query.asked.filter
    index = sparse_of(table).index
    rows = max(0, round(table.rows))
    there = Counts(rows, rows, filter is not None)
    if index is not None and not query.asked.options.exact:
        there = await counts(handle, session, selection, query.asked.k, query.asked.options, _LIKE_DIMENSIONS)
    elif index is None and not query.asked.options.exact:
        warn_of_scans(handle, table, "sparse embeddings")
    return choose(
        Situation(
            k=query.asked.k,
            dimensions=_LIKE_DIMENSIONS,
            index=index,
            iterative=session.server.has_iterative_scan,
            rows=there.rows,
            matches=there.matches,
            filtered=there.filtered,
            filter=filter,
            indexed=filter is None or is_indexed(table, filter),
            observed=handle.knowledge.experience.of(_key(selection, query)),
            options=query.asked.options,
        )
    )
