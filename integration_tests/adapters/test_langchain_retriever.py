"""`PGRecallRetriever`: what it finds, with what around it, and under LangChain's own retrievers."""

from __future__ import annotations

import asyncio
import math
import warnings

import pytest
from langchain_classic.retrievers import ContextualCompressionRetriever, EnsembleRetriever, MultiVectorRetriever
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.runnables import ConfigurableField
from langchain_core.stores import InMemoryStore
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests import RetrieversIntegrationTests

from pgrecall import Client, CollectionConfig, Distance
from pgrecall.errors import ConfigError, FilterError
from pgrecall.langchain import PGRecallDocumentStore, PGRecallRetriever, PGRecallVectorStore, number_chunks

MODEL = DeterministicFakeEmbedding(size=8)


class Angles(Embeddings):
    """Embeds the number that a text ends with as an angle in degrees."""

    def embed_query(self, text):
        angle = math.radians(float(text.split()[-1]))
        return [math.cos(angle), math.sin(angle)]

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


@pytest.fixture
def client(url):
    with Client(url) as client:
        yield client


def book(name, chunks, start=0, step=10):
    """Return the chunks of a book, the embedding of each *step* degrees from the one before."""
    metadata = {"source": name}
    return list(
        number_chunks(
            Document(
                id=f"{name}{n}", page_content=f"{name} {start + n * step}", metadata=metadata | {"odd": n % 2 == 1}
            )
            for n in range(chunks)
        )
    )


@pytest.fixture
def store(client):
    store = PGRecallVectorStore(Angles(), client=client)
    store.add_documents([*book("a", 6), *book("b", 4, start=100), *book("c", 1, start=170)])
    return store


def ids(documents):
    return [document.id for document in documents]


class TestPGRecallRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _store(self, store):
        self.store = store

    @property
    def retriever_constructor(self):
        return PGRecallRetriever

    @property
    def retriever_constructor_params(self):
        return {"vectorstore": self.store}

    @property
    def retriever_query_example(self):
        return "query 12"


# -- what is asked for -----------------------------------------------------------------------------


def both(retriever, query, **keywords):
    """Return what both kinds of calls find, which must be the same."""
    found = retriever.invoke(query, **keywords)
    assert asyncio.run(retriever.ainvoke(query, **keywords)) == found
    return found


def test_k_of_the_call_wins_over_search_kwargs_and_those_over_the_field(store):
    assert len(both(store.as_retriever(), "q 0")) == 4
    assert len(both(store.as_retriever(k=2), "q 0")) == 2
    assert len(both(store.as_retriever(k=2, search_kwargs={"k": 3}), "q 0")) == 3
    assert len(both(store.as_retriever(k=2, search_kwargs={"k": 3}), "q 0", k=5)) == 5


@pytest.mark.parametrize("k", [0, -1, 1.5, "3", True, 10_001])
def test_k_that_is_no_number_of_documents_is_refused(store, k):
    with pytest.raises(ValueError, match="k"):
        store.as_retriever().invoke("q 0", k=k)


def test_similarity_is_the_order_of_nearness(store):
    assert ids(both(store.as_retriever(), "q 11")) == ["a1", "a2", "a0", "a3"]


def test_score_threshold_is_inclusive_and_may_be_given_to_the_call(store):
    least = math.cos(math.radians(10))
    retriever = store.as_retriever(
        search_type="similarity_score_threshold", search_kwargs={"score_threshold": least - 1e-9}
    )
    assert set(ids(both(retriever, "q 10"))) == {"a0", "a1", "a2"}
    assert ids(both(retriever, "q 10", score_threshold=1 - 1e-9)) == ["a1"]
    assert set(ids(both(store.as_retriever(), "q 10", score_threshold=least - 1e-9))) == {"a0", "a1", "a2"}


def test_mmr_takes_its_own_keywords_in_both_places(store):
    retriever = store.as_retriever(search_type="mmr", search_kwargs={"k": 2, "fetch_k": 2})
    assert ids(both(retriever, "q 1")) == ["a0", "a1"]
    assert ids(both(retriever, "q 1", fetch_k=11, lambda_mult=0)) == ["a0", "c0"]


def test_filter_and_domain_of_the_call_win(store):
    store.add_documents(book("other", 2), domain="other")
    retriever = store.as_retriever(search_kwargs={"filter": {"source": "a"}})
    assert {document.metadata["source"] for document in both(retriever, "q 100")} == {"a"}
    assert {document.metadata["source"] for document in both(retriever, "q 100", filter={"source": "b"})} == {"b"}
    assert both(retriever, "q 100", domain="other") == []
    assert ids(both(store.as_retriever(), "q 0", domain="other")) == ["other0", "other1"]


@pytest.mark.parametrize("search_type", ["hybridd", "similarty", "", None])
def test_search_type_that_there_is_not_is_refused_with_those_there_are(store, search_type):
    with pytest.raises(ValueError, match=r"similarity_score_threshold.*mmr.*keyword.*hybrid"):
        store.as_retriever(search_type=search_type)


def test_words_that_the_retriever_does_not_know_are_refused(store):
    with pytest.raises(ValueError, match="did you mean 'score_key'"):
        store.as_retriever(score_kee="x")
    with pytest.raises(ValueError, match=r"search_kwargs=\{'filter'"):
        store.as_retriever(filter={"source": "a"})
    with pytest.raises(ValueError, match="did you mean 'window'"):
        store.as_retriever().invoke("q 0", windows=1)
    with pytest.raises(ConfigError, match="did you mean 'filter'"):
        store.as_retriever(search_kwargs={"filters": {"source": "a"}}).invoke("q 0")
    with pytest.raises(ConfigError, match="lambda_mult"):
        store.as_retriever().invoke("q 0", lambda_mult=0.5)


def test_retriever_over_another_store_is_refused():
    with pytest.raises(ValueError, match="PGRecallVectorStore"):
        PGRecallRetriever(vectorstore=InMemoryVectorStore(MODEL))


def test_overrides_of_the_planner_are_taken(store):
    retriever = store.as_retriever(search_kwargs={"exact": True})
    assert ids(both(retriever, "q 0", k=1)) == ["a0"]
    assert ids(both(store.as_retriever(), "q 0", k=1, ef_search=100, probes=3)) == ["a0"]
    with pytest.raises(ConfigError, match="ef_search"):
        retriever.invoke("q 0", ef_search=0)


# -- scores ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("search_type", ["similarity", "similarity_score_threshold", "mmr"])
def test_score_is_written_under_its_key(store, search_type):
    options = {"score_threshold": 0.1} if search_type == "similarity_score_threshold" else {}
    retriever = store.as_retriever(search_type=search_type, score_key="relevance", k=3, search_kwargs=options)
    found = both(retriever, "q 0", filter={"source": "a"})
    assert len(found) == 3
    assert found[0].metadata["relevance"] == pytest.approx(1)
    for document in found:
        angle = float(document.page_content.split()[-1])
        assert document.metadata["relevance"] == pytest.approx(math.cos(math.radians(angle)), abs=1e-6)


def test_score_is_what_the_store_says_of_relevance(client):
    store = PGRecallVectorStore(Angles(), "own", client=client, relevance_score_fn=lambda distance: 1 - distance / 2)
    store.add_texts(["x 0", "x 90", "x 180"])
    found = both(store.as_retriever(score_key="s"), "q 0")
    assert [document.metadata["s"] for document in found] == pytest.approx([1, 0.5, 0], abs=1e-6)
    assert len(both(store.as_retriever(score_key="s"), "q 0", score_threshold=0.4)) == 2


def test_score_stays_within_0_and_1_under_inner_product(client):
    config = CollectionConfig(name="products", distance=Distance.INNER_PRODUCT)
    store = PGRecallVectorStore(Angles(), config, client=client)
    store.add_embeddings([("long", [3, 0]), ("against", [-3, 0])])
    found = both(store.as_retriever(score_key="s"), "q 0")
    assert [document.metadata["s"] for document in found] == [1, 0]


def test_score_of_one_call_is_nowhere_else(store):
    assert "s" in store.as_retriever().invoke("q 0", score_key="s")[0].metadata
    assert "s" not in store.as_retriever().invoke("q 0")[0].metadata
    assert "s" not in store.get_by_ids(["a0"])[0].metadata


def test_score_key_that_is_no_key_is_refused(store):
    with pytest.raises(ConfigError, match="score_key"):
        store.as_retriever().invoke("q 0", score_key=1)
    with pytest.raises(ValueError, match="score_key"):
        store.as_retriever(score_key=1)


# -- the chunks around -----------------------------------------------------------------------------


def test_chunks_around_a_hit_come_in_the_order_of_their_document(store):
    assert ids(both(store.as_retriever(k=1, window=1), "q 21")) == ["a1", "a2", "a3"]
    assert ids(both(store.as_retriever(k=1), "q 21", window=2)) == ["a0", "a1", "a2", "a3", "a4"]


def test_window_ends_where_the_document_does(store):
    retriever = store.as_retriever(k=1, window=2)
    assert ids(both(retriever, "q 0")) == ["a0", "a1", "a2"]
    assert ids(both(retriever, "q 131")) == ["b1", "b2", "b3"]
    assert ids(both(retriever, "q 170")) == ["c0"]
    assert ids(both(retriever, "q 50", window=1000)) == [f"a{n}" for n in range(6)]


def test_hits_that_are_neighbours_of_each_other_come_once(store):
    assert ids(both(store.as_retriever(k=3, window=1), "q 21")) == ["a0", "a1", "a2", "a3", "a4"]
    assert ids(both(store.as_retriever(k=11, window=3), "q 170")) == [
        "c0",
        *(f"b{n}" for n in range(4)),
        *(f"a{n}" for n in range(6)),
    ]


def test_windows_that_meet_only_through_a_third_are_one_run(client):
    store = PGRecallVectorStore(Angles(), client=client)
    angles = [0, 90, 1, 90, 2]
    store.add_documents(
        number_chunks(
            Document(id=str(n), page_content=f"x {a}", metadata={"source": "s"}) for n, a in enumerate(angles)
        )
    )
    retriever = store.as_retriever(window=1, search_kwargs={"filter": {"chunk_index": {"$in": [0, 2, 4, 1]}}})
    assert ids(both(retriever, "q 0", k=2)) == ["0", "1", "2"]
    assert ids(both(store.as_retriever(window=1), "q 0", k=3)) == ["0", "1", "2", "3", "4"]


def test_runs_stand_in_the_order_of_their_best_hits(store):
    found = both(store.as_retriever(k=4, window=1, search_kwargs={"filter": {"source": {"$in": ["a", "b"]}}}), "q 76")
    assert ids(found) == ["b0", "b1", "b2", "a3", "a4", "a5"]


def test_neighbours_must_pass_the_filter_too(store):
    retriever = store.as_retriever(k=1, window=3, search_kwargs={"filter": {"odd": True}})
    assert ids(both(retriever, "q 30")) == ["a1", "a3", "a5"]


def test_neighbours_are_of_the_same_domain(store):
    theirs = [document.model_copy(update={"page_content": f"theirs {n}"}) for n, document in enumerate(book("a", 6))]
    store.add_documents(theirs, domain="other")
    found = both(store.as_retriever(k=1, window=2), "q 21", domain="other")
    assert all(document.page_content.startswith("theirs") for document in found)
    assert not any("theirs" in document.page_content for document in both(store.as_retriever(k=9, window=9), "q 21"))


def test_only_hits_have_a_score(store):
    found = both(store.as_retriever(k=1, window=1, score_key="s"), "q 20")
    assert [("s" in document.metadata) for document in found] == [False, True, False]


def test_hit_that_came_as_a_neighbour_has_its_score(store):
    found = both(store.as_retriever(k=2, window=1, score_key="s"), "q 22")
    assert ids(found) == ["a1", "a2", "a3", "a4"]
    assert [document.id for document in found if "s" in document.metadata] == ["a2", "a3"]


def test_mmr_has_neighbours_too(store):
    retriever = store.as_retriever(search_type="mmr", k=2, window=1, search_kwargs={"lambda_mult": 0})
    assert ids(both(retriever, "q 1")) == ["a0", "a1", "c0"]


def test_documents_without_numbers_are_found_and_warned_of(client):
    store = PGRecallVectorStore(Angles(), client=client)
    store.add_texts(["x 0", "x 10"], [{"source": "a"}, {}], ids=["0", "1"])
    retriever = store.as_retriever(window=1)
    with pytest.warns(UserWarning, match="number_chunks"):
        assert ids(retriever.invoke("q 0")) == ["0", "1"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ids(retriever.invoke("q 0", window=0)) == ["0", "1"]


def test_nothing_found_is_nothing_to_warn_of(store):
    assert both(store.as_retriever(window=1), "q 0", filter={"source": "nobody"}) == []


def test_numbered_and_unnumbered_documents_come_together_without_a_warning(store):
    store.add_texts(["x 21"], ids=["alone"])
    assert ids(both(store.as_retriever(k=2, window=1), "q 21")) == ["alone", "a1", "a2", "a3"]


@pytest.mark.parametrize("window", [-1, 1001, 1.5, "2", None])
def test_window_out_of_range_is_refused(store, window):
    with pytest.raises(ConfigError, match="window"):
        store.as_retriever().invoke("q 0", window=window)


def test_window_of_keys_of_ones_own(client):
    store = PGRecallVectorStore(Angles(), "own", client=client, document_id_key=["book"], chunk_index_key="page")
    store.add_texts([f"x {n * 10}" for n in range(5)], [{"book": 7, "page": n} for n in range(5)], ids=list("abcde"))
    assert ids(both(store.as_retriever(k=1, window=1), "q 20")) == ["b", "c", "d"]


def test_window_after_chunks_were_written_again(store):
    store.add_documents(book("a", 6))
    store.update_documents(
        [document.model_copy(update={"metadata": document.metadata | {"new": 1}}) for document in book("a", 6)]
    )
    assert ids(both(store.as_retriever(k=1, window=1), "q 21")) == ["a1", "a2", "a3"]


def test_window_after_chunks_were_moved_to_another_document(store):
    moved = [
        document.model_copy(update={"id": f"a{n}", "metadata": {"source": "b", "chunk_index": 4 + n}})
        for n, document in enumerate(book("a", 6))
    ]
    assert store.update_documents(moved) == 6
    assert ids(both(store.as_retriever(k=1, window=1), "q 0")) == ["b3", "a0", "a1"]


def test_number_chunks_counts_each_source_and_leaves_the_callers_alone():
    given = [
        Document(page_content="1", metadata={"source": "a"}),
        Document(page_content="2", metadata={"source": "b"}),
        Document(page_content="3", metadata={"source": "a", "chunk_index": 99}),
        Document(page_content="4", metadata={}),
        Document(id="5", page_content="5", metadata={"source": "a", "document_id": "b"}),
    ]
    before = [document.model_copy(deep=True) for document in given]
    made = list(number_chunks(given))
    assert given == before
    assert [document.metadata.get("chunk_index") for document in made] == [0, 0, 1, None, 1]
    assert [document.page_content for document in made] == list("12345")
    assert made[4].id == "5"
    named = list(number_chunks(given, document_id_key="source"))
    assert [document.metadata.get("chunk_index") for document in named] == [0, 0, 1, None, 2]


# -- LangChain on top ------------------------------------------------------------------------------


def test_ensemble_of_two_retrievers_fuses(store):
    parts = [store.as_retriever(k=3), store.as_retriever(k=3, search_type="mmr")]
    ensemble = EnsembleRetriever(retrievers=parts, weights=[0.5, 0.5], id_key=None)
    assert both(ensemble, "q 0")[0].id == "a0"


def test_compression_filters_what_was_retrieved(store):
    class Scored(BaseDocumentCompressor):
        def compress_documents(self, documents, query, callbacks=None):
            return [document for document in documents if document.metadata["s"] > math.cos(math.radians(15))]

    base = store.as_retriever(k=5, score_key="s")
    retriever = ContextualCompressionRetriever(base_compressor=Scored(), base_retriever=base)
    assert {document.page_content for document in both(retriever, "q 10")} == {"a 0", "a 10", "a 20"}


@pytest.mark.parametrize("kind", ["memory", "postgres"])
def test_multi_vector_retriever_finds_parents(store, client, kind):
    parents = InMemoryStore() if kind == "memory" else PGRecallDocumentStore("parents", client=client)
    parents.mset([("p1", Document(page_content="parent 1")), ("p2", Document(page_content="parent 2"))])
    store.delete(delete_all=True)
    store.add_texts(["x 0", "x 5", "x 90"], [{"doc_id": "p1"}, {"doc_id": "p1"}, {"doc_id": "p2"}])
    retriever = MultiVectorRetriever(vectorstore=store, docstore=parents, id_key="doc_id")
    assert [document.page_content for document in both(retriever, "q 1")] == ["parent 1", "parent 2"]
    retriever.search_type = "mmr"
    assert retriever.invoke("q 1")[0].page_content == "parent 1"
    retriever.search_type = "similarity_score_threshold"
    retriever.search_kwargs = {"score_threshold": 0.9}
    assert [document.page_content for document in both(retriever, "q 1")] == ["parent 1"]


class Seen(BaseCallbackHandler):
    def __init__(self):
        self.started, self.ended, self.failed = [], [], []

    def on_retriever_start(self, serialized, query, **kwargs):
        self.started.append((query, kwargs))

    def on_retriever_end(self, documents, **kwargs):
        self.ended.append(documents)

    def on_retriever_error(self, error, **kwargs):
        self.failed.append(error)


def test_traces_name_the_store_and_the_model(store):
    retriever = store.as_retriever(tags=["mine"])
    assert retriever.tags == ["mine", "PGRecallVectorStore", "Angles"]
    params = retriever._get_ls_params(k=2)
    assert params["ls_vector_store_provider"] == "PGRecallVectorStore"
    assert params["ls_embedding_provider"] == "Angles"
    seen = Seen()
    found = retriever.invoke("q 0", config={"callbacks": [seen]})
    [(query, told)] = seen.started
    assert query == "q 0"
    assert set(retriever.tags) <= set(told["tags"])
    assert told["metadata"]["ls_vector_store_provider"] == "PGRecallVectorStore"
    assert seen.ended == [found]


def test_errors_are_traced_and_raised(store):
    seen = Seen()
    with pytest.raises(FilterError):
        store.as_retriever().invoke("q 0", config={"callbacks": [seen]}, filter="x")
    assert len(seen.failed) == 1


async def test_batches_answer_each_query(store):
    retriever = store.as_retriever(k=1)
    queries = [f"q {n * 10}" for n in range(6)]
    expected = [[f"a{n}"] for n in range(6)]
    assert [ids(found) for found in await retriever.abatch(queries)] == expected
    assert [ids(found) for found in await asyncio.to_thread(retriever.batch, queries)] == expected


async def test_chain_streams_and_invokes(store):
    chain = store.as_retriever(k=2) | (lambda documents: " and ".join(ids(documents)))
    assert [part async for part in chain.astream("q 0")] == ["a0 and a1"]
    assert await chain.ainvoke("q 0") == "a0 and a1"
    assert await asyncio.to_thread(chain.invoke, "q 0") == "a0 and a1"
    events = [event["event"] async for event in chain.astream_events("q 0", version="v2")]
    assert "on_retriever_end" in events


def test_search_kwargs_can_be_configured_at_run_time(store):
    retriever = store.as_retriever(window=1, k=1).configurable_fields(search_kwargs=ConfigurableField(id="search"))
    config = {"configurable": {"search": {"filter": {"source": "b"}}}}
    assert ids(retriever.invoke("q 0", config=config)) == ["b0", "b1"]
    assert ids(retriever.invoke("q 0")) == ["a0", "a1"]


def test_copy_and_subclass_behave_alike(store):
    class Mine(PGRecallRetriever):
        extra: int = 1

    assert ids(store.as_retriever(k=1).model_copy(update={"k": 2}).invoke("q 0")) == ["a0", "a1"]
    assert ids(Mine(vectorstore=store, k=1, extra=2).invoke("q 0")) == ["a0"]
    assert ids(store.as_retriever().with_config(tags=["x"]).invoke("q 0", k=1)) == ["a0"]
    assert ids(store.as_retriever().bind(k=1).invoke("q 0")) == ["a0"]


class Careful(PGRecallVectorStore):
    """A store whose searches find what is odd only."""

    def similarity_search(self, query, k=4, **kwargs):
        return super().similarity_search(query, k, **{**kwargs, "filter": {"odd": True}})

    async def asimilarity_search(self, query, k=4, **kwargs):
        return await super().asimilarity_search(query, k, **{**kwargs, "filter": {"odd": True}})

    def similarity_search_with_relevance_scores(self, query, k=4, **kwargs):
        return super().similarity_search_with_relevance_scores(query, k, **{**kwargs, "filter": {"odd": True}})


async def test_methods_of_a_subclass_of_the_store_are_called(store):
    careful = Careful(Angles(), store.collection)
    retriever = careful.as_retriever(k=3)
    assert ids(retriever.invoke("? 0")) == ids(await retriever.ainvoke("? 0")) == ["a1", "a3", "a5"]
    assert ids(retriever.invoke("? 0", k=1, filter={"odd": False})) == ["a1"]
    scored = careful.as_retriever(search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.9})
    assert ids(scored.invoke("? 0")) == ["a1"]
    assert ids(careful.as_retriever(search_type="mmr", k=1).invoke("? 0")) == ["a0"]
    for extra in ({"window": 1}, {"score_key": "score"}):
        with pytest.raises(ConfigError, match=r"similarity_search\(\) of its own"):
            retriever.invoke("? 0", **extra)


@pytest.mark.filterwarnings("ignore:This API is in beta")
async def test_retriever_is_a_tool(store):
    tool = store.as_retriever(k=1).as_tool(name="search", description="Searches.")
    assert ids(await tool.ainvoke("q 0")) == ["a0"]


async def test_retriever_adds_documents(store):
    retriever = store.as_retriever()
    assert retriever.add_documents([Document(id="x", page_content="x 60")]) == ["x"]
    assert await retriever.aadd_documents([Document(id="y", page_content="y 61")], domain="other") == ["y"]
    assert store.get_by_ids(["x", "y"])[0].id == "x"
    assert len(store.get_by_ids(["x", "y"])) == 1


async def test_many_calls_at_once_do_not_mix(store):
    retriever = store.as_retriever(k=1, score_key="s")
    found = await asyncio.gather(*(retriever.ainvoke(f"q {n % 6 * 10}", window=n % 2) for n in range(60)))
    for n, documents in enumerate(found):
        assert f"a{n % 6}" in ids(documents)
        assert (len(documents) > 1) == (n % 2 == 1)
