"""LangChain's own conformance suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from pgrecall.langchain import PGRecallVectorStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.vectorstores import VectorStore


class TestPGRecallVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, url: str) -> Iterator[VectorStore]:
        store = PGRecallVectorStore(self.get_embeddings(), url=url)
        yield store
        store.close()
