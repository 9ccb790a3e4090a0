"""Hybrid search: what the embedding finds and what the words find, as one ranking.

The two run at once, each on a connection of its own, so that the slower one decides how long it takes; on a
connection that a caller has lent they take turns.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pgrecall import vectors
from pgrecall.collection import keyword_search, searching
from pgrecall.collection.keyword_search import WordQuery, highlights
from pgrecall.collection.searching import Query, checked_score
from pgrecall.embeddings import as_vector
from pgrecall.fusion import Union
from pgrecall.hybrid import HybridOptions
from pgrecall.records import Scores
from pgrecall.sql import text_search

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from pgrecall.collection.handle import Handle
    from pgrecall.collection.keyword_search import Prepared
    from pgrecall.filters import Filter
    from pgrecall.fusion import Identity
    from pgrecall.postgres import Session
    from pgrecall.records import Embedding, Match


@dataclass(frozen=True, slots=True, kw_only=True)
class HybridQuery:
    """One hybrid search, checked.

    Attributes:
        words: What the words ask for.
        near: What the embedding asks for.
        k: Records wanted.
        options: How it is done.
        extras: What to return too.
    """

    words: WordQuery
    near: Query
    k: int
    options: HybridOptions
    extras: frozenset[str]

    @classmethod
    def of(
        cls,
        text: str,
        embedding: Embedding,
        k: int,
        filter: Filter | Mapping[str, Any] | None,
        options: HybridOptions | None,
        extras: frozenset[str],
    ) -> HybridQuery:
        """Return a search with its parts checked.

        Raises:
            ConfigError: k, the score or the text cannot be searched for.
            FilterError: The filter is malformed.
        """
        options = options or HybridOptions()
        checked_score(options.score_threshold)
        words = WordQuery.of(text, k, filter, options.words, extras=extras)
        wanted = k if options.rerank is None else options.rerank.fetched(k)
        near = Query.of(
            embedding,
            max(wanted, options.dense_k),
            words.filter,
            options.search,
            extras=extras - {"highlights"},
        )
        return cls(
            words=replace(words, k=max(wanted, options.keyword_k)),
            near=near,
            k=wanted,
            options=options,
            extras=extras,
        )


async def search_hybrid(handle: Handle, query: HybridQuery, k: int) -> list[Match]:
    """See `AsyncCollection.search_hybrid`."""
    found = await _fused(handle, query)
    rerank = query.options.rerank
    return found[:k] if rerank is None else await rerank.aapply(query.words.text, found, k)


async def _fused(handle: Handle, query: HybridQuery) -> list[Match]:
    (near, (worded, ready)) = await _both(searching.search(handle, query.near), _worded(handle, query))
    table = handle.knowledge.table
    if table is None:
        return []
    dense = {_identity(match): match for match in near}
    keyword = {_identity(match): match for match in worded}
    if ready is None:
        # Without words nothing is compared but embeddings, whose scores then are the whole.
        return _alone(near, query)
    missing = [match for name, match in dense.items() if name not in keyword]
    if missing:
        for match in await _weighed(handle, query, ready, missing):
            dense.pop(_identity(match))
    for match in missing:
        match.scores = match.scores or Scores(dense=match.score)
    # What both have found is the same record, read twice; by words it comes with all that is known of it.
    records = {**dense, **keyword}
    rankings = {
        "dense": [name for name in dense if name in records],
        "keyword": list(keyword),
    }
    corpus = ready.corpus
    scores = {
        "dense": {name: corpus.dense_score(_scores(match).dense or 0.0) for name, match in records.items()},
        "keyword": {name: corpus.keyword_score(_scores(match).keyword or 0.0) for name, match in records.items()},
    }
    fused = query.options.fusion.fuse(rankings, scores)
    return _ranked(records, fused, query)


def _ranked(records: Mapping[Identity, Match], fused: Mapping[Identity, float], query: HybridQuery) -> list[Match]:
    names = list(fused)
    if not isinstance(query.options.fusion, Union):
        # Of equal ones the id decides, so that the same search gives the same answer.
        names.sort(key=lambda name: (-fused[name], str(name)))
    least = query.options.score_threshold
    matches: list[Match] = []
    for name in names:
        match = records[name]
        match.score = fused[name]
        if least is None or match.score >= least:
            matches.append(match)
    return matches[: query.k]


def _alone(near: list[Match], query: HybridQuery) -> list[Match]:
    least = query.options.score_threshold
    for match in near:
        match.scores = Scores(dense=match.score)
        match.score = match.relevance
    return [match for match in near if least is None or match.score >= least][: query.k]


async def _worded(handle: Handle, query: HybridQuery) -> tuple[list[Match], Prepared | None]:
    """Return what the words find, with the distances to the embedding, and how it was found."""

    async def work(session: Session) -> tuple[list[Match], Prepared | None]:
        ready = await keyword_search.prepare(handle, session, query.words)
        if ready is None:
            return [], None
        table = ready.selection.table
        vector = as_vector(query.near.embedding, table.dimensions, table.vector_type, table.distance)
        encoded = vectors.encode(vector[None], table.vector_type)[0]
        return await keyword_search.run(handle, session, ready, query.words, encoded), ready

    return await handle.run(work)


async def _weighed(handle: Handle, query: HybridQuery, ready: Prepared, missing: Sequence[Match]) -> list[Match]:
    """Give *missing*, which only the embedding has found, their keyword scores; return those that must not be found."""
    bound = bool(ready.ranking.required or ready.ranking.excluded)
    headline = ready.headline(query.extras)
    if not (query.options.fusion.needs_every_score or bound or headline):
        return []

    async def work(session: Session) -> list[Match]:
        selection = handle.selection(session, ready.selection.table)
        statement = text_search.scores(selection, ready.ranking, [match.id for match in missing], headline)
        found = {
            (row[0] if handle.scope.domain is None else handle.scope.domain, row[1]): (row[2], row[3])
            for row in await session.fetch(statement)
        }
        forbidden: list[Match] = []
        for match in missing:
            if (weighed := found.get(_identity(match))) is None:
                forbidden.append(match)
                continue
            match.scores = Scores(dense=match.score, keyword=weighed[0] + 0.0)  # not -0.0
            match.highlights = highlights(weighed[1])
        return forbidden

    return await handle.run(work)


async def _both(
    near: Coroutine[Any, Any, list[Match]], worded: Coroutine[Any, Any, tuple[list[Match], Prepared | None]]
) -> tuple[list[Match], tuple[list[Match], Prepared | None]]:
    """Return the results of both, which run at once; where one fails the other is not left running."""
    first, second = asyncio.ensure_future(near), asyncio.ensure_future(worded)
    try:
        return await first, await second
    finally:
        for task in (first, second):
            if not task.done():
                task.cancel()
        await asyncio.gather(first, second, return_exceptions=True)


def _identity(match: Match) -> Identity:
    return match.domain_id, match.id


def _scores(match: Match) -> Scores:
    return match.scores or Scores(dense=None if math.isnan(match.distance) else match.score)
