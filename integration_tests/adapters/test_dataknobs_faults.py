"""What dataknobs' own store gets wrong, under the same calls; and the tables that it has made."""

import asyncio

import numpy as np
import pytest

from pgrecall.dataknobs import PgVectorStore
from pgrecall.errors import ConfigError, DimensionMismatch, RecordError, SchemaError

D = 4
THEIRS = """
CREATE SCHEMA IF NOT EXISTS edubot;
CREATE TABLE edubot.knowledge_embeddings (
  id {id}, domain_id VARCHAR(100), document_id VARCHAR(255), chunk_index INTEGER, content TEXT,
  embedding vector(4), metadata JSONB DEFAULT '{{}}', created_at TIMESTAMP DEFAULT NOW());
INSERT INTO edubot.knowledge_embeddings (id, domain_id, document_id, chunk_index, content, embedding, metadata) VALUES
  ({first}, NULL, 'd', 0, 'first', '[1,0,0,0]', '{{"n": 1}}'), ({second}, 'a', NULL, NULL, NULL, '[0,1,0,0]', '{{"n": 2}}'),
  ({third}, 'b', NULL, NULL, NULL, NULL, NULL);
"""
UUIDS = [f"00000000-0000-0000-0000-00000000000{n}" for n in (1, 2, 3)]


def drawn(rows, seed=1, dimensions=D):
    return np.random.default_rng(seed).normal(size=(rows, dimensions)).astype(np.float32)


@pytest.fixture
async def make(url):
    made = []

    def make(**options):
        made.append(PgVectorStore({"connection_string": url, "dimensions": D, **options}))
        return made[-1]

    yield make
    for store in made:
        await store.close()


async def vector_indexes(connection):
    return await connection.fetchval(
        "SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam "
        "WHERE a.amname IN ('hnsw', 'ivfflat')"
    )


async def test_many_processes_set_up_at_once_and_one_makes_the_index(make, connection):
    stores = [make(index_type="hnsw", auto_create_index=True, pool_min_size=1) for _ in range(6)]
    await asyncio.gather(*(store.initialize() for store in stores))
    assert await vector_indexes(connection) == 1


async def test_many_processes_ask_for_an_index_at_once_and_one_makes_it(make, connection):
    stores = [make(pool_min_size=1) for _ in range(6)]
    await stores[0].add_vectors(drawn(200))
    kinds = ["hnsw", "ivfflat"] * 3
    made = await asyncio.gather(*(store.create_index(kind) for store, kind in zip(stores, kinds, strict=True)))
    assert sorted(made) == [False] * 5 + [True]
    assert await vector_indexes(connection) == 1


async def test_first_uses_at_once_leave_no_connection_behind(make, connection):
    store = make(pool_max_size=4)
    await asyncio.gather(*(store.count() for _ in range(8)))
    await store.close()
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    for _ in range(50):
        if await connection.fetchval(query) == 0:
            return
        await asyncio.sleep(0.05)
    pytest.fail("connections are left")


async def test_metadata_never_moves_a_vector_to_another_domain(make):
    one, other = make(domain_id="one"), make(domain_id="other")
    await other.add_vectors(drawn(1), ids=["x"], metadata=[{"of": "other"}])
    await one.add_vectors(drawn(1, 2), ids=["x"], metadata=[{"domain_id": "other"}])
    assert await one.update_metadata(["x"], [{"domain_id": "other", "n": 1}]) == 1
    assert (await one.count(), await other.get_vectors(["x"], True))[0] == 1
    assert (await other.get_vectors(["x"]))[0][1] == {"of": "other"}


async def test_vectors_come_back_as_they_were_stored(make):
    store = make()
    await store.add_vectors([[3.0, 4.0, 0.0, 0.0]], ids=["a"])
    assert (await store.get_vectors(["a"]))[0][0].tolist() == [3, 4, 0, 0]
    with pytest.raises(ConfigError):
        await store.search(np.zeros(D))


async def test_filters_compare_values_of_any_type(make):
    store, values = make(), [True, 1.0, None, ["a", "b"], {"x": 1}, "1"]
    await store.add_vectors(drawn(6), metadata=[{"v": value} for value in values])
    for value in values:
        assert await store.count({"v": value}) == 1


async def test_search_finds_k_through_an_index(make):
    store = make(index_type="hnsw", auto_create_index=True)
    await store.add_vectors(drawn(2_000), metadata=[{"rare": n % 50 == 0} for n in range(2_000)])
    assert len(await store.search(drawn(1, 9)[0], k=100)) == 100
    assert len(await store.search(drawn(1, 9)[0], k=30, filter={"rare": True})) == 30


async def test_search_params_are_those_of_every_search(make):
    store = make(index_type="hnsw", auto_create_index=True, search_params={"ef_search": 200})
    await store.add_vectors(drawn(300))
    assert store.options.searching.ef_search == 200
    assert len(await store.search(drawn(1)[0], k=5)) == 5


async def test_long_vectors_get_an_index_too(make, connection):
    store = make(dimensions=2_500, index_type="hnsw", auto_create_index=True)
    await store.add_vectors(drawn(3, dimensions=2_500))
    assert await vector_indexes(connection) == 1
    with pytest.raises(ConfigError, match="2000 dimensions"):
        await store.create_index("ivfflat", if_not_exists=False)


async def test_names_are_taken_as_they_are(make):
    names = {"schema": 'a "b', "table_name": "Order-1", "columns": {"embedding": "Em Bedding", "metadata": "select"}}
    store = make(**names, domain_id="t")
    await store.add_vectors(drawn(1), metadata=[{"n": 1}])
    assert await store.create_index("hnsw")
    assert await make(**names, domain_id="t").count({"n": 1}) == 1


async def test_batch_with_a_fault_leaves_nothing(make):
    store = make()
    await store.add_vectors(drawn(1), ids=["a"], metadata=[{"n": 1}])
    with pytest.raises(RecordError, match="record 1"):
        await store.add_vectors(drawn(2), ids=["b", ""])
    with pytest.raises(DimensionMismatch):
        await store.update_vectors([[1.0, 2.0]], ["a"])
    with pytest.raises(ConfigError):
        await store.update_metadata(["a"], [{}, {}])
    assert (await store.count(), (await store.get_vectors(["a"]))[0][1]) == (1, {"n": 1})


async def test_columns_change_with_the_metadata(make, connection):
    store = make()
    given = {"content": "old", "source": "a.pdf", "chunk_index": 1, "n": 1}
    await store.add_vectors(drawn(2), ids=["a", "b"], metadata=[given, given])
    await store.update_metadata(["a", "b"], [{"content": "new", "document_id": "b.pdf", "chunk_index": 2}, {"n": 2}])
    query = "SELECT content, document_id, chunk_index FROM edubot.knowledge_embeddings ORDER BY id"
    assert [tuple(row) for row in await connection.fetch(query)] == [("new", "b.pdf", 2), ("old", "a.pdf", 1)]
    found = {row_id: meta["content"] for row_id, _, meta in await store.search(drawn(1)[0])}
    assert found == {"a": "new", "b": "old"}


async def test_new_vectors_keep_text_and_metadata(make):
    store, vectors = make(), drawn(2)
    await store.add_vectors(vectors, ids=["a", "b"], metadata=[{"content": "text", "n": 1}, {}])
    assert await store.update_vectors(vectors[1:], ["a"]) == ["a"]
    assert await store.update_vectors(vectors[:1], ["none"]) == []
    (found,) = await store.search(vectors[1], k=1, filter={"n": 1})
    assert (found[0], round(found[1], 5), found[2]) == ("a", 1.0, {"content": "text", "n": 1})
    await store.update_vectors(vectors, ["a", "b"], [{"n": 3}, {"content": "b"}])
    assert await store.count({"n": 3}) == 1


async def test_place_in_the_document_is_not_made_up(make, connection):
    store = make()
    await store.add_vectors(drawn(3), metadata=[{}, {"chunk_index": np.int64(7)}, {}])
    found = await connection.fetch("SELECT chunk_index FROM edubot.knowledge_embeddings ORDER BY 1")
    assert [row[0] for row in found] == [7, None, None]


async def test_values_of_numpy_long_sources_and_numbers_as_sources_are_stored(make):
    store = make()
    metadata = [{"source": "https://" + "u" * 1_500}, {"source": 7}, {"n": np.float32(0.5), "source": "s" * 5_000}]
    ids = await store.add_vectors(drawn(3), metadata=metadata)
    found = [meta for _, meta in await store.get_vectors(ids)]
    assert found == [metadata[0], metadata[1], {"n": 0.5, "source": "s" * 5_000}]


async def test_id_type_uuid_takes_no_other_ids(make):
    store = make(id_type="uuid")
    (made,) = await store.add_vectors(drawn(1))
    assert (await store.count(), store.id_type) == (1, "uuid")
    assert (await store.get_vectors([made.upper()]))[0][0] is not None
    with pytest.raises(RecordError, match=r"'doc_1' is not a UUID.*id_type='text'"):
        await store.add_vectors(drawn(1), ids=["doc_1"])


@pytest.mark.parametrize("kind", ["UUID", "TEXT"])
async def test_their_table_is_used_where_it_is(make, connection, kind):
    ids = UUIDS if kind == "UUID" else ["x", "y", "z"]
    first, second, third = (f"'{one}'" for one in ids)
    default = "UUID PRIMARY KEY DEFAULT gen_random_uuid()" if kind == "UUID" else "TEXT PRIMARY KEY"
    await connection.execute(THEIRS.format(id=default, first=first, second=second, third=third))
    whole, a, b = make(auto_create_table=False), make(domain_id="a"), make(domain_id="b")
    assert [await s.count() for s in (whole, a, b)] == [3, 1, 1]
    assert whole.id_type == kind.lower()
    found = await whole.search([1, 0, 0, 0], k=10)
    assert [(row_id, meta) for row_id, _, meta in found] == [
        (ids[0], {"n": 1, "content": "first"}),
        (ids[1], {"n": 2, "content": ""}),
    ]
    assert await whole.get_vectors(ids[2:]) == [(None, {})]
    assert await whole.update_metadata(ids[:1], [{"n": 9}]) == 1
    (made,) = await a.add_vectors(drawn(1), metadata=[{"source": "s" * 300}])
    row = await connection.fetchrow(
        "SELECT domain_id, document_id, created_at FROM edubot.knowledge_embeddings WHERE id::text = $1", made
    )
    assert (row["domain_id"], row["document_id"], row["created_at"] is None) == ("a", None, False)
    await whole.add_vectors(drawn(1), ids=ids[:1])
    assert await connection.fetchval("SELECT count(*) FROM edubot.knowledge_embeddings WHERE domain_id IS NULL") == 1
    assert await whole.create_index("hnsw")
    assert await b.delete_vectors([*ids, made]) == 1
    with pytest.raises(SchemaError, match="another domain"):
        await b.add_vectors(drawn(1), ids=ids[1:2])
    assert await whole.metadata_fields() == {"n", "source"}
    await a.clear()
    assert await whole.count() == 1


async def test_table_without_the_optional_columns_is_used(make, connection):
    await connection.execute(
        "CREATE SCHEMA edubot; CREATE TABLE edubot.bare (id text PRIMARY KEY, embedding vector(4), metadata jsonb)"
    )
    store = make(table_name="bare")
    await store.add_vectors(drawn(1), ids=["a"], metadata=[{"source": "a.pdf", "content": "text", "chunk_index": 1}])
    assert await store.update_metadata(["a"], [{"source": "b.pdf", "content": "new", "chunk_index": 2}]) == 1
    assert (await store.search(drawn(1)[0]))[0][2] == {"source": "b.pdf", "content": "new", "chunk_index": 2}
    with pytest.raises(SchemaError, match="no column for domains"):
        await make(table_name="bare", domain_id="a").count()


async def test_domain_that_their_column_cannot_hold_is_refused(make, connection):
    await connection.execute(THEIRS.format(id="TEXT PRIMARY KEY", first="'x'", second="'y'", third="'z'"))
    with pytest.raises(ConfigError, match="100 characters"):
        await make(domain_id="d" * 101).initialize()
