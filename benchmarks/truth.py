"""The right answers under a filter, computed with NumPy, and how many of them were found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks import filters
from benchmarks.corpus import Corpus

# Similarities are sums of float32, added up in another order here than on the server.
_TOLERANCE: Final = 2e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """How good the answers to one filter are.

    Attributes:
        matches: Rows that pass.
        recall: Share of the nearest rows that was found, over all queries; 1 where there was none to find.
        short: Answers with fewer than min(k, matches) rows.
        wrong: Rows that do not pass, or came twice.
    """

    matches: int
    recall: float
    short: int
    wrong: int


class Oracle:
    """Knows the k nearest of some rows, under any filter, by cosine.

    A row as near as the k-th is as good as the k-th: copies of one text may stand in for each other.
    """

    def __init__(self, rows: Corpus, k: int) -> None:
        self._rows = rows
        self._k = k
        self._cutoffs: dict[str, tuple[NDArray[np.bool_], NDArray[np.float32]]] = {}

    @cached_property
    def _places(self) -> dict[str, int]:
        return {row_id: place for place, row_id in enumerate(self._rows.ids)}

    def matches(self, filter: filters.Condition | None) -> int:
        """Return how many rows pass *filter*."""
        return int(self._known(filter)[0].sum())

    def judge(self, filter: filters.Condition | None, answers: Sequence[Sequence[str]]) -> Judgement:
        """Return how good *answers* are: the ids found for the first queries, as many as there are."""
        passing, cutoffs = self._known(filter)
        expected = min(self._k, matches := int(passing.sum()))
        hits = short = wrong = 0
        for query, ids, cutoff in zip(self._rows.queries, answers, cutoffs, strict=False):
            places = [self._places[row_id] for row_id in dict.fromkeys(ids) if row_id in self._places]
            good = [place for place in places if passing[place]]
            hits += min(expected, int((self._rows.vectors[good] @ query >= cutoff).sum()))
            short += len(ids) < expected
            wrong += len(ids) - len(good)
        whole = expected * len(answers)
        return Judgement(matches=matches, recall=hits / whole if whole else 1.0, short=short, wrong=wrong)

    def _known(self, filter: filters.Condition | None) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Return which rows pass, and for each query the similarity that one of the k nearest has at least."""
        if (found := self._cutoffs.get(repr(filter))) is None:
            passing = filters.mask(filter, self._rows)
            found = self._cutoffs[repr(filter)] = passing, self._cutoff(passing)
        return found

    def _cutoff(self, passing: NDArray[np.bool_]) -> NDArray[np.float32]:
        queries = self._rows.queries
        rows = self._rows.vectors if passing.all() else self._rows.vectors[passing]
        if len(rows) <= self._k:
            return np.full(len(queries), -2, np.float32)
        cutoffs = [np.partition(rows @ query, -self._k)[-self._k] for query in queries]
        return np.asarray(cutoffs, np.float32) - np.float32(_TOLERANCE)


def ids_of(matches: Sequence[Any]) -> list[str]:
    """Return the ids of what the engine returned."""
    return [match.id for match in matches]
