"""`recall`: live answers against exact ones."""

import asyncio

import asyncpg
import numpy as np
import pytest

from integration_tests.oracle import Corpus, distances
from pgrecall import HNSW, AsyncClient, Client, CollectionConfig, IVFFlat, Record, RecordBatch, SearchOptions
from pgrecall.errors import ConfigError, DimensionMismatch, FilterError, RecordError
from pgrecall.plan import Access

ROWS = 4_000
POOR = HNSW(m=2, ef_construction=4)
NARROW = SearchOptions(ef_search=1)
EXACT = SearchOptions(exact=True)


@pytest.fixture(scope="module")
def corpus():
    return Corpus(rows=ROWS, dimensions=32)


@pytest.fixture(scope="module")
def docs(module_database, corpus):
    """Rows under an index so poor that searches miss many."""
    with Client(module_database.url) as client:
        docs = client.get_or_create_collection("docs", dimensions=32)
        docs.upsert(corpus.batch())
        docs.create_index(POOR)
        yield docs


def test_recall_of_a_poor_index_is_poor(docs):
    report = docs.recall(sample=40, options=NARROW)
    assert 0 < report.recall < 0.8
    assert report.worst < report.recall
    assert [(plan.access, count) for plan, count in report.plans] == [(Access.INDEX, 40)]


def test_recall_of_exact_searches_is_one(docs):
    report = docs.recall(sample=40, options=EXACT)
    assert (report.recall, report.worst, report.short) == (1.0, 1.0, 0)
    assert [(plan.access, count) for plan, count in report.plans] == [(Access.EXACT, 40)]


def test_recall_grows_with_what_the_search_looks_at(docs, corpus):
    queries = corpus.draw(30, seed=5)
    found = [docs.recall(queries=queries, options=SearchOptions(ef_search=ef)).recall for ef in (11, 50, 400)]
    assert found == sorted(found)
    assert found[0] < found[2]


def test_recall_is_what_brute_force_says_it_is(docs, corpus):
    queries = corpus.draw(25, seed=9)
    report = docs.recall(10, queries=queries, options=NARROW)
    shares = []
    for query in queries:
        nearest = np.argsort(distances(corpus.matrix, query, corpus.distance))[:10]
        found = {match.id for match in docs.search(query, 10, options=NARROW)}
        shares.append(len(found & {corpus.ids[n] for n in nearest}) / 10)
    assert report.recall == pytest.approx(np.mean(shares))
    assert report.worst == pytest.approx(min(shares))
    assert (report.k, report.queries, report.drawn, report.short) == (10, 25, False, 0)


def test_recall_leaves_a_drawn_row_out_of_the_answers_to_itself(module_database):
    # In an index of which one link is all that is followed, a row still finds itself: that must not count.
    with Client(module_database.url) as client:
        docs = client.get_or_create_collection("spread", dimensions=64)
        rng = np.random.default_rng(3)
        docs.upsert(RecordBatch(embeddings=rng.normal(size=(3_000, 64)), ids=[str(n) for n in range(3_000)]))
        docs.create_index(POOR)
        drawn = docs.recall(1, sample=60, options=NARROW)
        assert drawn.drawn
        assert drawn.recall < 0.9


def test_recall_under_a_filter_is_about_the_rows_that_pass(docs):
    assert docs.recall(sample=20, filter={"half": 1}, options=EXACT).recall == 1.0
    report = docs.recall(sample=20, filter={"rare": True})
    assert (report.recall, report.short) == (1.0, 0)
    assert report.plans[0][0].matches < 100  # of 8, by a sample


def test_recall_under_a_filter_that_nothing_passes_is_of_nothing(docs):
    report = docs.recall(sample=5, filter={"colour": "none"})
    assert (report.recall, report.worst, report.short, report.queries) == (1.0, 1.0, 0, 5)


def test_recall_of_more_rows_than_there_are(docs):
    report = docs.recall(10_000, sample=2)
    assert (report.recall, report.short, report.k) == (1.0, 0, 10_000)


def test_report_prints_what_was_found(docs):
    report = docs.recall(sample=8)
    lines = str(report).splitlines()
    assert lines[0].startswith(f"recall@10 {report.recall:.3f}")
    assert "8 stored embeddings" in lines[0]
    assert lines[-1].startswith("8 x ")
    assert 0 < report.live_p50 <= report.live_p95
    assert 0 < report.exact_p50 <= report.exact_p95


GRAPH, LISTS = HNSW(m=8, ef_construction=32), IVFFlat(lists=10)


@pytest.mark.parametrize(
    ("distance", "vector_type", "index"),
    [
        ("cosine", "halfvec", GRAPH),
        ("l2", "vector", LISTS),
        ("l1", "vector", GRAPH),
        ("inner_product", "halfvec", LISTS),
        ("hamming", "bit", GRAPH),
        ("cosine", "vector", HNSW(m=8, ef_construction=32, quantization="bit")),
    ],
    ids=str,
)
def test_recall_knows_every_distance_and_type(module_database, distance, vector_type, index):
    corpus = Corpus(rows=1_500, dimensions=24, distance=distance, vector_type=vector_type)
    name = f"{distance}_{vector_type}"
    with Client(module_database.url) as client:
        config = CollectionConfig(name=name, dimensions=24, distance=distance, vector_type=vector_type)
        docs = client.get_or_create_collection(config)
        docs.upsert(corpus.batch())
        docs.create_index(index)
        report = docs.recall(sample=20)
        assert report.plans[0][0].access is Access.INDEX
        assert 0.3 < report.recall <= 1
        # Most of the rows that signs alone find are compared again.
        wide = SearchOptions(ef_search=1_000, probes=10, overfetch=80)
        assert docs.recall(queries=corpus.draw(20), options=wide).recall > 0.95


async def test_rows_as_near_as_the_last_are_as_good(client):
    # Every distance occurs a hundred times: which of them comes is chance, and all are right.
    docs = await client.get_or_create_collection("copies", dimensions=2)
    angles = np.repeat(np.linspace(0, 1, 20), 100)
    await docs.upsert(
        RecordBatch(embeddings=np.stack([np.cos(angles), np.sin(angles)], 1), ids=[str(n) for n in range(2_000)])
    )
    await docs.create_index(HNSW(m=16, ef_construction=200))
    report = await docs.recall(10, queries=[[1.0, 0.0], [0.8, 0.6]], options=SearchOptions(ef_search=400))
    assert report.recall == 1.0


async def test_recall_without_rows_says_so(docs, client):
    with pytest.raises(ConfigError, match="not exist yet"):
        await client.collection("nothing").recall()
    empty = await client.get_or_create_collection("empty", dimensions=3)
    with pytest.raises(ConfigError, match=r"no rows \(domain 'default'\)"):
        await empty.recall()
    report = await empty.recall(queries=[[1, 0, 0]])
    assert (report.recall, report.queries) == (1.0, 1)


async def test_recall_keeps_to_its_domain(client):
    docs = await client.get_or_create_collection("docs", dimensions=3)
    await docs.domain("a").upsert([Record(id="1", embedding=[1, 0, 0]), Record(id="2", embedding=[0, 1, 0])])
    await docs.domain("b").upsert([Record(id="1", embedding=[0, 0, 1])])
    assert (await docs.domain("a").recall(5)).queries == 2
    assert (await docs.domain("b").recall(5)).queries == 1
    report = await docs.all_domains().recall(2)
    assert (report.queries, report.recall, report.short) == (3, 1.0, 0)
    with pytest.raises(ConfigError, match="no rows"):
        await docs.domain("c").recall()


async def test_recall_draws_from_a_sample_of_a_large_table(client, monkeypatch, database):
    from pgrecall.collection.measuring import trial

    monkeypatch.setattr(trial, "_LARGE", 100)
    docs = await client.get_or_create_collection("docs", dimensions=4)
    rng = np.random.default_rng(0)
    await docs.upsert(RecordBatch(embeddings=rng.normal(size=(2_000, 4)), ids=[str(n) for n in range(2_000)]))
    database.execute("ANALYZE docs")
    assert (await client.collection("docs").recall(sample=3)).queries == 3
    # Where the sample misses a small domain, the whole table is drawn from.
    await docs.domain("small").upsert([Record(id=str(n), embedding=rng.normal(size=4)) for n in range(5)])
    assert (await client.collection("docs", domain="small").recall(sample=3)).queries == 3


async def test_recall_sees_one_moment(client, connection):
    """Rows that are written while it measures are in none of the answers, nor waited for."""
    docs = await client.get_or_create_collection("docs", dimensions=8)
    rng = np.random.default_rng(1)
    await docs.upsert(RecordBatch(embeddings=rng.normal(size=(3_000, 8)), ids=[str(n) for n in range(3_000)]))
    await docs.create_index()
    done = asyncio.Event()

    async def write():
        number = 0
        while not done.is_set():
            number += 1
            await docs.upsert([Record(id=f"new {number}", embedding=rng.normal(size=8))])
            await docs.delete([str(number)])

    writing = asyncio.create_task(write())
    report = await docs.recall(50, sample=60, options=SearchOptions(ef_search=1_000))
    done.set()
    await writing
    assert (report.recall, report.short) == (1.0, 0)


async def test_recall_leaves_nothing_behind(client, database):
    docs = await client.get_or_create_collection("docs", dimensions=4)
    rng = np.random.default_rng(1)
    await docs.upsert(RecordBatch(embeddings=rng.normal(size=(2_000, 4)), ids=[str(n) for n in range(2_000)]))
    await docs.create_index()
    plan = await docs.explain([1, 0, 0, 0])
    assert (await docs.recall(options=SearchOptions(ef_search=777))).plans[0][0].candidates == 777
    assert await docs.explain([1, 0, 0, 0]) == plan
    assert database.ask("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'") == 0


async def test_recall_on_a_connection_of_the_callers(client, connection, url):
    docs = await client.get_or_create_collection("docs", dimensions=4)
    rng = np.random.default_rng(1)
    await docs.upsert(RecordBatch(embeddings=rng.normal(size=(2_000, 4)), ids=[str(n) for n in range(2_000)]))
    await docs.create_index()
    lent = docs.using(connection)
    assert (await lent.recall(sample=10)).recall > 0.5
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute("DELETE FROM docs WHERE id::int > 5")
        assert (await lent.recall(sample=10)).queries == 6
    async with connection.transaction():
        with pytest.raises(ConfigError, match="repeatable_read"):
            await lent.recall(sample=10)
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        assert (await docs.using(pool).recall(sample=5)).queries == 5


async def test_recall_of_a_table_with_zero_vectors_draws_others(client, database):
    database.execute("CREATE TABLE own (id int PRIMARY KEY, embedding vector(2))")
    database.execute("INSERT INTO own VALUES (1, '[0,0]'), (2, '[1,0]'), (3, NULL), (4, '[0,1]')")
    own = await client.get_collection("own")
    assert (await own.recall(1)).queries == 2


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"k": 0}, ConfigError),
        ({"sample": 0}, ConfigError),
        ({"sample": 10_001}, ConfigError),
        ({"queries": np.empty((0, 32))}, ConfigError),
        ({"queries": [[1.0, 2.0]]}, DimensionMismatch),
        ({"queries": [[0.0] * 32]}, RecordError),
        ({"queries": np.ones(32)}, RecordError),
        ({"filter": {"a": {"$what": 1}}}, FilterError),
    ],
    ids=lambda value: str(value)[:30],
)
def test_recall_refuses_what_it_cannot_measure(docs, arguments, error):
    with pytest.raises(error):
        docs.recall(**arguments)


async def test_recall_by_a_role_that_may_only_read(database):
    async with AsyncClient(database.url) as client:
        docs = await client.get_or_create_collection("docs", dimensions=3)
        await docs.upsert([Record(id=str(n), embedding=[1, n, 0]) for n in range(20)])
    async with AsyncClient(database.role("GRANT SELECT ON docs TO {role}")) as client:
        assert (await client.collection("docs").recall(3)).recall == 1.0
