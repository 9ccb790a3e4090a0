"""`PGRecallVectorStore`: LlamaIndex's words for the engine's verbs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llama_index.core.bridge.pydantic import Field, PrivateAttr, TypeAdapter
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)

from pgrecall import portal
from pgrecall.collection.keywords import OPTIONS, refuse_unknown, search_options
from pgrecall.collection.opening import DEFAULT_COLLECTION, ClientLike, CollectionLike, open_collection
from pgrecall.config import CollectionConfig
from pgrecall.errors import ConfigError, FilterError
from pgrecall.llama_index.filters import to_filter
from pgrecall.llama_index.nodes import to_batch, to_node

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llama_index.core.schema import BaseNode

    from pgrecall.collection import AsyncClient, AsyncCollection, Collection
    from pgrecall.config import SearchOptions
    from pgrecall.filters import Filter
    from pgrecall.records import Match, Page

_EXTRAS: Final = ("embedding", "envelope")
_PAGE: Final = 1_000
_MAX_NODES: Final = 2**31 - 1
# What other stores call the options, and what only matters in MMR mode.
_SYNONYMS: Final = {"hnsw_ef_search": "ef_search", "ivfflat_probes": "probes"}
_MMR: Final = frozenset({"mmr_threshold", "mmr_prefetch_factor", "mmr_prefetch_k"})


class PGRecallVectorStore(BasePydanticVectorStore):
    """LlamaIndex's vector store over a pgrecall collection.

    The table is made at the first write, with the dimensions that the nodes' embeddings have; until then
    the store is empty. It may be used from any number of threads and event loops.

    Args:
        collection: Name of the table, a `CollectionConfig`, or a collection that is open already.
        url: Where the database is; see `AsyncClient`. It is in no representation of the store, so
            ``from_dict(data, url=…)`` has to be given it again.
        client: A client that is open already, instead of *url*.
        domain: The domain (tenant) to read and write; ``"default"`` unless given.
        config: What `to_dict` gives back for *collection*.
        stores_text: Always true.
        is_embedding_query: Always true.

    Raises:
        ConfigError: The arguments contradict each other.

    Example:
        >>> store = PGRecallVectorStore("documents", url="embedded://")
        >>> index = VectorStoreIndex.from_vector_store(store, embed_model=model)
        >>> index.as_retriever(similarity_top_k=3).retrieve("how do locks work?")
    """

    stores_text: bool = True
    is_embedding_query: bool = True
    config: CollectionConfig
    domain: str | None
    url: str | None = Field(default=None, exclude=True, repr=False)

    _collection: Collection = PrivateAttr()
    _client: AsyncClient | None = PrivateAttr()

    def __init__(
        self,
        collection: CollectionLike = DEFAULT_COLLECTION,
        *,
        url: str | None = None,
        client: ClientLike | None = None,
        domain: str | None = None,
        config: CollectionConfig | dict[str, Any] | None = None,
        stores_text: bool = True,
        is_embedding_query: bool = True,
    ) -> None:
        if not stores_text or not is_embedding_query:
            msg = "this store keeps text and is queried by embedding; stores_text and is_embedding_query are true"
            raise ConfigError(msg)
        if isinstance(config, dict):
            config = TypeAdapter(CollectionConfig).validate_python(config)
        opened, made = open_collection(config or collection, url=url, client=client, domain=domain)
        state: dict[str, Any] = {"config": opened.config, "domain": opened.scope.domain, "url": url}
        super().__init__(stores_text=True, **state)
        self._collection, self._client = opened, made

    @classmethod
    def class_name(cls) -> str:
        """Return the name under which LlamaIndex knows this class."""
        return "PGRecallVectorStore"

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds: neither the URL, which may have a password, nor connections."""
        kept = {name: value for name, value in self.__dict__.items() if name != "url"}
        return {"__dict__": kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state["__dict__"])

    @property
    def client(self) -> Collection:
        """The blocking collection; see `collection`."""
        return self._collection

    @property
    def collection(self) -> Collection:
        """The collection; ``collection.asynchronous`` is its asynchronous form."""
        return self._collection

    @property
    def _asynchronous(self) -> AsyncCollection:
        return self._collection.asynchronous

    def close(self) -> None:
        """Close the connections, unless the client or collection was passed in and is the caller's."""
        if self._client is not None:
            portal.call(self._client.close())

    async def aclose(self) -> None:
        """Close the connections, unless the client or collection was passed in and is the caller's."""
        if self._client is not None:
            await self._client.close()

    # -- writing ------------------------------------------------------------------------------------

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Store nodes, replacing those whose id exists, and return their ids in order.

        Raises:
            RecordError: A node has no embedding, or cannot be stored; nothing is written then.
        """
        refuse_unknown(kwargs)
        return self._collection.upsert(to_batch(nodes)).ids

    async def async_add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:
        """Store nodes; see `add`."""
        refuse_unknown(kwargs)
        return (await self._asynchronous.upsert(to_batch(nodes))).ids

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete all nodes of a source document; one that is not known is no error."""
        refuse_unknown(delete_kwargs)
        self._collection.delete(document_ids=[ref_doc_id])

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete all nodes of a source document; see `delete`."""
        refuse_unknown(delete_kwargs)
        await self._asynchronous.delete(document_ids=[ref_doc_id])

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Delete the nodes with these ids that also pass *filters*; without either nothing is deleted.

        Raises:
            FilterError: *filters* is empty, which would mean everything: call `clear` for that.
        """
        refuse_unknown(delete_kwargs)
        if node_ids is not None or filters is not None:
            self._collection.delete(node_ids, filter=_restricting(filters))

    async def adelete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Delete nodes; see `delete_nodes`."""
        refuse_unknown(delete_kwargs)
        if node_ids is not None or filters is not None:
            await self._asynchronous.delete(node_ids, filter=_restricting(filters))

    def clear(self) -> None:
        """Delete all nodes of this store's domain."""
        self._collection.clear()

    async def aclear(self) -> None:
        """Delete all nodes of this store's domain."""
        await self._asynchronous.clear()

    # -- reading ------------------------------------------------------------------------------------

    def get_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        limit: int | None = None,
    ) -> list[BaseNode]:
        """Return nodes with their embeddings, in the order of their ids.

        Args:
            node_ids: Only nodes with these ids; an empty list gives none.
            filters: Only nodes that pass.
            limit: Most nodes.
        """
        wanted, most = _selection(node_ids, filters), _MAX_NODES if limit is None else limit
        nodes: list[BaseNode] = []
        after: str | None = None
        while (room := min(most - len(nodes), _PAGE)) > 0:
            page = self._collection.list(limit=room, after=after, filter=wanted, include=_EXTRAS)
            after = _take(page, nodes)
            if after is None:
                break
        return nodes

    async def aget_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        limit: int | None = None,
    ) -> list[BaseNode]:
        """Return nodes with their embeddings; see `get_nodes`."""
        wanted, most = _selection(node_ids, filters), _MAX_NODES if limit is None else limit
        nodes: list[BaseNode] = []
        after: str | None = None
        while (room := min(most - len(nodes), _PAGE)) > 0:
            page = await self._asynchronous.list(limit=room, after=after, filter=wanted, include=_EXTRAS)
            after = _take(page, nodes)
            if after is None:
                break
        return nodes

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Return the nodes nearest to the query's embedding, best first.

        Without an embedding, the nodes that pass the filters are listed, without similarities.

        Args:
            query: The query; ``node_ids`` that are empty restrict nothing, ``doc_ids`` that are empty
                leave nothing.
            **kwargs: The fields of `SearchOptions`, also as ``hnsw_ef_search`` and ``ivfflat_probes``.

        Raises:
            ConfigError: The mode is not supported, or a keyword is not known.
            FilterError: A filter is not supported.
        """
        options, wanted = _checked(query, kwargs), _query_filter(query)
        if query.query_embedding is None:
            page = self._collection.list(limit=query.similarity_top_k, filter=wanted, include=["envelope"])
            return _listed(page)
        matches = self._collection.search(
            query.query_embedding,
            query.similarity_top_k,
            filter=wanted,
            include=["envelope"],
            options=options,
        )
        return _result(matches)

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Return the nodes nearest to the query's embedding; see `query`."""
        options, wanted = _checked(query, kwargs), _query_filter(query)
        if query.query_embedding is None:
            page = await self._asynchronous.list(limit=query.similarity_top_k, filter=wanted, include=["envelope"])
            return _listed(page)
        matches = await self._asynchronous.search(
            query.query_embedding,
            query.similarity_top_k,
            filter=wanted,
            include=["envelope"],
            options=options,
        )
        return _result(matches)

    def persist(self, persist_path: str, fs: Any = None) -> None:
        """Do nothing: everything is in the database already."""


def _checked(query: VectorStoreQuery, keywords: dict[str, Any]) -> SearchOptions:
    if query.mode != VectorStoreQueryMode.DEFAULT:
        msg = f"query mode {query.mode!r} is not supported; use VectorStoreQueryMode.DEFAULT"
        raise ConfigError(msg)
    refuse_unknown(keywords, (*OPTIONS, *_SYNONYMS, *_MMR))
    return search_options({_SYNONYMS.get(name, name): value for name, value in keywords.items()})


def _query_filter(query: VectorStoreQuery) -> Filter | None:
    return to_filter(query.filters, node_ids=query.node_ids, document_ids=query.doc_ids)


def _restricting(filters: MetadataFilters | None) -> Filter | None:
    """Return *filters* for a deletion, where an empty one must not mean everything."""
    wanted = to_filter(filters)
    if filters is not None and wanted is None:
        msg = "empty filters would delete every node; to do that, call clear()"
        raise FilterError(msg)
    return wanted


def _selection(node_ids: list[str] | None, filters: MetadataFilters | None) -> Filter | None:
    if node_ids is not None and not node_ids:
        return to_filter(filters, document_ids=())  # no ids, no nodes
    return to_filter(filters, node_ids=node_ids)


def _take(page: Page, nodes: list[BaseNode]) -> str | None:
    nodes += [to_node(record) for record in page.records]
    return page.next


def _listed(page: Page) -> VectorStoreQueryResult:
    nodes = [to_node(record) for record in page.records]
    return VectorStoreQueryResult(nodes=nodes, similarities=None, ids=[node.node_id for node in nodes])


def _result(matches: list[Match]) -> VectorStoreQueryResult:
    return VectorStoreQueryResult(
        nodes=[to_node(match) for match in matches],
        similarities=[match.score for match in matches],
        ids=[match.id for match in matches],
    )
