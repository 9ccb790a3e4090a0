"""What the suites have in common: the store, the two kinds of callers, and the nodes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Literal

import pytest
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llama_index.core.schema import BaseNode
    from llama_index.core.vector_stores.types import BasePydanticVectorStore, VectorStoreQueryResult

_ASYNCHRONOUS: Final = {
    "add": "async_add",
    "delete": "adelete",
    "delete_nodes": "adelete_nodes",
    "clear": "aclear",
    "get_nodes": "aget_nodes",
    "query": "aquery",
}
NEAR: Final = (1.0, 0.25, 0.0)
"""What is asked for: first the node ``x``, then ``xy``, then ``y``, then ``z``."""


class Calls:
    """A store's methods, called in one of the two ways.

    Args:
        store: The store.
        runner: Runs the asynchronous methods; without one the blocking methods are called.
    """

    def __init__(self, store: BasePydanticVectorStore, runner: asyncio.Runner | None) -> None:
        self.store = store
        self._runner = runner

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        if self._runner is None:
            return getattr(self.store, name)(*args, **kwargs)
        return self._runner.run(getattr(self.store, _ASYNCHRONOUS[name])(*args, **kwargs))

    def add(self, nodes: Sequence[BaseNode]) -> list[str]:
        """Add nodes."""
        return self._call("add", list(nodes))

    def delete(self, ref_doc_id: str) -> None:
        """Delete the nodes of a document."""
        self._call("delete", ref_doc_id)

    def delete_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> None:
        """Delete nodes."""
        self._call("delete_nodes", node_ids, filters)

    def clear(self) -> None:
        """Delete everything."""
        self._call("clear")

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """Return nodes."""
        return self._call("get_nodes", node_ids, filters)

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Return what answers a query."""
        return self._call("query", query, **kwargs)

    def found(self, **kwargs: Any) -> list[str]:
        """Return the ids of the nodes that are nearest to `NEAR`, of all that pass."""
        result = self.query(asked(**kwargs))
        return list(result.ids or [node.node_id for node in result.nodes or ()])


class SuiteProperties:
    """What a store does where the framework leaves it open; the store itself is a fixture of the test class."""

    @property
    def returns_nodes(self) -> bool:
        """Whether queries return nodes, as all stores do that have ``stores_text``."""
        return True

    @property
    def has_get_nodes(self) -> bool:
        """Whether ``get_nodes`` is there."""
        return True

    @property
    def has_mmr(self) -> bool:
        """Whether the mode MMR is there."""
        return True

    @property
    def has_nested_filters(self) -> bool:
        """Whether groups of filters can be nested."""
        return True

    @property
    def empty_node_ids(self) -> Literal["all", "none"]:
        """What a query with ``node_ids=[]`` finds; retrievers of `VectorStoreIndex` pass it and mean all."""
        return "all"

    @property
    def has_doc_ids(self) -> bool:
        """Whether ``doc_ids`` of a query count, where an empty list leaves nothing."""
        return True

    @property
    def lists_without_embedding(self) -> bool:
        """Whether a query without an embedding lists what passes the filters."""
        return True

    @property
    def deletes_nothing_unasked(self) -> bool:
        """Whether ``delete_nodes`` without arguments deletes nothing, and empty filters are refused."""
        return True

    @property
    def compares_unlike_types(self) -> bool:
        """Whether comparing a text with a number is no match, and no error."""
        return True

    @property
    def is_serialisable(self) -> bool:
        """Whether ``to_dict`` and ``from_dict``, and pickling, bring back a store that finds the same."""
        return True

    @pytest.fixture(params=["blocking", "asynchronous"])
    def calls(self, request: pytest.FixtureRequest, store: BasePydanticVectorStore) -> Iterator[Calls]:
        """The store, called in one of the two ways."""
        if request.param == "blocking":
            yield Calls(store, None)
            return
        with asyncio.Runner() as runner:
            yield Calls(store, runner)

    @pytest.fixture
    def filled(self, calls: Calls) -> Calls:
        """The store with `four` nodes."""
        calls.add(four())
        return calls


def node(node_id: str, embedding: Sequence[float] = NEAR, document: str | None = None, **metadata: Any) -> TextNode:
    """Return a node, and have it come from a document."""
    made = TextNode(id_=node_id, text=f"text of {node_id}", embedding=list(embedding), metadata=metadata)
    if document is not None:
        made.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=document)
    return made


def four() -> list[TextNode]:
    """Return four nodes, two of each of two documents, in the order in which `NEAR` finds them."""
    return [
        node("x", (1.0, 0.0, 0.0), "first", kind="even", n=2),
        node("xy", (1.0, 1.0, 0.0), "second", kind="odd", n=3),
        node("y", (0.0, 1.0, 0.0), "first", kind="odd", n=5),
        node("z", (0.0, 0.0, 1.0), "second", kind="even", n=8),
    ]


def asked(embedding: Sequence[float] | None = NEAR, **kwargs: Any) -> VectorStoreQuery:
    """Return a query, for ten nodes unless more is said."""
    fields: dict[str, Any] = {"similarity_top_k": 10, **kwargs}
    return VectorStoreQuery(query_embedding=None if embedding is None else list(embedding), **fields)


def where(
    *entries: tuple[str, Any, FilterOperator] | MetadataFilters,
    condition: FilterCondition | None = FilterCondition.AND,
) -> MetadataFilters:
    """Return filters: keys, values and operators."""
    filters = [
        entry if isinstance(entry, MetadataFilters) else MetadataFilter(key=entry[0], value=entry[1], operator=entry[2])
        for entry in entries
    ]
    return MetadataFilters(filters=filters, condition=condition)
