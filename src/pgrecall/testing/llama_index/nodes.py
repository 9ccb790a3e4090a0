"""Adding nodes, getting them back, and deleting them."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest
from llama_index.core import StorageContext
from llama_index.core.schema import ImageNode, IndexNode, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import FilterOperator, MetadataFilters

from pgrecall.testing.llama_index.calls import NEAR, SuiteProperties, four, node, where

if TYPE_CHECKING:
    import pathlib

    from llama_index.core.schema import BaseNode
    from llama_index.core.vector_stores.types import BasePydanticVectorStore

    from pgrecall.testing.llama_index.calls import Calls

_EQ = FilterOperator.EQ
_KINDS: list[BaseNode] = [
    TextNode(
        id_="full",
        text="full",
        embedding=list(NEAR),
        metadata={"a": 1, "tags": ["x", "y"]},
        excluded_llm_metadata_keys=["a"],
        excluded_embed_metadata_keys=["tags"],
        metadata_template="{key}={value}",
        text_template="{content} {metadata_str}",
        start_char_idx=3,
        end_char_idx=7,
        relationships={
            NodeRelationship.SOURCE: RelatedNodeInfo(node_id="doc", metadata={"a": 1}, hash="h"),
            NodeRelationship.NEXT: RelatedNodeInfo(node_id="next"),
            NodeRelationship.CHILD: [RelatedNodeInfo(node_id="c1"), RelatedNodeInfo(node_id="c2")],
        },
    ),
    IndexNode(id_="index", text="index", index_id="i", embedding=list(NEAR)),
    ImageNode(id_="image", text="image", image_url="http://example.org/i.png", embedding=list(NEAR)),
]


class NodeTests(SuiteProperties):
    """A store keeps nodes."""

    def test_store_is_true_and_persists_without_effort(
        self, store: BasePydanticVectorStore, tmp_path: pathlib.Path
    ) -> None:
        """An empty store is not falsy, or `StorageContext` would put another in its place."""
        assert store
        context = StorageContext.from_defaults(vector_store=store)
        assert context.vector_store is store
        context.persist(str(tmp_path / "context"))

    def test_add_returns_one_id_per_node_in_order(self, calls: Calls) -> None:
        """Callers zip nodes and ids."""
        assert calls.add(reversed_four()) == ["z", "y", "xy", "x"]
        assert calls.add([]) == []

    def test_add_replaces_by_id(self, calls: Calls) -> None:
        """Adding a node again does not double it."""
        calls.add(four())
        calls.add([node("z", NEAR, "second")])
        assert calls.found() == ["z", "x", "xy", "y"]

    def test_add_needs_embeddings(self, calls: Calls) -> None:
        """A node without embedding is an error, and nothing is added."""
        with pytest.raises(ValueError, match="embedding"):
            calls.add([TextNode(id_="none", text="no embedding")])
        assert calls.found() == []

    def test_delete_removes_the_nodes_of_a_document(self, filled: Calls) -> None:
        """Deleting what is not there is no error."""
        for _ in range(2):
            filled.delete("first")
            filled.delete("never heard of")
        assert filled.found() == ["xy", "z"]

    def test_delete_nodes_by_ids_and_filters(self, filled: Calls) -> None:
        """Both conditions have to be met."""
        filled.delete_nodes(["x", "y", "nope"], where(("kind", "odd", _EQ)))
        assert filled.found() == ["x", "xy", "z"]
        filled.delete_nodes(filters=where(("kind", "even", _EQ)))
        assert filled.found() == ["xy"]
        filled.delete_nodes(["xy"])
        assert filled.found() == []

    def test_delete_nodes_of_no_ids_deletes_nothing(self, filled: Calls) -> None:
        """An empty list is a list, also beside filters."""
        filled.delete_nodes([])
        filled.delete_nodes([], where(("kind", "even", _EQ)))
        assert len(filled.found()) == 4

    def test_delete_nodes_deletes_nothing_unasked(self, filled: Calls) -> None:
        """A condition that was left out, or came out empty, does not empty the store."""
        if not self.deletes_nothing_unasked:
            pytest.skip("the store deletes everything where no condition is given")
        filled.delete_nodes()
        with pytest.raises(ValueError, match="empty"):
            filled.delete_nodes(filters=MetadataFilters(filters=[]))
        assert len(filled.found()) == 4

    def test_clear_empties_the_store(self, filled: Calls) -> None:
        """It can be filled again."""
        filled.clear()
        assert filled.found() == []
        filled.add(four())
        assert len(filled.found()) == 4

    def test_get_nodes_selects(self, filled: Calls) -> None:
        """By ids, by filters, by both; no ids give no nodes."""
        self._needs_get_nodes()
        assert sorted(ids(filled.get_nodes(["z", "x", "nope"]))) == ["x", "z"]
        assert sorted(ids(filled.get_nodes(filters=where(("kind", "odd", _EQ))))) == ["xy", "y"]
        assert ids(filled.get_nodes(["x", "y"], where(("kind", "odd", _EQ)))) == ["y"]
        assert filled.get_nodes([]) == []

    def test_get_nodes_brings_embeddings(self, filled: Calls) -> None:
        """As lists of Python's own floats."""
        self._needs_get_nodes()
        (found,) = filled.get_nodes(["xy"])
        assert type(found.embedding) is list
        assert [type(number) for number in found.embedding] == [float] * 3
        assert found.embedding == pytest.approx([1.0, 1.0, 0.0])

    @pytest.mark.parametrize("original", _KINDS, ids=lambda kind: kind.class_name())
    def test_node_comes_back_as_it_was(self, calls: Calls, original: BaseNode) -> None:
        """With its relationships, templates, excluded keys, and its kind."""
        self._needs_get_nodes()
        calls.add([original])
        (found,) = calls.get_nodes([original.node_id])
        assert type(found) is type(original)
        assert {**found.model_dump(), "embedding": None} == {**original.model_dump(), "embedding": None}

    def test_store_survives_serialisation(self, filled: Calls) -> None:
        """What comes back knows the same nodes."""
        if not self.is_serialisable:
            pytest.skip("the store cannot be serialised")
        store = filled.store
        assert type(store).from_dict(store.to_dict()).to_dict() == store.to_dict()
        assert pickle.loads(pickle.dumps(store)).to_dict() == store.to_dict()  # noqa: S301 - its own

    def _needs_get_nodes(self) -> None:
        if not self.has_get_nodes:
            pytest.skip("the store has no get_nodes")


def reversed_four() -> list[TextNode]:
    """Return the four nodes, the farthest first."""
    return list(reversed(four()))


def ids(nodes: list[BaseNode]) -> list[str]:
    """Return the ids of nodes."""
    return [one.node_id for one in nodes]
