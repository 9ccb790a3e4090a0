"""Everything public on `PGRecallVectorStore`, in both kinds of calls."""

from __future__ import annotations

import asyncio
import inspect
import math
import threading
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import chain
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.vectorstores import VectorStore

from pgrecall import AsyncClient, Client, CollectionConfig, Columns, Distance
from pgrecall.errors import CollectionNotFound, ConfigError, RecordError, SchemaError
from pgrecall.langchain import PGRecallVectorStore

MODEL = DeterministicFakeEmbedding(size=8)


class Angles(Embeddings):
    """Embeds the number that a text ends with as an angle in degrees."""

    def embed_query(self, text):
        angle = math.radians(float(text.split()[-1]))
        return [math.cos(angle), math.sin(angle)]

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


class Remembering(DeterministicFakeEmbedding):
    """Keeps what it was asked to embed."""

    seen: list = []  # noqa: RUF012 - pydantic copies it

    def embed_query(self, text):
        self.seen.append(text)
        return super().embed_query(text)

    def embed_documents(self, texts):
        self.seen.append(texts)
        return super().embed_documents(texts)


@pytest.fixture
def client(url):
    with Client(url) as client:
        yield client


@pytest.fixture
def store(client):
    return PGRecallVectorStore(MODEL, client=client)


@pytest.fixture
def angles(client):
    store = PGRecallVectorStore(Angles(), "angles", client=client)
    store.add_texts([f"x {n}" for n in (0, 30, 60, 90, 120, 180)], ids=["0", "30", "60", "90", "120", "180"])
    return store


NAIVE = datetime.fromisoformat("2024-01-01")


def ids(documents):
    return [document.id for document in documents]


def contents(documents):
    return [document.page_content for document in documents]


# -- both kinds of calls ---------------------------------------------------------------------------

PUBLIC = [name for name in dir(PGRecallVectorStore) if not name.startswith("_")]
PAIRS = sorted(name for name in PUBLIC if f"a{name}" in PUBLIC)


def test_every_method_that_reaches_the_server_has_a_twin():
    alone = {name for name in PUBLIC if name not in PAIRS and name.removeprefix("a") not in PAIRS}
    assert alone == {"as_retriever", "collection", "embeddings", "relevance_score_fn"}


@pytest.mark.parametrize("name", PAIRS)
def test_twins_have_the_same_signature(name):
    blocking, asynchronous = (getattr(PGRecallVectorStore, method) for method in (name, f"a{name}"))
    left, right = (inspect.signature(method) for method in (blocking, asynchronous))
    assert list(left.parameters.values()) == list(right.parameters.values())
    assert left.return_annotation == right.return_annotation
    assert inspect.iscoroutinefunction(asynchronous)


@pytest.mark.parametrize("name", [name for name in PAIRS if hasattr(VectorStore, name)])
def test_methods_take_what_langchain_passes(name):
    ours, theirs = (inspect.signature(getattr(kind, name)).parameters for kind in (PGRecallVectorStore, VectorStore))
    for parameter in theirs.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            continue
        assert parameter.name in ours
        assert ours[parameter.name].kind is parameter.kind
        assert ours[parameter.name].default == parameter.default or parameter.default is parameter.empty


DOCUMENTS = [
    Document(id=f"d{n}", page_content=f"text {n}", metadata={"n": n, "when": datetime(2024, 1, n + 1, tzinfo=UTC)})
    for n in range(8)
]
VECTOR = MODEL.embed_query("text 3")


def call(*arguments, **keywords):
    return arguments, keywords


# Each is called on two stores that hold the same.
CALLS = {
    "ingest": call(DOCUMENTS),
    "add_documents": call([Document(id="new", page_content="new")]),
    "add_embeddings": call([("new", VECTOR)], [{"x": 1}], ids=["new"]),
    "add_texts": call(["new"], [{"x": 1}], ids=["new"]),
    "close": call(),
    "count": call({"n": {"$gt": 3}}),
    "delete": call(["d1", "d2"]),
    "get_by_ids": call(["d3", "nope", "d1", "d3"]),
    "hybrid_search": call("text 3", 3, filter={"n": {"$gt": 2}}),
    "hybrid_search_with_score": call("text 3", 3, alpha=0.2),
    "keyword_search": call("text 3", 3, filter={"n": {"$gt": 2}}),
    "keyword_search_with_score": call("text 3", 3),
    "list_documents": call({"n": {"$lt": 5}}, limit=3, after="d0"),
    "max_marginal_relevance_search": call("text 3", 3, 5, 0.2),
    "max_marginal_relevance_search_by_vector": call(VECTOR, 3, 5, 0.2),
    "max_marginal_relevance_search_with_score": call("text 3", 3, 5, 0.2),
    "max_marginal_relevance_search_with_score_by_vector": call(VECTOR, 3, 5, 0.2),
    "search": call("text 3", "mmr", k=2),
    "similarity_search": call("text 3", 3, filter={"n": {"$gt": 3}}),
    "similarity_search_by_vector": call(VECTOR, 3),
    "similarity_search_by_vector_with_relevance_scores": call(VECTOR, 8, score_threshold=0.1),
    "similarity_search_with_relevance_scores": call("text 3", 8, score_threshold=0.1),
    "similarity_search_with_score": call("text 3", 3),
    "similarity_search_with_score_by_vector": call(VECTOR, 3),
    "update_documents": call([Document(id="d1", page_content="changed"), Document(id="nope", page_content="x")]),
    "update_metadata": call({"d1": {"m": 1}, "nope": {}}, merge=False),
}
MAKING = {
    "from_documents": call([DOCUMENTS[0]], MODEL),
    "from_embeddings": call([("new", VECTOR)], MODEL, [{"x": 1}], ids=["new"]),
    "from_existing": call(MODEL),
    "from_texts": call(["new"], MODEL, [{"x": 1}], ids=["new"]),
}
WORDED = {name: CollectionConfig(name=name, dimensions=8, text_search="english") for name in ("one", "two")}
ELSEWHERE = {"from_langchain_postgres", "copy_from_langchain_postgres"}


def test_every_pair_is_compared():
    assert {*CALLS, *MAKING} | (ELSEWHERE & set(PAIRS)) == set(PAIRS)


def everything(store):
    return store.list_documents(limit=1000).documents


def rounded(answer):
    """Return *answer* with the scores of documents rounded: how embeddings are spread is found out from a sample."""
    return [(document, round(score, 6)) for document, score in answer]


@pytest.mark.parametrize("name", sorted(CALLS))
def test_twins_answer_alike(client, name):
    arguments, keywords = CALLS[name]
    blocking, asynchronous = (PGRecallVectorStore(MODEL, WORDED[table], client=client) for table in ("one", "two"))
    for store in (blocking, asynchronous):
        store.add_documents(DOCUMENTS)
    answer = getattr(blocking, name)(*arguments, **keywords)
    same = asyncio.run(getattr(asynchronous, f"a{name}")(*arguments, **keywords))
    if name == "hybrid_search_with_score":
        answer, same = rounded(answer), rounded(same)
    if name == "ingest":
        answer, same = replace(answer, seconds=0.0), replace(same, seconds=0.0)
    assert same == answer
    assert everything(blocking) == everything(asynchronous)
    assert answer or name == "close"


@pytest.mark.parametrize("name", sorted(MAKING))
def test_both_ways_of_making_a_store_write_alike(client, name):
    arguments, keywords = MAKING[name]
    made = []
    for method, table in ((name, "one"), (f"a{name}", "two")):
        PGRecallVectorStore(MODEL, table, client=client).add_documents(DOCUMENTS[1:3])
        store = getattr(PGRecallVectorStore, method)(*arguments, collection=table, client=client, **keywords)
        made.append(asyncio.run(store) if inspect.iscoroutine(store) else store)
    assert everything(made[0]) == everything(made[1])
    assert len(everything(made[0])) == (2 if name == "from_existing" else 3)
    assert made[0].embeddings is MODEL


async def test_no_asynchronous_method_goes_through_a_thread(url, monkeypatch):
    async def refused(*args, **kwargs):
        pytest.fail("run_in_executor was called")

    # Embedding models may well use threads: langchain_core's default for them does, in its own module.
    for module in ("vectorstores.base", "retrievers", "runnables.config", "runnables.base"):
        monkeypatch.setattr(f"langchain_core.{module}.run_in_executor", refused)
    async with AsyncClient(url) as client:
        store = await PGRecallVectorStore.afrom_documents(DOCUMENTS, MODEL, collection=WORDED["one"], client=client)
        for name, (arguments, keywords) in CALLS.items():
            await getattr(store, f"a{name}")(*arguments, **keywords)
        for name, (arguments, keywords) in MAKING.items():
            await getattr(PGRecallVectorStore, f"a{name}")(*arguments, collection="one", client=client, **keywords)
        for kind in ("similarity", "mmr", "keyword", "hybrid"):
            assert await store.as_retriever(search_type=kind, window=1, k=1).ainvoke("text 3", window=0)
            assert await store.asearch("text 3", kind)
        assert await store.asearch("text 3", "similarity_score_threshold", score_threshold=0.1)


# -- adding ----------------------------------------------------------------------------------------


def test_add_embeddings_takes_pairs_sequences_and_arrays(store):
    vectors = MODEL.embed_documents(["a", "b"])
    forms = {
        "pairs": {"text_embeddings": list(zip("ab", vectors, strict=True))},
        "generator": {"text_embeddings": (pair for pair in zip("ab", vectors, strict=True))},
        "lists": {"text_embeddings": [["a", vectors[0]], ["b", np.array(vectors[1])]]},
        "columns": {"texts": ["a", "b"], "embeddings": vectors},
        "array": {"texts": ("a", "b"), "embeddings": np.array(vectors)},
        "half": {"texts": iter("ab"), "embeddings": np.array(vectors, np.float16)},
    }
    for name, form in forms.items():
        written = store.add_embeddings(**form, metadatas=[{"form": name}, None], ids=[f"{name} a", f"{name} b"])
        assert written == [f"{name} a", f"{name} b"]
        found = store.similarity_search("b", k=10, filter={"$id": {"$like": f"{name}%"}})
        assert contents(found) == ["b", "a"]
        assert [document.metadata for document in found] == [{}, {"form": name}]


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"texts": ["a"]},
        {"embeddings": [VECTOR]},
        {"text_embeddings": [("a", VECTOR)], "texts": ["a"]},
        {"text_embeddings": ["ab"]},
        {"text_embeddings": [("a", VECTOR, {})]},
        {"text_embeddings": [(VECTOR, "a")]},
        {"text_embeddings": [("a", None)]},
        {"text_embeddings": [("a", "b")]},
        {"texts": "a", "embeddings": [VECTOR]},
        {"texts": ["a"], "embeddings": VECTOR},
        {"texts": ["a"], "embeddings": [[float("nan")] * 8]},
        {"texts": ["a"], "embeddings": [[0.0] * 8]},
    ],
)
def test_add_embeddings_refuses_what_it_cannot_store(store, form):
    for add in (store.add_embeddings, lambda **form: asyncio.run(store.aadd_embeddings(**form))):
        with pytest.raises(ConfigError):
            add(**form)
    assert store.count() == 0


def test_adding_nothing_asks_no_model_and_makes_no_table(client):
    model = Remembering(size=8)
    store = PGRecallVectorStore(model, "nothing", client=client)
    assert store.add_texts([]) == store.add_documents([]) == store.add_documents(iter([])) == []
    assert store.add_embeddings([]) == []
    assert store.update_documents([]) == store.update_metadata({}) == 0
    assert model.seen == []
    assert not store.collection.exists()


def test_ids_are_made_where_there_are_none(store):
    written = store.add_documents([Document(id="a", page_content="x"), Document(page_content="y")], batch_size=1)
    assert written[0] == "a"
    assert UUID(written[1])
    assert store.add_texts(["x", "y"], ids=["b", None])[0] == "b"
    assert store.add_documents([Document(id="own", page_content="z")], ids=["given"]) == ["given"]
    assert store.count() == 5


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_batch_size_is_how_many_are_embedded_together(client, size):
    sizes = []

    class Model(DeterministicFakeEmbedding):
        def embed_documents(self, texts):
            sizes.append(len(texts))
            return super().embed_documents(texts)

    store = PGRecallVectorStore(Model(size=8), client=client)
    assert len(store.add_texts(list("abcde"), batch_size=size)) == 5
    assert (
        len(asyncio.run(store.aadd_documents((Document(page_content=text) for text in "abcde"), batch_size=size))) == 5
    )
    expected = [size] * (5 // size) + ([5 % size] if 5 % size else [])
    assert sizes == expected * 2


@pytest.mark.parametrize("size", [0, -1, 1.5, "3", True])
def test_batch_size_that_is_no_number_is_refused(store, size):
    with pytest.raises(ConfigError, match="batch_size"):
        store.add_texts(["a"], batch_size=size)


def test_embedding_of_another_length_is_refused(store):
    store.add_texts(["a"])
    other = PGRecallVectorStore(DeterministicFakeEmbedding(size=9), store.collection)
    with pytest.raises(SchemaError, match="9"):
        other.add_texts(["b"])
    with pytest.raises(SchemaError, match="9"):
        other.similarity_search("b")
    assert store.count() == 1


def test_from_documents_with_a_generator_keeps_metadata_and_ids(client):
    store = PGRecallVectorStore.from_documents((document for document in DOCUMENTS), MODEL, client=client, batch_size=3)
    assert everything(store) == DOCUMENTS
    again = PGRecallVectorStore.from_documents(
        iter(DOCUMENTS), MODEL, client=client, collection="x", ids=list("abcdefgh")
    )
    assert contents(again.get_by_ids(["h", "a"])) == ["text 7", "text 0"]


# -- changing --------------------------------------------------------------------------------------


def test_update_documents_replaces_text_embedding_and_metadata(store):
    store.add_documents(DOCUMENTS)
    assert store.update_documents([Document(id="d1", page_content="changed", metadata={"new": date(2024, 1, 1)})]) == 1
    assert store.similarity_search("changed", k=1) == [
        Document(id="d1", page_content="changed", metadata={"new": date(2024, 1, 1)})
    ]
    assert store.count() == 8


def test_update_documents_takes_ids_instead_of_the_documents_own(store):
    store.add_documents(DOCUMENTS)
    assert (
        store.update_documents([Document(id="x", page_content="a"), Document(page_content="b")], ids=["d0", "d9"]) == 1
    )
    assert store.get_by_ids(["d0"])[0].page_content == "a"
    assert store.get_by_ids(["d9", "x"]) == []


def test_update_of_a_document_without_an_id_is_refused_and_changes_nothing(store):
    store.add_documents(DOCUMENTS)
    with pytest.raises(ConfigError, match="document 1 has no id"):
        store.update_documents([Document(id="d0", page_content="x"), Document(page_content="y")])
    assert everything(store) == DOCUMENTS


def test_update_that_cannot_be_stored_changes_nothing(store):
    store.add_documents(DOCUMENTS)
    with pytest.raises(RecordError):
        store.update_documents([Document(id="d0", page_content="x"), Document(id="d1", page_content="y\x00")])
    with pytest.raises(RecordError):
        store.update_metadata({"d0": {"a": 1}, "d1": {"a": object()}})
    assert everything(store) == DOCUMENTS


def test_update_metadata_merges_with_the_types_of_both(store):
    store.add_texts(["a"], [{"when": date(2024, 1, 1), "n": 1, "price": Decimal("1.10")}], ids=["a"])
    assert store.update_metadata({"a": {"n": UUID(int=1), "new": (1, 2)}, "nope": {"n": 1}}) == 1
    expected = {"when": date(2024, 1, 1), "n": UUID(int=1), "price": Decimal("1.10"), "new": (1, 2)}
    assert store.get_by_ids(["a"])[0].metadata == expected
    store.update_metadata({"a": {"when": "soon", "price": 2.5}})
    assert store.get_by_ids(["a"])[0].metadata == expected | {"when": "soon", "price": 2.5}


def test_update_metadata_replaces_with_its_own_types_only(store):
    store.add_texts(["a"], [{"when": date(2024, 1, 1), "n": 1}], ids=["a"])
    store.update_metadata({"a": {"when": "2024-01-01", "at": NAIVE}}, merge=False)
    assert store.get_by_ids(["a"])[0].metadata == {"when": "2024-01-01", "at": NAIVE}
    store.update_metadata({"a": {}}, merge=False)
    assert store.get_by_ids(["a"])[0].metadata == {}


@pytest.mark.parametrize("bad", [["a"], "a", None, [("a", {})], {"a": None}, {"a": "x"}, {"a": ["x"]}])
def test_update_metadata_of_something_else_is_refused(store, bad):
    store.add_texts(["a"], ids=["a"])
    with pytest.raises(ConfigError):
        store.update_metadata(bad)
    with pytest.raises(ConfigError):
        asyncio.run(store.aupdate_metadata(bad))


def test_nothing_is_embedded_when_metadata_changes(client):
    model = Remembering(size=8)
    store = PGRecallVectorStore(model, client=client)
    store.add_texts(["a"], ids=["a"])
    store.update_metadata({"a": {"n": 1}})
    assert model.seen == [["a"]]


# -- deleting --------------------------------------------------------------------------------------


def test_delete_all_is_of_one_domain(store):
    store.add_documents(DOCUMENTS)
    store.add_documents(DOCUMENTS, domain="other")
    assert store.delete(delete_all=True, domain="other") is True
    assert store.count(domain="other") == 0
    assert store.count() == 8
    assert store.delete(delete_all=True) is True
    assert store.count() == 0


@pytest.mark.parametrize(
    "keywords",
    [
        {},
        {"ids": None},
        {"filter": None},
        {"filter": {}},
        {"filter": {"$and": []}},
        {"delete_all": True, "ids": ["d1"]},
        {"delete_all": True, "ids": []},
        {"delete_all": True, "filter": {"n": 1}},
        {"delete_all": True, "filter": {}},
        {"ids": "d1"},
        {"ids": [1.5]},
        {"ids": [None]},
        {"domain": ""},
        {"delete_al": True},
    ],
)
def test_delete_of_nothing_that_was_said_is_refused(store, keywords):
    store.add_documents(DOCUMENTS)
    for delete in (store.delete, lambda **keywords: asyncio.run(store.adelete(**keywords))):
        with pytest.raises(ConfigError):
            delete(**keywords)
    assert store.count() == 8


def test_delete_takes_ids_a_filter_or_both(store):
    store.add_documents(DOCUMENTS)
    assert store.delete([]) is True
    assert store.delete(["nope"]) is True
    assert store.delete(["d0", "d1"], filter={"n": 1}) is True
    assert store.delete(filter={"n": {"$gte": 6}}) is True
    assert ids(everything(store)) == ["d0", "d2", "d3", "d4", "d5"]


# -- reading ---------------------------------------------------------------------------------------


def pages(store, **keywords):
    found, after = [], None
    while True:
        page = store.list_documents(**keywords, after=after)
        assert page.ids == ids(page.documents)
        found.append(page.ids)
        after = page.next
        if after is None:
            return found


def test_pages_of_250_documents_hold_each_once(store):
    names = [f"{'ab'[n % 2]}{n:03}" for n in range(250)]
    store.add_documents([Document(id=name, page_content=name, metadata={"n": n}) for n, name in enumerate(names)])
    listed = pages(store)
    assert [len(page) for page in listed] == [100, 100, 50]
    assert list(chain(*listed)) == sorted(names)
    assert [len(page) for page in pages(store, limit=125)] == [125, 125]
    assert [len(page) for page in pages(store, prefix="a", limit=60)] == [60, 60, 5]
    assert all(name.startswith("a") for page in pages(store, prefix="a") for name in page)
    low = pages(store, filter={"n": {"$lt": 100}}, prefix="b", limit=30)
    assert list(chain(*low)) == [name for name in sorted(names) if name.startswith("b") and int(name[1:]) < 100]
    assert pages(store, prefix="zzz") == [[]]
    assert pages(store, domain="other") == [[]]


def test_prefix_is_taken_as_it_is(store):
    names = ["a%b", "a_b", "axb", "a\\b", "A%b", "é", "e"]
    store.add_texts(names, ids=names)
    for prefix in ("a%", "a_", "a\\", "é", "A"):
        assert pages(store, prefix=prefix) == [[name for name in sorted(names) if name.startswith(prefix)]]


@pytest.mark.parametrize("bad", [{"limit": 0}, {"limit": 10_001}, {"after": 3}, {"prefix": "\x00"}, {"page": 2}])
def test_page_of_something_else_is_refused(store, bad):
    store.add_texts(["a"])
    with pytest.raises(ConfigError):
        store.list_documents(**bad)


def test_count_counts_what_passes(store):
    assert store.count() == store.count({"n": 1}) == 0
    store.add_documents(DOCUMENTS)
    assert (store.count(), store.count({}), store.count({"n": {"$lt": 3}}), store.count(domain="x")) == (8, 8, 3, 0)


def test_get_by_ids_keeps_order_and_repeats(store):
    store.add_documents(DOCUMENTS)
    assert ids(store.get_by_ids(["d3", "nope", "d1", "d3"])) == ["d3", "d1", "d3"]
    for bad in ("d1", [1.5], [None]):
        with pytest.raises(ConfigError):
            store.get_by_ids(bad)


# -- searching -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (None, ["0", "30", "60", "90", "120", "180"]),
        (-5, ["0", "30", "60", "90", "120", "180"]),
        (0, ["0", "30", "60", "90", "120", "180"]),
        (0.4, ["0", "30", "60"]),
        (1, ["0"]),
        (1.0001, []),
    ],
)
def test_threshold_is_of_relevance_by_text_and_by_vector(angles, threshold, expected):
    vector = Angles().embed_query("x 0")
    searches = [
        angles.similarity_search("x 0", k=9, score_threshold=threshold),
        angles.similarity_search_by_vector(vector, k=9, score_threshold=threshold),
        [document for document, _ in angles.similarity_search_with_score("x 0", k=9, score_threshold=threshold)],
        [
            document
            for document, _ in angles.similarity_search_with_relevance_scores("x 0", k=9, score_threshold=threshold)
        ],
        asyncio.run(angles.asimilarity_search("x 0", k=9, score_threshold=threshold)),
    ]
    assert [ids(found) for found in searches] == [expected] * len(searches)


@pytest.mark.parametrize("bad", ["0.5", True, float("nan"), float("inf"), [0.5]])
def test_threshold_that_is_no_number_is_refused(angles, bad):
    with pytest.raises(ConfigError, match="score_threshold"):
        angles.similarity_search("x 0", score_threshold=bad)


def test_k_counts_what_passes_the_threshold(angles):
    assert ids(angles.similarity_search("x 60", k=2, score_threshold=0.5))[0] == "60"
    assert len(angles.similarity_search("x 60", k=2, score_threshold=0.1)) == 2


def test_opposites_have_relevance_0_and_a_distance_of_2(angles):
    (document, distance), *_ = angles.similarity_search_with_score("x 180", k=1)
    assert (document.id, round(distance, 6)) == ("180", 0)
    found = {
        document.id: (distance, relevance)
        for (document, distance), (_, relevance) in zip(
            angles.similarity_search_with_score("x 0", k=6),
            angles.similarity_search_with_relevance_scores("x 0", k=6),
            strict=True,
        )
    }
    assert found["180"] == pytest.approx((2, 0))
    assert found["120"] == pytest.approx((1.5, 0))


def test_inner_products_above_1_have_relevance_1_and_pass_every_threshold(client):
    config = CollectionConfig(name="products", distance=Distance.INNER_PRODUCT)
    store = PGRecallVectorStore(Angles(), config, client=client)
    store.add_embeddings([("five", [5, 0]), ("two", [2, 0]), ("half", [0.5, 0]), ("minus", [-1, 0])])
    found = store.similarity_search_with_relevance_scores("x 0", k=9)
    assert [(document.page_content, relevance) for document, relevance in found] == [
        ("five", 1),
        ("two", 1),
        ("half", 0.5),
        ("minus", 0),
    ]
    assert contents(store.similarity_search("x 0", k=9, score_threshold=1)) == ["five", "two"]
    assert contents(store.similarity_search("x 0", k=9, score_threshold=0.5)) == ["five", "two", "half"]
    assert [distance for _, distance in store.similarity_search_with_score("x 0")] == [-5, -2, -0.5, 1]


def test_relevance_of_ones_own_is_what_thresholds_are_about(client):
    store = PGRecallVectorStore(Angles(), client=client, relevance_score_fn=lambda distance: 10 - distance)
    store.add_texts(["x 0", "x 90", "x 180"], ids=["0", "90", "180"])
    found = store.similarity_search_with_relevance_scores("x 0")
    assert [(document.id, round(score, 5)) for document, score in found] == [("0", 10), ("90", 9), ("180", 8)]
    assert ids(store.similarity_search("x 0", score_threshold=8.5)) == ["0", "90"]
    assert store.relevance_score_fn(1) == 9


@pytest.mark.parametrize("k", [0, -1, 10_001, 1.0, "4", True, None])
def test_k_out_of_range_is_refused_by_every_search(store, k):
    store.add_texts(["a"])
    calls = [
        lambda: store.similarity_search("a", k=k),
        lambda: store.similarity_search_by_vector(VECTOR, k=k),
        lambda: store.similarity_search_with_relevance_scores("a", k=k),
        lambda: store.max_marginal_relevance_search("a", k=k),
        lambda: asyncio.run(store.amax_marginal_relevance_search_by_vector(VECTOR, k=k)),
    ]
    for search in calls:
        with pytest.raises(ConfigError, match="k must be a whole number"):
            search()


def test_k_above_what_there_is_gives_what_there_is(store):
    store.add_documents(DOCUMENTS)
    assert len(store.similarity_search("a", k=10_000)) == 8
    assert len(store.max_marginal_relevance_search("a", k=10_000)) == 8
    assert len(store.max_marginal_relevance_search("a", k=6, fetch_k=1)) == 6


@pytest.mark.parametrize(
    "bad", [{"fetch_k": 0}, {"fetch_k": None}, {"lambda_mult": -0.1}, {"lambda_mult": 1.1}, {"lambda_mult": None}]
)
def test_mmr_out_of_range_is_refused(store, bad):
    with pytest.raises(ConfigError):
        store.max_marginal_relevance_search("a", **bad)


@pytest.mark.parametrize("vector", [[], [1.0], [float("nan")] * 8, [0.0] * 8, "abcdefgh", None, [[1.0] * 8]])
def test_vector_that_is_none_of_the_collection_is_refused(store, vector):
    store.add_texts(["a"])
    with pytest.raises(ValueError, match=r"."):
        store.similarity_search_by_vector(vector)
    with pytest.raises(ValueError, match=r"."):
        store.max_marginal_relevance_search_by_vector(vector)


def test_overrides_of_the_planner_are_taken_by_every_search(store):
    store.add_documents(DOCUMENTS)
    for options in ({"exact": True}, {"ef_search": 7}, {"probes": 2}, {"overfetch": 3}, {"max_scan_tuples": 100}):
        for search in (
            store.similarity_search,
            store.similarity_search_with_score,
            store.similarity_search_with_relevance_scores,
            store.max_marginal_relevance_search,
        ):
            assert len(search("text 3", k=3, **options)) == 3
        assert len(store.as_retriever(k=3, search_kwargs=options).invoke("text 3")) == 3
    with pytest.raises(ConfigError, match="contradict"):
        store.similarity_search("a", exact=True, access="index")
    with pytest.raises(ConfigError, match="probes"):
        store.similarity_search("a", probes=0)


# -- unknown words ---------------------------------------------------------------------------------

MISSPELT = {
    "filters": [
        "similarity_search",
        "similarity_search_with_score",
        "similarity_search_with_relevance_scores",
        "similarity_search_by_vector",
        "similarity_search_with_score_by_vector",
        "similarity_search_by_vector_with_relevance_scores",
        "max_marginal_relevance_search",
        "max_marginal_relevance_search_by_vector",
        "max_marginal_relevance_search_with_score",
        "max_marginal_relevance_search_with_score_by_vector",
        "keyword_search",
        "keyword_search_with_score",
        "hybrid_search",
        "hybrid_search_with_score",
    ],
    "domains": [
        "add_texts",
        "add_documents",
        "add_embeddings",
        "update_documents",
        "update_metadata",
        "delete",
        "count",
        "list_documents",
        "get_by_ids",
        "ingest",
    ],
}
ARGUMENTS = {
    "add_texts": [["a"]],
    "add_documents": [[Document(page_content="a")]],
    "add_embeddings": [[("a", VECTOR)]],
    "update_documents": [[Document(id="a", page_content="a")]],
    "update_metadata": [{"a": {}}],
    "delete": [["a"]],
    "count": [],
    "list_documents": [],
    "get_by_ids": [["a"]],
    "ingest": [["a"]],
}


@pytest.mark.parametrize(("word", "name"), [(word, name) for word, names in MISSPELT.items() for name in names])
def test_unknown_word_is_refused_with_the_nearest_and_before_anything_is_embedded(client, word, name):
    model = Remembering(size=8)
    store = PGRecallVectorStore(model, client=client)
    arguments = ARGUMENTS.get(name, [VECTOR if "by_vector" in name else "a"])
    nearest = {"filters": "filter", "domains": "domain"}[word]
    with pytest.raises(ConfigError, match=f"{word}.*{nearest}"):
        getattr(store, name)(*arguments, **{word: "x"})
    with pytest.raises(ConfigError, match=f"{word}.*{nearest}"):
        asyncio.run(getattr(store, f"a{name}")(*arguments, **{word: "x"}))
    assert model.seen == []


def test_every_method_that_takes_any_keyword_is_among_those():
    taking = {
        name
        for name in PAIRS
        if any(
            p.kind is p.VAR_KEYWORD for p in inspect.signature(getattr(PGRecallVectorStore, name)).parameters.values()
        )
    }
    checked = {name for names in MISSPELT.values() for name in names}
    assert taking - checked == {"search", *MAKING, *(ELSEWHERE & taking)}


@pytest.mark.parametrize("name", sorted(MAKING))
def test_unknown_word_of_a_constructor_is_refused_with_the_nearest(client, name):
    arguments, keywords = MAKING[name]
    with pytest.raises(ConfigError, match="did you mean 'collection'"):
        getattr(PGRecallVectorStore, name)(*arguments, client=client, collections="x", **keywords)


# -- domains ---------------------------------------------------------------------------------------

DOMAINS = ("default", "one", "it's two; --")


@pytest.fixture(scope="module")
def shared(module_database):
    with PGRecallVectorStore(MODEL, "tenants", url=module_database.url) as store:
        yield store


text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=8)
actions = st.tuples(
    st.sampled_from(["add", "update", "metadata", "delete", "filter", "clear"]),
    st.sampled_from(DOMAINS),
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True),
    text,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(actions, min_size=2, max_size=8))
def test_tenants_never_see_or_change_each_other(shared, steps):
    for domain in DOMAINS:
        shared.delete(delete_all=True, domain=domain)
    model = {domain: {} for domain in DOMAINS}
    for kind, domain, names, content in steps:
        there = model[domain]
        if kind == "add":
            shared.add_texts([content] * len(names), [{"owner": domain}] * len(names), ids=names, domain=domain)
            there.update({name: (content, {"owner": domain}) for name in names})
        elif kind == "update":
            shared.update_documents([Document(id=name, page_content=content) for name in names], domain=domain)
            there.update({name: (content, {}) for name in names if name in there})
        elif kind == "metadata":
            shared.update_metadata({name: {"owner": content} for name in names}, domain=domain)
            there.update({name: (there[name][0], {"owner": content}) for name in names if name in there})
        elif kind == "delete":
            shared.delete(names, domain=domain)
            model[domain] = {name: value for name, value in there.items() if name not in names}
        elif kind == "filter":
            shared.delete(filter={"owner": content}, domain=domain)
            model[domain] = {name: value for name, value in there.items() if value[1].get("owner") != content}
        else:
            shared.delete(delete_all=True, domain=domain)
            model[domain] = {}
    vector = MODEL.embed_query("x")
    for domain, there in model.items():
        expected = {name: Document(id=name, page_content=c, metadata=m) for name, (c, m) in there.items()}
        options = {"k": 50, "domain": domain}
        seen = [
            shared.list_documents(domain=domain).documents,
            shared.get_by_ids(list("abcd"), domain=domain),
            shared.similarity_search("x", **options),
            shared.similarity_search_by_vector(vector, **options),
            [document for document, _ in shared.similarity_search_with_score("x", **options)],
            [document for document, _ in shared.similarity_search_with_relevance_scores("x", **options)],
            shared.max_marginal_relevance_search("x", **options),
            shared.search("x", "mmr", **options),
            shared.as_retriever(search_kwargs=options).invoke("x"),
            shared.as_retriever(search_type="mmr").invoke("x", **options),
        ]
        assert shared.count(domain=domain) == len(expected)
        for found in seen:
            assert {document.id: document for document in found} == expected
            assert len(found) == len(expected)


def test_domain_of_the_store_is_that_of_its_calls(client, store):
    other = PGRecallVectorStore(MODEL, client=client, domain="other")
    other.add_texts(["theirs"], ids=["a"])
    assert store.count() == 0
    assert contents(other.get_by_ids(["a"])) == contents(store.get_by_ids(["a"], domain="other")) == ["theirs"]
    assert contents(asyncio.run(store.aget_by_ids(["a"], domain="other"))) == ["theirs"]
    assert other.count(domain="default") == 0


@pytest.mark.parametrize("bad", [None, "", 3, "\x00", b"x", ["x"]])
def test_domain_that_is_none_is_refused_by_every_call(store, bad):
    store.add_texts(["a"], ids=["a"])
    for name, arguments in ARGUMENTS.items():
        with pytest.raises(ConfigError):
            getattr(store, name)(*arguments, domain=bad)
    with pytest.raises(ConfigError):
        store.similarity_search("a", domain=bad)
    with pytest.raises(ConfigError):
        store.as_retriever(search_kwargs={"domain": bad}).invoke("a")
    assert store.count() == 1


# -- constructing ----------------------------------------------------------------------------------


def test_words_of_the_incumbent_are_understood(url):
    with PGRecallVectorStore(
        embeddings=MODEL,
        connection=url,
        collection_name="theirs",
        use_jsonb=True,
        embedding_length=8,
        distance_strategy="euclidean",
        create_extension=True,
        async_mode=True,
    ) as store:
        store.add_texts(["a"])
        assert store.collection.name == "theirs"
        assert store.collection.config.distance is Distance.L2
        assert contents(store.similarity_search("a")) == ["a"]


def test_driver_in_the_url_of_the_incumbent_is_understood(url):
    connection = url.replace("postgresql://", "postgresql+psycopg://")
    with PGRecallVectorStore(embeddings=MODEL, connection=connection, collection_name="c") as store:
        assert store.count() == 0


def test_from_documents_takes_the_words_of_the_incumbent(url):
    store = PGRecallVectorStore.from_documents(
        embedding=MODEL, documents=DOCUMENTS, collection_name="c", connection=url, use_jsonb=True
    )
    with store:
        assert everything(store) == DOCUMENTS


@pytest.mark.parametrize("embedding", [None, "model", DeterministicFakeEmbedding, lambda text: [1.0]])
def test_embedding_that_is_no_model_is_refused(url, embedding):
    with pytest.raises(ConfigError, match="embedding"):
        PGRecallVectorStore(embedding, url=url)


def test_from_existing_wants_a_table(client):
    for make in (
        lambda: PGRecallVectorStore.from_existing(MODEL, "nothing", client=client),
        lambda: asyncio.run(PGRecallVectorStore.afrom_existing(MODEL, "nothing", client=client)),
    ):
        with pytest.raises(CollectionNotFound, match="nothing"):
            make()


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("name", sorted(MAKING))
def test_store_that_could_not_be_made_leaves_no_connection(url, database, name, asynchronous):
    arguments, keywords = {
        "from_documents": call([Document(page_content="b")], MODEL),
        "from_embeddings": call([("b", VECTOR)], MODEL),
        "from_existing": call(MODEL),
        "from_texts": call(["b"], MODEL),
    }[name]
    database.execute("CREATE TABLE documents (n int)")

    async def make():
        with pytest.raises(SchemaError):
            await getattr(PGRecallVectorStore, f"a{name}")(*arguments, url=url, **keywords)
        # Not the end of the loop is to close them.
        return await asyncio.to_thread(backends_end, database)

    if asynchronous:
        assert asyncio.run(make())
    else:
        with pytest.raises(SchemaError):
            getattr(PGRecallVectorStore, name)(*arguments, url=url, **keywords)
        assert backends_end(database)


def backends_end(database):
    """Return whether the connections to *database* come to an end."""
    pause = threading.Event()
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgrecall' AND datname = current_database()"
    return any(database.ask(query) == 0 or pause.wait(0.02) for _ in range(100))


def test_from_existing_adopts_a_table_with_columns_of_its_own(client, database):
    database.execute(
        "CREATE TABLE theirs (chunk_id uuid PRIMARY KEY DEFAULT gen_random_uuid(), body text, vec vector(8), extra jsonb)"
    )
    columns = Columns(id="chunk_id", content="body", embedding="vec", metadata="extra")
    config = CollectionConfig(name="theirs", columns=columns)
    store = PGRecallVectorStore.from_existing(MODEL, config, client=client)
    [written] = store.add_texts(["a"], [{"n": 1}])
    assert store.similarity_search("a", filter={"n": 1}) == [Document(id=written, page_content="a", metadata={"n": 1})]
    assert database.ask("SELECT body FROM theirs") == "a"
    assert store.delete([written]) is True
    with pytest.raises(RecordError, match="id"):
        store.add_texts(["b"], ids=["no uuid"])
    same = PGRecallVectorStore(
        MODEL,
        client=client,
        table_name="theirs",
        id_column="chunk_id",
        content_column="body",
        embedding_column="vec",
        metadata_json_column="extra",
    )
    assert same.add_texts(["c"])
    assert store.count() == 1


def test_from_existing_says_all_that_does_not_fit(client, database):
    database.execute("CREATE TABLE theirs (id text PRIMARY KEY, body text, vec vector(8))")
    columns = Columns(content="text", embedding="vector")
    with pytest.raises(SchemaError, match=r"(?s)text.*vector|vector.*text"):
        PGRecallVectorStore.from_existing(MODEL, CollectionConfig(name="theirs", columns=columns), client=client)


def test_collection_and_client_of_the_caller_are_not_closed(url):
    with Client(url) as client:
        with PGRecallVectorStore(MODEL, "docs", client=client) as store:
            store.add_texts(["a"])
        with PGRecallVectorStore(MODEL, store.collection) as again:
            assert again.count() == 1
        assert client.collection("docs").count() == 1


def test_open_asynchronous_collection_is_taken(url):
    async def main():
        async with AsyncClient(url) as client:
            store = PGRecallVectorStore(MODEL, client.collection("docs", domain="mine"))
            await store.aadd_texts(["a"])
            return await client.collection("docs", domain="mine").count(), await store.acount(domain="default")

    assert asyncio.run(main()) == (1, 0)
