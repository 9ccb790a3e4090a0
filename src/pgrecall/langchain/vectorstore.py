"""`PGRecallVectorStore`: LangChain's words for the engine's verbs.

Embedding models are called in the caller's own thread and on the caller's own loop; only what goes to
the database crosses the portal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

from pgrecall import portal
from pgrecall.collection.keywords import refuse_unknown
from pgrecall.collection.opening import DEFAULT_COLLECTION, open_collection
from pgrecall.langchain.documents import document_parts, embedded_batch, text_parts
from pgrecall.langchain.searching import SearchMethods

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings

    from pgrecall.collection import Collection
    from pgrecall.collection.opening import ClientLike, CollectionLike
    from pgrecall.filters import Filter
    from pgrecall.langchain.documents import Part

_CONSTRUCTOR: Final = ("collection", "url", "client", "domain")


class PGRecallVectorStore(SearchMethods):
    """LangChain's vector store over a pgrecall collection.

    The table is made at the first write, with the dimensions that the embedding model gives; until then
    the store is empty. It may be used from any number of threads and event loops.

    Args:
        embedding: The model.
        collection: Name of the table, a `CollectionConfig`, or a collection that is open already.
        url: Where the database is; see `AsyncClient`.
        client: A client that is open already, instead of *url*.
        domain: The domain (tenant) to read and write; ``"default"`` unless given.

    Raises:
        ConfigError: The arguments contradict each other.

    Example:
        >>> store = PGRecallVectorStore.from_documents(documents, embedding, url="embedded://")
        >>> store.similarity_search("how do locks work?", k=3, filter={"kind": "guide"})
    """

    def __init__(
        self,
        embedding: Embeddings,
        collection: CollectionLike = DEFAULT_COLLECTION,
        *,
        url: str | None = None,
        client: ClientLike | None = None,
        domain: str | None = None,
    ) -> None:
        self._embedding = embedding
        self._collection, self._client = open_collection(collection, url=url, client=client, domain=domain)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} over {self._collection!r}>"

    def close(self) -> None:
        """Close the connections, unless the client or collection was passed in and is the caller's."""
        if self._client is not None:
            portal.call(self._client.close())

    async def aclose(self) -> None:
        """Close the connections, unless the client or collection was passed in and is the caller's."""
        if self._client is not None:
            await self._client.close()

    # -- writing ------------------------------------------------------------------------------------

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Embed and store texts, replacing those whose id exists, and return their ids in order.

        Args:
            texts: The texts. A list is checked whole before any of it is written; a generator is taken,
                embedded and written a batch at a time.
            metadatas: One for each text.
            ids: One for each text; `None`, as a whole or for one of them, has an id made.
            batch_size: Texts that are embedded and written together.
            **kwargs: Only ``domain``.

        Raises:
            RecordError: A text, an id or its metadata cannot be stored.
            ConfigError: The sequences differ in length, or a keyword is not known.
        """
        return self._add(text_parts(texts, metadatas, ids, batch_size), kwargs)

    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Embed and store texts; see `add_texts`."""
        return await self._aadd(text_parts(texts, metadatas, ids, batch_size), kwargs)

    def add_documents(
        self,
        documents: Iterable[Document],
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Embed and store documents, replacing those whose id exists, and return their ids in order.

        Args:
            documents: The documents; see `add_texts` about lists and generators.
            ids: Ids to use instead of the documents' own.
            batch_size: Documents that are embedded and written together.
            **kwargs: Only ``domain``.

        Raises:
            RecordError: A document cannot be stored.
            ConfigError: A keyword is not known.
        """
        return self._add(document_parts(documents, ids, batch_size), kwargs)

    async def aadd_documents(
        self,
        documents: Iterable[Document],
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Embed and store documents; see `add_documents`."""
        return await self._aadd(document_parts(documents, ids, batch_size), kwargs)

    def add_embeddings(
        self,
        text_embeddings: Iterable[tuple[str, Sequence[float]]],
        metadatas: Sequence[dict[str, Any] | None] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Store texts whose embeddings are at hand, and return their ids in order; see `add_texts`."""
        return self._write_to(kwargs).upsert(embedded_batch(text_embeddings, metadatas, ids)).ids

    async def aadd_embeddings(
        self,
        text_embeddings: Iterable[tuple[str, Sequence[float]]],
        metadatas: Sequence[dict[str, Any] | None] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Store texts whose embeddings are at hand; see `add_embeddings`."""
        collection = self._write_to(kwargs).asynchronous
        return (await collection.upsert(embedded_batch(text_embeddings, metadatas, ids))).ids

    def delete(
        self,
        ids: Sequence[str] | None = None,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> bool:
        """Delete documents by id, by filter, or by both; ids that do not exist are no error.

        Returns:
            `True`: whatever was to be deleted is not there any more.

        Raises:
            ConfigError: Neither was given; to delete everything, call ``collection.clear()``.
            FilterError: The filter is empty or malformed.
        """
        self._write_to(kwargs).delete(ids, filter=filter)
        return True

    async def adelete(
        self,
        ids: Sequence[str] | None = None,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> bool:
        """Delete documents; see `delete`."""
        await self._write_to(kwargs).asynchronous.delete(ids, filter=filter)
        return True

    # -- making -------------------------------------------------------------------------------------

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Return a store with these texts added to its collection.

        Args:
            texts: The texts.
            embedding: The model.
            metadatas: One for each text.
            ids: One for each text.
            **kwargs: The constructor's, and ``batch_size``.
        """
        store, batch_size = cls._make(embedding, kwargs)
        store.add_texts(texts, metadatas, ids=ids, batch_size=batch_size)
        return store

    @classmethod
    async def afrom_texts(
        cls,
        texts: Iterable[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Return a store with these texts added to its collection; see `from_texts`."""
        store, batch_size = cls._make(embedding, kwargs)
        await store.aadd_texts(texts, metadatas, ids=ids, batch_size=batch_size)
        return store

    @classmethod
    def _make(cls, embedding: Embeddings, keywords: dict[str, Any]) -> tuple[Self, int | None]:
        refuse_unknown(keywords, (*_CONSTRUCTOR, "batch_size"))
        batch_size = keywords.pop("batch_size", None)
        return cls(embedding, **keywords), batch_size

    # -- shared -------------------------------------------------------------------------------------

    def _write_to(self, keywords: dict[str, Any]) -> Collection:
        refuse_unknown(keywords, ("domain",))
        return self._collection.domain(keywords["domain"]) if "domain" in keywords else self._collection

    def _add(self, parts: Iterable[Part], keywords: dict[str, Any]) -> list[str]:
        collection = self._write_to(keywords)
        written: list[str] = []
        for part in parts:
            embeddings = self._embedding.embed_documents(part.texts)
            written += collection.upsert(part.batch(embeddings)).ids
        return written

    async def _aadd(self, parts: Iterable[Part], keywords: dict[str, Any]) -> list[str]:
        collection = self._write_to(keywords).asynchronous
        written: list[str] = []
        for part in parts:
            embeddings = await self._embedding.aembed_documents(part.texts)
            written += (await collection.upsert(part.batch(embeddings))).ids
        return written
