"""What the guide of vecs shows, with another import; what vecs itself gets wrong; and the tables it has made."""

import threading
import warnings

import numpy as np
import pytest

from integration_tests.oracle import distances
from pgrecall import vecs
from pgrecall.errors import PerformanceWarning
from pgrecall.vecs.adapter import Adapter, AdapterStep, ParagraphChunker

THEIRS = """
CREATE SCHEMA IF NOT EXISTS vecs;
CREATE TABLE vecs."{name}" (id VARCHAR NOT NULL PRIMARY KEY, vec vector(3) NOT NULL, metadata JSONB DEFAULT '{{}}'::jsonb NOT NULL);
INSERT INTO vecs."{name}" VALUES ('vec0', '[0.1,0.2,0.3]', '{{"year": 1973}}'), ('vec1', '[0.7,0.8,0.9]', '{{"year": 2012}}');
"""
RECORDS = [("vec0", [0.1, 0.2, 0.3], {"year": 1973}), ("vec1", np.array([0.7, 0.8, 0.9]), {"year": 2012})]


@pytest.fixture
def vx(url):
    with vecs.create_client(url) as vx:
        yield vx


@pytest.fixture
def docs(vx):
    docs = vx.create_collection(name="docs", dimension=3)
    docs.upsert(records=RECORDS)
    return docs


@pytest.fixture
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PerformanceWarning)
        yield


def names(docs):
    return {index.distance.value: (index.method, dict(index.options)) for index in docs._indexes()}


def test_guide_runs_from_top_to_bottom(vx):
    docs = vx.create_collection(name="docs", dimension=3)
    docs = vx.get_collection(name="docs")
    docs.upsert(records=RECORDS)
    docs.create_index()
    found = docs.query(
        query_vector=[0.4, 0.5, 0.6],  # required
        limit=5,
        filters={},
        measure="cosine_distance",
        include_value=False,
        include_metadata=False,
    )
    assert found == ["vec1", "vec0"]
    assert docs.query([0.4, 0.5, 0.6], limit=5, filters={"year": {"$eq": 2012}}) == ["vec1"]
    docs.upsert([("vec2", [0.4, 0.5, 0.6], {})])
    assert docs.query([0.4, 0.5, 0.6], limit=1) == ["vec2"]


def test_collections_are_made_found_listed_and_deleted(vx):
    with pytest.raises(vecs.exc.CollectionNotFound, match="docs"):
        vx.get_collection("docs")
    with pytest.raises(vecs.exc.ArgError, match="dimension"):
        vx.get_or_create_collection("docs")
    docs = vx.get_or_create_collection("docs", dimension=3)
    assert repr(docs) == 'vecs.Collection(name="docs", dimension=3)'
    assert vx.get_or_create_collection("docs").dimension == vx.get_or_create_collection("docs", dimension=3).dimension
    with pytest.raises(vecs.exc.CollectionAlreadyExists):
        vx.create_collection("docs", 3)
    with pytest.raises(vecs.exc.MismatchedDimension):
        vx.get_or_create_collection("docs", dimension=4)
    vx.create_collection("_hidden", 4)
    vx.create_collection('with "quotes"', 4).create_index()
    assert [(c.name, c.dimension) for c in vx.list_collections()] == [("_hidden", 4), ("docs", 3), ('with "quotes"', 4)]
    assert vx.get_or_create_collection("_hidden", dimension=4).name == "_hidden"
    vx.delete_collection("docs")
    vx.delete_collection("docs")
    assert [c.name for c in vx.list_collections()] == ["_hidden", 'with "quotes"']
    with pytest.raises(vecs.exc.ArgError):
        vx.create_collection("n" * 64, 3)


def test_url_that_is_none_is_an_argument_error():
    with pytest.raises(vecs.exc.ArgError):
        vecs.create_client("mysql://localhost/app")


def test_url_may_name_a_driver(url):
    with vecs.create_client(url.replace("postgresql://", "postgresql+psycopg2://")) as vx:
        assert vx.list_collections() == []


def test_upsert_inserts_and_replaces(docs):
    docs.upsert([("vec1", (value for value in [1.0, 0.0, 0.0]), {"year": 1}), ("vec9", [1, 0, 0], None)])
    row_id, vector, metadata = docs["vec1"]
    assert (row_id, vector.tolist(), vector.dtype, metadata) == ("vec1", [1, 0, 0], np.float32, {"year": 1})
    assert (len(docs), docs["vec9"][2]) == (3, {})


def test_last_of_equal_ids_wins_in_one_upsert(docs):
    docs.upsert((f"vec{n % 2}", [n, 1, 1], {"n": n}) for n in range(6))
    assert [docs[f"vec{n}"][2] for n in (0, 1)] == [{"n": 4}, {"n": 5}]


NO_RECORDS = [
    ([("a", [1, 2, 3])], vecs.exc.ArgError),
    (["abc"], vecs.exc.ArgError),
    ({"a": [1, 2, 3]}, vecs.exc.ArgError),
    (7, vecs.exc.ArgError),
    ([(7, [1, 2, 3], {})], vecs.exc.ArgError),
    ([("a", [1, 2, 3], ["x"])], vecs.exc.ArgError),
    ([("a", [1, float("nan"), 3], {})], vecs.exc.ArgError),
    ([("ok", [1, 2, 3], {}), ("a", [1, 2], {})], vecs.exc.MismatchedDimension),
]


def test_what_is_no_record_is_refused_whole(docs):
    for records, error in NO_RECORDS:
        with pytest.raises(error):
            docs.upsert(records)
    assert len(docs) == 2


def test_fetch_keeps_the_order_and_passes_over_what_is_missing(docs):
    docs.upsert((f"n{n}", [n, 1, 1], {}) for n in range(30))
    wanted = [f"n{n}" for n in reversed(range(30))]
    assert [row_id for row_id, _, _ in docs.fetch([*wanted, "none"])] == wanted
    for bad in ("vec0", [7]):
        with pytest.raises(vecs.exc.ArgError):
            docs.fetch(bad)
    with pytest.raises(KeyError, match="none"):
        docs["none"]
    with pytest.raises(vecs.exc.ArgError):
        docs[0]


def test_delete_returns_the_ids_that_there_were(docs):
    assert docs.delete(ids=[]) == docs.delete(filters={}) == []
    assert docs.delete(ids=["vec0", "none"]) == ["vec0"]
    assert docs.delete(filters={"year": {"$gt": 2000}}) == ["vec1"]
    for bad in ({}, {"ids": ["a"], "filters": {"a": {"$eq": 1}}}, {"ids": "vec0"}):
        with pytest.raises(vecs.exc.ArgError):
            docs.delete(**bad)
    with pytest.raises(vecs.exc.FilterError):
        docs.delete(filters={"year": 2000})


@pytest.mark.parametrize("measure", list(vecs.IndexMeasure))
def test_query_by_any_measure_finds_the_nearest(vx, quiet, measure):
    docs = vx.get_or_create_collection("docs", dimension=8)
    vectors = np.random.default_rng(3).normal(size=(200, 8)).astype(np.float32)
    docs.upsert((f"{n}", vector, {"n": n}) for n, vector in enumerate(vectors))
    query = np.ones(8)
    away = distances(vectors, query, measure.distance)
    best = np.argsort(away)[:5]
    for indexed in (False, True):
        if indexed:
            docs.create_index(measure)
        assert docs.is_indexed_for_measure(measure) is indexed
        found = docs.query(query, 5, None, measure.value, True, True, include_vector=True)
        assert [row[0] for row in found] == [str(n) for n in best]
        np.testing.assert_allclose([row[1] for row in found], away[best], rtol=1e-4, atol=1e-5)
        assert [row[2] for row in found] == [{"n": n} for n in best]
        np.testing.assert_array_equal(found[0][3], vectors[best[0]])


def test_query_finds_as_many_as_are_asked_for_through_an_index(vx):
    docs = vx.get_or_create_collection("docs", dimension=3)
    docs.upsert((f"{n}", vector, {"n": n}) for n, vector in enumerate(np.random.default_rng(1).normal(size=(1_100, 3))))
    docs.create_index()
    assert len(set(docs.query([1, 1, 1], limit=1_000))) == 1_000
    assert len(docs.query([1, 1, 1], limit=100, ef_search=100, probes=3)) == 100
    assert len(docs.query([1, 1, 1], limit=50, filters={"n": {"$lt": 60}})) == 50


WRONG = [
    {"limit": 1_001},
    {"limit": 0},
    {"limit": "5"},
    {"measure": "hamming"},
    {"probes": 0},
    {"probes": "ten"},
    {"ef_search": 5_000},
    {"data": None},
    {"query_vector": [1, 2, 3]},
    {"data": [1, 2]},
]


def test_query_with_a_wrong_argument_is_refused(docs, quiet):
    for arguments in WRONG:
        with pytest.raises(vecs.exc.ArgError):
            docs.query(**{"data": [1, 2, 3], **arguments})


def test_every_query_without_an_index_names_the_measure_to_index(docs):
    docs.create_index(vecs.IndexMeasure.l2_distance)
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"no index for cosine_distance.*IndexMeasure\.cosine_distance"):
            docs.query([1, 2, 3])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        docs.query([1, 2, 3], measure="l2_distance")


def test_index_of_another_process_is_seen_at_once(vx, docs):
    with pytest.warns(UserWarning, match="cosine_distance"):
        docs.query([1, 2, 3])
    vx.get_collection("docs").create_index()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        docs.query([1, 2, 3])


def test_one_index_is_replaced_by_the_next(docs):
    assert (docs.index, docs.is_indexed_for_measure("cosine_distance")) == (None, False)
    docs.create_index()
    assert names(docs) == {"cosine": ("hnsw", {"m": "16", "ef_construction": "64"})}
    with pytest.raises(vecs.exc.ArgError, match="replace=True"):
        docs.create_index("l2_distance", replace=False)
    docs.create_index(vecs.IndexMeasure.l2_distance, vecs.IndexMethod.hnsw, vecs.IndexArgsHNSW(m=8))
    assert names(docs) == {"l2": ("hnsw", {"m": "8", "ef_construction": "64"})}
    docs.create_index("max_inner_product", "ivfflat", vecs.IndexArgsIVFFlat(n_lists=2))
    assert names(docs) == {"inner_product": ("ivfflat", {"lists": "2"})}
    assert docs.index is not None
    with pytest.raises(vecs.exc.ArgError):
        docs.create_index(method="ivfflat", measure="l1_distance")


def test_ivfflat_of_an_empty_collection_warns(vx):
    docs = vx.create_collection("docs", 3)
    with pytest.warns(UserWarning, match="empty"):
        docs.create_index(method="ivfflat")


def test_collection_that_has_more_than_doubled_asks_for_a_new_index(vx):
    docs = vx.create_collection("docs", 3)
    rows = np.random.default_rng(1).normal(size=(1_500, 3))
    docs.upsert((f"{n}", vector, {}) for n, vector in enumerate(rows[:500]))
    docs.create_index(method="ivfflat")
    docs.upsert((f"{n}", vector, {}) for n, vector in enumerate(rows))
    with pytest.warns(UserWarning, match="more than doubled"):
        docs.query([1, 2, 3])


def test_queries_go_on_while_an_index_is_replaced(vx, quiet):
    docs = vx.create_collection("docs", 64)
    rows = np.random.default_rng(1).normal(size=(2_000, 64))
    docs.upsert((f"{n}", vector, {}) for n, vector in enumerate(rows))
    docs.create_index()
    building = threading.Thread(target=docs.create_index)
    building.start()
    asked = 0
    while building.is_alive():
        assert len(docs.query(rows[0], limit=3)) == 3
        asked += 1
    building.join()
    assert asked > 3
    assert len(docs._indexes()) == 1


FILTERED = {
    "n5": {"y": 5, "tags": ["a", "b"], "deep": {"x": 1}},
    "n9": {"y": 9, "tags": "ab"},
    "text": {"y": "9", "tags": {"a": 1}},
    "null": {"y": None},
    "list": {"y": [5]},
    "bool": {"y": True},
    "bare": {},
}


FOUND = [
    ({"y": {"$eq": 5}}, {"n5"}),
    ({"y": {"$eq": "9"}}, {"text"}),
    ({"y": {"$ne": 5}}, FILTERED.keys() - {"n5"}),
    ({"y": {"$gt": 4}}, {"n5", "n9"}),
    ({"y": {"$lt": 6}}, {"n5"}),
    ({"y": {"$lte": 9}}, {"n5", "n9"}),
    ({"y": {"$gte": "9"}}, {"text"}),
    ({"y": {"$in": [5, "9"]}}, {"n5", "text"}),
    ({"y": {"$nin": [5, 9]}}, FILTERED.keys() - {"n5", "n9"}),
    ({"tags": {"$contains": "a"}}, {"n5"}),
    ({"y": {"$contains": 5}}, {"list"}),
    ({"y": {"$exists": True}}, FILTERED.keys() - {"bare"}),
    ({"deep.x": {"$eq": 1}}, {"n5"}),
    ({"$not": {"tags": {"$contains": "a"}}}, FILTERED.keys() - {"n5"}),
    ({"$or": [{"y": {"$eq": 9}}, {"$and": [{"y": {"$eq": 5}}, {"tags": {"$contains": "b"}}]}]}, {"n5", "n9"}),
    ({"y": {"$gt": 4, "$lt": 9}, "deep.x": {"$eq": 1}}, {"n5"}),
]


def test_filters_mean_what_they_say(vx, quiet):
    docs = vx.create_collection("docs", 3)
    docs.upsert((row_id, [1, 2, 3], metadata) for row_id, metadata in FILTERED.items())
    for filters, found in FOUND:
        assert set(docs.query([1, 2, 3], filters=filters)) == found, filters


def test_zero_vectors_are_stored_and_found_by_other_measures(docs, quiet):
    docs.upsert([("zero", [0, 0, 0], {})])
    assert docs.query([0.01, 0, 0], limit=1, measure="l2_distance") == ["zero"]
    assert docs.query([1, 1, 1]) == ["vec1", "vec0", "zero"]


class Letters(AdapterStep):
    """Makes of a text how often it has a, b and c."""

    @property
    def exported_dimension(self):
        return 3

    def __call__(self, records, adapter_context):
        for row_id, text, metadata in records:
            yield row_id, [text.count(letter) for letter in "abc"], metadata


def test_adapter_makes_vectors_of_texts(vx, quiet):
    adapter = Adapter([ParagraphChunker(skip_during_query=True), Letters()])
    docs = vx.get_or_create_collection("docs", adapter=adapter)
    docs.upsert([("one", "aaa\n\nbbb", {"n": 1}), ("two", "abc", None)])
    assert docs.dimension == len(docs) == 3
    assert docs.query("ab\n\nb", limit=1) == ["one_para_001"]
    docs.upsert([("three", [0, 0, 9], {})], skip_adapter=True)
    assert docs.query([0, 0, 1], limit=1, skip_adapter=True) == ["three"]
    chunking = vx.get_or_create_collection(
        "docs", adapter=Adapter([ParagraphChunker(skip_during_query=False), Letters()])
    )
    with pytest.raises(vecs.exc.ArgError, match="made 2"):
        chunking.query("a\n\nb")
    with pytest.raises(vecs.exc.MismatchedDimension):
        vx.get_or_create_collection("docs", dimension=4, adapter=adapter)
    with pytest.raises(vecs.exc.MismatchedDimension):
        vecs.Collection("docs", 4, vx, adapter)


def test_their_tables_are_used_where_they_are(vx, database, quiet):
    database.execute(THEIRS.format(name="theirs"))
    database.execute("CREATE INDEX whatever ON vecs.theirs USING hnsw (vec vector_l2_ops)")
    database.execute("CREATE TABLE vecs.other (id int, embedding vector(3))")
    (docs,) = vx.list_collections()
    assert (docs.name, docs.dimension, len(docs), docs.index) == ("theirs", 3, 2, "whatever")
    assert docs.is_indexed_for_measure("l2_distance")
    docs.upsert([("vec0", [1, 0, 0], {"year": 1}), ("vec2", [0, 1, 0], {})])
    assert docs.query([1, 0, 0], limit=1, include_value=True, measure="l2_distance") == [("vec0", 0.0)]
    docs.create_index()
    assert names(docs).keys() == {"cosine"}
    assert docs.delete(filters={"year": {"$eq": 2012}}) == ["vec1"]
    assert database.ask("SELECT count(*) FROM vecs.theirs") == 2
    vx.delete_collection("other")
    vx.delete_collection("theirs")
    assert vx.list_collections() == []
    assert database.ask("SELECT count(*) FROM vecs.other") == 0


def test_table_that_is_made_is_one_of_theirs_with_an_index_on_its_metadata(docs, database):
    columns = database.rows(
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute "
        "WHERE attrelid = 'vecs.docs'::regclass AND attnum > 0 ORDER BY 1"
    )
    assert [tuple(row) for row in columns] == [
        ("id", "text", True),
        ("metadata", "jsonb", True),
        ("vec", "vector(3)", True),
    ]
    assert "gin" in database.ask("SELECT string_agg(indexdef, ' ') FROM pg_indexes WHERE schemaname = 'vecs'")


def test_role_that_may_only_read_can_query(docs, database, quiet):
    role = database.role("GRANT USAGE ON SCHEMA vecs TO {role}", "GRANT SELECT ON vecs.docs TO {role}")
    with vecs.create_client(role) as reader:
        assert reader.get_collection("docs").query([1, 1, 1]) == ["vec1", "vec0"]
