"""`PGRecallVectorStore`: LangChain's words for the engine's verbs."""

from __future__ import annotations

from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any, Final, Self, cast

from pgrecall.chunk_keys import ChunkKeys
from pgrecall.collection.lifetime import Closing
from pgrecall.collection.opening import DEFAULT_COLLECTION, open_collection
from pgrecall.errors import CollectionNotFound, ConfigError
from pgrecall.langchain.adding import AddingMethods
from pgrecall.langchain.adopting import AdoptingMethods
from pgrecall.langchain.changing import ChangingMethods
from pgrecall.langchain.listing import ListingMethods
from pgrecall.langchain.loading import LoadingMethods
from pgrecall.langchain.retriever import PGRecallRetriever
from pgrecall.langchain.searching import SimilarityMethods, VarietyMethods
from pgrecall.langchain.wording import WordMethods
from pgrecall.langchain.words import understood
from pgrecall.scope import UNSET, Unset

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings

    from pgrecall.collection.opening import ClientLike, CollectionLike
    from pgrecall.langchain.keywords import RelevanceFunction
    from pgrecall.records import Embedding

_ADDED: Final = ("ids", "batch_size")


class PGRecallVectorStore(
    SimilarityMethods,
    VarietyMethods,
    WordMethods,
    ListingMethods,
    AddingMethods,
    LoadingMethods,
    ChangingMethods,
    AdoptingMethods,
    Closing,
):
    """LangChain's vector store over a pgrecall collection.

    The table is made at the first write, with the dimensions that the embedding model gives; until then
    the store is empty. It may be used from any number of threads and event loops, and after a fork.

    Args:
        embedding: The model.
        collection: Name of the table, a `CollectionConfig`, or a collection that is open already.
        url: Where the database is; see `AsyncClient`.
        client: A client that is open already, instead of *url*.
        domain: The domain (tenant) to read and write; ``"default"`` unless given.
        relevance_score_fn: Makes a relevance from 0 to 1 of a distance, instead of the score.
        document_id_key: The metadata key, or several of which the first found counts, that names the document
            a text is a chunk of; ``document_id``, else ``source``, unless given.
        chunk_index_key: The metadata key of the chunk's position in its document; ``chunk_index`` unless given.
        **kwargs: The words of langchain-postgres for the same things, such as ``collection_name`` and
            ``connection``.

    Raises:
        ConfigError: An argument is missing or not known, or two of them contradict each other.

    Example:
        >>> store = PGRecallVectorStore.from_documents(documents, embedding, url="embedded://")
        >>> store.similarity_search("how do locks work?", k=3, filter={"kind": "guide"})
    """

    def __init__(
        self,
        embedding: Embeddings | None = None,
        collection: CollectionLike | None = None,
        *,
        url: str | None = None,
        client: ClientLike | None = None,
        domain: str | Unset = UNSET,
        relevance_score_fn: RelevanceFunction | None = None,
        document_id_key: str | Sequence[str] | None = None,
        chunk_index_key: str | None = None,
        **kwargs: Any,
    ) -> None:
        ours = {
            "embedding": embedding,
            "collection": collection,
            "url": url,
            "client": client,
            "relevance_score_fn": relevance_score_fn,
        }
        given = understood({name: value for name, value in ours.items() if value is not None} | kwargs)
        self._embedding = _model(given.get("embedding"))
        self._relevance = _relevance(given.get("relevance_score_fn"))
        self._keys = ChunkKeys.of(document_id_key, chunk_index_key)
        self._collection, self._client = open_collection(
            given.get("collection", DEFAULT_COLLECTION),
            url=given.get("url"),
            client=given.get("client"),
            domain=domain,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} over {self._collection!r}>"

    def as_retriever(self, **kwargs: Any) -> PGRecallRetriever:
        """Return a retriever over this store.

        Args:
            **kwargs: The fields of `PGRecallRetriever`, such as ``search_type``, ``search_kwargs``, ``k``,
                ``score_key`` and ``window``.
        """
        tags = [*(kwargs.pop("tags", None) or []), *self._get_retriever_tags()]
        return PGRecallRetriever(vectorstore=self, tags=tags, **kwargs)

    # -- making; a store that could not be made closes what it opened --------------------------------

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        embedding: Embeddings | None = None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> Self:
        """Return a store with these texts added to its collection.

        Args:
            texts: The texts; see `add_texts`.
            embedding: The model.
            metadatas: One for each text.
            ids: One for each text.
            batch_size: Texts that are embedded and written together.
            **kwargs: The constructor's.
        """
        with ExitStack() as opened:
            store = opened.enter_context(cls(embedding, **kwargs))
            store.add_texts(texts, metadatas, ids=ids, batch_size=batch_size)
            opened.pop_all()
        return store

    @classmethod
    async def afrom_texts(
        cls,
        texts: Iterable[str],
        embedding: Embeddings | None = None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> Self:
        """Return a store with these texts added to its collection; see `from_texts`."""
        async with AsyncExitStack() as opened:
            store = await opened.enter_async_context(cls(embedding, **kwargs))
            await store.aadd_texts(texts, metadatas, ids=ids, batch_size=batch_size)
            opened.pop_all()
        return store

    @classmethod
    def from_documents(cls, documents: Iterable[Document], embedding: Embeddings | None = None, **kwargs: Any) -> Self:
        """Return a store with these documents added to its collection.

        Args:
            documents: The documents; see `add_documents`.
            embedding: The model.
            **kwargs: The constructor's, ``ids`` and ``batch_size``.
        """
        added = {name: kwargs.pop(name) for name in _ADDED if name in kwargs}
        with ExitStack() as opened:
            store = opened.enter_context(cls(embedding, **kwargs))
            store.add_documents(documents, **added)
            opened.pop_all()
        return store

    @classmethod
    async def afrom_documents(
        cls, documents: Iterable[Document], embedding: Embeddings | None = None, **kwargs: Any
    ) -> Self:
        """Return a store with these documents added to its collection; see `from_documents`."""
        added = {name: kwargs.pop(name) for name in _ADDED if name in kwargs}
        async with AsyncExitStack() as opened:
            store = await opened.enter_async_context(cls(embedding, **kwargs))
            await store.aadd_documents(documents, **added)
            opened.pop_all()
        return store

    @classmethod
    def from_embeddings(
        cls,
        text_embeddings: Iterable[tuple[str, Embedding]],
        embedding: Embeddings | None = None,
        metadatas: Sequence[dict[str, Any] | None] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Return a store with these texts, whose embeddings are at hand, added to its collection.

        Args:
            text_embeddings: Pairs of text and embedding.
            embedding: The model, for queries.
            metadatas: One for each text.
            ids: One for each text.
            **kwargs: The constructor's.
        """
        with ExitStack() as opened:
            store = opened.enter_context(cls(embedding, **kwargs))
            store.add_embeddings(text_embeddings, metadatas, ids=ids)
            opened.pop_all()
        return store

    @classmethod
    async def afrom_embeddings(
        cls,
        text_embeddings: Iterable[tuple[str, Embedding]],
        embedding: Embeddings | None = None,
        metadatas: Sequence[dict[str, Any] | None] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Return a store with these texts added to its collection; see `from_embeddings`."""
        async with AsyncExitStack() as opened:
            store = await opened.enter_async_context(cls(embedding, **kwargs))
            await store.aadd_embeddings(text_embeddings, metadatas, ids=ids)
            opened.pop_all()
        return store

    @classmethod
    def from_existing(
        cls, embedding: Embeddings | None = None, collection: CollectionLike | None = None, **kwargs: Any
    ) -> Self:
        """Return a store over a collection that must exist, or over any table that fits the configuration.

        Args:
            embedding: The model.
            collection: Its name, or a `CollectionConfig` that maps the table's columns.
            **kwargs: The constructor's.

        Raises:
            CollectionNotFound: There is no such table.
            SchemaError: The table does not fit; the message says all that is wrong.
        """
        with ExitStack() as opened:
            store = opened.enter_context(cls(embedding, collection, **kwargs))
            _check_found(store, exists=store.collection.exists())
            opened.pop_all()
        return store

    @classmethod
    async def afrom_existing(
        cls, embedding: Embeddings | None = None, collection: CollectionLike | None = None, **kwargs: Any
    ) -> Self:
        """Return a store over a collection that must exist; see `from_existing`."""
        async with AsyncExitStack() as opened:
            store = await opened.enter_async_context(cls(embedding, collection, **kwargs))
            _check_found(store, exists=await store.collection.asynchronous.exists())
            opened.pop_all()
        return store


def _check_found(store: PGRecallVectorStore, *, exists: bool) -> None:
    if not exists:
        msg = f"there is no table for {store!r}; from_documents() makes it, or the first add_documents()"
        raise CollectionNotFound(msg)


def _model(embedding: Any) -> Embeddings:
    # By what it can do, as LangChain's own stores take it: not every model is derived from `Embeddings`.
    able = all(callable(getattr(embedding, name, None)) for name in ("embed_documents", "embed_query"))
    if not able or isinstance(embedding, type):
        what = "missing" if embedding is None else f"a {type(embedding).__name__}"
        msg = f"embedding must be a LangChain embedding model (an Embeddings), and is {what}"
        raise ConfigError(msg)
    return cast("Embeddings", embedding)


def _relevance(function: Any) -> RelevanceFunction | None:
    if function is not None and not callable(function):
        msg = f"relevance_score_fn must be a function from a distance to a relevance, not {function!r}"
        raise ConfigError(msg)
    return cast("RelevanceFunction | None", function)
