"""The reading half of LangChain's interface: by id, by text, by embedding, with and without scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.vectorstores import VectorStore

from pgrecall.langchain.documents import to_document
from pgrecall.langchain.keywords import Search

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings

    from pgrecall.collection import Collection
    from pgrecall.records import Match


class SearchMethods(VectorStore):
    """What `PGRecallVectorStore` can be asked."""

    _embedding: Embeddings
    _collection: Collection

    @property
    def embeddings(self) -> Embeddings:
        """The embedding model."""
        return self._embedding

    @property
    def collection(self) -> Collection:
        """The collection; ``collection.asynchronous`` is its asynchronous form."""
        return self._collection

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the documents with these ids, in the same order, without those that do not exist."""
        return [to_document(record) for record in self._collection.get(ids) if record is not None]

    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the documents with these ids; see `get_by_ids`."""
        return [to_document(record) for record in await self._collection.asynchronous.get(ids) if record is not None]

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
        return _documents(self._search(self._embedding.embed_query(query), k, kwargs))

    async def asimilarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the k documents most similar to *query*; see `similarity_search`."""
        return _documents(await self._asearch(await self._embedding.aembed_query(query), k, kwargs))

    def similarity_search_by_vector(self, embedding: Sequence[float], k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the k documents most similar to *embedding*; see `similarity_search`."""
        return _documents(self._search(embedding, k, kwargs))

    async def asimilarity_search_by_vector(
        self, embedding: Sequence[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """Return the k documents most similar to *embedding*; see `similarity_search`."""
        return _documents(await self._asearch(embedding, k, kwargs))

    def similarity_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> list[tuple[Document, float]]:
        """Return the k most similar documents with their distances; a smaller one is more similar."""
        return _distances(self._search(self._embedding.embed_query(query), k, kwargs))

    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return the k most similar documents with their distances; a smaller one is more similar."""
        return _distances(await self._asearch(await self._embedding.aembed_query(query), k, kwargs))

    def similarity_search_with_score_by_vector(
        self, embedding: Sequence[float], k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return the k most similar documents with their distances; a smaller one is more similar."""
        return _distances(self._search(embedding, k, kwargs))

    async def asimilarity_search_with_score_by_vector(
        self, embedding: Sequence[float], k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return the k most similar documents with their distances; a smaller one is more similar."""
        return _distances(await self._asearch(embedding, k, kwargs))

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        return _relevances(self._search(self._embedding.embed_query(query), k, kwargs))

    async def _asimilarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        return _relevances(await self._asearch(await self._embedding.aembed_query(query), k, kwargs))

    def _search(self, embedding: Sequence[float], k: int, keywords: dict[str, Any]) -> list[Match]:
        search = Search.of(self._collection, keywords)
        return search.collection.search(
            embedding, k, filter=search.filter, score_threshold=search.score_threshold, options=search.options
        )

    async def _asearch(self, embedding: Sequence[float], k: int, keywords: dict[str, Any]) -> list[Match]:
        search = Search.of(self._collection, keywords)
        return await search.collection.asynchronous.search(
            embedding, k, filter=search.filter, score_threshold=search.score_threshold, options=search.options
        )


def _documents(matches: list[Match]) -> list[Document]:
    return [to_document(match) for match in matches]


def _distances(matches: list[Match]) -> list[tuple[Document, float]]:
    return [(to_document(match), match.distance) for match in matches]


def _relevances(matches: list[Match]) -> list[tuple[Document, float]]:
    return [(to_document(match), match.relevance) for match in matches]
