"""What LangChain's users had to put up with elsewhere, one situation a test."""

from __future__ import annotations

import asyncio
import math
import re
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.indexing import InMemoryRecordManager, aindex, index

from pgrecall import HNSW, AsyncClient, Client, CollectionConfig, Distance
from pgrecall.errors import ConfigError, FilterError, RecordError
from pgrecall.langchain import PGRecallByteStore, PGRecallVectorStore

MODEL = DeterministicFakeEmbedding(size=8)


class Known(Embeddings):
    """Embeds a text as the vector that it is known by."""

    def __init__(self, vectors):
        self.vectors = vectors

    def embed_query(self, text):
        return self.vectors[text]

    def embed_documents(self, texts):
        return [self.vectors[text] for text in texts]


def angle(degrees, length=1.0):
    return [length * math.cos(math.radians(degrees)), length * math.sin(math.radians(degrees))]


def ids(documents):
    return [document.id for document in documents]


@pytest.fixture
def client(url):
    with Client(url) as client:
        yield client


@pytest.fixture
def store(client):
    return PGRecallVectorStore(MODEL, client=client)


@pytest.fixture
def typed(client):
    """Documents whose one key holds something else in each."""
    store = PGRecallVectorStore(MODEL, client=client)
    values = [1, 2.0, "1", "one", True, None, [1], {"b": 1}, 2**40, -(2**70)]
    documents = [Document(id=repr(value), page_content=repr(value), metadata={"a": value}) for value in values]
    store.add_documents([*documents, Document(id="missing", page_content="missing")])
    return store


# -- wrong results, without a word -----------------------------------------------------------------


@pytest.fixture
def worded(client):
    """Documents that can be searched by their words."""
    store = PGRecallVectorStore(
        MODEL, client=client, collection=CollectionConfig(name="worded", dimensions=8, text_search="english")
    )
    store.add_texts([f"number{n} about {'locks' if n % 2 else 'keys'}" for n in range(40)], ids=map(str, range(40)))
    return store


def test_hybrid_searches_know_nothing_of_those_before(worded):
    first = worded.search("number3", search_type="hybrid", k=1, alpha=0.1)
    second = worded.search("number8", search_type="hybrid", k=1, alpha=0.1)
    assert (ids(first), ids(second)) == (["3"], ["8"])
    retriever = worded.as_retriever(search_type="hybrid", search_kwargs={"alpha": 0.1, "k": 1})
    assert [ids(retriever.invoke(f"number{n}")) for n in (5, 6, 5)] == [["5"], ["6"], ["5"]]


async def test_concurrent_hybrid_searches_do_not_mix(worded):
    found = await asyncio.gather(
        *(worded.asearch(f"number{n}", search_type="hybrid", k=1, alpha=0.1) for n in range(20))
    )
    assert [ids(documents) for documents in found] == [[str(n)] for n in range(20)]


@pytest.mark.parametrize("k", [1, 4, 20, 40, 1000])
def test_hybrid_search_honours_k(worded, k):
    assert len(worded.search("locks", search_type="hybrid", k=k)) == min(k, 40)


def test_the_best_hybrid_hit_has_the_highest_score(worded):
    scored = worded.hybrid_search_with_score("number7 locks", k=10, alpha=0.2)
    assert scored[0][0].id == "7"
    scores = [score for _, score in scored]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    kept = worded.hybrid_search_with_score("number7 locks", k=10, alpha=0.2, score_threshold=scores[2])
    assert [document.id for document, _ in kept] == [document.id for document, _ in scored[:3]]


def test_two_hybrid_stores_live_in_one_schema(client, worded):
    other = PGRecallVectorStore(
        MODEL, client=client, collection=CollectionConfig(name="other", dimensions=8, text_search="german")
    )
    other.add_texts(["Häuser"], ids=["h"])
    assert ids(other.search("Haus", search_type="keyword")) == ["h"]
    assert ids(worded.search("number1", search_type="keyword")) == ["1"]


def test_an_unknown_search_type_is_refused_and_what_there_is_is_named(store):
    with pytest.raises(ValueError, match=r"similarity.*mmr.*keyword.*hybrid.*lexical"):
        store.search("a", search_type="lexical")
    with pytest.raises(ValueError, match=r"lexical.*similarity.*mmr.*keyword.*hybrid"):
        store.as_retriever(search_type="lexical")


def test_hybrid_setting_of_the_incumbent_is_refused(url):
    with pytest.raises(ConfigError, match="hybrid"):
        PGRecallVectorStore(MODEL, url=url, hybrid_search_config=object())


def test_k_is_honoured_however_many_are_wanted(store):
    store.add_texts([f"text {n}" for n in range(60)])
    assert [len(store.similarity_search("text 1", k=k)) for k in (1, 4, 20, 60, 1000)] == [1, 4, 20, 60, 60]


def test_inner_product_has_the_same_direction_as_the_most_relevant(client):
    vectors = {"same": angle(0), "near": angle(30), "square": angle(90), "opposite": angle(180)}
    config = CollectionConfig(name="products", distance=Distance.INNER_PRODUCT)
    store = PGRecallVectorStore(Known(vectors), config, client=client)
    store.add_texts(list(vectors))
    found = store.similarity_search_with_relevance_scores("same", k=4)
    assert [document.page_content for document, _ in found] == ["same", "near", "square", "opposite"]
    assert [score for _, score in found] == pytest.approx([1, math.cos(math.radians(30)), 0, 0], abs=1e-6)
    kept = store.similarity_search_with_relevance_scores("same", k=4, score_threshold=0.5)
    assert [document.page_content for document, _ in kept] == ["same", "near"]


@pytest.mark.parametrize("length", [1e-3, 1, 50, 1e6])
def test_euclidean_relevance_is_from_0_to_1_whatever_the_lengths(client, length):
    vectors = {"same": angle(0, length), "near": angle(10, length), "far": angle(180, length)}
    config = CollectionConfig(name="lengths", distance=Distance.L2)
    store = PGRecallVectorStore(Known(vectors), config, client=client)
    store.add_texts(list(vectors))
    found = store.similarity_search_with_relevance_scores("same", k=3)
    assert [document.page_content for document, _ in found] == ["same", "near", "far"]
    scores = [score for _, score in found]
    assert scores[0] == pytest.approx(1)
    assert 1 >= scores[0] > scores[1] > scores[2] > 0


CROWD = {f"crowd {n}": angle(n / 10) for n in range(12)} | {"other": angle(40), "query": angle(0)}


@pytest.fixture
def crowd(client):
    store = PGRecallVectorStore(Known(CROWD), "crowd", client=client)
    store.add_texts([text for text in CROWD if text != "query"])
    return store


def contents(documents):
    return [document.page_content for document in documents]


def test_mmr_looks_beyond_k_by_default(crowd):
    assert "other" not in contents(crowd.similarity_search("query", k=4))
    assert contents(crowd.max_marginal_relevance_search("query", k=2, lambda_mult=0.3)) == ["crowd 0", "other"]
    assert contents(crowd.max_marginal_relevance_search("query", k=2, lambda_mult=0.3, fetch_k=3))[1] != "other"


def test_mmr_with_lambda_0_is_all_variety(client):
    vectors = {"query": angle(0), "first": angle(1), "second": angle(2), "half": angle(60), "opposite": angle(175)}
    store = PGRecallVectorStore(Known(vectors), "variety", client=client)
    store.add_texts([text for text in vectors if text != "query"])
    # A half-and-half weighing takes "second" before "half".
    assert contents(store.max_marginal_relevance_search("query", k=3, lambda_mult=0)) == ["first", "opposite", "half"]
    assert contents(store.max_marginal_relevance_search("query", k=3, lambda_mult=1)) == ["first", "second", "half"]


def test_mmr_gives_the_order_of_picking(crowd):
    picked = crowd.max_marginal_relevance_search_with_score("query", k=3, lambda_mult=0.1)
    assert contents(document for document, _ in picked)[:2] == ["crowd 0", "other"]
    distances = [distance for _, distance in picked]
    assert distances[1] > distances[2]


def test_mmr_as_retriever_diversifies_too(crowd):
    retriever = crowd.as_retriever(search_type="mmr", search_kwargs={"k": 2, "lambda_mult": 0.3})
    assert contents(retriever.invoke("query")) == ["crowd 0", "other"]


@pytest.mark.parametrize("texts", [(t for t in "abc"), iter(["a", "b", "c"]), {"a": 1, "b": 2, "c": 3}.keys()])
def test_texts_that_can_be_read_once_are_written(store, texts):
    written = store.add_texts(texts, [{"n": n} for n in range(3)])
    assert len(written) == store.count() == 3
    assert [document.metadata for document in store.get_by_ids(written)] == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_generator_with_ids_is_written_under_them(store):
    assert store.add_texts((text for text in "abc"), ids=["1", "2", "3"]) == ["1", "2", "3"]
    assert contents(store.get_by_ids(["3", "1"])) == ["c", "a"]


def test_generator_is_written_by_asynchronous_methods_too(store):
    asyncio.run(store.aadd_texts(text for text in "abc"))
    asyncio.run(store.aadd_documents(Document(page_content=text) for text in "def"))
    assert store.count() == 6


@pytest.mark.parametrize(
    "lengths",
    [
        {"ids": ["1"]},
        {"ids": ["1", "2", "3"]},
        {"metadatas": [{}]},
        {"metadatas": [{}, {}, {}]},
        {"ids": [], "metadatas": [{}, {}]},
    ],
)
@pytest.mark.parametrize("lazy", [False, True])
def test_sequences_that_differ_in_length_write_nothing(store, lengths, lazy):
    texts = ["a", "b"]
    with pytest.raises(ConfigError, match="2 texts"):
        store.add_texts(iter(texts) if lazy else texts, **lengths)
    assert store.count() == 0


@pytest.mark.parametrize("given", [["1"], ["1", "2", "3"]])
@pytest.mark.parametrize("lazy", [False, True])
def test_ids_that_are_not_as_many_as_the_documents_write_nothing(store, given, lazy):
    documents = [Document(page_content="a"), Document(page_content="b")]
    with pytest.raises(ConfigError, match="2 texts"):
        store.add_documents(iter(documents) if lazy else documents, ids=given)
    assert store.count() == 0


@pytest.mark.parametrize("make", [iter, tuple, lambda ids: dict.fromkeys(ids).keys(), np.array])
def test_ids_and_metadata_of_any_kind_of_sequence_are_taken(store, make):
    metadatas = ({"n": n} for n in range(2))
    assert store.add_texts(["a", "b"], metadatas, ids=make(["1", "2"])) == ["1", "2"]
    assert [document.metadata for document in store.get_by_ids(["2", "1"])] == [{"n": 1}, {"n": 0}]


@pytest.mark.parametrize("bad", ["ab", b"ab", {"a": 1, "b": 2}, 2])
def test_ids_that_are_no_sequence_are_refused(store, bad):
    documents = [Document(page_content="a"), Document(page_content="b")]
    calls = [
        lambda: store.add_texts(["a", "b"], ids=bad),
        lambda: store.add_documents(documents, ids=bad),
        lambda: store.update_documents(documents, ids=bad),
        lambda: store.add_embeddings(texts=["a", "b"], embeddings=MODEL.embed_documents(["a", "b"]), ids=bad),
    ]
    for call in calls:
        with pytest.raises(ConfigError, match="ids must be a sequence"):
            call()
    assert store.count() == 0


@pytest.mark.parametrize("bad", ["x", ["x"], 3, [("a", 1)]])
def test_metadata_that_is_no_mapping_is_refused(store, bad):
    calls = [
        lambda: store.add_texts(["a", "b"], [{}, bad]),
        lambda: store.add_embeddings(texts=["a", "b"], embeddings=MODEL.embed_documents("ab"), metadatas=[{}, bad]),
    ]
    for call in calls:
        with pytest.raises(RecordError, match="text 1"):
            call()
    assert store.count() == 0


def test_one_document_is_no_sequence_of_them(store):
    for method in (store.add_documents, store.update_documents):
        with pytest.raises(ConfigError, match="not one document"):
            method(Document(id="a", page_content="a"))


@pytest.mark.parametrize("bad", [None, 5, b"ab", {"a": "b"}, str, np.array("a")])
def test_what_is_no_sequence_of_texts_or_documents_is_named(store, bad):
    calls = [
        lambda: store.add_texts(bad),
        lambda: store.add_documents(bad),
        lambda: store.update_documents(bad),
        lambda: store.add_embeddings(texts=bad, embeddings=[[1.0] * 8]),
    ]
    for call in calls:
        with pytest.raises(ConfigError, match=r"must be an? (iterable|sequence) of|give pairs"):
            call()
    assert store.count() == 0


@pytest.mark.parametrize("bad", [None, 5, b"a", ["a"], [1.0] * 8, Document(page_content="a")])
async def test_a_query_that_is_no_text_is_named(store, bad):
    for search in (store.similarity_search, store.similarity_search_with_score, store.max_marginal_relevance_search):
        with pytest.raises(ConfigError, match="query must be a text"):
            search(bad)
    with pytest.raises(ConfigError, match="query must be a text"):
        await store.asimilarity_search(bad)


@pytest.mark.parametrize("bad", [None, 5, "ab", ["a"], [("a",)], [None]])
def test_what_are_no_pairs_of_key_and_value_is_named(url, bad):
    with PGRecallByteStore("n", url=url) as values:
        with pytest.raises(ConfigError, match="key_value_pairs"):
            values.mset(bad)
        assert list(values.yield_keys()) == []


@pytest.mark.parametrize("count", [1, 3])
def test_embeddings_that_differ_in_number_write_nothing(store, count):
    vectors = MODEL.embed_documents(["a", "b", "c"])[:count]
    with pytest.raises(ConfigError, match=f"2 texts, but {count} embeddings"):
        store.add_embeddings(texts=["a", "b"], embeddings=vectors)
    assert store.count() == 0


@pytest.mark.parametrize("bad", ["a", b"a", 3, ["a"], [("a", 1)], object(), True, lambda metadata: True])
def test_filter_that_is_no_mapping_is_refused_by_whatever_takes_one(store, bad):
    store.add_texts(["a"], [{"tenant": 1}])
    calls = [
        lambda: store.similarity_search("a", filter=bad),
        lambda: store.similarity_search_with_score("a", filter=bad),
        lambda: store.similarity_search_with_relevance_scores("a", filter=bad),
        lambda: store.similarity_search_by_vector(MODEL.embed_query("a"), filter=bad),
        lambda: store.max_marginal_relevance_search("a", filter=bad),
        lambda: store.as_retriever(search_kwargs={"filter": bad}).invoke("a"),
        lambda: store.as_retriever(search_type="mmr").invoke("a", filter=bad),
        lambda: store.count(bad),
        lambda: store.list_documents(bad),
        lambda: store.delete(filter=bad),
        lambda: asyncio.run(store.asimilarity_search("a", filter=bad)),
    ]
    for call in calls:
        with pytest.raises(FilterError, match="mapping"):
            call()
    assert store.count() == 1


def test_metadata_column_that_is_misspelt_is_an_error(url, database):
    database.execute("CREATE TABLE theirs (id text PRIMARY KEY, content text, embedding vector(8), metadata jsonb)")
    store = PGRecallVectorStore(MODEL, url=url, table_name="theirs", metadata_json_column="metadata_")
    with store, pytest.raises(Exception, match="metadata_"):
        store.add_texts(["a"], [{"n": 1}])
    assert database.ask("SELECT count(*) FROM theirs") == 0


def test_metadata_of_a_table_without_a_column_for_it_is_an_error(url, database):
    database.execute("CREATE TABLE theirs (id text PRIMARY KEY, content text, embedding vector(8))")
    with PGRecallVectorStore(MODEL, "theirs", url=url) as store:
        assert store.add_texts(["a"], ids=["a"]) == ["a"]
        with pytest.raises(Exception, match="metadata"):
            store.add_texts(["b"], [{"n": 1}])
        assert store.count() == 1


def test_one_document_that_cannot_be_stored_keeps_the_whole_call_from_being_written(store):
    store.add_texts(["before"])
    bad = [
        Document(page_content="x", metadata={"n": object()}),
        Document(page_content="x\x00"),
        Document(page_content="x", metadata={"a\x00": 1}),
        Document(id="\x00", page_content="x"),
        Document(page_content="x", metadata={"n": float("nan")}),
    ]
    for document in bad:
        with pytest.raises(RecordError, match="1500"):
            store.add_documents([*(Document(page_content=f"{n}") for n in range(1500)), document])
    assert store.count() == 1


def test_failure_on_the_server_keeps_the_whole_call_from_being_written(store, database):
    store.add_texts(["before"], ids=["before"])
    database.execute("ALTER TABLE documents ADD CONSTRAINT short CHECK (length(content) < 10)")
    with pytest.raises(Exception, match="short"):
        store.add_texts([*(f"{n}" for n in range(1500)), "much too long"])
    assert store.count() == 1


def test_metadata_has_no_keys_that_were_not_given(store):
    given = [{"year": 1}, {}, {"year": None}, {"other": "x"}]
    written = store.add_texts(list("abcd"), given)
    assert [document.metadata for document in store.get_by_ids(written)] == given


def test_same_id_in_two_collections_is_two_documents(client):
    one, two = (PGRecallVectorStore(MODEL, name, client=client) for name in ("one", "two"))
    one.add_texts(["of one"], ids=["a"])
    two.add_texts(["of two"], ids=["a"])
    assert contents(one.get_by_ids(["a"]) + two.get_by_ids(["a"])) == ["of one", "of two"]
    two.delete(["a"])
    assert contents(one.get_by_ids(["a"])) == ["of one"]
    assert two.get_by_ids(["a"]) == []


@pytest.fixture
def indexed(client):
    config = CollectionConfig(name="indexed", dimensions=8, index=None)
    store = PGRecallVectorStore(MODEL, config, client=client)
    vectors = np.random.default_rng(1).standard_normal((4_000, 8)).astype(np.float32)
    texts = [f"text {n}" for n in range(4_000)]
    store.add_embeddings(texts=texts, embeddings=vectors, metadatas=[{"group": n % 400} for n in range(4_000)])
    store.collection.create_index(HNSW(m=4, ef_construction=8))
    return store


def test_selective_filter_over_an_index_finds_all_that_there_are(indexed):
    found = indexed.similarity_search("anything", k=10, filter={"group": 7})
    assert len(found) == 10
    assert {document.metadata["group"] for document in found} == {7}


def test_k_above_the_candidates_of_an_index_is_honoured(indexed):
    assert len(indexed.similarity_search("anything", k=300)) == 300
    assert len(indexed.similarity_search("anything", k=300, ef_search=10)) == 300


# -- errors on ordinary input ----------------------------------------------------------------------


def test_get_by_no_ids_is_empty(store):
    assert store.get_by_ids([]) == []
    store.add_texts(["a"])
    assert store.get_by_ids([]) == []
    assert asyncio.run(store.aget_by_ids([])) == []


def test_more_ids_than_a_statement_has_parameters_are_deleted(store):
    store.add_texts(["a", "b"], ids=["39999", "b"])
    many = [str(n) for n in range(40_000)]
    assert ids(store.get_by_ids(many)) == ["39999"]
    assert store.delete(many) is True
    assert store.count() == 1


@pytest.mark.parametrize("encoder", ["sha1", "sha256", "sha512", "blake2b", lambda document: f"my {document.id}"])
@pytest.mark.filterwarnings("ignore:Using SHA-1 for document hashing")
def test_index_takes_every_encoder_of_keys(store, encoder):
    manager = InMemoryRecordManager("faults")
    manager.create_schema()
    documents = [Document(id=str(n), page_content=f"{n}", metadata={"source": "s"}) for n in range(3)]
    options = {"cleanup": "full", "source_id_key": "source", "key_encoder": encoder}
    assert index(documents, manager, store, **options)["num_added"] == 3
    assert index(documents[1:], manager, store, **options) == {
        "num_added": 0,
        "num_updated": 0,
        "num_skipped": 2,
        "num_deleted": 1,
    }
    assert asyncio.run(aindex(documents, manager, store, **options))["num_added"] == 1
    assert store.count() == 3


def test_two_collections_of_one_schema_have_indexes_of_their_own(client):
    for name in ("one", "two"):
        store = PGRecallVectorStore(MODEL, name, client=client)
        store.add_texts(["a"])
        store.collection.create_index(HNSW())
        assert contents(store.similarity_search("a")) == ["a"]


def found(store, filter):
    documents = store.list_documents(filter).documents
    searched = store.similarity_search("anything", k=100, filter=filter)
    assert sorted(ids(searched)) == sorted(ids(documents))
    return set(ids(documents))


def test_several_operators_on_one_key_are_all_meant(typed):
    assert found(typed, {"a": {"$gte": 1, "$lte": 2}}) == {"1", "2.0"}


def test_keys_beside_logical_operators_are_all_meant(typed):
    assert found(typed, {"$and": [{"a": {"$gte": 1}}], "a": {"$lt": 2}}) == {"1"}
    assert found(typed, {"$or": [{"a": 1}, {"a": "one"}], "$not": {"a": 1}}) == {"'one'"}


def test_values_of_other_types_do_not_matter_to_a_comparison(typed):
    assert found(typed, {"a": {"$gt": 1}}) == {"2.0", repr(2**40)}
    assert found(typed, {"a": {"$gt": "1"}}) == {"'one'"}


def test_large_integers_are_compared_exactly(typed):
    assert found(typed, {"a": 2**40}) == found(typed, {"a": {"$gt": 2**31}}) == {repr(2**40)}
    assert found(typed, {"a": {"$lt": -(2**64)}}) == {repr(-(2**70))}
    assert found(typed, {"a": 2**40 + 1}) == set()


def test_integer_finds_the_same_number_that_was_stored_as_a_float(typed):
    assert found(typed, {"a": 2}) == found(typed, {"a": 2.0}) == {"2.0"}


def test_in_nothing_finds_nothing_and_not_in_nothing_all(typed):
    assert found(typed, {"a": {"$in": []}}) == set()
    assert len(found(typed, {"a": {"$nin": []}})) == 11


def test_none_finds_null_and_missing(typed):
    assert found(typed, {"a": None}) == {"None", "missing"}
    assert "None" not in found(typed, {"a": {"$ne": None}})


def test_in_takes_booleans_and_values_of_several_types(typed):
    assert found(typed, {"a": {"$in": [True, False]}}) == {"True"}
    assert found(typed, {"a": {"$in": [True, "one", 1, None]}}) == {"True", "'one'", "1", "None", "missing"}


KEYS = [
    "with-dash",
    "with space",
    "MixedCase",
    "mixedcase",
    "content",
    "id",
    "embedding",
    "metadata",
    "domain_id",
    "langchain_id",
    "select",
    "user",
    "order",
    "ünïcödé",
    "日本",
    'quo"te',
    "apo'strophe",
    "semi;colon",
    "percent%s",
    ":name",
    "back\\slash",
    "a" * 300,
    "new\nline",
    "{brace}",
    "0",
]


@pytest.mark.parametrize("key", KEYS)
def test_key_of_any_name_is_stored_and_filtered_by(store, key):
    store.add_texts(["content", "b"], [{key: "content"}, {key: "b"}], ids=["1", "2"])
    assert store.get_by_ids(["1"])[0].metadata == {key: "content"}
    assert found(store, {key: "b"}) == {"2"}
    assert found(store, {key: {"$in": ["content"]}}) == {"1"}
    assert found(store, {key: {"$like": "c%"}}) == {"1"}


def test_dots_lead_into_objects_and_an_escaped_dot_is_part_of_a_key(store):
    store.add_texts(["a", "b"], [{"x": {"y": 1}}, {"x.y": 1}], ids=["nested", "dotted"])
    assert found(store, {"x.y": 1}) == {"nested"}
    assert found(store, {"x\\.y": 1}) == {"dotted"}


@pytest.mark.parametrize("key", ["", "$1", "$where", "a..b", ".a"])
def test_key_that_is_no_name_of_a_field_is_stored_and_refused_as_a_filter(store, key):
    store.add_texts(["a"], [{key: 1}], ids=["a"])
    assert store.get_by_ids(["a"])[0].metadata == {key: 1}
    with pytest.raises(FilterError, match=re.escape(repr(key))):
        store.count({key: 1})


NAIVE = datetime.fromisoformat("2024-05-28T12:30:01.000005")
RICH = {
    "naive": NAIVE,
    "utc": datetime(2024, 5, 28, 12, 30, tzinfo=UTC),
    "zoned": datetime(2024, 5, 28, 12, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    "date": date(2024, 5, 28),
    "time": time(12, 30, 1),
    "uuid": uuid.UUID(int=7),
    "decimal": Decimal("1.10"),
    "exact": Decimal("0.1000000000000000055511151231257827"),
    "int64": np.int64(7),
    "float32": np.float32(0.1),
    "bool_": np.bool_(True),
    "tuple": (1, "two", date(2024, 1, 1)),
    "huge": 1e300,
    "large": 10**30,
    "nested": {"list": [NAIVE, {"uuid": uuid.UUID(int=8)}], "none": None},
    "text that looks like a date": "2024-05-28",
    "empty": {},
}


def same(left, right):
    """Compare types too, at any depth."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, Decimal | datetime | time):
        return str(left) == str(right)
    return left == right


def test_types_of_metadata_come_back_from_every_way_of_reading(store):
    store.add_documents([Document(id="rich", page_content="rich", metadata=RICH)])
    vector = MODEL.embed_query("rich")
    retriever = store.as_retriever(window=0)
    read = [
        *store.get_by_ids(["rich"]),
        *store.similarity_search("rich"),
        *store.similarity_search_by_vector(vector),
        *(document for document, _ in store.similarity_search_with_score("rich")),
        *(document for document, _ in store.similarity_search_with_relevance_scores("rich")),
        *store.max_marginal_relevance_search("rich"),
        *store.list_documents().documents,
        *retriever.invoke("rich"),
        *store.as_retriever(search_type="mmr").invoke("rich"),
    ]
    assert len(read) == 9
    assert all(same(document.metadata, RICH) for document in read)


async def test_types_of_metadata_come_back_from_every_asynchronous_way_of_reading(url):
    async with PGRecallVectorStore(MODEL, url=url) as store:
        await store.aadd_texts(["rich"], [RICH], ids=["rich"])
        read = [
            *await store.aget_by_ids(["rich"]),
            *await store.asimilarity_search("rich"),
            *await store.amax_marginal_relevance_search("rich"),
            *(await store.alist_documents()).documents,
            *await store.as_retriever().ainvoke("rich"),
        ]
        assert len(read) == 5
        assert all(same(document.metadata, RICH) for document in read)


def test_arrays_in_metadata_come_back(store):
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    store.add_texts(["a"], [{"array": array}], ids=["a"])
    [document] = store.get_by_ids(["a"])
    assert document.metadata["array"].dtype == np.int16
    np.testing.assert_array_equal(document.metadata["array"], array)


def test_metadata_with_types_can_be_filtered_by_what_python_has(store):
    store.add_texts(["a"], [RICH], ids=["a"])
    for key in ("naive", "utc", "date", "uuid", "decimal", "int64", "large"):
        assert found(store, {key: RICH[key]}) == {"a"}, key
    assert found(store, {"date": {"$gte": date(2024, 1, 1), "$lt": date(2025, 1, 1)}}) == {"a"}


def test_types_of_metadata_are_not_changed_by_writing(store):
    metadata = {"when": NAIVE, "nested": {"n": np.int64(1)}}
    document = Document(id="a", page_content="a", metadata=metadata)
    store.add_documents([document])
    assert same(document.metadata, metadata)
    found = store.get_by_ids(["a"])[0]
    found.metadata["nested"]["n"] = 2
    assert same(store.get_by_ids(["a"])[0].metadata, metadata)


def test_setting_up_twice_and_at_once_is_no_error(url):
    async def main():
        async with AsyncClient(url) as client:
            stores = [PGRecallVectorStore(MODEL, "shared", client=client) for _ in range(8)]
            await asyncio.gather(*(store.aadd_texts([f"{n}"]) for n, store in enumerate(stores)))
            return await stores[0].acount()

    assert asyncio.run(main()) == asyncio.run(main()) - 8 == 8


def test_schema_that_is_missing_is_made(client, database):
    store = PGRecallVectorStore(MODEL, collection_name="docs", schema_name="elsewhere", client=client)
    store.add_texts(["a"])
    assert database.ask("SELECT count(*) FROM elsewhere.docs") == 1


def test_3072_dimensions_are_indexed(client):
    model = DeterministicFakeEmbedding(size=3072)
    store = PGRecallVectorStore(model, "large", client=client)
    store.add_texts([f"text {n}" for n in range(30)])
    store.collection.create_index(HNSW())
    assert contents(store.similarity_search("text 7", k=1)) == ["text 7"]
    assert contents(store.similarity_search("text 7", k=1, ef_search=100)) == ["text 7"]


def test_same_id_twice_in_one_call_keeps_the_last(store):
    given = [
        Document(id="a", page_content="first"),
        Document(id="b", page_content="b"),
        Document(id="a", page_content="last"),
    ]
    assert store.add_documents(given) == ["a", "b", "a"]
    assert store.count() == 2
    assert contents(store.get_by_ids(["a"])) == ["last"]
    assert contents(store.similarity_search("last", k=1)) == ["last"]


def test_without_the_right_to_make_the_extension_an_existing_one_is_used(database):
    role = database.role("GRANT CREATE ON SCHEMA public TO {role}")
    with PGRecallVectorStore(MODEL, url=role) as store:
        assert len(store.add_texts(["a"])) == 1


def test_reader_on_a_read_only_connection_searches(url, database):
    with PGRecallVectorStore(MODEL, url=url) as store:
        store.add_texts(["a"])
    role = database.role(
        "GRANT SELECT ON documents TO {role}", "ALTER ROLE {role} SET default_transaction_read_only = on"
    )
    with PGRecallVectorStore(MODEL, url=role) as store:
        assert contents(store.similarity_search("a")) == ["a"]
        assert store.as_retriever(search_type="mmr").invoke("a")[0].page_content == "a"


async def test_embeddings_are_made_on_the_callers_loop_by_every_asynchronous_method(url):
    loops = []

    class Bound(DeterministicFakeEmbedding):
        def embed_query(self, text):
            pytest.fail("the blocking method was called")

        embed_documents = embed_query

        async def aembed_query(self, text):
            loops.append(asyncio.get_running_loop())
            return DeterministicFakeEmbedding.embed_query(self, text)

        async def aembed_documents(self, texts):
            loops.append(asyncio.get_running_loop())
            return [DeterministicFakeEmbedding.embed_query(self, text) for text in texts]

    async with PGRecallVectorStore(Bound(size=8), url=url) as store:
        await store.aadd_texts(["a"], ids=["a"])
        await store.aadd_documents([Document(page_content="b")])
        await store.aupdate_documents([Document(id="a", page_content="c")])
        for search in ("similarity", "mmr"):
            await store.asearch("a", search)
            await store.as_retriever(search_type=search).ainvoke("a")
        await store.asimilarity_search_with_score("a")
        await store.asimilarity_search_with_relevance_scores("a")
        await store.amax_marginal_relevance_search_with_score("a")
    assert set(loops) == {asyncio.get_running_loop()}
    assert len(loops) == 10


def test_asynchronous_methods_work_on_a_store_that_was_made_without_a_loop(store):
    store.add_texts(["a"])
    assert contents(asyncio.run(store.asimilarity_search("a"))) == ["a"]
    assert contents(store.similarity_search("a")) == ["a"]


def test_idle_connections_do_not_stay_after_close(url, database):
    backends = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgrecall' AND datname = current_database()"
    )
    with PGRecallVectorStore(MODEL, url=url) as store:
        store.add_texts(["a"])
        assert database.ask(backends) >= 1
    for _ in range(200):
        if not database.ask(backends):
            break
    assert database.ask(backends) == 0


def test_connections_that_the_server_closed_are_replaced(store, database):
    store.add_texts(["a"])
    database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'pgrecall' AND datname = current_database()"
    )
    assert contents(store.similarity_search("a")) == ["a"]
