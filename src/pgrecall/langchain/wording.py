"""Searching as LangChain has no methods for: by words, and by words and embedding together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from langchain_core.vectorstores import VectorStore

from pgrecall.checks import check_choice
from pgrecall.langchain.documents import to_document
from pgrecall.langchain.keywords import HybridSearch, KeywordSearch

if TYPE_CHECKING:
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings

    from pgrecall.collection import Collection
    from pgrecall.langchain.searching import Scored
    from pgrecall.records import Match


_TYPES: Final = ("similarity", "similarity_score_threshold", "mmr", "keyword", "hybrid")


class WordMethods(VectorStore):
    """Searches by words."""

    _embedding: Embeddings
    _collection: Collection

    def keyword_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the k documents whose text fits the words of *query* best, by BM25; nothing is embedded.

        Args:
            query: The words; quotes, minus and asterisk mean what they do in `AsyncCollection.search_keyword`.
            k: Documents wanted.
            **kwargs: ``filter``, ``domain``, ``score_threshold``, and the fields of `KeywordOptions`.

        Raises:
            ConfigError: A keyword is not known.
            SchemaError: The texts cannot be searched by their words yet: the collection's configuration has no
                ``text_search``.
            FilterError: The filter is malformed.
        """
        return _documents(self._by_words(kwargs).find(query, self._embedding, k))

    async def akeyword_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the k documents whose text fits *query* best; see `keyword_search`."""
        return _documents(await self._by_words(kwargs).afind(query, self._embedding, k))

    def keyword_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> Scored:
        """Return the k documents whose text fits *query* best with their scores, from 0 to 1; higher is better."""
        return _scored(self._by_words(kwargs).find(query, self._embedding, k))

    async def akeyword_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> Scored:
        """Return documents with their scores; see `keyword_search_with_score`."""
        return _scored(await self._by_words(kwargs).afind(query, self._embedding, k))

    def hybrid_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the k documents that fit the words and the embedding of *query* together best.

        Args:
            query: The text to embed, and the words to look for.
            k: Documents wanted.
            **kwargs: ``filter``, ``domain``, ``alpha`` (weight of the embedding, 0.7 unless given), ``fusion``
                (``"convex"``, ``"rrf"``, ``"union"`` or a `Fusion`), ``weights`` (of ``"rrf"``), ``dense_k``,
                ``keyword_k``, ``score_threshold``, ``rerank``, and the fields of `KeywordOptions` and
                `SearchOptions`.

        Raises:
            ConfigError: A keyword is not known, or has no effect.
            SchemaError: The texts cannot be searched by their words yet; see `keyword_search`.
            FilterError: The filter is malformed.
        """
        return _documents(self._by_both(kwargs).find(query, self._embedding, k))

    async def ahybrid_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        """Return the k documents that fit *query* best; see `hybrid_search`."""
        return _documents(await self._by_both(kwargs).afind(query, self._embedding, k))

    def hybrid_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> Scored:
        """Return the k documents that fit *query* best with their scores, from 0 to 1; higher is better."""
        return _scored(self._by_both(kwargs).find(query, self._embedding, k))

    async def ahybrid_search_with_score(self, query: str, k: int = 4, **kwargs: Any) -> Scored:
        """Return documents with their scores; see `hybrid_search_with_score`."""
        return _scored(await self._by_both(kwargs).afind(query, self._embedding, k))

    def search(self, query: str, search_type: str, **kwargs: Any) -> list[Document]:
        """Return documents found by a search of that type: LangChain's own, ``"keyword"`` or ``"hybrid"``."""
        check_choice(search_type, "search_type", _TYPES)
        if search_type == "keyword":
            return self.keyword_search(query, **kwargs)
        if search_type == "hybrid":
            return self.hybrid_search(query, **kwargs)
        return super().search(query, search_type, **kwargs)

    async def asearch(self, query: str, search_type: str, **kwargs: Any) -> list[Document]:
        """Return documents found by a search of that type; see `search`."""
        check_choice(search_type, "search_type", _TYPES)
        if search_type == "keyword":
            return await self.akeyword_search(query, **kwargs)
        if search_type == "hybrid":
            return await self.ahybrid_search(query, **kwargs)
        return await super().asearch(query, search_type, **kwargs)

    def _by_words(self, keywords: dict[str, Any]) -> KeywordSearch:
        return KeywordSearch.of(self._collection, keywords)

    def _by_both(self, keywords: dict[str, Any]) -> HybridSearch:
        return HybridSearch.of(self._collection, keywords)


def _documents(matches: list[Match]) -> list[Document]:
    return [to_document(match) for match in matches]


def _scored(matches: list[Match]) -> Scored:
    return [(to_document(match), match.score) for match in matches]
