"""Writing as LlamaIndex has it: nodes are added, replaced with their documents, and deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.vector_stores.types import BasePydanticVectorStore, MetadataFilters

from pgrecall.collection.keywords import in_domain
from pgrecall.errors import FilterError
from pgrecall.llama_index.filters import to_filter
from pgrecall.llama_index.loops import on_this_loop
from pgrecall.llama_index.nodes import to_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.schema import BaseNode

    from pgrecall.collection import Collection
    from pgrecall.collection.writing.documents import ReplaceResult
    from pgrecall.filters import Filter
    from pgrecall.records import RecordBatch


class WriteMethods(BasePydanticVectorStore):
    """Adds, replaces and deletes nodes, in the store's domain or in the one that a call passes as ``domain``."""

    _collection: Collection = PrivateAttr()

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Store nodes, replacing those whose id exists, and return their ids in order.

        Raises:
            RecordError: A node has no embedding, or cannot be stored; nothing is written then.
        """
        return in_domain(self._collection, kwargs).upsert(self._batch(nodes)).ids

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Store nodes; see `add`."""
        return (await on_this_loop(in_domain(self._collection, kwargs)).upsert(self._batch(nodes))).ids

    def _batch(self, nodes: Sequence[BaseNode]) -> RecordBatch:
        return to_batch(nodes, self._collection.config.columns)

    def replace_ref_docs(
        self, nodes: Sequence[BaseNode], *, ref_doc_ids: Sequence[str] = (), **kwargs: Any
    ) -> ReplaceResult:
        """Put nodes in the place of all that their documents have, all in one transaction.

        Whoever queries sees the documents as they were, or as they are afterwards, and nothing between. Nodes
        that come from no document are added.

        Args:
            nodes: All nodes that the documents are to have.
            ref_doc_ids: More documents whose nodes are to go, such as those that have none any more.
            **kwargs: Only ``domain``.

        Returns:
            The nodes' ids in order, and how many were inserted, updated, left as they were, and deleted.

        Raises:
            RecordError: A node has no embedding, or cannot be stored; nothing is written then.
        """
        collection = in_domain(self._collection, kwargs)
        return collection.replace_documents(self._batch(nodes), document_ids=ref_doc_ids)

    async def areplace_ref_docs(
        self, nodes: Sequence[BaseNode], *, ref_doc_ids: Sequence[str] = (), **kwargs: Any
    ) -> ReplaceResult:
        """Put nodes in the place of all that their documents have; see `replace_ref_docs`."""
        collection = on_this_loop(in_domain(self._collection, kwargs))
        return await collection.replace_documents(self._batch(nodes), document_ids=ref_doc_ids)

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete all nodes of a source document; one that is not known is no error."""
        in_domain(self._collection, delete_kwargs).delete(document_ids=[ref_doc_id])

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete all nodes of a source document; see `delete`."""
        await on_this_loop(in_domain(self._collection, delete_kwargs)).delete(document_ids=[ref_doc_id])

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Delete the nodes with these ids that also pass *filters*; without either nothing is deleted.

        Raises:
            FilterError: *filters* is empty, which would mean everything: call `clear` for that.
        """
        collection = in_domain(self._collection, delete_kwargs)
        if node_ids is not None or filters is not None:
            collection.delete(node_ids, filter=_restricting(filters))

    async def adelete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Delete nodes; see `delete_nodes`."""
        collection = in_domain(self._collection, delete_kwargs)
        if node_ids is not None or filters is not None:
            await on_this_loop(collection).delete(node_ids, filter=_restricting(filters))

    def clear(self, **kwargs: Any) -> None:
        """Delete all nodes of this store's domain, or of the one that is passed as ``domain``."""
        in_domain(self._collection, kwargs).clear()

    async def aclear(self, **kwargs: Any) -> None:
        """Delete all nodes of this store's domain; see `clear`."""
        await on_this_loop(in_domain(self._collection, kwargs)).clear()

    def persist(self, persist_path: str, fs: Any = None) -> None:
        """Do nothing: everything is in the database already."""


def _restricting(filters: MetadataFilters | None) -> Filter | None:
    """Return *filters* for a deletion, where an empty one must not mean everything."""
    wanted = to_filter(filters)
    if filters is not None and wanted is None:
        msg = "empty filters would delete every node; to do that, call clear()"
        raise FilterError(msg)
    return wanted
