"""Writing as LangChain has it: texts, documents and embeddings are added, changed and deleted.

Embedding models are called in the caller's own thread and on the caller's own loop; only what goes to
the database crosses the portal.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import wait
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from pgrecall import portal
from pgrecall.collection.ahead import several
from pgrecall.collection.keywords import in_domain
from pgrecall.errors import ConfigError, RecordError
from pgrecall.langchain.announcing import ledger_for
from pgrecall.langchain.documents import Part, document_parts, embedded_part, text_parts

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from pgrecall.chunk_keys import ChunkKeys
    from pgrecall.collection import AsyncLedger, Collection
    from pgrecall.filters import Filter
    from pgrecall.records import Embedding, RecordBatch

    _Batch = tuple[RecordBatch, AsyncLedger | None]

# Embedding calls that are made at a time while a stream is added.
_CALLS: Final = 4


class AddingMethods(VectorStore):
    """Adds texts, documents and embeddings."""

    _embedding: Embeddings
    _collection: Collection
    _keys: ChunkKeys

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

        What is checked is written in transactions of up to 5,000 texts each.

        Args:
            texts: The texts. A list is checked whole before any of it is written; with *batch_size*, and from
                a generator, they are taken and embedded a batch at a time, each written while the next is embedded.
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
        """Embed and store texts; see `add_texts`. A model that can be awaited embeds several batches at a time."""
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
        text_embeddings: Iterable[tuple[str, Embedding]] | None = None,
        metadatas: Sequence[dict[str, Any] | None] | None = None,
        *,
        texts: Iterable[str] | None = None,
        embeddings: NDArray[Any] | Sequence[Embedding] | None = None,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Store texts whose embeddings are at hand, and return their ids in order; see `add_texts`.

        Args:
            text_embeddings: Pairs of text and embedding.
            metadatas: One for each text.
            texts: The texts, instead of the pairs.
            embeddings: Their embeddings, shape ``(n, d)``; an array is the fast form.
            ids: One for each text.
            **kwargs: Only ``domain``.

        Raises:
            RecordError: A text, an embedding, an id or its metadata cannot be stored.
            ConfigError: The sequences differ in length, or a keyword is not known.
        """
        part, vectors = embedded_part(text_embeddings, texts, embeddings, metadatas, ids)
        return in_domain(self._collection, kwargs).upsert(part.batch(vectors, self._keys)).ids

    async def aadd_embeddings(
        self,
        text_embeddings: Iterable[tuple[str, Embedding]] | None = None,
        metadatas: Sequence[dict[str, Any] | None] | None = None,
        *,
        texts: Iterable[str] | None = None,
        embeddings: NDArray[Any] | Sequence[Embedding] | None = None,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Store texts whose embeddings are at hand; see `add_embeddings`."""
        part, vectors = embedded_part(text_embeddings, texts, embeddings, metadatas, ids)
        collection = in_domain(self._collection, kwargs).asynchronous
        return (await collection.upsert(part.batch(vectors, self._keys))).ids

    def _add(self, parts: Iterable[Part], keywords: dict[str, Any]) -> list[str]:
        collection = in_domain(self._collection, keywords)

        def embedded() -> Iterator[_Batch]:
            for part in parts:
                yield self._batch(collection, part, self._embedding.embed_documents(part.texts))

        return _write_behind(collection, embedded())

    async def _aadd(self, parts: Iterable[Part], keywords: dict[str, Any]) -> list[str]:
        collection = in_domain(self._collection, keywords)

        async def taken() -> AsyncGenerator[Part]:
            for part in parts:
                yield part

        async def embedded(part: Part) -> _Batch:
            return self._batch(collection, part, await self._embedding.aembed_documents(part.texts))

        # A model that has no way of its own to be awaited runs in a thread, and may not be made for several.
        awaited = getattr(type(self._embedding), "aembed_documents", None) is not Embeddings.aembed_documents
        written: list[str] = []
        async with aclosing(several(taken(), embedded, _CALLS if awaited else 1)) as batches:
            async for batch, ledger in batches:
                written += (await collection.asynchronous.upsert(batch, ledger=ledger)).ids
        return written

    def _batch(self, collection: Collection, part: Part, embeddings: list[list[float]]) -> _Batch:
        return part.batch(embeddings, self._keys), ledger_for(collection, part.ids)


def _write_behind(collection: Collection, batches: Iterator[_Batch]) -> list[str]:
    """Write batches, each while the caller's thread embeds the next one, and return their ids."""
    written: list[str] = []
    batch = next(batches, None)
    while batch is not None:
        writing = portal.submit(collection.asynchronous.upsert(batch[0], ledger=batch[1]))
        try:
            batch = next(batches, None)
        except Exception:
            # What is being written is let through.
            wait([writing])
            raise
        except BaseException:
            writing.cancel()
            raise
        try:
            written += writing.result().ids
        except BaseException:
            writing.cancel()
            raise
    return written


class ChangingMethods(VectorStore):
    """Changes and deletes what is there."""

    _embedding: Embeddings
    _collection: Collection
    _keys: ChunkKeys

    def update_documents(
        self, documents: Sequence[Document], *, ids: Sequence[str] | None = None, **kwargs: Any
    ) -> int:
        """Embed documents and put them in the place of those that have their ids, in one transaction.

        Ids that do not exist are passed over; `add_documents` adds them.

        Args:
            documents: The new documents.
            ids: Ids to use instead of the documents' own.
            **kwargs: Only ``domain``.

        Returns:
            How many there were.

        Raises:
            ConfigError: A document has no id, or a keyword is not known.
            RecordError: A document cannot be stored.
        """
        collection = in_domain(self._collection, kwargs)
        part = _identified(documents, ids)
        if not part.texts:
            return 0
        embeddings = self._embedding.embed_documents(part.texts)
        return collection.replace(part.batch(embeddings, self._keys))

    async def aupdate_documents(
        self, documents: Sequence[Document], *, ids: Sequence[str] | None = None, **kwargs: Any
    ) -> int:
        """Embed documents and put them in the place of those that have their ids; see `update_documents`."""
        collection = in_domain(self._collection, kwargs).asynchronous
        part = _identified(documents, ids)
        if not part.texts:
            return 0
        embeddings = await self._embedding.aembed_documents(part.texts)
        return await collection.replace(part.batch(embeddings, self._keys))

    def update_metadata(
        self, metadata_by_id: Mapping[str, Mapping[str, Any]], *, merge: bool = True, **kwargs: Any
    ) -> int:
        """Change the metadata of documents, in one transaction; nothing is embedded again.

        Which document a text is a chunk of, and which one, is taken from metadata only where texts are written
        whole, as by `add_documents` and `update_documents`.

        Args:
            metadata_by_id: Id to metadata; ids that do not exist are passed over.
            merge: Whether keys are set in the metadata that is there; otherwise it is replaced.
            **kwargs: Only ``domain``.

        Returns:
            How many documents there were.

        Raises:
            RecordError: A value cannot be stored.
            ConfigError: A keyword is not known.
        """
        metadatas = list(_by_id(metadata_by_id).values())
        return in_domain(self._collection, kwargs).update(list(metadata_by_id), metadatas=metadatas, merge=merge)

    async def aupdate_metadata(
        self, metadata_by_id: Mapping[str, Mapping[str, Any]], *, merge: bool = True, **kwargs: Any
    ) -> int:
        """Change the metadata of documents; see `update_metadata`."""
        metadatas = list(_by_id(metadata_by_id).values())
        collection = in_domain(self._collection, kwargs).asynchronous
        return await collection.update(list(metadata_by_id), metadatas=metadatas, merge=merge)

    def delete(
        self,
        ids: Sequence[str] | None = None,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        delete_all: bool = False,
        **kwargs: Any,
    ) -> bool:
        """Delete documents by id, by filter, or by both; ids that do not exist are no error.

        Args:
            ids: Whom to delete; an empty sequence deletes none.
            filter: Which metadata they must have.
            delete_all: Whether everything in this domain is to go; takes neither ids nor a filter.
            **kwargs: Only ``domain``.

        Returns:
            `True`: whatever was to be deleted is not there any more.

        Raises:
            ConfigError: Nothing was said to be deleted, or a keyword is not known.
            FilterError: The filter is empty or malformed.
        """
        collection = in_domain(self._collection, kwargs)
        if _everything(ids, filter, delete_all=delete_all):
            collection.clear()
        else:
            collection.delete(ids, filter=filter, ledger=ledger_for(collection, ids))
        return True

    async def adelete(
        self,
        ids: Sequence[str] | None = None,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        delete_all: bool = False,
        **kwargs: Any,
    ) -> bool:
        """Delete documents; see `delete`."""
        collection = in_domain(self._collection, kwargs)
        if _everything(ids, filter, delete_all=delete_all):
            await collection.asynchronous.clear()
        else:
            await collection.asynchronous.delete(ids, filter=filter, ledger=ledger_for(collection, ids))
        return True


def _identified(documents: Iterable[Document], ids: Sequence[str] | None) -> Part:
    """Return *documents*, all of which must have an id."""
    given = documents if isinstance(documents, Document) else list(documents)
    parts = list(document_parts(given, ids, None))
    part = parts[0] if parts else Part([], None, None)
    for position, row_id in enumerate(part.ids or ()):
        if not row_id:
            msg = (
                f"document {position} has no id, so it is not known which one to update; add_documents() adds new ones"
            )
            raise ConfigError(msg)
    return part


def _by_id(metadata_by_id: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    if not isinstance(metadata_by_id, Mapping):
        msg = f"update_metadata() takes a mapping of ids to metadata, not {type(metadata_by_id).__name__}"
        raise ConfigError(msg)
    for row_id, metadata in metadata_by_id.items():
        if not isinstance(metadata, Mapping):
            msg = f"the metadata of {row_id!r:.80} must be a mapping, not {type(metadata).__name__}"
            raise RecordError(msg)
    return metadata_by_id


def _everything(ids: Sequence[str] | None, filter: object, *, delete_all: bool) -> bool:
    chosen = ids is not None or filter is not None
    if delete_all and chosen:
        msg = "delete_all=True deletes everything, so it takes neither ids nor a filter"
        raise ConfigError(msg)
    if not delete_all and not chosen:
        msg = "say what to delete: ids or a filter; delete_all=True deletes everything"
        raise ConfigError(msg)
    return delete_all
