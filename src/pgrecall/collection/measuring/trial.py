"""The same questions asked in different ways, in one snapshot, and how many of the answers were right."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pgrecall.checks import check_instance, check_range
from pgrecall.collection.finding import searching
from pgrecall.config import SearchOptions
from pgrecall.distance import Distance
from pgrecall.embeddings import as_matrix, as_vector
from pgrecall.errors import ConfigError, RecordError
from pgrecall.sql import dml

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pgrecall.collection.finding.searching import Query
    from pgrecall.collection.handle import Handle
    from pgrecall.plan import Plan
    from pgrecall.postgres import Session
    from pgrecall.records import Embedding, Match
    from pgrecall.table import Table

    Row = tuple[str | None, str]
    Queries = NDArray[Any] | Sequence[Embedding]

EXACT: Final = SearchOptions(exact=True)
MAX_SAMPLE: Final = 10_000
# A larger table is not read as a whole to draw from it, but so many rows for each one wanted.
_LARGE: Final = 50_000
_DRAWN_FROM: Final = 50
# Distances are sums in single precision, and equally near rows may differ in the last digits.
_ROUNDING: Final = 1e-6


def check_sample(sample: int, queries: Queries | None) -> None:
    """Raise `ConfigError` where there are no *queries*, and *sample* is no number of them that can be drawn."""
    if queries is None:
        check_range(sample, "sample", 1, MAX_SAMPLE)
    else:
        check_instance(queries, "queries", np.ndarray | Sequence, "embeddings, shape (n, d)")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one question found.

    Attributes:
        rows: The rows and their distances, nearest first, k at most.
        milliseconds: What its statements took, from sending to the last row.
        plan: How it was answered.
    """

    rows: tuple[tuple[Row, float], ...]
    milliseconds: float
    plan: Plan


@dataclass(frozen=True, slots=True)
class _Question:
    embedding: Embedding
    row: Row | None = None


class Trial:
    """Questions to a table, to be asked within one snapshot; made by `begin`."""

    def __init__(self, handle: Handle, session: Session, query: Query, distance: Distance) -> None:
        known = handle.knowledge
        # Users' searches should neither learn from what is done here, nor be planned anew for it.
        own = replace(known, estimates=dict(known.estimates), searches={}, experience=deepcopy(known.experience))
        self._handle = replace(handle, knowledge=own)
        self._clock = _Clock(session.connection)
        self._session = replace(session, connection=self._clock)
        self._query = query
        self._distance = distance
        self._questions: list[_Question] = []

    @classmethod
    async def begin(
        cls, handle: Handle, session: Session, query: Query, *, sample: int, queries: Queries | None
    ) -> Trial:
        """Return a trial of *query*, whose embedding is replaced by each of *queries*, or of stored ones drawn here.

        A drawn row is left out of the answers to its own question, by asking for one row more: it would
        always be found, and always first.

        Raises:
            ConfigError: There are no queries, and nothing to draw them from.
            DimensionMismatch: A query has another length than the collection's embeddings.
            RecordError: A query cannot be searched for.
        """
        table = await handle.table(session)
        if table is None:
            msg = f"{handle.config.schema}.{handle.config.name} does not exist yet, so there is nothing to measure"
            raise ConfigError(msg)
        trial = cls(handle, session, query, table.distance)
        if queries is not None:
            trial._questions = _given(queries, table)
        else:
            trial._questions = await _drawn(handle, session, table, sample)
            trial._query = replace(query, k=query.k + 1)
        return trial

    def __len__(self) -> int:
        return len(self._questions)

    async def ask_first(self, options: SearchOptions) -> Answer:
        """Return the answer to one of the questions."""
        return await self._ask(self._questions[0], options)

    async def ask(self, options: SearchOptions) -> list[Answer]:
        """Return the answer to every question, after one that makes the statement known."""
        await self.ask_first(options)
        return [await self._ask(question, options) for question in self._questions]

    def judge(self, answers: Sequence[Answer], exact: Sequence[Answer]) -> list[float]:
        """Return the share of the nearest rows in each answer; 1 where there was none to find."""
        return [self._judge(answer, truth) for answer, truth in zip(answers, exact, strict=True)]

    def _judge(self, answer: Answer, truth: Answer) -> float:
        nearest = {row for row, _ in truth.rows}
        if not nearest:
            return 1.0
        last = truth.rows[-1][1]
        # Cosine and Jaccard distances are differences from 1, whose rounding does not shrink with them.
        tolerance = _ROUNDING * max(abs(last), 1.0 if self._distance in (Distance.COSINE, Distance.JACCARD) else 0.0)
        right = {row for row, distance in answer.rows if row in nearest or abs(distance - last) <= tolerance}
        return min(len(right), len(nearest)) / len(nearest)

    async def _ask(self, question: _Question, options: SearchOptions) -> Answer:
        query = replace(self._query, embedding=question.embedding, options=options)
        self._clock.seconds = 0.0
        matches, plan = await searching.run(self._handle, self._session, query)
        milliseconds = 1_000 * self._clock.seconds
        rows = [(self._row(match), match.distance) for match in matches]
        if question.row is not None:
            rows = [(row, distance) for row, distance in rows if row != question.row][: query.k - 1]
        return Answer(tuple(rows), milliseconds, plan)

    def _row(self, match: Match) -> Row:
        return match.domain_id if self._handle.scope.domain is None else None, match.id


def plans(answers: Sequence[Answer]) -> tuple[tuple[Plan, int], ...]:
    """Return the plans by which questions were answered, and how many by each, the most frequent first."""
    return tuple(Counter(answer.plan for answer in answers).most_common())


def percentile(answers: Sequence[Answer], percent: float) -> float:
    """Return the milliseconds that so many per cent of the answers did not exceed."""
    return float(np.percentile([answer.milliseconds for answer in answers], percent))


class _Clock:
    """A connection of the driver's that adds up what its queries take.

    Within a transaction each search is wrapped in a savepoint, which takes two round trips that a user's
    search does not: those are left out.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.seconds = 0.0

    async def fetch(self, *statement: Any) -> Any:
        started = time.perf_counter()
        try:
            return await self._connection.fetch(*statement)
        finally:
            self.seconds += time.perf_counter() - started

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def _given(queries: Queries, table: Table) -> list[_Question]:
    matrix = as_matrix(
        queries, table.dimensions, table.vector_type, table.distance, lambda position: f"queries[{position}]"
    )
    if not len(matrix):
        msg = "queries is empty; give some, or leave it out to have stored embeddings drawn"
        raise ConfigError(msg)
    return [_Question(row) for row in matrix]


async def _drawn(handle: Handle, session: Session, table: Table, sample: int) -> list[_Question]:
    """Return questions made of stored rows in scope, drawn at random."""
    selection = handle.selection(session, table)
    rows: list[Any] = []
    if table.rows > _LARGE:
        percent = min(100.0, 100.0 * _DRAWN_FROM * sample / table.rows)
        rows = await session.fetch(dml.sample_rows(selection, sample, percent))
    if len(rows) < sample:
        rows = await session.fetch(dml.sample_rows(selection, sample, None))
    questions: list[_Question] = []
    for row_id, domain, value in rows:
        embedding = session.dialect.read_embedding(value, table.vector_type)
        if embedding is not None and _can_be_asked(embedding, table):
            questions.append(_Question(embedding, (domain if handle.scope.domain is None else None, row_id)))
    if not questions:
        msg = f"{table.qualified_name} has no rows ({handle.scope}) to draw queries from: write some, or pass queries"
        raise ConfigError(msg)
    return questions


def _can_be_asked(embedding: Embedding, table: Table) -> bool:
    """Whether a stored embedding is a query: a table that is not ours may hold zero vectors under cosine."""
    try:
        as_vector(embedding, table.dimensions, table.vector_type, table.distance)
    except RecordError:
        return False
    return True
