"""The conformance suite that pgrecall publishes, on its own stores and on LlamaIndex's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest
from llama_index.core.vector_stores import SimpleVectorStore

from pgrecall import CollectionConfig, Distance
from pgrecall.llama_index import PGRecallVectorStore
from pgrecall.testing.llama_index import VectorStoreTests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from integration_tests.conftest import Database


class TestPGRecallVectorStore(VectorStoreTests):
    @pytest.fixture
    def store(self, module_database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[PGRecallVectorStore]:
        monkeypatch.setenv("PGRECALL_URL", module_database.url)
        with PGRecallVectorStore() as store:
            yield store
            store.clear()


class TestPGRecallVectorStoreWithFields(VectorStoreTests):
    """Another distance, and filters that are answered from columns."""

    is_serialisable = False  # without its URL, which the environment does not name here

    @pytest.fixture
    def store(self, module_database: Database) -> Iterator[PGRecallVectorStore]:
        config = CollectionConfig(name="l2", distance=Distance.L2, fields={"v": int, "kind": str})
        with PGRecallVectorStore(config, url=module_database.url) as store:
            yield store
            store.clear()


class TestSimpleVectorStore(VectorStoreTests):
    """The framework's own store, as far as it goes."""

    returns_nodes = False
    has_get_nodes = False
    has_nested_filters = False
    has_doc_ids = False
    lists_without_embedding = False
    deletes_nothing_unasked = False
    compares_unlike_types = False
    is_serialisable = False

    @property
    def empty_node_ids(self) -> Literal["all", "none"]:
        return "none"

    @pytest.fixture
    def store(self) -> SimpleVectorStore:
        return SimpleVectorStore()
