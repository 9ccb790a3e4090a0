"""LangChain's key-value stores: its conformance suite, documents as they were, and the parents of chunks."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import numpy as np
import pytest
from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_classic.retrievers import ParentDocumentRetriever
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_tests.integration_tests.base_store import BaseStoreAsyncTests, BaseStoreSyncTests
from langchain_text_splitters import CharacterTextSplitter

from pgrecall import Client
from pgrecall.errors import ConfigError, RecordError
from pgrecall.langchain import PGRecallByteStore, PGRecallDocumentStore, PGRecallVectorStore

EMBEDDING = DeterministicFakeEmbedding(size=8)
DOCUMENTS = (
    Document(page_content="one", metadata={"n": 1}),
    Document(id="2", page_content="two"),
    Document(page_content=""),
)


class ByteSuite:
    @pytest.fixture
    def kv_store(self, url):
        with PGRecallByteStore("suite", url=url) as store:
            yield store

    @pytest.fixture
    def three_values(self):
        return (b"foo", b"bar", b"\x00\xff")


class DocumentSuite:
    @pytest.fixture
    def kv_store(self, url):
        with PGRecallDocumentStore("suite", url=url) as store:
            yield store

    @pytest.fixture
    def three_values(self):
        return DOCUMENTS


class TestByteStore(ByteSuite, BaseStoreSyncTests[bytes]):
    pass


class TestByteStoreAsync(ByteSuite, BaseStoreAsyncTests):
    pass


class TestDocumentStore(DocumentSuite, BaseStoreSyncTests[Document]):
    pass


class TestDocumentStoreAsync(DocumentSuite, BaseStoreAsyncTests):
    pass


@pytest.fixture
def documents(url):
    with PGRecallDocumentStore("parents", url=url) as store:
        yield store


METADATAS = [
    {},
    {"text": "é𝄞", "n": 2**70, "f": 0.1, "whole": 1e20, "none": None, "yes": True},
    {"at": datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "naive": datetime(2024, 1, 2), "day": date(2024, 1, 2)},  # noqa: DTZ001
    {"zone": datetime(2024, 1, 2, tzinfo=timezone(timedelta(hours=5, minutes=30)))},
    {"id": UUID(int=7), "price": Decimal("1.10"), "large": Decimal("12345678901234567890.123456789")},
    {"pair": (1, (date(2024, 1, 2), "x")), "list": [UUID(int=1), [Decimal(2)]], "deep": {"a": {"b": [date(1, 1, 1)]}}},
    {"scalar": np.float32(0.1), "whole": np.int64(7), "flag": np.bool_(True)},
]


@pytest.mark.parametrize("metadata", METADATAS)
def test_documents_come_back_as_they_were(documents, metadata):
    document = Document(id="an id", page_content="text", metadata=metadata)
    documents.mset([("k", document)])
    (found,) = documents.mget(["k"])
    assert found == document
    assert typed(found.metadata) == typed(metadata)


def typed(value):
    if isinstance(value, dict):
        return {key: typed(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value), [typed(inner) for inner in value]
    return type(value), getattr(value, "tzinfo", None), str(value)


def test_arrays_come_back_as_they_were(documents):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    documents.mset([("k", Document(page_content="x", metadata={"a": array}))])
    found = documents.mget(["k"])[0].metadata["a"]
    assert found.dtype == array.dtype
    assert (found == array).all()


@pytest.mark.parametrize("text", ["", "a\x00b", "\ud800", "[1,2]", '"', "é𝄞\n" * 50_000, "1" * 30])
def test_any_text_of_a_document_comes_back(documents, text):
    documents.mset([("k", Document(page_content=text, id=text or None))])
    (found,) = documents.mget(["k"])
    assert (found.page_content, found.id) == (text, text or None)


def test_documents_are_not_changed_by_being_stored(documents):
    metadata = {"at": datetime(2024, 1, 2, tzinfo=UTC), "list": [1, (2,)]}
    document = Document(page_content="x", metadata=metadata)
    before = document.model_copy(deep=True)
    documents.mset([("k", document)])
    assert document == before
    assert document.metadata["list"][1] == (2,)


def test_a_document_that_cannot_be_stored_is_named_and_nothing_is_stored(documents):
    good = Document(page_content="x")
    for bad, reason in (
        (Document(page_content="x", metadata={"a": float("nan")}), "NaN"),
        (Document(page_content="x", metadata={"a": object()}), "JSON"),
        ("text", "must be a Document, not str"),
    ):
        with pytest.raises(RecordError, match=rf"'b'.*{reason}"):
            documents.mset([("a", good), ("b", bad)])
    assert documents.mget(["a"]) == [None]


def test_bytes_and_documents_of_another_namespace_or_domain_do_not_meet(url):
    with Client(url) as client:
        stores = [
            PGRecallDocumentStore("parents", client=client),
            PGRecallDocumentStore("parents", client=client, domain="acme"),
            PGRecallDocumentStore("parents", client=client, schema="new"),
            PGRecallDocumentStore("others", client=client),
        ]
        for number, store in enumerate(stores):
            store.mset([("shared", Document(page_content=str(number)))])
        assert [store.mget(["shared"])[0].page_content for store in stores] == list("0123")
        stores[0].mdelete(["shared"])
        assert [len(list(store.yield_keys())) for store in stores] == [0, 1, 1, 1]


def test_prefixes_hold_no_wildcards(url):
    with PGRecallByteStore("b", url=url) as store:
        store.mset([(key, b"") for key in ("50%", "50%_", "50x", "5_", "5\\")])
        assert list(store.yield_keys(prefix="50%")) == ["50%", "50%_"]
        assert list(store.yield_keys(prefix="5_")) == ["5_"]
        assert list(store.yield_keys(prefix="5\\")) == ["5\\"]


async def test_ten_thousand_keys(url):
    async with PGRecallByteStore("b", url=url) as store:
        pairs = [(f"{n:05}", str(n).encode()) for n in range(10_000)]
        await store.amset(pairs)
        assert [key async for key in store.ayield_keys()] == [key for key, _ in pairs]
        assert await store.amget([key for key, _ in pairs]) == [value for _, value in pairs]
        await store.amdelete([key for key, _ in pairs[1:]])
        assert [key async for key in store.ayield_keys(prefix="0")] == ["00000"]


def test_many_threads_and_loops_share_a_store(url):
    with PGRecallByteStore("b", url=url) as store:

        def blocking(number):
            store.mset([(f"b{number}", b"1")])

        def own_loop(number):
            asyncio.run(store.amset([(f"l{number}", b"1")]))

        threads = [threading.Thread(target=work, args=(n,)) for n in range(6) for work in (blocking, own_loop)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(list(store.yield_keys())) == 12


async def test_blocking_methods_work_within_a_running_loop(url):
    async with PGRecallByteStore("b", url=url) as store:
        store.mset([("a", b"1")])
        assert await store.amget(["a"]) == store.mget(["a"]) == [b"1"]


def test_the_constructor_says_what_is_wrong(url):
    with Client(url) as client:
        with pytest.raises(ConfigError, match="not both"):
            PGRecallByteStore("b", url=url, client=client)
        with pytest.raises(ConfigError, match="namespace"):
            PGRecallByteStore("", client=client)
        with pytest.raises(ConfigError, match="domain"):
            PGRecallByteStore("b", client=client, domain="")
        store = PGRecallByteStore(namespace="b", client=client.asynchronous)
        store.mset([("a", b"1")])
        store.close()
        assert store.mget(["a"]) == [b"1"]


def test_repr_shows_no_secret():
    store = PGRecallDocumentStore("parents", url="postgresql://me:hunter2@nowhere/db", domain="acme")
    assert (
        repr(store)
        == "<PGRecallDocumentStore over <AsyncKeyValues 'parents' in public.pgrecall_values, domain 'acme'>>"
    )


def test_parent_documents_are_found_by_their_chunks(url, documents):
    with Client(url) as client:
        retriever = ParentDocumentRetriever(
            vectorstore=PGRecallVectorStore(EMBEDDING, client=client),
            docstore=documents,
            child_splitter=CharacterTextSplitter(chunk_size=20, chunk_overlap=0, separator=". "),
            search_kwargs={"k": 2},
        )
        parents = [
            Document(page_content="The cat sat. The dog ran. The end.", metadata={"at": date(2024, 1, 2)}),
            Document(page_content="Locks are held. Locks are let go.", metadata={"n": (1, 2)}),
        ]
        retriever.add_documents(parents, ids=["p1", "p2"])
        assert retriever.invoke("Locks are held")[0] == parents[1]
        assert asyncio.run(retriever.ainvoke("The dog ran"))[0] == parents[0]


def test_embeddings_are_cached_in_bytes(url):
    with PGRecallByteStore("embeddings", url=url) as store:
        cached = CacheBackedEmbeddings.from_bytes_store(EMBEDDING, store, namespace="m", key_encoder="sha256")
        assert cached.embed_documents(["a", "b"]) == EMBEDDING.embed_documents(["a", "b"])
        assert len(list(store.yield_keys(prefix="m"))) == 2
        assert cached.embed_documents(["b"]) == EMBEDDING.embed_documents(["b"])
