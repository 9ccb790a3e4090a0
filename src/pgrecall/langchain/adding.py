"""Adding as LangChain has it: texts, documents and embeddings.

Embedding models are called in the caller's own thread and on the caller's own loop; only what goes to
the database crosses the portal.
"""

from __future__ import annotations

from concurrent.futures import wait
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from pgrecall import portal
from pgrecall.collection.ingesting.ahead import several
from pgrecall.collection.keywords import in_domain
from pgrecall.langchain.announcing import ledger_for
from pgrecall.langchain.documents import Part, document_parts, embedded_part, text_parts

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence

    from langchain_core.documents import Document
    from numpy.typing import NDArray

    from pgrecall.chunk_keys import ChunkKeys
    from pgrecall.collection import AsyncLedger, Collection
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
