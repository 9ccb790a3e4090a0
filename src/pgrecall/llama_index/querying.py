"""Querying as LlamaIndex has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)

from pgrecall.checks import check_instance, check_list
from pgrecall.collection.keywords import in_domain
from pgrecall.errors import ConfigError
from pgrecall.llama_index.loops import on_this_loop
from pgrecall.llama_index.modes import checked_keywords, way_of
from pgrecall.llama_index.nodes import to_node, with_fields

if TYPE_CHECKING:
    from pgrecall.collection import Collection
    from pgrecall.llama_index.modes import Answer, Way
    from pgrecall.reranking import Rerank, Scorer


_PLACE: Final = ("domain",)


class QueryMethods(BasePydanticVectorStore):
    """Finds nodes."""

    search_kwargs: dict[str, Any] = Field(default_factory=dict)
    restrict_to_node_ids: bool = True

    _collection: Collection = PrivateAttr()
    _reranker: Rerank | Scorer | None = PrivateAttr(default=None)

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Return the nodes that answer *query*, best first; a higher similarity is better.

        Without an embedding, or with one of zeros, the nodes that pass the filters are listed in the order of
        their ids, without similarities.

        Args:
            query: The query. ``node_ids`` that are empty restrict nothing; ``doc_ids`` that are empty leave
                nothing; ``output_fields`` are the metadata keys that nodes come with, all of them where it is
                `None`. The mode is DEFAULT, MMR, TEXT_SEARCH, SPARSE (both by the words of ``query_str``), HYBRID,
                or SEMANTIC_HYBRID. ``alpha`` is the weight of the embedding in the last two, ``hybrid_top_k``
                how many nodes come back, and ``sparse_top_k`` how many the words contribute.
            **kwargs: What a retriever has as ``vector_store_kwargs``: ``domain``, to look in another one this
                once; the fields of `SearchOptions`, also as ``hnsw_ef_search`` and ``ivfflat_probes``; in MMR
                mode ``mmr_threshold``, which wins over the query's where it is given, and
                ``mmr_prefetch_factor`` (4 unless given) or ``mmr_prefetch_k``: from how many of the nearest
                to pick.

        Raises:
            ConfigError: The mode is not supported, a keyword is not known, or a value is out of range.
            FilterError: A filter is not supported.
            DimensionMismatch: The embedding has another length than the collection's.
        """
        collection, keywords = self._where(kwargs)
        return _result(query, self._way(query, keywords).run(collection))

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Return the nodes that answer *query*; see `query`."""
        collection, keywords = self._where(kwargs)
        return _result(query, await self._way(query, keywords).arun(on_this_loop(collection)))

    def _where(self, keywords: dict[str, Any]) -> tuple[Collection, dict[str, Any]]:
        """Return the collection in the domain that the keywords name, and the others of them."""
        others = dict(keywords)
        place = {word: others.pop(word) for word in _PLACE if word in others}
        return in_domain(self._collection, place), others

    def _way(self, query: VectorStoreQuery, keywords: dict[str, Any]) -> Way:
        check_instance(query, "query", VectorStoreQuery, "a VectorStoreQuery")
        if query.output_fields is not None:
            for field in check_list(query.output_fields, "output_fields", "metadata keys"):
                check_instance(field, "an entry of output_fields", str, "a text")
        column = self._collection.config.columns.embedding
        if query.embedding_field not in (None, "embedding", column):
            msg = f"embedding_field={query.embedding_field!r}: the only field with embeddings is {column!r}"
            raise ConfigError(msg)
        known = {**checked_keywords(self.search_kwargs), **checked_keywords(keywords)}
        if query.mode == VectorStoreQueryMode.SEMANTIC_HYBRID and self._reranker is not None:
            known.setdefault("rerank", self._reranker)
        return way_of(query, known, restrict_to_node_ids=self.restrict_to_node_ids)


def _result(query: VectorStoreQuery, answer: Answer) -> VectorStoreQueryResult:
    nodes = [to_node(row) for row in answer.rows]
    if query.output_fields is not None:
        nodes = [with_fields(node, query.output_fields) for node in nodes]
    return VectorStoreQueryResult(nodes=nodes, similarities=answer.similarities, ids=[node.node_id for node in nodes])
