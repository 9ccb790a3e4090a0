"""What users of llama-index-vector-stores-postgres 0.9.0 have to put up with: none of it here."""

import asyncio
import json
import pickle
import threading

import numpy as np
import pytest
from llama_index.core.indices.query.embedding_utils import get_top_k_mmr_embeddings
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

from pgrecall import HNSW, Access, AsyncClient, CollectionConfig, SearchOptions
from pgrecall.errors import (
    ConfigError,
    ConnectionFailed,
    DimensionMismatch,
    FilterError,
    PermissionDenied,
    PGRecallError,
    RecordError,
    SchemaError,
)
from pgrecall.llama_index import PGRecallVectorStore


def node(node_id, embedding=(1.0, 2.0), document=None, text="text", **metadata):
    made = TextNode(id_=node_id, text=text, embedding=list(embedding), metadata=metadata)
    if document is not None:
        made.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=document)
    return made


def where(key, value, operator=FilterOperator.EQ, condition=FilterCondition.AND):
    return MetadataFilters(filters=[MetadataFilter(key=key, value=value, operator=operator)], condition=condition)


def query(embedding=(1.0, 2.0), k=10, **others):
    return VectorStoreQuery(query_embedding=list(embedding), similarity_top_k=k, **others)


def ids(nodes):
    return [one.node_id for one in nodes]


@pytest.fixture
async def store(url):
    async with PGRecallVectorStore(url=url) as store:
        yield store


def test_1_filters_cannot_inject(store):
    store.add([node("a", owner="me"), node("b", owner="you")])
    for key, value in [
        ("owner", "nope' OR '1'='1"),
        ("s' = 'nope' OR '1'='1' --", "x"),
        ("owner'); DROP TABLE documents; --", "x"),
        ("$1", "x"),
    ]:
        for operator in (FilterOperator.EQ, FilterOperator.TEXT_MATCH, FilterOperator.CONTAINS):
            wanted = where(key, value, operator)
            assert store.get_nodes(filters=wanted) == []
            assert store.query(query(filters=wanted)).ids == []
            store.delete_nodes(filters=wanted)
    assert ids(store.get_nodes()) == ["a", "b"]


@pytest.mark.parametrize("value", ["O'Brien", " :foo", "nan", "infinity", "%s", "{}", "$1", "\\", '"', "a::text"])
def test_2_values_with_special_characters_are_values(store, value):
    store.add([node("a", name=value), node("b", name="other"), node("c", name=[value])])
    assert ids(store.get_nodes(filters=where("name", value))) == ["a"]
    assert ids(store.get_nodes(filters=where("name", [value], FilterOperator.IN))) == ["a"]
    assert ids(store.get_nodes(filters=where("name", [value]))) == ["c"]
    assert store.get_nodes(filters=where("name", [], FilterOperator.IN)) == []
    assert ids(store.get_nodes(filters=where("name", [], FilterOperator.ALL))) == ["a", "b", "c"]
    assert store.get_nodes(filters=where("name", None)) == []


def test_3_texts_that_look_like_numbers_stay_texts(store):
    store.add([node("a", zip="02139"), node("b", zip="SW1A"), node("c", zip=2139), node("d", zip="2139")])
    assert ids(store.get_nodes(filters=where("zip", "02139"))) == ["a"]
    assert ids(store.get_nodes(filters=where("zip", 2139))) == ["c"]
    assert ids(store.get_nodes(filters=where("zip", "1", FilterOperator.GT))) == ["b", "d"]


def test_4_operators_mean_what_the_framework_says(store):
    store.add(
        [
            node("a", tags=[1, 2], n=1, text="100%", empty=[]),
            node("b", tags=["x"], n=2.0, note="100 percent", empty=""),
            node("c", note="100%", empty=None),
        ]
    )
    for key, value, operator, wanted in [
        ("tags", 1, FilterOperator.CONTAINS, ["a"]),
        ("tags", [2, 9], FilterOperator.ANY, ["a"]),
        ("tags", [1, 2], FilterOperator.ALL, ["a"]),
        ("n", [1.0, 2], FilterOperator.IN, ["a", "b"]),
        ("n", 1, FilterOperator.NE, ["b", "c"]),
        ("n", [1], FilterOperator.NIN, ["b", "c"]),
        ("empty", None, FilterOperator.IS_EMPTY, ["a", "b", "c"]),
        ("note", "0%", FilterOperator.TEXT_MATCH, ["c"]),
        ("note", "_", FilterOperator.TEXT_MATCH, []),
    ]:
        if isinstance(value, list) and len({type(one) for one in value}) > 1:
            value = [float(one) for one in value]  # noqa: PLW2901 - mixed lists are no filters of LlamaIndex's
        assert ids(store.get_nodes(filters=where(key, value, operator))) == wanted, (key, operator)
    assert ids(store.get_nodes(filters=where("n", 1, condition=FilterCondition.NOT))) == ["b", "c"]
    assert ids(store.get_nodes(filters=where("n", 1, condition=None))) == ["a"]


async def test_5_empty_conditions_neither_delete_nor_return_everything(store):
    store.add([node("a"), node("b")])
    empty = MetadataFilters(filters=[])
    for nested in (empty, MetadataFilters(filters=[empty, empty])):
        with pytest.raises(FilterError, match="empty"):
            store.delete_nodes(filters=nested)
        with pytest.raises(FilterError, match="empty"):
            await store.adelete_nodes(filters=nested)
    store.delete_nodes()
    store.delete_nodes([])
    await store.adelete_nodes([], filters=where("x", 1))
    assert (store.get_nodes([]), await store.aget_nodes([])) == ([], [])
    assert store.count() == 2


async def test_6_nodes_that_are_added_again_are_there_once(store):
    for _ in range(3):
        assert store.add([node("a"), node("b"), node("a", text="last")]) == ["a", "b", "a"]
        assert await store.async_add([node("a", text="last")]) == ["a"]
    assert [one.text for one in store.get_nodes()] == ["last", "text"]
    assert sorted(store.query(query()).ids) == ["a", "b"]


def test_7_every_field_of_a_query_counts(store):
    store.add([node("a", document="d", x=1, y=2), node("b", document="e", x=1)])
    assert store.query(query(node_ids=["b"])).ids == ["b"]
    assert store.query(query(doc_ids=["d"])).ids == ["a"]
    assert store.query(query(output_fields=["y"])).nodes[0].metadata in ({"y": 2}, {})
    with pytest.raises(ConfigError, match="embedding_field"):
        store.query(query(embedding_field="other"))


@pytest.mark.parametrize("distance", ["cosine", "l2", "ip"])
async def test_8_index_is_of_the_type_and_distance_that_queries_use(url, connection, distance):
    config = CollectionConfig(name="half", vector_type="halfvec", distance=distance)
    rows = np.random.default_rng(1).normal(size=(800, 16))
    async with PGRecallVectorStore(config, url=url) as store:
        store.add([node(str(n), row.tolist()) for n, row in enumerate(rows)])
        await store.aclient.create_index(HNSW())
        forced = SearchOptions(access=Access.INDEX)
        plan = await store.aclient.explain(rows[0], 5, options=forced, postgres=True)
        definition = await connection.fetchval("SELECT indexdef FROM pg_indexes WHERE indexdef LIKE '%hnsw%'")
        assert f"halfvec_{distance}_ops" in definition
        assert "Index Scan using half_embedding" in "\n".join(plan.postgres)
        exact = await store.aquery(query(rows[0].tolist(), 1), exact=True)
        assert (await store.aquery(query(rows[0].tolist(), 1), access="index", ef_search=400)).ids == exact.ids


@pytest.mark.parametrize("keywords", [{"ivfflat_probes": 7}, {"hnsw_ef_search": 70}, {"mmr_prefetch_k": 20}])
async def test_9_settings_work_on_asynchronous_connections_in_every_mode(url, keywords):
    rows = np.random.default_rng(2).normal(size=(50, 4))
    async with PGRecallVectorStore(url=url) as store:
        await store.async_add([node(str(n), row.tolist()) for n, row in enumerate(rows)])
        await store.aclient.create_index(HNSW())
        for mode in (VectorStoreQueryMode.DEFAULT, VectorStoreQueryMode.MMR):
            result = await store.aquery(query(rows[0].tolist(), 5, mode=mode), **keywords)
            assert (len(result.ids), result.ids[0]) == (5, "0")
        scores, _ = get_top_k_mmr_embeddings(rows[0].tolist(), rows.tolist(), similarity_top_k=1)
        assert result.similarities[0] == pytest.approx(scores[0], abs=1e-6)


async def test_10_filtered_search_finds_k_where_k_pass(url):
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(3_000, 8)) + 4.0 * (np.arange(3_000) % 100 == 0)[:, None]
    async with PGRecallVectorStore(url=url) as store:
        kinds = ["rare" if n % 100 == 0 else "common" for n in range(3_000)]
        await store.async_add([node(str(n), row.tolist(), kind=kinds[n]) for n, row in enumerate(rows)])
        await store.aclient.create_index(HNSW())
        far = (-rows[0]).tolist()
        for wanted in (where("kind", "rare"), where("kind", "common", FilterOperator.NE)):
            for options in ({}, {"hnsw_ef_search": 10}):
                assert len((await store.aquery(query(far, 10, filters=wanted), **options)).ids) == 10


async def test_11_settings_of_a_query_end_with_it(url):
    async with AsyncClient(url) as client:
        store = PGRecallVectorStore(client=client)
        await store.async_add([node(str(n), [1.0, n + 1.0]) for n in range(200)])
        await store.aclient.create_index(HNSW())
        await store.aquery(query(), hnsw_ef_search=7)
        settings = ["hnsw.ef_search", "enable_bitmapscan", "enable_seqscan"]

        async def look(session):
            return [await session.fetch_value(show(name)) for name in settings]

        assert await store.aclient._handle.database.run(look) == ["40", "on", "on"]


def show(name):
    from pgrecall.sql.compose import Statement

    return Statement("SELECT current_setting($1)", (name,))


async def test_12_fields_that_are_promoted_are_used_by_filters(url, connection):
    config = {"indexed_metadata_keys": {("year", "int"), ("lang", "text")}, "table_name": "indexed"}
    async with PGRecallVectorStore(url=url, **config) as store:
        store.add([node(str(n), [1.0, n + 1.0], year=n % 500, lang=f"l{n % 300}") for n in range(4_000)])
        await store.aclient.create_index(HNSW())
        await connection.execute("ANALYZE indexed")
        for wanted in (where("year", 7), where("lang", "l7")):
            from pgrecall.llama_index.filters import to_filter

            plan = await store.aclient.explain([1.0, 2.0], 5, filter=to_filter(wanted), postgres=True)
            assert "Seq Scan" not in "\n".join(plan.postgres)
            assert len((await store.aquery(query(k=5, filters=wanted))).ids) == 5


async def test_13_first_use_does_not_block_the_loop_and_setup_errors_are_errors(url, database):
    blockbuster = pytest.importorskip("blockbuster")
    with blockbuster.blockbuster_ctx() as watching:
        watching.functions["os.stat"].deactivate()  # asyncpg looks whether there is a .pgpass
        async with PGRecallVectorStore(url=url) as store:
            await store.async_add([node("a")])
    with pytest.raises(ConnectionFailed):
        PGRecallVectorStore(url="postgresql://nobody@127.0.0.1:1/nothing").add([node("a")])
    role = database.role("GRANT CONNECT ON DATABASE " + database.name + " TO {role}")
    store = PGRecallVectorStore("forbidden", url=role)
    for _ in range(2):
        with pytest.raises(PermissionDenied):
            store.add([node("a")])
    store.close()


def test_14_store_is_used_by_one_loop_after_another(url):
    store = PGRecallVectorStore(url=url)

    async def work(turn):
        await store.async_add([node(f"{turn}")])
        return (await store.aquery(query())).ids

    assert [len(asyncio.run(work(turn))) for turn in range(3)] == [1, 2, 3]
    thread = threading.Thread(target=lambda: asyncio.run(work(9)))
    thread.start()
    thread.join()
    assert store.count() == 4
    store.close()


def test_15_password_survives_and_is_shown_nowhere(database):
    class URL:
        def __str__(self):
            return "postgresql://…:***@…"

        def render_as_string(self, hide_password):
            assert not hide_password
            return database.url

    with PGRecallVectorStore.from_params(connection_string=URL()) as store:
        assert store.add([node("a")]) == ["a"]
    odd = PGRecallVectorStore.from_params("h", 5432, "d", "u", "p@ss:w/rd")
    assert "p%40ss%3Aw%2Frd@h" in odd.url
    for form in (repr(odd), json.dumps(odd.to_dict()), pickle.dumps(odd).decode("latin1")):
        assert "ss%3Aw" not in form
        assert "p@ss" not in form


@pytest.mark.parametrize("mode", ["sparse", "hybrid", "text_search", "semantic_hybrid"])
async def test_16_mode_that_a_table_cannot_serve_is_a_clear_error_and_can_be_had(store, mode):
    store.add([node("a", text="some words")])
    asked = query(mode=VectorStoreQueryMode(mode), query_str="words")
    options = {"rerank": lambda query, texts: [1.0] * len(texts)} if mode == "semantic_hybrid" else {}
    with pytest.raises(SchemaError, match="add_text_search"):
        store.query(asked, **options)
    with pytest.raises(SchemaError, match="add_text_search"):
        await store.aquery(asked, **options)
    store.collection.add_text_search("english")
    assert store.query(asked, **options).ids == ["a"]


@pytest.mark.parametrize(
    ("bad", "error", "match"),
    [
        (node("bad", [1.0, 2.0, 3.0]), DimensionMismatch, "bad"),
        (node("bad", text="a\x00b"), RecordError, "'bad'.*NUL"),
        (node("bad", note="a\x00b"), RecordError, "'bad'.*NUL"),
        (node("bad", [float("nan"), 1.0]), RecordError, "'bad'"),
        (node("bad", [0.0, 0.0]), RecordError, "'bad'"),
    ],
)
def test_17_faulty_node_is_named_before_anything_is_sent(store, bad, error, match):
    store.add([node("a")])
    with pytest.raises(error, match=match):
        store.add([node("b"), bad])
    assert ids(store.get_nodes()) == ["a"]


@pytest.mark.parametrize("bad", [None, 5, "ab", {"a": 1}, [None], ["a"], [5], node("one"), np.array(1.0)])
async def test_17_what_are_no_nodes_is_named_and_nothing_written(store, bad):
    for add in (store.add, store.replace_ref_docs):
        with pytest.raises((ConfigError, RecordError), match="node"):
            add(bad)
    with pytest.raises((ConfigError, RecordError), match="node"):
        await store.async_add(bad)
    assert store.get_nodes() == []


@pytest.mark.parametrize("bad", [5, "x", ["x"], {"a": 1}, MetadataFilter(key="a", value=1)])
def test_17_what_are_no_filters_is_named(store, bad):
    store.add([node("a")])
    asked = query()
    asked.filters = bad
    calls = (lambda: store.query(asked), lambda: store.get_nodes(filters=bad), lambda: store.count(bad))
    for call in (*calls, lambda: store.delete_nodes(filters=bad)):
        with pytest.raises(FilterError, match="filters must be MetadataFilters"):
            call()
    assert store.count() == 1


@pytest.mark.parametrize(
    "field",
    [
        {"query_embedding": 5},
        {"query_embedding": [float("nan"), 1.0]},
        {"similarity_top_k": "x"},
        {"node_ids": "ab"},
        {"node_ids": [None]},
        {"doc_ids": 5},
        {"doc_ids": [b"a"]},
        {"output_fields": 5},
        {"output_fields": [{}]},
        {"mode": ["default"]},
    ],
)
def test_17_fields_of_a_query_of_another_type_are_errors_of_ours(store, field):
    store.add([node("a")])
    with pytest.raises(PGRecallError):
        store.query(VectorStoreQuery(**{"query_embedding": [1.0, 2.0], **field}))
    with pytest.raises(ConfigError, match="a VectorStoreQuery"):
        store.query([1.0, 2.0])


@pytest.mark.parametrize("bad", [None, 5, b"a", ["a"]])
def test_17_a_document_to_delete_is_named_by_a_text(store, bad):
    store.add([node("a", document="d")])
    with pytest.raises(PGRecallError, match="document"):
        store.delete(bad)
    assert ids(store.get_nodes()) == ["a"]


def test_18_store_is_serialised_and_its_arguments_stay_as_they_are(url):
    hnsw = {"hnsw_m": 16, "hnsw_ef_construction": 64, "hnsw_ef_search": 40, "hnsw_dist_method": "vector_cosine_ops"}
    given = dict(hnsw)
    with PGRecallVectorStore.from_params(connection_string=url, hnsw_kwargs=given, use_halfvec=True) as store:
        store.add([node("a")])
        assert given == hnsw
        with PGRecallVectorStore.from_dict(store.to_dict(), url=url) as again:
            assert ids(again.get_nodes()) == ["a"]
            assert json.loads(again.to_json()) == json.loads(store.to_json())
            assert pickle.loads(pickle.dumps(again)).to_dict() == store.to_dict()
