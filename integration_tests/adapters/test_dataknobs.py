"""What the page of dataknobs' pgvector backend shows, with another import, and what it says in between."""

import asyncio
import uuid

import numpy as np
import pytest

from integration_tests.oracle import distances
from pgrecall import Distance
from pgrecall.dataknobs import PgVectorStore, VectorStoreFactory
from pgrecall.errors import ConfigError, DimensionMismatch, FilterError, RecordError

factory = VectorStoreFactory()
D = 24


def drawn(rows=100, seed=1):
    return np.random.default_rng(seed).normal(size=(rows, D)).astype(np.float32)


@pytest.fixture
async def make(url):
    """Make stores on the test's database, and close them."""
    made = []

    def make(**options):
        store = factory.create(**{"backend": "pgvector", "connection_string": url, "dimensions": D, **options})
        made.append(store)
        return store

    yield make
    for store in made:
        await store.close()


@pytest.fixture
async def store(make):
    store = make()
    await store.initialize()
    return store


async def indexes(connection, table="edubot.knowledge_embeddings"):
    query = (
        "SELECT am.amname || ' ' || COALESCE(array_to_string(c.reloptions, ','), '') FROM pg_index i "
        "JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am am ON am.oid = c.relam "
        "WHERE i.indrelid = $1::text::regclass AND am.amname IN ('hnsw', 'ivfflat')"
    )
    return [row[0] for row in await connection.fetch(query, table)]


async def test_quick_start_runs(make):
    store = make(metric="cosine")
    await store.initialize()
    vectors = drawn()
    ids = await store.add_vectors(vectors, metadata=[{"source": f"doc_{i}"} for i in range(100)])
    assert len({uuid.UUID(row_id) for row_id in ids}) == 100
    results = await store.search(vectors[7], k=5)
    assert [results[0][0], round(results[0][1], 5), results[0][2]["source"]] == [ids[7], 1.0, "doc_7"]
    assert [type(part) for part in results[0]] == [str, float, dict]
    await store.close()
    assert await store.count() == 100


async def test_crud_sample_runs_with_ids_such_as_doc_1(store):
    names = [f"doc_{n}" for n in range(1, 11)]
    vectors = drawn(10)
    assert await store.add_vectors(vectors, ids=names, metadata=[{"source": "file.pdf"} for _ in range(10)]) == names
    found = await store.get_vectors(["doc_2", "none", "doc_1"], include_metadata=True)
    assert [meta for _, meta in found] == [{"source": "file.pdf"}, None, {"source": "file.pdf"}]
    assert found[1][0] is None
    assert (found[0][0].shape, found[0][0].dtype) == ((D,), np.float32)
    np.testing.assert_array_equal(found[0][0], vectors[1])
    assert (await store.get_vectors(["doc_1"], include_metadata=False))[0][1] is None
    changed = [{"source": "updated.pdf"}, {"source": "new.pdf", "category": "science"}]
    assert await store.update_metadata(["doc_1", "doc_2", "none"], [*changed, {}]) == 2
    assert [meta for _, meta in await store.get_vectors(["doc_1", "doc_2"])] == changed
    assert (await store.count(), await store.count(filter={"category": "science"})) == (10, 1)
    assert await store.delete_vectors(["doc_1", "doc_2", "none"]) == 2
    await store.clear()
    assert await store.count() == 0


async def test_search_with_filters_gives_text_as_content(store):
    vectors = drawn(6)
    metadata = [{"category": "technology", "year": "2024", "content": f"text {n}"} for n in range(3)]
    metadata += [{"category": "technology", "year": 2024}, {"category": "art", "year": "2024", "source_text": "s"}, {}]
    ids = await store.add_vectors(vectors, metadata=metadata)
    results = await store.search(vectors[0], k=10, filter={"category": "technology", "year": "2024"})
    assert {row_id for row_id, _, _ in results} == set(ids[:3])
    assert {meta.get("content", "")[:100] for _, _, meta in results} == {"text 0", "text 1", "text 2"}
    typed = await store.search(vectors[0], k=10, filter={"year": {"$gte": 2020}})
    assert [(row_id, meta["content"]) for row_id, _, meta in typed] == [(ids[3], "")]
    (art,) = await store.search(vectors[0], filter={"category": "art"})
    assert art[2] == {"category": "art", "year": "2024", "source_text": "s", "content": "s"}
    assert [meta for _, _, meta in await store.search(vectors[0], include_metadata=False)] == [None] * 6


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "inner_product", "l1"])
async def test_scores_are_those_of_the_page(make, metric):
    store, vectors = make(metric=metric), drawn(50)
    ids = await store.add_vectors(vectors)
    query = drawn(1, seed=2)[0]
    away = distances(vectors, query, Distance.parse(metric))
    scores = {"cosine": 1 - away, "inner_product": -away}.get(metric, 1 / (1 + away))
    best = np.argsort(-scores)[:10]
    found = await store.search(query, k=10)
    assert [row_id for row_id, _, _ in found] == [ids[n] for n in best]
    np.testing.assert_allclose([score for _, score, _ in found], scores[best], rtol=1e-4, atol=1e-5)


async def test_no_index_is_made_unless_asked_for(make, connection):
    store = make(index_type="none")
    await store.add_vectors(drawn(1_100))
    assert not await store.wait_for_index(timeout=5)
    assert await indexes(connection) == []


async def test_hnsw_is_made_at_once_on_an_empty_table(make, connection):
    options = {"index_type": "hnsw", "auto_create_index": True, "index_params": {"m": 16, "ef_construction": 64}}
    await make(**options).initialize()
    assert await indexes(connection) == ["hnsw m=16,ef_construction=64"]
    await make(**options).initialize()
    assert len(await indexes(connection)) == 1


async def test_hnsw_is_made_for_a_table_that_another_process_has_made(make, store, connection):
    await make(index_type="hnsw", auto_create_index=True).initialize()
    assert len(await indexes(connection)) == 1


async def test_ivfflat_is_made_when_the_rows_of_all_domains_reach_the_threshold(make, connection):
    options = {"index_type": "ivfflat", "auto_create_index": True, "min_rows_for_index": 400}
    one, other = (make(**options, domain_id=name, index_params={"lists": 10}) for name in ("one", "other"))
    await one.add_vectors(drawn(200))
    assert not await one.wait_for_index(timeout=5)
    await other.add_vectors(drawn(200))
    assert await other.wait_for_index(timeout=60)
    assert await indexes(connection) == ["ivfflat lists=10"]
    assert len(await one.search(drawn(1)[0], k=150)) == 150


async def test_ivfflat_is_made_for_rows_that_were_there(make, store):
    await store.add_vectors(drawn(1_000))
    later = make(index_type="ivfflat", auto_create_index=True)
    await later.initialize()
    assert await later.wait_for_index(timeout=60)


async def test_index_is_made_explicitly(make, connection):
    store = make(auto_create_index=False)
    await store.initialize()
    await store.add_vectors(drawn(500))
    with pytest.raises(ConfigError, match="none"):
        await store.create_index()
    assert await store.create_index(index_type="ivfflat", params={"lists": 20}) is True
    assert await store.create_index("hnsw") is False
    assert await indexes(connection) == ["ivfflat lists=20"]
    assert await store.create_index("hnsw", {"m": 8}, if_not_exists=False) is True
    assert await indexes(connection) == ["hnsw m=8,ef_construction=64"]


async def test_columns_sample_runs(make, connection):
    columns = {
        "id": "product_id",
        "embedding": "vector_data",
        "content": "description",
        "metadata": "attributes",
        "domain_id": "category",
        "document_id": "source_file",
        "chunk_index": "segment_num",
        "created_at": "indexed_at",
    }
    store = make(table_name="product_embeddings", columns=columns, id_type="text", auto_create_table=True)
    await store.initialize()
    await store.add_vectors(
        drawn(1), ids=["p"], metadata=[{"content": "a mug", "source": "list.csv", "chunk_index": 3}]
    )
    row = dict(await connection.fetchrow("SELECT * FROM edubot.product_embeddings"))
    assert row.keys() == set(columns.values())
    assert row["indexed_at"] is not None
    assert (row["product_id"], row["description"], row["source_file"], row["segment_num"]) == (
        *("p", "a mug", "list.csv"),
        3,
    )
    assert (await store.search(drawn(1)[0]))[0][2]["content"] == "a mug"


async def test_table_that_is_made_has_the_columns_of_the_page(make, connection):
    await make(schema="kb", id_type="uuid").initialize()
    found = await connection.fetch(
        "SELECT column_name, udt_name, is_nullable, column_default FROM information_schema.columns "
        "WHERE table_schema = 'kb' AND table_name = 'knowledge_embeddings'"
    )
    types = {row["column_name"]: row["udt_name"] for row in found}
    assert types == {
        "id": "uuid",
        "domain_id": "text",
        "document_id": "text",
        "chunk_index": "int4",
        "content": "text",
        "embedding": "vector",
        "metadata": "jsonb",
        "created_at": "timestamptz",
    }
    defaults = {row["column_name"]: row["column_default"] for row in found}
    assert (defaults["id"], defaults["metadata"], defaults["created_at"]) == (
        "gen_random_uuid()",
        "'{}'::jsonb",
        "now()",
    )


async def test_domain_sample_runs_and_everything_keeps_to_its_domain(make):
    vectors = drawn(3)
    one, other, whole = make(domain_id="tenant_123"), make(domain_id="b"), make()
    for store in (one, other):
        await store.add_vectors(vectors, ids=["x", "y", "z"], metadata=[{"of": store.domain_id}] * 3)
    assert {meta["of"] for _, _, meta in await one.search(vectors[0], k=10)} == {"tenant_123"}
    assert [await s.count() for s in (one, other, whole)] == [3, 3, 6]
    assert await one.update_metadata(["x"], [{"only": 1}]) == 1
    assert await one.update_vectors(vectors[:1] + 1, ["y"]) == ["y"]
    assert (await one.metadata_fields(), await other.metadata_fields()) == ({"of", "only"}, {"of"})
    assert await one.delete_vectors(["z"]) == 1
    assert [meta for _, meta in await other.get_vectors(["x", "y", "z"])] == [{"of": "b"}] * 3
    np.testing.assert_array_equal((await other.get_vectors(["y"]))[0][0], vectors[1])
    assert (await whole.get_vectors(["z"]))[0][1] == {"of": "b"}
    await one.clear()
    assert [await s.count() for s in (one, other, whole)] == [0, 3, 3]
    await whole.clear()
    assert await other.count() == 0


async def test_store_of_the_whole_table_writes_into_the_default_domain(make):
    whole, tenant = make(), make(domain_id="t")
    await tenant.add_vectors(drawn(1), ids=["a"], metadata=[{"of": "t"}])
    await whole.add_vectors(drawn(1), ids=["a"], metadata=[{"of": "whole", "domain_id": "t"}])
    assert (await tenant.get_vectors(["a"]))[0][1] == {"of": "t"}
    assert (await whole.get_vectors(["a"]))[0][1]["of"] == "whole"


async def test_store_of_the_whole_table_is_asked_for_any_number_of_ids(make):
    whole, tenant = make(), make(domain_id="t")
    names = [f"{n}" for n in range(10_001)]
    await tenant.add_vectors(drawn(1), ids=names[-1:], metadata=[{"of": "t"}])
    found = await whole.get_vectors(names)
    assert [metadata for _, metadata in found] == [None] * 10_000 + [{"of": "t"}]


async def test_store_is_a_context_manager_and_made_from_a_config(url):
    config = {"connection_string": url, "dimensions": D, "metric": "cosine"}
    async with PgVectorStore(config) as store:
        assert await store.count() == 0
    store = PgVectorStore(config)
    try:
        await store.initialize()
        assert await store.add_vectors(drawn(1), ids=["a"]) == ["a"]
    finally:
        await store.close()


async def test_url_of_the_environment_is_used(url, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", url)
    async with factory.create(backend="pgvector", dimensions=D) as store:
        await store.add_vectors(drawn(1))
        assert await store.count() == 1


async def test_batches_are_written_whole_and_concurrently(make, connection):
    store = make(pool_min_size=5, pool_max_size=20)
    vectors = drawn(2_500)
    metadata = [{"n": n} for n in range(2_500)]
    batches = [store.add_vectors(vectors[i : i + 1000], metadata=metadata[i : i + 1000]) for i in range(0, 2500, 1000)]
    ids = [row_id for batch in await asyncio.gather(*batches) for row_id in batch]
    assert await store.count() == len(set(ids)) == 2_500
    assert (await store.search(vectors[1_234], k=1))[0][2]["n"] == 1_234


async def test_bulk_embed_and_store_embeds_in_batches(store):
    seen = []

    def embed(texts):
        seen.append(len(texts))
        return drawn(len(texts), seed=len(seen))

    async def later(texts):
        return embed(texts)

    texts, metadata = [f"text {n}" for n in range(5)], [{"n": n} for n in range(5)]
    assert await store.bulk_embed_and_store(texts, embed, [f"{n}" for n in range(5)], metadata, batch_size=2) == [
        *"01234"
    ]
    await store.bulk_embed_and_store(texts, later)
    assert seen == [2, 2, 1, 5]
    assert metadata[0] == {"n": 0}
    assert (await store.get_vectors(["4"]))[0][1] == {"n": 4, "source_text": "text 4"}


async def test_extension_is_installed_or_its_absence_explained(bare_database):
    role = bare_database.role("GRANT CREATE ON DATABASE " + bare_database.name + " TO {role}")
    async with PgVectorStore({"connection_string": bare_database.url, "dimensions": D}) as store:
        assert await store.count() == 0
    bare_database.execute("DROP EXTENSION vector CASCADE")
    with pytest.raises(RuntimeError, match=r"(?s)pgvector extension not installed.*CREATE EXTENSION vector"):
        await PgVectorStore({"connection_string": role, "dimensions": D}).initialize()


async def test_table_that_is_missing_is_not_made_where_that_is_off(make):
    with pytest.raises(RuntimeError, match=r"edubot\.nowhere does not exist and auto_create_table is disabled"):
        await make(table_name="nowhere", auto_create_table=False).initialize()


REFUSED = [
    ({"vectors": [[1.0]]}, DimensionMismatch),
    ({"vectors": np.full((1, D), np.nan)}, RecordError),
    ({"vectors": np.zeros((1, D))}, RecordError),
    ({"vectors": 7}, RecordError),
    ({"vectors": drawn(3), "ids": ["a"]}, ConfigError),
    ({"vectors": drawn(1), "metadata": [{}, {}]}, ConfigError),
    ({"vectors": drawn(2), "metadata": [{}, "text"]}, RecordError),
    ({"vectors": drawn(2), "metadata": [{}, {"content": "a\0b"}]}, RecordError),
    ({"vectors": [], "ids": ["a"]}, ConfigError),
]


async def test_what_cannot_be_stored_is_refused_whole(store):
    for arguments, error in REFUSED:
        with pytest.raises(error):
            await store.add_vectors(**arguments)
    assert await store.count() == 0


async def test_arguments_that_are_no_texts_or_metadata_are_refused_whole(store):
    await store.add_vectors(drawn(1), ids=["a"])
    with pytest.raises(ConfigError, match="one string"):
        await store.bulk_embed_and_store("text", lambda texts: drawn(len(texts)))
    with pytest.raises(RecordError, match=r"record 1 .id 'c'.*mapping"):
        await store.bulk_embed_and_store(["b", "c"], lambda texts: drawn(len(texts)), ["b", "c"], [{}, None])
    with pytest.raises(RecordError, match=r"record 0 .id 'a'.*mapping"):
        await store.update_vectors(drawn(1), ["a"], ["text"])
    assert await store.count() == 1


async def test_nothing_is_written_for_nothing(store):
    assert await store.add_vectors([]) == []
    assert await store.add_vectors(np.empty((0, D))) == []
    assert await store.update_metadata([], []) == 0


async def test_single_vector_is_a_batch_of_one(store):
    vector = drawn(1)
    await store.add_vectors(vector[0], ids=["a"])
    assert [row_id for row_id, _, _ in await store.search(vector, k=1)] == ["a"]
    await store.add_vectors(list(vector[0]), ids=["b"])
    assert await store.count() == 2


async def test_k_that_is_no_number_of_vectors_is_refused(store):
    for k in (0, -1, "1 OFFSET 2", 1.5, True):
        with pytest.raises(ConfigError, match="k must be"):
            await store.search(drawn(1)[0], k=k)


async def test_keys_of_filters_are_never_sql(make):
    one, other = make(domain_id="a"), make(domain_id="b")
    await other.add_vectors(drawn(1), metadata=[{"k": "v"}])
    assert await one.count({"x' = '' OR metadata->>'k": "v"}) == 0
    with pytest.raises(FilterError):
        await one.count({"k": {"$near": 1}})
