"""What LangChain passes to a search beside the query, and the search that it asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pgrecall.checks import check_score, is_text
from pgrecall.collection.keywords import (
    HYBRID_OPTIONS,
    KEYWORD_OPTIONS,
    OPTIONS,
    hybrid_options,
    in_domain,
    keyword_options,
    search_options,
)
from pgrecall.config import MMR
from pgrecall.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.embeddings import Embeddings

    from pgrecall.collection import Collection
    from pgrecall.config import SearchOptions
    from pgrecall.filters import Filter
    from pgrecall.hybrid import HybridOptions, KeywordOptions
    from pgrecall.records import Embedding, Match

RelevanceFunction = Callable[[float], float]
_VARIETY: Final = ("fetch_k", "lambda_mult")
SEARCH_KEYWORDS: Final = ("filter", "domain", "score_threshold", *OPTIONS)
"""What every search takes beside its query and k."""
MMR_KEYWORDS: Final = ("filter", "domain", *_VARIETY, *OPTIONS)
"""What a search by maximal marginal relevance takes."""
KEYWORD_KEYWORDS: Final = ("filter", "domain", "score_threshold", *KEYWORD_OPTIONS)
"""What a search by words takes."""
HYBRID_KEYWORDS: Final = ("filter", "domain", *HYBRID_OPTIONS, *KEYWORD_OPTIONS, *OPTIONS)
"""What a search by words and embedding takes."""


@dataclass(frozen=True, slots=True)
class Search:
    """One call's keywords.

    Attributes:
        collection: The collection, in the domain that the call names.
        filter: Which metadata the documents must have.
        options: Overrides of the planner.
        threshold: The smallest relevance.
        relevance: The caller's own relevance of a distance.
    """

    collection: Collection
    filter: Filter | Mapping[str, Any] | None
    options: SearchOptions
    threshold: float | None = None
    relevance: RelevanceFunction | None = None

    @classmethod
    def of(cls, collection: Collection, keywords: dict[str, Any], relevance: RelevanceFunction | None) -> Search:
        """Return the search that *keywords* ask for.

        Raises:
            ConfigError: One of them is not known, or its value is wrong.
        """
        return cls(
            collection=in_domain(collection, keywords, SEARCH_KEYWORDS),
            filter=keywords.get("filter"),
            options=search_options(keywords),
            threshold=check_score(keywords.get("score_threshold")),
            relevance=relevance,
        )

    def find(self, query: str, model: Embeddings, k: int) -> list[Match]:
        """Return the k matches nearest to *query*."""
        return self.run(model.embed_query(_checked_query(query)), k)

    async def afind(self, query: str, model: Embeddings, k: int) -> list[Match]:
        """Return the k matches nearest to *query*."""
        return await self.arun(await model.aembed_query(_checked_query(query)), k)

    def run(self, embedding: Embedding, k: int) -> list[Match]:
        """Return the k nearest matches."""
        found = self.collection.search(
            embedding, k, filter=self.filter, score_threshold=self._least_score, options=self.options
        )
        return self._relevant(found)

    async def arun(self, embedding: Embedding, k: int) -> list[Match]:
        """Return the k nearest matches."""
        found = await self.collection.asynchronous.search(
            embedding, k, filter=self.filter, score_threshold=self._least_score, options=self.options
        )
        return self._relevant(found)

    @property
    def _least_score(self) -> float | None:
        """The threshold for the server: relevance is the score, cut off at 0 and 1."""
        own = self.relevance is None
        return self.threshold if own and self.threshold is not None and self.threshold > 0 else None

    def _relevant(self, found: list[Match]) -> list[Match]:
        if self.threshold is None:
            return found
        return [match for match in found if relevance_of(match, self.relevance) >= self.threshold]


@dataclass(frozen=True, slots=True)
class VariedSearch:
    """One call's keywords, for a search by maximal marginal relevance.

    Attributes:
        collection: The collection, in the domain that the call names.
        filter: Which metadata the documents must have.
        options: Overrides of the planner.
        mmr: From how many to pick, and how much variety counts.
    """

    collection: Collection
    filter: Filter | Mapping[str, Any] | None
    options: SearchOptions
    mmr: MMR

    @classmethod
    def of(cls, collection: Collection, keywords: dict[str, Any]) -> VariedSearch:
        """Return the search that *keywords* ask for.

        Raises:
            ConfigError: One of them is not known, or its value is wrong.
        """
        return cls(
            collection=in_domain(collection, keywords, MMR_KEYWORDS),
            filter=keywords.get("filter"),
            options=search_options(keywords),
            mmr=MMR(**{name: keywords[name] for name in _VARIETY if name in keywords}),
        )

    def find(self, query: str, model: Embeddings, k: int) -> list[Match]:
        """Return k matches in the order of picking."""
        return self.run(model.embed_query(_checked_query(query)), k)

    async def afind(self, query: str, model: Embeddings, k: int) -> list[Match]:
        """Return k matches in the order of picking."""
        return await self.arun(await model.aembed_query(_checked_query(query)), k)

    def run(self, embedding: Embedding, k: int) -> list[Match]:
        """Return k matches in the order of picking."""
        return self.collection.search_mmr(embedding, k, mmr=self.mmr, filter=self.filter, options=self.options)

    async def arun(self, embedding: Embedding, k: int) -> list[Match]:
        """Return k matches in the order of picking."""
        collection = self.collection.asynchronous
        return await collection.search_mmr(embedding, k, mmr=self.mmr, filter=self.filter, options=self.options)


@dataclass(frozen=True, slots=True)
class KeywordSearch:
    """One call's keywords, for a search by words.

    Attributes:
        collection: The collection, in the domain that the call names.
        filter: Which metadata the documents must have.
        options: How the words are searched for.
        threshold: The smallest relevance.
    """

    collection: Collection
    filter: Filter | Mapping[str, Any] | None
    options: KeywordOptions
    threshold: float | None = None

    @classmethod
    def of(cls, collection: Collection, keywords: dict[str, Any]) -> KeywordSearch:
        """Return the search that *keywords* ask for.

        Raises:
            ConfigError: One of them is not known, or its value is wrong.
        """
        return cls(
            collection=in_domain(collection, keywords, KEYWORD_KEYWORDS),
            filter=keywords.get("filter"),
            options=keyword_options(keywords),
            threshold=check_score(keywords.get("score_threshold")),
        )

    def find(self, query: str, model: Embeddings, k: int) -> list[Match]:
        """Return the k matches whose content fits *query* best."""
        return self.collection.search_keyword(
            query, k, filter=self.filter, score_threshold=self.threshold, options=self.options
        )

    async def afind(self, query: str, model: Embeddings, k: int) -> list[Match]:
        """Return the k matches whose content fits *query* best."""
        return await self.collection.asynchronous.search_keyword(
            query, k, filter=self.filter, score_threshold=self.threshold, options=self.options
        )


@dataclass(frozen=True, slots=True)
class HybridSearch:
    """One call's keywords, for a search by words and embedding together.

    Attributes:
        collection: The collection, in the domain that the call names.
        filter: Which metadata the documents must have.
        options: How it is done.
    """

    collection: Collection
    filter: Filter | Mapping[str, Any] | None
    options: HybridOptions

    @classmethod
    def of(cls, collection: Collection, keywords: dict[str, Any]) -> HybridSearch:
        """Return the search that *keywords* ask for.

        Raises:
            ConfigError: One of them is not known, or its value is wrong.
        """
        check_score(keywords.get("score_threshold"))
        return cls(
            collection=in_domain(collection, keywords, HYBRID_KEYWORDS),
            filter=keywords.get("filter"),
            options=hybrid_options(keywords),
        )

    def find(self, query: str, model: Embeddings, k: int) -> list[Match]:
        """Return the k matches that fit words and embedding of *query* best."""
        return self.collection.search_hybrid(
            query, model.embed_query(_checked_query(query)), k, filter=self.filter, options=self.options
        )

    async def afind(self, query: str, model: Embeddings, k: int) -> list[Match]:
        """Return the k matches that fit words and embedding of *query* best."""
        embedding = await model.aembed_query(_checked_query(query))
        collection = self.collection.asynchronous
        return await collection.search_hybrid(query, embedding, k, filter=self.filter, options=self.options)


def relevance_of(match: Match, relevance: RelevanceFunction | None) -> float:
    """Return the relevance of *match*, from 0 to 1, or what the caller's own function makes of its distance.

    What words have found has the score that the search gave it, or that a model gave it afterwards.
    """
    if match.scores is not None:
        return match.score
    return match.relevance if relevance is None else relevance(match.distance)


def _checked_query(query: object) -> str:
    """Return *query* if it is a text, which is what models embed.

    Raises:
        ConfigError: It is none, or holds what is no character.
    """
    if not isinstance(query, str):
        msg = f"query must be a text, not {type(query).__name__}; searches by_vector take embeddings"
        raise ConfigError(msg)
    if not is_text(query):
        msg = f"query must be a text without NUL and lone surrogates, not {query!r:.200}"
        raise ConfigError(msg)
    return query
