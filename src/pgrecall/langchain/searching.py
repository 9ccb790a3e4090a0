"""Searching as LangChain has it: by text and by embedding, with distances, with relevance, with variety."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.vectorstores import VectorStore

from pgrecall.langchain.documents import to_document
from pgrecall.langchain.keywords import Search, VariedSearch, relevance_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings

    from pgrecall.collection import Collection
    from pgrecall.langchain.keywords import RelevanceFunction
    from pgrecall.records import Match

Scored = list[tuple["Document", float]]


class SimilarityMethods(VectorStore):
    """Searches for the nearest."""

    _embedding: Embeddings
    _collection: Collection
    _relevance: RelevanceFunction | None

    @property
    def embeddings(self) -> Embeddings:
        """The embedding model."""
        return self._embedding

    @property
    def relevance_score_fn(self) -> RelevanceFunction | None:
        """What makes a relevance of a distance, where the store was given such a function."""
        return self._relevance

    @property
    def collection(self) -> Collection:
        """The collection; ``collection.asynchronous`` is its asynchronous form."""
        return self._collection

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the k documents most similar to *query*, best first.

        Args:
            query: The text to embed and search with.
            k: Documents wanted; fewer come back only if fewer pass the filter.
            **kwargs: ``filter``, ``domain``, ``score_threshold`` (relevance), and the fields of
                `SearchOptions`.

        Raises:
            ConfigError: A keyword is not known.
            FilterError: The filter is malformed.
        """
        return _documents(self._near(kwargs).find(query, self._embedding, k))

    async def asimilarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the k documents most similar to *query*; see `similarity_search`."""
        search = self._near(kwargs)
        return _documents(await search.afind(query, self._embedding, k))

    def similarity_search_by_vector(self, embedding: Sequence[float], k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the k documents most similar to *embedding*; see `similarity_search`."""
        return _documents(self._near(kwargs).run(embedding, k))

    async def asimilarity_search_by_vector(
        self, embedding: Sequence[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """Return the k documents most similar to *embedding*; see `similarity_search`."""
        return _documents(await self._near(kwargs).arun(embedding, k))

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> Scored:
        """Return the k most similar documents with their distances; a smaller one is more similar."""
        return _distances(self._near(kwargs).find(query, self._embedding, k))

    async def asimilarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> Scored:
        """Return the k most similar documents with their distances; a smaller one is more similar."""
        search = self._near(kwargs)
        return _distances(await search.afind(query, self._embedding, k))

    def similarity_search_with_score_by_vector(self, embedding: Sequence[float], k: int = 4, **kwargs: Any) -> Scored:
        """Return the k most similar documents with their distances; a smaller one is more similar."""
        return _distances(self._near(kwargs).run(embedding, k))

    async def asimilarity_search_with_score_by_vector(
        self, embedding: Sequence[float], k: int = 4, **kwargs: Any
    ) -> Scored:
        """Return the k most similar documents with their distances; a smaller one is more similar."""
        return _distances(await self._near(kwargs).arun(embedding, k))

    def similarity_search_with_relevance_scores(self, query: str, k: int = 4, **kwargs: Any) -> Scored:
        """Return the k most similar documents with their relevance, from 0 to 1; a larger one is more similar.

        Relevance is the score (see `Distance`), cut off at 0 and 1, unless the store was given a
        ``relevance_score_fn``. What is below ``score_threshold`` the server does not send.
        """
        return self._relevances(self._near(kwargs).find(query, self._embedding, k))

    async def asimilarity_search_with_relevance_scores(self, query: str, k: int = 4, **kwargs: Any) -> Scored:
        """Return the k most similar documents with their relevance; see `similarity_search_with_relevance_scores`."""
        search = self._near(kwargs)
        return self._relevances(await search.afind(query, self._embedding, k))

    def similarity_search_by_vector_with_relevance_scores(
        self, embedding: Sequence[float], k: int = 4, **kwargs: Any
    ) -> Scored:
        """Return the k most similar documents with their relevance; see `similarity_search_with_relevance_scores`."""
        return self._relevances(self._near(kwargs).run(embedding, k))

    async def asimilarity_search_by_vector_with_relevance_scores(
        self, embedding: Sequence[float], k: int = 4, **kwargs: Any
    ) -> Scored:
        """Return the k most similar documents with their relevance; see `similarity_search_with_relevance_scores`."""
        return self._relevances(await self._near(kwargs).arun(embedding, k))

    # LangChain's own parts of the methods above, which other code of its calls too.

    def _similarity_search_with_relevance_scores(self, query: str, k: int = 4, **kwargs: Any) -> Scored:
        return self.similarity_search_with_relevance_scores(query, k, **kwargs)

    async def _asimilarity_search_with_relevance_scores(self, query: str, k: int = 4, **kwargs: Any) -> Scored:
        return await self.asimilarity_search_with_relevance_scores(query, k, **kwargs)

    def _near(self, keywords: dict[str, Any]) -> Search:
        return Search.of(self._collection, keywords, self._relevance)

    def _relevances(self, matches: list[Match]) -> Scored:
        return [(to_document(match), relevance_of(match, self._relevance)) for match in matches]


class VarietyMethods(VectorStore):
    """Searches for what is near and not all the same: maximal marginal relevance."""

    _embedding: Embeddings
    _collection: Collection

    def max_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Return k documents that are near to *query* and unlike each other, in the order of picking.

        Args:
            query: The text to embed and search with.
            k: Documents wanted.
            fetch_k: Nearest documents to pick from; never fewer than k.
            lambda_mult: From 0, as varied as possible, to 1, simply the nearest.
            **kwargs: ``filter``, ``domain``, and the fields of `SearchOptions`.

        Raises:
            ConfigError: A keyword is not known, or a value is out of range.
            FilterError: The filter is malformed.
        """
        return _documents(self._varied(kwargs, fetch_k, lambda_mult).find(query, self._embedding, k))

    async def amax_marginal_relevance_search(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Return k varied documents; see `max_marginal_relevance_search`."""
        search = self._varied(kwargs, fetch_k, lambda_mult)
        return _documents(await search.afind(query, self._embedding, k))

    def max_marginal_relevance_search_by_vector(
        self, embedding: Sequence[float], k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Return k varied documents near to *embedding*; see `max_marginal_relevance_search`."""
        return _documents(self._varied(kwargs, fetch_k, lambda_mult).run(embedding, k))

    async def amax_marginal_relevance_search_by_vector(
        self, embedding: Sequence[float], k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> list[Document]:
        """Return k varied documents near to *embedding*; see `max_marginal_relevance_search`."""
        return _documents(await self._varied(kwargs, fetch_k, lambda_mult).arun(embedding, k))

    def max_marginal_relevance_search_with_score(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> Scored:
        """Return k varied documents with their distances, in the order of picking."""
        return _distances(self._varied(kwargs, fetch_k, lambda_mult).find(query, self._embedding, k))

    async def amax_marginal_relevance_search_with_score(
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> Scored:
        """Return k varied documents with their distances, in the order of picking."""
        search = self._varied(kwargs, fetch_k, lambda_mult)
        return _distances(await search.afind(query, self._embedding, k))

    def max_marginal_relevance_search_with_score_by_vector(
        self, embedding: Sequence[float], k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> Scored:
        """Return k varied documents with their distances, in the order of picking."""
        return _distances(self._varied(kwargs, fetch_k, lambda_mult).run(embedding, k))

    async def amax_marginal_relevance_search_with_score_by_vector(
        self, embedding: Sequence[float], k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, **kwargs: Any
    ) -> Scored:
        """Return k varied documents with their distances, in the order of picking."""
        return _distances(await self._varied(kwargs, fetch_k, lambda_mult).arun(embedding, k))

    def _varied(self, keywords: dict[str, Any], fetch_k: int, lambda_mult: float) -> VariedSearch:
        return VariedSearch.of(self._collection, {**keywords, "fetch_k": fetch_k, "lambda_mult": lambda_mult})


def _documents(matches: list[Match]) -> list[Document]:
    return [to_document(match) for match in matches]


def _distances(matches: list[Match]) -> Scored:
    return [(to_document(match), match.distance) for match in matches]
