"""Having a model, such as a cross-encoder, order anew what a search has found."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Sequence  # at run time: settings that hold such callables
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgrecall.calling import in_thread
from pgrecall.checks import check_function, check_range
from pgrecall.config import MAX_K
from pgrecall.errors import ConfigError

if TYPE_CHECKING:
    from pgrecall.records import Match

Scorer = Callable[[str, list[str]], "Sequence[float] | Awaitable[Sequence[float]]"]
"""Returns how well each of some texts answers a query: one number for each, the higher the better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerank:
    """That a model orders anew what a search finds.

    Attributes:
        scorer: Called once with the query and the contents of what was found; returns one number for each.
            It may be a coroutine function. In an asynchronous search another function runs in a thread, so
            that the loop goes on; in a blocking one it runs where the search was called.
        top_n: Of how many records; never fewer than k.
    """

    scorer: Scorer
    top_n: int = 50

    def __post_init__(self) -> None:
        check_function(self.scorer, "scorer", "takes a query and a list of texts")
        check_range(self.top_n, "top_n", 1, MAX_K)

    def fetched(self, k: int) -> int:
        """Return how many records to find for the k best.

        Raises:
            ConfigError: k is no whole number from 1 to 10,000.
        """
        check_range(k, "k", 1, MAX_K)
        return min(MAX_K, max(k, self.top_n))

    def apply(self, query: str, matches: list[Match], k: int) -> list[Match]:
        """Return the k matches that the model scores highest, with its scores.

        Raises:
            ConfigError: The scorer is asynchronous, or its answer is not one number for each match.
        """
        if not matches:
            return []
        scores = self.scorer(query, _texts(matches))
        if inspect.isawaitable(scores):
            if inspect.iscoroutine(scores):
                scores.close()
            msg = "the scorer is asynchronous; use it from AsyncCollection, or the asynchronous methods of a store"
            raise ConfigError(msg)
        return _ordered(matches, scores, k)

    async def aapply(self, query: str, matches: list[Match], k: int) -> list[Match]:
        """Return the k matches that the model scores highest; see `apply`."""
        if not matches:
            return []
        if inspect.iscoroutinefunction(self.scorer) or inspect.iscoroutinefunction(
            getattr(self.scorer, "__call__", None)  # noqa: B004 - whether calling it gives a coroutine
        ):
            scores = self.scorer(query, _texts(matches))
        else:
            scores = await in_thread(self.scorer, query, _texts(matches))
        if inspect.isawaitable(scores):
            scores = await scores
        return _ordered(matches, scores, k)


def _texts(matches: list[Match]) -> list[str]:
    return [match.content or "" for match in matches]


def _ordered(matches: list[Match], scores: Any, k: int) -> list[Match]:
    try:
        values = [float(score) for score in scores]
    except (TypeError, ValueError) as error:
        msg = f"the scorer must return one number for each text, not {scores!r:.200}"
        raise ConfigError(msg) from error
    if len(values) != len(matches) or any(math.isnan(value) for value in values):
        msg = f"the scorer must return one number for each of {len(matches)} texts; it returned {len(values)}, or NaN"
        raise ConfigError(msg)
    for match, value in zip(matches, values, strict=True):
        match.score = value
    return sorted(matches, key=lambda match: -match.score)[:k]
