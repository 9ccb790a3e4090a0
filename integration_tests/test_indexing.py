"""Vector indexes: built once however many ask, repaired, replaced, refused with a reason."""

import asyncio

import numpy as np
import pytest

from integration_tests.oracle import Corpus
from pgrecall import HNSW, AsyncClient, CollectionConfig, IVFFlat, Record, SearchOptions
from pgrecall.errors import ConfigError, SchemaError
from pgrecall.jsonb import loads
from pgrecall.plan import Access

SMALL = HNSW(m=4, ef_construction=16)
VECTOR_INDEXES = """
SELECT c.relname, m.amname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_am m ON m.oid = c.relam WHERE m.amname IN ('hnsw', 'ivfflat') ORDER BY 1
"""


@pytest.fixture
async def filled(client):
    docs = await client.get_or_create_collection("docs", dimensions=8)
    await docs.upsert(Corpus(rows=300, dimensions=8).batch())
    return docs


async def indexes(connection):
    return [tuple(row) for row in await connection.fetch(VECTOR_INDEXES)]


async def test_create_index_builds_hnsw(filled, connection):
    built = await filled.create_index()
    assert (built.method, built.valid, built.distance) == ("hnsw", True, "cosine")
    assert dict(built.options) == {"m": "16", "ef_construction": "64"}
    assert await indexes(connection) == [(built.name, "hnsw", True)]


async def test_create_index_builds_ivfflat(filled):
    built = await filled.create_index(IVFFlat(lists=7))
    assert (built.method, dict(built.options)) == ("ivfflat", {"lists": "7"})


async def test_create_index_counts_rows_for_the_lists_of_ivfflat(client):
    docs = await client.get_or_create_collection("docs", dimensions=8)
    await docs.upsert(Corpus(rows=3_000, dimensions=8).batch())
    assert dict((await docs.create_index(IVFFlat())).options) == {"lists": "3"}


@pytest.mark.parametrize("index", [SMALL, IVFFlat(), IVFFlat(lists=5)], ids=str)
async def test_create_index_of_an_empty_table(docs, index):
    assert (await docs.create_index(index)).valid
    await docs.upsert([Record(id="a", embedding=[1, 2, 3])])
    assert len(await docs.search([1, 2, 3])) == 1


async def test_create_index_again_returns_the_one_that_is_there(filled, connection):
    first = await filled.create_index(SMALL)
    oid = await connection.fetchval("SELECT $1::regclass::oid", first.name)
    again = await filled.create_index(SMALL)
    assert again == first
    assert await connection.fetchval("SELECT $1::regclass::oid", first.name) == oid


async def test_create_index_where_there_is_another_is_an_error(filled, connection):
    first = await filled.create_index(SMALL)
    for other in (HNSW(m=5, ef_construction=16), IVFFlat(lists=3)):
        with pytest.raises(SchemaError, match=f"{first.name}.*replace=True"):
            await filled.create_index(other)
    assert len(await indexes(connection)) == 1


@pytest.mark.parametrize("other", [SMALL, HNSW(m=5, ef_construction=16), IVFFlat(lists=3)], ids=str)
async def test_create_index_replaces_what_is_there_where_asked(filled, connection, other):
    first = await filled.create_index(SMALL)
    built = await filled.create_index(other, replace=True)
    assert built.name != first.name
    assert [name for name, _, _ in await indexes(connection)] == [built.name]


async def test_create_index_by_many_tasks_at_once_builds_one(filled, connection):
    built = await asyncio.gather(*(filled.create_index(SMALL) for _ in range(6)))
    assert len({index.name for index in built}) == 1
    assert len(await indexes(connection)) == 1


BUILD = """
import sys
from pgrecall import HNSW, Client
with Client(sys.argv[1]) as client:
    print(client.get_collection("docs").create_index(HNSW(m=4, ef_construction=16)).name)
"""


async def test_create_index_by_several_processes_at_once_builds_one(filled, url, connection, interpreter):
    processes = [interpreter(BUILD, url) for _ in range(4)]
    ends = [await asyncio.to_thread(process.communicate, timeout=60) for process in processes]
    assert [complaints for _, complaints in ends] == [""] * 4
    assert len({output for output, _ in ends}) == 1
    assert len(await indexes(connection)) == 1


async def test_create_index_removes_what_a_dead_build_left(filled, connection):
    built = await filled.create_index(SMALL)
    await connection.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = $1::regclass", built.name)
    again = await filled.create_index(SMALL)
    assert again.valid
    assert await indexes(connection) == [(again.name, "hnsw", True)]


async def test_an_index_that_is_not_valid_is_not_used(filled, connection):
    built = await filled.create_index(SMALL)
    await connection.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = $1::regclass", built.name)
    assert [index.valid for index in (await filled.stats()).indexes] == [False]
    assert (await filled.explain([1] * 8)).index is None


async def test_an_index_of_another_distance_is_not_taken_for_ours(filled, connection):
    await connection.execute("CREATE INDEX theirs ON docs USING hnsw (embedding vector_l2_ops)")
    assert [index.distance for index in (await filled.stats()).indexes] == ["l2"]
    assert (await filled.explain([1] * 8)).index is None
    built = await filled.create_index(SMALL)
    assert {name for name, _, _ in await indexes(connection)} == {built.name, "theirs"}


async def test_an_index_that_somebody_else_made_is_used_whatever_its_name(filled, connection):
    await connection.execute('CREATE INDEX "It\'s theirs" ON docs USING hnsw (embedding vector_cosine_ops)')
    assert (await filled.create_index()).name == "It's theirs"


async def test_drop_index_drops_those_of_the_distance(filled, connection):
    await connection.execute("CREATE INDEX theirs ON docs USING hnsw (embedding vector_l2_ops)")
    built = await filled.create_index(SMALL)
    assert await filled.drop_index() == (built.name,)
    assert [name for name, _, _ in await indexes(connection)] == ["theirs"]
    assert await filled.drop_index() == ()


async def test_searches_go_on_after_the_index_was_dropped_elsewhere(client, url):
    corpus = Corpus(rows=1_200, dimensions=8)
    docs = await client.get_or_create_collection("docs", dimensions=8)
    await docs.upsert(corpus.batch())
    await docs.create_index(SMALL)
    await docs.search(corpus.query(), 10)
    async with AsyncClient(url) as other:
        await other.collection("docs").drop_index()
    query = corpus.query()
    corpus.check(await docs.search(query, 10), query, 10)


@pytest.mark.parametrize(
    ("config", "index", "message"),
    [
        ({"dimensions": 2_001}, HNSW(quantization="none"), r"up to 2000 dimensions of vector.*has 2001.*coarser"),
        ({"dimensions": 2_001}, IVFFlat(), r"up to 2000 dimensions of vector.*has 2001; HNSW\(\) by itself chooses"),
        ({"dimensions": 4_001}, HNSW(quantization="halfvec"), r"up to 4000 dimensions of halfvec.*has 4001.*coarser"),
        ({"dimensions": 4_001, "vector_type": "halfvec"}, HNSW(quantization="none"), r"4000 dimensions of halfvec"),
        ({"dimensions": 4_001, "vector_type": "halfvec"}, IVFFlat(lists=3), r"4000 dimensions of halfvec"),
    ],
)
async def test_create_index_of_more_dimensions_than_pgvector_indexes_so_is_an_error(client, config, index, message):
    docs = await client.create_collection(CollectionConfig(name="docs", **config))
    with pytest.raises(ConfigError, match=message):
        await docs.create_index(index)
    assert (await docs.create_index()).quantized is not None


@pytest.mark.parametrize(("distance", "vector_type"), [("l1", "vector"), ("l1", "halfvec"), ("jaccard", "bit")])
async def test_ivfflat_for_a_distance_that_it_lacks_is_an_error(client, distance, vector_type):
    config = CollectionConfig(name="docs", dimensions=3, distance=distance, vector_type=vector_type)
    docs = await client.create_collection(config)
    with pytest.raises(ConfigError, match=f"no {distance} distance on {vector_type}; use HNSW"):
        await docs.create_index(IVFFlat())


async def test_create_index_makes_the_table_where_its_dimensions_are_known(client):
    docs = client.collection(CollectionConfig(name="docs", dimensions=3))
    assert (await docs.create_index()).valid


async def test_create_index_on_a_connection_that_was_lent_is_an_error(docs, connection):
    with pytest.raises(ConfigError, match="client with the server's own address"):
        await docs.using(connection).create_index()


async def test_readers_and_writers_go_on_while_an_index_is_built(client):
    docs = await client.get_or_create_collection("docs", dimensions=32)
    await docs.upsert(Corpus(rows=4_000, dimensions=32).batch())
    building = asyncio.create_task(docs.create_index())
    rounds = 0
    while not building.done():
        await docs.upsert([Record(id=f"while {rounds}", embedding=[1.0] * 32)])
        await docs.search([1.0] * 32)
        rounds += 1
    assert (await building).valid
    assert rounds > 1
    assert await docs.count() == 4_000 + rounds


VALUES = {
    "text": (str, ["a", "it's", 'say "hi"', "back\\slash", "日本 é", "two\nlines", "", " "]),
    "int": (int, [0, 1, -5, 10**12, 10**25, 2**31, -(2**63), 7]),
    "float": (float, [0.5, -0.25, 2.5, 1e-7, -3, 1e20, 123456.789, 0]),
    "bool": (bool, [True, False]),
    "time": ("time", ["2024-01-01", "2024-01-01T10:00:00+02:00", "1999", ""]),
}


KEYS = ['Topic "of" it\'s', "user", "a.b", "x (y)"]


@pytest.mark.parametrize(
    ("kind", "key"),
    [*((kind, "topic") for kind in VALUES), *((kind, key) for key in KEYS for kind in ("text", "bool"))],
)
async def test_large_values_of_fields_that_go_with_the_embeddings_have_indexes_of_their_own(
    client, connection, monkeypatch, kind, key
):
    """Around each centre the rows have one value."""
    monkeypatch.setattr("pgrecall.collection.indexes.field_indexes._WORTH_AN_INDEX", 100)
    of_type, values = VALUES[kind]
    rng = np.random.default_rng(3)
    corpus = Corpus(rows=2_400, dimensions=16)
    centres = rng.normal(size=(len(values), 16))
    corpus.matrix = (centres[np.arange(2_400) % len(values)] + 0.3 * rng.normal(size=(2_400, 16))).astype(np.float32)
    *path, last = key.split(".")
    for n, metadata in enumerate(corpus.metadatas):
        for step in path:
            metadata = metadata.setdefault(step, {})  # noqa: PLW2901 - down to the last
        metadata[last] = values[n % len(values)]
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=16, fields={key: of_type}))
    await docs.upsert(corpus.batch())
    await docs.create_index(SMALL)
    there = await indexes(connection)
    assert len(there) == 1 + len(values)
    assert {loads(i.condition.json) for i in (await docs.stats()).indexes if i.condition is not None} == {*values}
    for value in values:
        options = SearchOptions(access=Access.PARTIAL)
        plan = await docs.explain(corpus.query(), filter={key: value}, options=options)
        assert loads(plan.condition.json) == value
        matches = await docs.search(corpus.query(), 10, filter={key: value}, options=options)
        assert len(matches) == 10
    await docs.create_index(SMALL)
    assert await indexes(connection) == there
    await docs.create_index(HNSW(m=5, ef_construction=16), replace=True)
    assert len(await indexes(connection)) == len(there)
    assert {dict(index.options)["m"] for index in (await docs.stats()).indexes} == {"5"}
    assert len(await docs.drop_index()) == len(there)
    assert await indexes(connection) == []


async def test_an_index_of_a_value_that_few_rows_have_by_now_is_dropped(client, connection, monkeypatch):
    monkeypatch.setattr("pgrecall.collection.indexes.field_indexes._WORTH_AN_INDEX", 500)
    corpus = Corpus(rows=2_400, dimensions=16)
    corpus.matrix[::2] += 3
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=16, fields={"half": int}))
    await docs.upsert(corpus.batch())
    await docs.create_index(SMALL)
    assert len(await indexes(connection)) == 3
    await docs.update(corpus.ids[::2][:1_000], metadatas={"half": 2})
    await docs.create_index(SMALL)
    conditions = {index.condition.json for index in (await docs.stats()).indexes if index.condition is not None}
    assert conditions == {b"1", b"2"}


@pytest.mark.parametrize("turns", [2, 5, 10, 20, 40])
async def test_a_cancelled_build_keeps_no_lock(filled, connection, turns):
    building = asyncio.create_task(filled.create_index(SMALL))
    for _ in range(turns):
        await asyncio.sleep(0)
    building.cancel()
    await asyncio.gather(building, return_exceptions=True)
    await asyncio.wait_for(filled.create_index(SMALL), 30)
    assert await connection.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
