"""Finding records by others that are stored, by several queries at once, and all within a distance."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pgrecall import codes, vectors
from pgrecall.checks import check_list
from pgrecall.collection.finding import reading, searching
from pgrecall.collection.finding.reading import as_matches, check_one_domain
from pgrecall.config import SearchOptions
from pgrecall.distance import Distance, VectorType
from pgrecall.embeddings import as_matrix
from pgrecall.errors import ConfigError, RecordError
from pgrecall.plan import Access
from pgrecall.sql.search import search_many as compose_many

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pgrecall.collection.finding.searching import Query
    from pgrecall.collection.handle import Handle
    from pgrecall.plan import Plan
    from pgrecall.postgres import Session
    from pgrecall.records import Embedding, Example, Match
    from pgrecall.sql.selection import Selection

_SLACK: Final = 1e-6
# Queries that are worth a connection of their own, and most connections.
_EACH: Final = 4
_CONNECTIONS: Final = 4


async def search_by_id(handle: Handle, id: str, query: Query, *, include_self: bool) -> list[Match]:
    """See `AsyncCollection.search_by_id`; *query* has no embedding yet."""
    ((own, embedding),) = await _stored(handle, [id], "search_by_id")
    if include_self:
        return await searching.search(handle, replace(query, embedding=embedding))
    found = await searching.search(handle, replace(query, embedding=embedding, k=query.k + 1))
    return [match for match in found if match.id != own][: query.k]


def check_examples(what: str, examples: object) -> list[Example]:
    """Return *examples* as a list.

    Raises:
        ConfigError: They are no sequence, or one of them is neither an id nor an embedding.
    """
    listed = check_list(examples, what, "ids or embeddings")
    for position, example in enumerate(listed):
        try:
            fits = isinstance(example, str) or np.asarray(example, np.float32).ndim == 1
        except (TypeError, ValueError):
            fits = False
        if not fits:
            msg = f"{what}[{position}] must be an id, which is a text, or an embedding, not {example!r:.80}"
            raise ConfigError(msg)
    return listed


async def recommend(
    handle: Handle, positive: Sequence[Example], negative: Sequence[Example], query: Query
) -> list[Match]:
    """See `AsyncCollection.recommend`; *query* has no embedding yet."""
    if not positive:
        msg = "recommend() needs at least one positive example: an id or an embedding"
        raise ConfigError(msg)
    table = await handle.planned_table(handle.config.dimensions or 1)
    if table.vector_type is VectorType.BIT:
        msg = f"embeddings of {table.qualified_name} are bits, of which there is no mean: recommend() needs numbers"
        raise ConfigError(msg)
    named: set[str] = set()
    liked, disliked = [await _examples(handle, examples, named) for examples in (positive, negative)]
    if table.distance is Distance.COSINE:
        # Only directions count there, so each example counts the same however long it is.
        liked, disliked = _unit(liked), _unit(disliked)
    target = liked.mean(axis=0)
    if len(disliked):
        _check_lengths([*liked, *disliked])
        target = target + (target - disliked.mean(axis=0))
    wanted = replace(query, embedding=target.astype(np.float32), k=query.k + len(named))
    found = await searching.search(handle, wanted)
    return [match for match in found if match.id not in named][: query.k]


async def search_range(handle: Handle, query: Query, max_distance: float | None) -> list[Match]:
    """See `AsyncCollection.search_range`; *query* has the smallest score where there is no greatest distance."""
    if not isinstance(query.embedding, np.ndarray) or not query.embedding.ndim:
        query = replace(query, embedding=check_list(query.embedding, "embedding", "numbers"))
    exact = replace(query, options=SearchOptions(exact=True))
    if max_distance is None:
        return await searching.search(handle, exact)
    table = await handle.planned_table(len(query.embedding))
    # A little more, since the way from distance to score and back is rounded; then just what was asked for.
    least = table.distance.score(max_distance + _SLACK * max(1.0, abs(max_distance)))
    found = await searching.search(handle, replace(exact, score_threshold=least))
    return [match for match in found if match.distance <= max_distance]


async def search_many(
    handle: Handle, embeddings: NDArray[Any] | Sequence[Embedding], query: Query
) -> list[list[Match]]:
    """See `AsyncCollection.search_many`; *query* stands for each of them."""
    count = len(embeddings)
    if not count:
        return []
    # PostgreSQL gives one statement of this kind one process: several of them use several.
    parts = 1 if handle.database.lent else max(1, min(_CONNECTIONS, count // _EACH))
    bounds = [count * part // parts for part in range(parts + 1)]
    tasks = [
        asyncio.create_task(_search_part(handle, embeddings[start:end], query, start), name="pgrecall searches")
        for start, end in pairwise(bounds)
    ]
    try:
        found = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return [matches for part in found for matches in part]


async def _search_part(
    handle: Handle, embeddings: NDArray[Any] | Sequence[Embedding], query: Query, first: int
) -> list[list[Match]]:
    """Search by embeddings of which the first one is number *first*, in one round trip."""

    async def work(session: Session) -> list[list[Match]]:
        table = await handle.table(session)
        if table is None:
            return [[] for _ in range(len(embeddings))]
        matrix = as_matrix(
            embeddings, table.dimensions, table.vector_type, table.distance, lambda place: _position(first + place)
        )
        selection = handle.selection(session, table, query.filter)
        plan = await searching.plan_of(handle, session, selection, query)
        found = await _run_many(handle, session, selection, replace(query, embedding=matrix), plan)
        if plan.access is not Access.EXACT:
            # As with one query: where an index gave too few, there may be more.
            short = [position for position, matches in enumerate(found) if len(matches) < query.k]
            if short:
                exact = replace(plan, access=Access.EXACT, fell_back=True)
                again = await _run_many(handle, session, selection, replace(query, embedding=matrix[short]), exact)
                for position, matches in zip(short, again, strict=True):
                    found[position] = matches
        if query.score_threshold is not None:
            least = query.score_threshold
            found = [[match for match in matches if match.score >= least] for matches in found]
        return found

    return await handle.run(work)


async def _run_many(
    handle: Handle, session: Session, selection: Selection, query: Query, plan: Plan
) -> list[list[Match]]:
    table = selection.table
    matrix = np.asarray(query.embedding)
    statement = compose_many(selection, plan, query.extras)
    asked = [codes.encode(vector) for vector in matrix] if statement.needs_codes else []
    bound = statement.bind(list(vectors.encode(matrix, table.vector_type)), asked)
    rows = await (session.fetch(bound) if plan.access is Access.EXACT else session.fetch_with_settings(bound))
    of: list[list[Any]] = [[] for _ in range(len(matrix))]
    for row in rows:
        of[row[0] - 1].append(row[1:])
    return [as_matches(mine, table, session.dialect, handle.scope.domain) for mine in of]


async def _stored(handle: Handle, ids: Sequence[str], verb: str) -> list[tuple[str, NDArray[Any]]]:
    """Return the ids of stored records, as the table has them, and their embeddings.

    Raises:
        RecordError: There is no such record, or it has no embedding.
        ConfigError: The handle is one of all domains.
    """
    table = await handle.planned_table(handle.config.dimensions or 1)
    check_one_domain(handle.scope, table, verb)
    found: list[tuple[str, NDArray[Any]]] = []
    for row_id, record in zip(ids, await reading.get(handle, ids, frozenset({"embedding"})), strict=True):
        if record is None or record.embedding is None:
            what = "there is no record" if record is None else "no embedding is stored with the record"
            msg = f"{what} {row_id!r} in {handle.scope}, so nothing can be found by it"
            raise RecordError(msg)
        found.append((str(record.id), np.asarray(record.embedding, np.float32)))
    return found


async def _examples(handle: Handle, examples: Sequence[Example], named: set[str]) -> NDArray[np.float32]:
    """Return ids and embeddings as embeddings, shape ``(n, d)``; the ids, as the table has them, join *named*."""
    ids = [example for example in examples if isinstance(example, str)]
    found = await _stored(handle, ids, "recommend") if ids else []
    named.update(row_id for row_id, _ in found)
    stored = iter(found)
    rows = [next(stored)[1] if isinstance(example, str) else np.asarray(example, np.float32) for example in examples]
    _check_lengths(rows)
    return np.stack(rows) if rows else np.empty((0, 0), np.float32)


def _check_lengths(rows: Sequence[NDArray[np.float32]]) -> None:
    if len(lengths := {len(row) for row in rows}) > 1:
        msg = f"examples must be of the same length, and these are of {sorted(lengths)}"
        raise ConfigError(msg)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    if not len(rows):
        return rows
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths == 0, 1, lengths)).astype(np.float32)


def _position(position: int) -> str:
    return f"embedding {position}"
