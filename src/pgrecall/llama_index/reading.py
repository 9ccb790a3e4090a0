"""Reading nodes without a query: by id and filter, counting them, and the documents that they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import BasePydanticVectorStore, MetadataFilters

from pgrecall.checks import check_range
from pgrecall.collection.keywords import in_domain
from pgrecall.llama_index.filters import to_filter
from pgrecall.llama_index.loops import on_this_loop
from pgrecall.llama_index.nodes import to_node

if TYPE_CHECKING:
    from pgrecall.collection import Collection
    from pgrecall.collection.writing.documents import SourceDocumentPage
    from pgrecall.filters import Filter
    from pgrecall.records import Page

_EXTRAS: Final = ("embedding", "envelope")
_PAGE: Final = 1_000
_MAX_NODES: Final = 2**31 - 1


class ReadMethods(BasePydanticVectorStore):
    """Reads nodes, of the store's domain or of the one that a call passes as ``domain``."""

    _collection: Collection = PrivateAttr()

    def get_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        limit: int | None = None,
        **kwargs: Any,
    ) -> list[BaseNode]:
        """Return nodes with their embeddings, in the order of their ids.

        Args:
            node_ids: Only nodes with these ids; an empty list gives none.
            filters: Only nodes that pass.
            limit: Most nodes; all unless given.
            **kwargs: Only ``domain``.

        Raises:
            FilterError: A filter is not supported.
        """
        collection = in_domain(self._collection, kwargs)
        wanted, most = _selection(node_ids, filters), _most(limit)
        nodes: list[BaseNode] = []
        after: str | None = None
        while (room := min(most - len(nodes), _PAGE)) > 0:
            page = collection.list(limit=room, after=after, filter=wanted, include=_EXTRAS)
            after = _take(page, nodes)
            if after is None:
                break
        return nodes

    async def aget_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        limit: int | None = None,
        **kwargs: Any,
    ) -> list[BaseNode]:
        """Return nodes with their embeddings; see `get_nodes`."""
        collection = in_domain(self._collection, kwargs)
        wanted, most = _selection(node_ids, filters), _most(limit)
        nodes: list[BaseNode] = []
        after: str | None = None
        while (room := min(most - len(nodes), _PAGE)) > 0:
            page = await on_this_loop(collection).list(limit=room, after=after, filter=wanted, include=_EXTRAS)
            after = _take(page, nodes)
            if after is None:
                break
        return nodes

    def count(self, filters: MetadataFilters | None = None, **kwargs: Any) -> int:
        """Return how many nodes pass *filters*; all unless given."""
        return in_domain(self._collection, kwargs).count(to_filter(filters))

    async def acount(self, filters: MetadataFilters | None = None, **kwargs: Any) -> int:
        """Return how many nodes pass *filters*; see `count`."""
        return await on_this_loop(in_domain(self._collection, kwargs)).count(to_filter(filters))

    def list_ref_docs(
        self,
        *,
        limit: int = 100,
        after: str | None = None,
        prefix: str | None = None,
        filters: MetadataFilters | None = None,
        **kwargs: Any,
    ) -> SourceDocumentPage:
        """Return from which documents there are nodes, and how many, in the order of their ids, a page at a time.

        Args:
            limit: Most documents of the page, 1 to 10,000.
            after: ``next`` of the page before.
            prefix: What the documents' ids must begin with.
            filters: Which nodes count.
            **kwargs: Only ``domain``.
        """
        wanted, collection = to_filter(filters), in_domain(self._collection, kwargs)
        return collection.list_documents(limit=limit, after=after, prefix=prefix, filter=wanted)

    async def alist_ref_docs(
        self,
        *,
        limit: int = 100,
        after: str | None = None,
        prefix: str | None = None,
        filters: MetadataFilters | None = None,
        **kwargs: Any,
    ) -> SourceDocumentPage:
        """Return from which documents there are nodes; see `list_ref_docs`."""
        wanted = to_filter(filters)
        collection = on_this_loop(in_domain(self._collection, kwargs))
        return await collection.list_documents(limit=limit, after=after, prefix=prefix, filter=wanted)


def _selection(node_ids: list[str] | None, filters: MetadataFilters | None) -> Filter | None:
    if node_ids is not None and not node_ids:
        return to_filter(filters, document_ids=())  # no ids, no nodes
    return to_filter(filters, node_ids=node_ids)


def _most(limit: int | None) -> int:
    return _MAX_NODES if limit is None else check_range(limit, "limit", 0, _MAX_NODES)


def _take(page: Page, nodes: list[BaseNode]) -> str | None:
    nodes += [to_node(record) for record in page.records]
    return page.next
