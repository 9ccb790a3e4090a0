"""Changing and deleting as LangChain has it: documents and their metadata.

Embedding models are called in the caller's own thread and on the caller's own loop; only what goes to
the database crosses the portal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore

from pgrecall.checks import check_list
from pgrecall.collection.keywords import in_domain
from pgrecall.errors import ConfigError, RecordError
from pgrecall.langchain.announcing import ledger_for
from pgrecall.langchain.documents import Part, document_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.embeddings import Embeddings

    from pgrecall.chunk_keys import ChunkKeys
    from pgrecall.collection import Collection
    from pgrecall.filters import Filter


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
    given = documents if isinstance(documents, Document) else check_list(documents, "documents", "documents")
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
