"""What LangChain's users do, beyond the standard suite."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding

from pgrecall import Client, CollectionConfig, Distance
from pgrecall.errors import ConfigError, FilterError, RecordError
from pgrecall.langchain import PGRecallVectorStore

EMBEDDING = DeterministicFakeEmbedding(size=8)
DOCUMENTS = [
    Document(id="a", page_content="apple", metadata={"kind": "fruit", "n": 1}),
    Document(id="b", page_content="beet", metadata={"kind": "root", "n": 2}),
    Document(id="c", page_content="cherry", metadata={"kind": "fruit", "n": 3}),
]


class FewerEmbeddings(DeterministicFakeEmbedding):
    def embed_documents(self, texts):
        return super().embed_documents(texts)[:-1]


@pytest.fixture
def store(url):
    store = PGRecallVectorStore.from_documents(DOCUMENTS, EMBEDDING, url=url)
    yield store
    store.close()


def test_from_documents_stores_what_is_found(store):
    assert store.similarity_search("beet", k=1) == [DOCUMENTS[1]]


def test_search_with_filter_finds_only_what_passes(store):
    found = store.similarity_search("beet", k=10, filter={"kind": "fruit"})
    assert sorted(document.id for document in found) == ["a", "c"]


def test_search_with_score_gives_distances_nearest_first(store):
    found = store.similarity_search_with_score("beet", k=3)
    assert found[0][0].id == "b"
    assert found[0][1] == pytest.approx(0, abs=1e-6)
    assert [d for _, d in found] == sorted(d for _, d in found)


@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.L2, Distance.INNER_PRODUCT, Distance.L1])
def test_relevance_is_within_bounds_and_best_first(url, distance):
    config = CollectionConfig(name=f"r_{distance.value}", distance=distance)
    with Client(url) as client:
        store = PGRecallVectorStore(EMBEDDING, config, client=client)
        store.add_texts([f"text {n}" for n in range(40)])
        found = store.similarity_search_with_relevance_scores("text 3", k=40)
    scores = [score for _, score in found]
    assert len(scores) == 40
    assert all(0 <= score <= 1 for score in scores)
    assert scores == sorted(scores, reverse=True)


def test_retriever_takes_k_and_filter(store):
    retriever = store.as_retriever(search_kwargs={"k": 2, "filter": {"kind": "fruit"}})
    assert len(retriever.invoke("apple")) == 2
    assert [d.id for d in retriever.invoke("apple", k=1)] == ["a"]
    assert "PGRecallVectorStore" in retriever.tags


def test_retriever_with_score_threshold_keeps_only_the_similar(store):
    retriever = store.as_retriever(search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.99})
    assert [d.id for d in retriever.invoke("apple")] == ["a"]


def test_unknown_keyword_is_refused_with_the_nearest_name(store):
    with pytest.raises(ConfigError, match="did you mean 'filter'"):
        store.similarity_search("x", filters={"kind": "fruit"})
    with pytest.raises(ConfigError, match="did you mean 'domain'"):
        store.add_texts(["x"], domains="a")
    with pytest.raises(ConfigError, match="did you mean 'collection'"):
        PGRecallVectorStore.from_texts(["x"], EMBEDDING, colle="c")


@pytest.mark.parametrize("bad", ["kind", ["kind"], 3])
def test_filter_that_is_no_mapping_is_refused(store, bad):
    with pytest.raises(FilterError):
        store.similarity_search("x", filter=bad)


def test_generators_are_written_whole(store):
    ids = store.add_texts(f"text {n}" for n in range(2500))
    assert len(ids) == len(set(ids)) == 2500
    assert store.collection.count() == 2503


def test_generator_of_documents_is_taken_in_batches(store):
    taken = []

    def documents():
        for n in range(25):
            taken.append(n)
            yield Document(id=f"g{n}", page_content=f"g {n}")

    assert store.add_documents(documents(), batch_size=10) == [f"g{n}" for n in range(25)]
    assert len(taken) == 25


def test_fewer_embeddings_than_texts_is_an_error_and_writes_nothing(url):
    store = PGRecallVectorStore(FewerEmbeddings(size=8), url=url)
    with pytest.raises(ConfigError, match="3 texts, but 2 embeddings"):
        store.add_documents(DOCUMENTS)
    assert store.collection.count() == 0
    store.close()


def test_lengths_that_differ_are_an_error(store):
    with pytest.raises(ConfigError, match="2 texts, but 1 ids"):
        store.add_texts(["x", "y"], ids=["1"])
    with pytest.raises(ConfigError, match="metadatas"):
        store.add_texts((text for text in ["x"]), metadatas=[{}, {}])


def test_bad_document_writes_nothing_of_the_call(store):
    with pytest.raises(RecordError, match="NUL"):
        store.add_documents([Document(page_content="good"), Document(page_content="b\x00d")])
    assert store.collection.count() == 3


def test_one_string_is_not_a_list_of_texts(store):
    with pytest.raises(ConfigError, match="not one string"):
        store.add_texts("hello")


def test_documents_of_the_caller_are_not_changed(store):
    document = Document(page_content="x", metadata={"a": [1]})
    store.add_documents([document])
    assert document.id is None
    assert document.metadata == {"a": [1]}


def test_delete_needs_a_condition(store):
    with pytest.raises(ConfigError, match="delete_all=True"):
        store.delete()
    with pytest.raises(FilterError, match="empty filter"):
        store.delete(filter={})
    assert store.delete(["nope"]) is True
    assert store.delete(filter={"kind": "fruit"}) is True
    assert store.collection.count() == 1


def test_domains_do_not_see_each_other(store):
    store.add_texts(["other apple"], ids=["a"], domain="other")
    assert [d.page_content for d in store.similarity_search("apple", k=5, domain="other")] == ["other apple"]
    assert store.get_by_ids(["a"])[0].page_content == "apple"
    with pytest.raises(ConfigError, match="domain"):
        store.similarity_search("apple", domain=None)


def test_search_of_nothing_written_is_empty(url):
    store = PGRecallVectorStore(EMBEDDING, "nothing", url=url)
    assert store.similarity_search("x") == []
    assert store.get_by_ids(["x"]) == []
    assert store.delete(["x"]) is True
    store.close()


def test_add_embeddings_takes_pairs(store):
    pairs = [("seven", EMBEDDING.embed_query("seven"))]
    assert store.add_embeddings(iter(pairs), [{"n": 7}], ids=["7"]) == ["7"]
    assert store.similarity_search_by_vector(pairs[0][1], k=1)[0].metadata == {"n": 7}


async def test_asynchronous_methods_answer_as_blocking_ones(store):
    vector = EMBEDDING.embed_query("beet")
    assert await store.asimilarity_search("beet", k=2) == store.similarity_search("beet", k=2)
    assert await store.asimilarity_search_by_vector(vector, k=2) == store.similarity_search_by_vector(vector, k=2)
    assert await store.asimilarity_search_with_score("beet") == store.similarity_search_with_score("beet")
    assert await store.asimilarity_search_with_score_by_vector(vector) == store.similarity_search_with_score_by_vector(
        vector
    )
    assert await store.asimilarity_search_with_relevance_scores(
        "beet"
    ) == store.similarity_search_with_relevance_scores("beet")
    await store.aadd_embeddings([("x", vector)], ids=["x"])
    assert await store.aget_by_ids(["x", "a"]) == store.get_by_ids(["x", "a"])
    assert await store.adelete(["x"]) is True
    await store.aclose()


def test_store_serves_one_loop_after_the_other(store):
    for _ in range(3):
        assert asyncio.run(store.asimilarity_search("apple", k=1))[0].id == "a"


async def test_afrom_documents_stores(url):
    store = await PGRecallVectorStore.afrom_documents(DOCUMENTS, EMBEDDING, url=url)
    assert [d.id for d in await store.asimilarity_search("cherry", k=1)] == ["c"]
    await store.aclose()


async def test_embedding_runs_on_the_callers_loop(url):
    seen = []

    class Model(DeterministicFakeEmbedding):
        async def aembed_documents(self, texts):
            seen.append(asyncio.get_running_loop())
            return self.embed_documents(texts)

    store = PGRecallVectorStore(Model(size=8), url=url)
    await store.aadd_texts(["x"])
    assert seen == [asyncio.get_running_loop()]
    await store.aclose()


def test_representation_hides_the_password():
    store = PGRecallVectorStore(EMBEDDING, "t", url="postgresql://me:hunter2@localhost/db")
    assert "hunter2" not in repr(store)
