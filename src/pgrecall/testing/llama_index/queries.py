"""Queries, and the index over a store."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from llama_index.core import Document, MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.indices.query.embedding_utils import get_top_k_mmr_embeddings
from llama_index.core.vector_stores.types import FilterOperator, VectorStoreQueryMode

from pgrecall.testing.llama_index.calls import NEAR, SuiteProperties, asked, four, where

if TYPE_CHECKING:
    from llama_index.core.vector_stores.types import BasePydanticVectorStore

    from pgrecall.testing.llama_index.calls import Calls

_EVEN = where(("kind", "even", FilterOperator.EQ))


class QueryTests(SuiteProperties):
    """A store answers queries."""

    def test_query_finds_the_nearest_first(self, filled: Calls) -> None:
        """And no more than asked for."""
        assert filled.found() == ["x", "xy", "y", "z"]
        assert filled.found(similarity_top_k=2) == ["x", "xy"]

    def test_query_of_an_empty_store_finds_nothing(self, calls: Calls) -> None:
        """Before anything was added, too."""
        assert calls.found() == []

    def test_similarities_are_higher_for_what_is_nearer(self, filled: Calls) -> None:
        """One for each node, since postprocessors cut by them."""
        similarities = filled.query(asked()).similarities
        assert similarities is not None
        assert similarities == sorted(similarities, reverse=True)
        assert len(similarities) == len(four())
        assert all(math.isfinite(similarity) for similarity in similarities)

    def test_nodes_belong_to_the_ids(self, filled: Calls) -> None:
        """With text and metadata."""
        if not self.returns_nodes:
            pytest.skip("the store returns no nodes")
        result = filled.query(asked())
        assert [node.node_id for node in result.nodes or ()] == result.ids
        assert [node.get_content() for node in result.nodes or ()] == [node.get_content() for node in four()]
        assert [node.metadata for node in result.nodes or ()] == [node.metadata for node in four()]
        assert [node.ref_doc_id for node in result.nodes or ()] == [node.ref_doc_id for node in four()]

    def test_filters_restrict_before_the_nearest_are_taken(self, filled: Calls) -> None:
        """As many come back as pass, if so many are asked for."""
        assert filled.found(filters=_EVEN, similarity_top_k=2) == ["x", "z"]

    def test_node_ids_restrict(self, filled: Calls) -> None:
        """Together with filters."""
        assert filled.found(node_ids=["z", "y", "nope"]) == ["y", "z"]
        assert filled.found(node_ids=["z", "y"], filters=_EVEN) == ["z"]

    def test_empty_node_ids_mean_what_the_retriever_means(self, filled: Calls) -> None:
        """A retriever of an index passes an empty list where nothing is to be restricted."""
        assert len(filled.found(node_ids=[])) == (len(four()) if self.empty_node_ids == "all" else 0)

    def test_doc_ids_restrict_and_none_of_them_leaves_nothing(self, filled: Calls) -> None:
        """They say what somebody may see, so an empty list is not everything."""
        if not self.has_doc_ids:
            pytest.skip("the store does not know doc_ids")
        assert filled.found(doc_ids=["first"]) == ["x", "y"]
        assert filled.found(doc_ids=["first"], filters=_EVEN, node_ids=["x", "z"]) == ["x"]
        assert filled.found(doc_ids=[]) == []

    @pytest.mark.parametrize("embedding", [None, [0.0, 0.0, 0.0]])
    def test_query_without_direction_lists(self, filled: Calls, embedding: list[float] | None) -> None:
        """What passes the filters, up to as many as asked for."""
        if not self.lists_without_embedding:
            pytest.skip("the store needs an embedding")
        assert sorted(filled.found(embedding=embedding, filters=_EVEN)) == ["x", "z"]
        assert len(filled.found(embedding=embedding, similarity_top_k=3)) == 3

    @pytest.mark.parametrize("threshold", [None, 0.0, 0.4, 1.0])
    def test_mmr_has_the_frameworks_picks_and_scores(self, filled: Calls, threshold: float | None) -> None:
        """The keyword is how a retriever passes the threshold."""
        if not self.has_mmr:
            pytest.skip("the store has no MMR")
        result = filled.query(
            asked(mode=VectorStoreQueryMode.MMR, similarity_top_k=3, mmr_threshold=0.9), mmr_threshold=threshold
        )
        nodes = four()
        scores, ids = get_top_k_mmr_embeddings(
            list(NEAR),
            [node.get_embedding() for node in nodes],
            similarity_top_k=3,
            embedding_ids=[node.node_id for node in nodes],
            mmr_threshold=threshold,
        )
        assert result.ids == ids
        assert result.similarities == pytest.approx(scores, abs=1e-6)

    def test_mode_that_there_is_not_is_an_error(self, filled: Calls) -> None:
        """And no silent search of another kind."""
        with pytest.raises(ValueError, match="mode"):
            filled.query(asked(mode="no such mode"))

    def test_index_inserts_retrieves_and_deletes(self, store: BasePydanticVectorStore) -> None:
        """As `VectorStoreIndex` does it."""
        if not self.returns_nodes:
            pytest.skip("the store returns no nodes")
        index = VectorStoreIndex.from_documents(
            [Document(id_=f"d{number}", text=f"document {number}") for number in range(3)],
            storage_context=StorageContext.from_defaults(vector_store=store),
            embed_model=MockEmbedding(3),
        )
        retriever = index.as_retriever(similarity_top_k=9)
        assert {hit.node.ref_doc_id for hit in retriever.retrieve("x")} == {"d0", "d1", "d2"}
        index.delete_ref_doc("d1")
        again = VectorStoreIndex.from_vector_store(store, embed_model=MockEmbedding(3))
        assert {hit.node.ref_doc_id for hit in again.as_retriever(similarity_top_k=9).retrieve("x")} == {"d0", "d2"}
