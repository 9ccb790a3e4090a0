"""What LlamaIndex relies on in a vector store, as tests: LlamaIndex itself publishes none.

Derive from `VectorStoreTests` in a test module and give it a store that is empty::

    class TestMyStore(VectorStoreTests):
        @pytest.fixture
        def store(self):
            with MyVectorStore("conformance") as store:
                yield store
                store.clear()

Each test runs with the store's blocking methods and with its asynchronous ones. Where the framework leaves open what
is right, or a store cannot do something, a property says so: override it.
"""

from __future__ import annotations

try:
    import pytest
except ModuleNotFoundError as error:  # the reader of the message has to know what is missing
    msg = "pgrecall.testing needs pytest: pip install pytest"
    raise ModuleNotFoundError(msg, name=error.name) from error

from pgrecall.testing.llama_index.filters import FilterTests
from pgrecall.testing.llama_index.nodes import NodeTests
from pgrecall.testing.llama_index.queries import QueryTests

__all__ = ["VectorStoreTests"]

del pytest


class VectorStoreTests(NodeTests, QueryTests, FilterTests):
    """The whole suite; see `SuiteProperties` for what can be overridden."""
