"""LangChain's store and retriever searching by words, and by words and embedding together."""

from __future__ import annotations

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_tests.integration_tests import RetrieversIntegrationTests

from pgrecall import Client, CollectionConfig, ReciprocalRank
from pgrecall.errors import ConfigError, FilterError, SchemaError
from pgrecall.langchain import PGRecallRetriever, PGRecallVectorStore, number_chunks

MODEL = DeterministicFakeEmbedding(size=8)
TEXTS = {
    "locks": "Row level locks are held until the transaction ends.",
    "table": "Table locks block the whole table.",
    "vacuum": "VACUUM frees what dead rows take up.",
    "wal": "The write-ahead log is flushed at commit.",
}


class NoModel(Embeddings):
    """Words need no model."""

    def embed_query(self, text):
        raise AssertionError

    def embed_documents(self, texts):
        raise AssertionError


def config(name="words"):
    return CollectionConfig(name=name, dimensions=8, text_search="english")


def documents():
    return [Document(id=name, page_content=text, metadata={"n": len(name)}) for name, text in TEXTS.items()]


def ids(found):
    return [document.id for document in found]


@pytest.fixture
def client(url):
    with Client(url) as client:
        yield client


@pytest.fixture
def store(client):
    store = PGRecallVectorStore(MODEL, client=client, collection=config())
    store.add_documents(documents())
    return store


async def test_words_find_without_a_model(store, client):
    blind = PGRecallVectorStore(NoModel(), client=client, collection="words")
    assert ids(blind.keyword_search("locks -table")) == ["locks"]
    assert ids(await blind.akeyword_search("locks -table")) == ["locks"]
    assert ids(blind.search("flush*", search_type="keyword")) == ["wal"]
    assert ids(await blind.asearch("flush*", search_type="keyword", k=1)) == ["wal"]
    assert ids(blind.as_retriever(search_type="keyword", k=1).invoke("commit")) == ["wal"]
    assert ids(await blind.as_retriever(search_type="keyword", k=1).ainvoke("commit")) == ["wal"]


async def test_scores_come_with_what_is_found(store):
    scored = store.keyword_search_with_score("table locks")
    assert [document.id for document, _ in scored] == ["table", "locks"]
    assert 0 < scored[1][1] < scored[0][1] < 1
    assert await store.akeyword_search_with_score("table locks") == scored
    hybrid = store.hybrid_search_with_score("table locks", alpha=0)
    assert hybrid[:2] == [(document, pytest.approx(score)) for document, score in scored]
    assert await store.ahybrid_search_with_score("table locks", alpha=0) == hybrid


async def test_filters_domains_and_thresholds_hold(store):
    assert ids(store.keyword_search("locks", filter={"n": 5})) == ids(store.keyword_search("locks"))
    assert store.keyword_search("locks", filter={"n": 3}) == []
    assert store.keyword_search("locks", domain="other") == []
    assert store.hybrid_search("locks", domain="other") == []
    assert ids(store.hybrid_search("locks", filter={"n": 3})) == ["wal"]
    best = store.keyword_search_with_score("table locks")[0][1]
    assert ids(store.keyword_search("table locks", score_threshold=best)) == ["table"]
    assert ids(await store.ahybrid_search("table locks", score_threshold=0.99)) == []


def test_fusion_can_be_chosen(store):
    for keywords in ({"fusion": "rrf"}, {"fusion": ReciprocalRank()}, {"weights": {"dense": 0.0}}, {"fusion": "union"}):
        found = store.hybrid_search("table locks", k=4, **keywords)
        assert len(found) == 4
    assert ids(store.hybrid_search("table locks", weights={"dense": 0.0}))[0] == "table"


def test_a_model_orders_anew(store):
    def shortest(query, texts):
        return [-len(text) for text in texts]

    assert ids(store.keyword_search("locks", k=1, rerank=shortest)) == ["table"]
    assert ids(store.hybrid_search("locks", k=1, rerank=shortest)) == ["table"]


def test_a_retriever_notes_scores_and_brings_neighbours(client):
    store = PGRecallVectorStore(MODEL, client=client, collection=config("book"))
    chunks = [Document(f"word{n} of the book", metadata={"source": "book"}) for n in range(9)]
    store.add_documents(number_chunks(chunks))
    for search_type in ("keyword", "hybrid"):
        retriever = store.as_retriever(search_type=search_type, k=1, window=1, score_key="score")
        keywords = {"alpha": 0} if search_type == "hybrid" else {}
        found = retriever.invoke("word4", **keywords)
        assert [document.page_content.split()[0] for document in found] == ["word3", "word4", "word5"]
        assert [("score" in document.metadata) for document in found] == [False, True, False]


def test_keywords_that_mean_nothing_are_refused(store):
    for search, keywords in (
        (store.keyword_search, {"alpha": 0.5}),
        (store.keyword_search, {"ef_search": 50}),
        (store.hybrid_search, {"lambda_mult": 0.5}),
        (store.hybrid_search, {"alpha": 0.5, "fusion": "rrf"}),
        (store.hybrid_search, {"weights": {"dense": 1}, "fusion": "union"}),
        (store.hybrid_search, {"fusion": "sum"}),
        (store.hybrid_search, {"alpha": 7}),
        (store.hybrid_search, {"score_threshold": "high"}),
        (store.hybrid_search, {"rerank": "model"}),
        (store.hybrid_search, {"weights": 3}),
        (store.as_retriever(search_type="keyword").invoke, {"alpha": 0.5}),
    ):
        with pytest.raises(ConfigError):
            search("locks", **keywords)
    with pytest.raises(FilterError):
        store.keyword_search("locks", filter={"$bad": 1})
    with pytest.raises(ValueError, match="search_kwargs"):
        store.as_retriever(search_type="hybrid", alpha=0.5)


def test_a_store_without_text_search_says_what_to_do(client):
    plain = PGRecallVectorStore(MODEL, client=client, collection="plain")
    plain.add_texts(["locks"])
    with pytest.raises(SchemaError, match="add_text_search"):
        plain.search("locks", search_type="hybrid")
    plain.collection.add_text_search("english")
    assert len(plain.search("locks", search_type="hybrid")) == 1


@pytest.mark.parametrize("search_type", ["keyword", "hybrid"])
class TestRetrieverSuite(RetrieversIntegrationTests):
    """LangChain's own suite for retrievers."""

    @pytest.fixture(autouse=True)
    def _store(self, store, search_type):
        # More words than any query of the suite leaves out.
        store.add_texts([f"foo test query example langchain {n}" for n in range(8)])
        type(self)._made = store, search_type

    @property
    def retriever_constructor(self):
        return PGRecallRetriever

    @property
    def retriever_constructor_params(self):
        store, search_type = self._made
        return {"vectorstore": store, "search_type": search_type}

    @property
    def retriever_query_example(self):
        return "example query"
