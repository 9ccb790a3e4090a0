"""Hybrid search: what the embedding, the words and the sparse embedding find, as one ranking.

The searches run at once, each on a connection of its own, so that the slowest one decides how long it takes; on a
connection that a caller has lent they take turns.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from pgrecall import vectors
from pgrecall.checks import check_instance
from pgrecall.collection.finding import keyword_search, searching, sparse_search
from pgrecall.collection.finding.corpus import corpus_of
from pgrecall.collection.finding.keyword_search import WordQuery, highlights
from pgrecall.collection.finding.searching import Query
from pgrecall.collection.finding.sparse_search import SparseQuery
from pgrecall.config import SearchOptions
from pgrecall.embeddings import as_vector
from pgrecall.fusion import Union
from pgrecall.hybrid import HybridOptions
from pgrecall.records import Scores
from pgrecall.sparse import norm_square
from pgrecall.sql import sparse_scores, text_search

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from pgrecall.bm25 import Corpus
    from pgrecall.collection.finding.keyword_search import Prepared
    from pgrecall.collection.handle import Handle
    from pgrecall.filters import Filter
    from pgrecall.fusion import Identity
    from pgrecall.postgres import Session
    from pgrecall.records import Embedding, Match
    from pgrecall.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class HybridQuery:
    """One hybrid search, checked.

    Attributes:
        words: What the words ask for.
        near: What the embedding asks for.
        sparse: What the sparse embedding asks for; `None` where there is none.
        k: Records wanted.
        options: How it is done.
        extras: What to return too.
    """

    words: WordQuery
    near: Query
    k: int
    options: HybridOptions
    extras: frozenset[str]
    sparse: SparseQuery | None = None

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
        check_instance(options, "options", HybridOptions | None, "HybridOptions")
        options = options or HybridOptions()
        words = WordQuery.of(text, k, filter, options.words, extras=extras)
        wanted = k if options.rerank is None else options.rerank.fetched(k)
        near = Query.of(
            embedding,
            max(wanted, options.dense_k),
            words.filter,
            options.search,
            extras=extras - {"highlights"},
        )
        alike = None
        if options.sparse is not None:
            asked = replace(near, k=max(wanted, options.sparse_k), options=SearchOptions())
            alike = SparseQuery.of(options.sparse, asked)
        return cls(
            words=replace(words, k=max(wanted, options.keyword_k)),
            near=near,
            k=wanted,
            options=options,
            extras=extras,
            sparse=alike,
        )


async def search_hybrid(handle: Handle, query: HybridQuery, k: int) -> list[Match]:
    """See `AsyncCollection.search_hybrid`."""
    found = await _fused(handle, query)
    rerank = query.options.rerank
    return found[:k] if rerank is None else await rerank.aapply(query.words.text, found, k)


async def _fused(handle: Handle, query: HybridQuery) -> list[Match]:
    near, (worded, ready), alike = await _at_once(
        searching.search(handle, query.near), _worded(handle, query), _alike(handle, query)
    )
    # What was known when the searches began may be forgotten by now, as when an index was built meanwhile.
    table = handle.knowledge.table or await handle.run(handle.table)
    if table is None:
        return []
    if ready is None and query.sparse is None:
        # Without words nothing is compared but embeddings, whose scores then are the whole.
        return _alone(near, query)
    legs: dict[str, dict[Identity, Match]] = {"dense": {_identity(match): match for match in near}}
    if ready is not None:
        legs["keyword"] = {_identity(match): match for match in worded}
    if query.sparse is not None:
        legs["sparse"] = {_identity(match): match for match in alike}
    for match in near:
        match.scores = Scores(dense=match.score)
    for match in alike:
        match.distance = math.nan  # of the embeddings that were not compared yet
    records = _merged(legs)
    if ready is not None:
        missing = [match for name, match in records.items() if name not in legs["keyword"]]
        for match in await _weighed(handle, query, ready, missing) if missing else ():
            del records[_identity(match)]
    if query.sparse is not None and query.options.fusion.needs_every_score:
        await _compare(handle, query, query.sparse, list(records.values()))
    rankings = {leg: [name for name in found if name in records] for leg, found in legs.items()}
    corpus = await _corpus(handle, table) if ready is None else ready.corpus
    fused = query.options.fusion.fuse(rankings, _leg_scores(rankings, records, corpus, query))
    return _ranked(records, fused, query)


def _merged(legs: Mapping[str, Mapping[Identity, Match]]) -> dict[Identity, Match]:
    """Return what all have found, each record once, with all the scores that are known of it."""
    # By words a record comes with its distance and its highlights, and by sparse embedding with neither.
    records: dict[Identity, Match] = {}
    for leg in ("sparse", "dense", "keyword"):
        for name, match in legs.get(leg, {}).items():
            if (other := records.get(name)) is not None and other.scores is not None:
                match.scores = _joined(_scores(match), other.scores)
            records[name] = match
    return records


def _joined(scores: Scores, others: Scores) -> Scores:
    known = {name: score for name, score in asdict(scores).items() if score is not None}
    return replace(others, **known)


def _leg_scores(
    rankings: Mapping[str, Sequence[Identity]], records: Mapping[Identity, Match], corpus: Corpus, query: HybridQuery
) -> dict[str, dict[Identity, float]]:
    """Return for each leg the scores of all records, from 0 to 1."""
    half = 0.0 if query.sparse is None else norm_square(query.sparse.weights)
    # A record that is nothing like the query has 0, and one that says just what the query says one half.
    of: dict[str, Callable[[Scores], float]] = {
        "dense": lambda scores: 0.0 if scores.dense is None else corpus.dense_score(scores.dense),
        "keyword": lambda scores: corpus.keyword_score(scores.keyword or 0.0),
        "sparse": lambda scores: sparse_score(scores.sparse or 0.0, half),
    }
    return {leg: {name: of[leg](_scores(match)) for name, match in records.items()} for leg in rankings}


def sparse_score(product: float, half: float) -> float:
    """Return an inner product as a number from 0 up to, not including, 1; *half* is worth one half."""
    return product / (product + half) if product > 0 else 0.0


async def _corpus(handle: Handle, table: Table) -> Corpus:
    async def work(session: Session) -> Corpus:
        return await corpus_of(handle, session, table, keyword_search.text_of(table))

    return await handle.run(work)


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
        return await keyword_search.run(handle, session, ready, query.words, _encoded(query, table)), ready

    return await handle.run(work)


def _encoded(query: HybridQuery, table: Table) -> bytes:
    vector = as_vector(query.near.embedding, table.dimensions, table.vector_type, table.distance)
    return vectors.encode(vector[None], table.vector_type)[0]


async def _weighed(handle: Handle, query: HybridQuery, ready: Prepared, missing: Sequence[Match]) -> list[Match]:
    """Give *missing*, which only embeddings have found, their keyword scores; return those that must not be found."""
    bound = bool(ready.ranking.required or ready.ranking.excluded)
    headline = ready.headline(query.extras)
    if not (query.options.fusion.needs_every_score or bound or headline):
        return []

    async def work(session: Session) -> list[Match]:
        selection = handle.selection(session, ready.selection.table)
        statement = text_search.scores(selection, ready.ranking, [match.id for match in missing], headline)
        found = {_name(handle, row): (row[2], row[3]) for row in await session.fetch(statement)}
        forbidden: list[Match] = []
        for match in missing:
            if (weighed := found.get(_identity(match))) is None:
                forbidden.append(match)
                continue
            match.scores = replace(_scores(match), keyword=weighed[0] + 0.0)  # not -0.0
            match.highlights = highlights(weighed[1])
        return forbidden

    return await handle.run(work)


async def _alike(handle: Handle, query: HybridQuery) -> list[Match]:
    return [] if query.sparse is None else await sparse_search.search_sparse(handle, query.sparse)


async def _compare(handle: Handle, query: HybridQuery, sparse: SparseQuery, matches: Sequence[Match]) -> None:
    """Give *matches* the scores of embeddings, dense and sparse, that no search has given them."""
    missing = [match for match in matches if _scores(match).dense is None or _scores(match).sparse is None]
    if not missing:
        return

    async def work(session: Session) -> None:
        table = await handle.table(session)
        if table is None:
            return
        column = sparse_search.sparse_of(table)
        selection = handle.selection(session, table)
        statement = sparse_scores.compare(
            selection, column, [match.id for match in missing], _encoded(query, table), sparse.encoded(column)
        )
        found = {_name(handle, row): (row[2], row[3]) for row in await session.fetch(statement)}
        for match in missing:
            distance, product = found.get(_identity(match), (None, None))
            scores = _scores(match)
            if distance is not None and scores.dense is None:
                match.distance = distance
                scores = replace(scores, dense=table.distance.score(distance))
            match.scores = scores if product is None else replace(scores, sparse=0.0 - product)

    await handle.run(work)


async def _at_once(
    near: Coroutine[Any, Any, list[Match]],
    worded: Coroutine[Any, Any, tuple[list[Match], Prepared | None]],
    alike: Coroutine[Any, Any, list[Match]],
) -> tuple[list[Match], tuple[list[Match], Prepared | None], list[Match]]:
    """Return the results of all, which run at once; where one fails the others are not left running."""
    first, second, third = asyncio.ensure_future(near), asyncio.ensure_future(worded), asyncio.ensure_future(alike)
    try:
        return await first, await second, await third
    finally:
        for task in (first, second, third):
            if not task.done():
                task.cancel()
        await asyncio.gather(first, second, third, return_exceptions=True)


def _identity(match: Match) -> Identity:
    return match.domain_id, match.id


def _name(handle: Handle, row: Any) -> Identity:
    return row[0] if handle.scope.domain is None else handle.scope.domain, row[1]


def _scores(match: Match) -> Scores:
    return match.scores or Scores()
