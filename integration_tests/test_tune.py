"""`tune`: the smallest value that finds enough, kept with the collection."""

import asyncio
import sys

import numpy as np
import pytest

from integration_tests.oracle import Corpus
from pgrecall import HNSW, AsyncClient, Client, CollectionConfig, IVFFlat, Record, SearchOptions
from pgrecall.errors import ConfigError, PermissionDenied, SchemaError

ROWS = 4_000


@pytest.fixture(scope="module")
def corpus():
    return Corpus(rows=ROWS, dimensions=32)


def comment(database, table="docs"):
    return database.ask(f"SELECT obj_description('{table}'::regclass, 'pg_class')")


@pytest.fixture
async def docs(client, corpus):
    """Rows under an index that finds enough only where it looks far."""
    docs = await client.get_or_create_collection("docs", dimensions=32)
    await docs.upsert(corpus.batch())
    await docs.create_index(HNSW(m=6, ef_construction=16))
    return docs


async def test_tune_finds_the_smallest_value_that_reaches_the_target(docs, database, url):
    report = await docs.tune(0.95, sample=50)
    assert report.reached
    assert (report.knob, report.before, report.queries, report.k) == ("ef_search", 100, 50, 10)
    reaching = [point.value for point in report.points if point.recall >= 0.95]
    assert report.value == min(reaching)
    assert [point.value for point in report.points] == sorted({point.value for point in report.points})
    assert all(0 < point.p50 <= point.p95 for point in report.points)
    assert comment(database) == f'pgrecall {{"version":1,"distance":"cosine","ef_search":{report.value}}}'
    async with AsyncClient(url) as other:
        assert (await other.collection("docs").explain([1.0] * 32)).candidates == report.value
    assert (await docs.explain([1.0] * 32)).candidates == report.value
    assert (await docs.recall(sample=50)).recall >= 0.85


async def test_tune_looks_into_the_last_long_step(docs):
    report = await docs.tune(0.95, sample=50)
    ladder = {40, 60, 80, 100, 120, 160, 200, 300, 400, 600, 800, 1_000}
    between = [point.value for point in report.points if point.value not in ladder]
    reached = min(point.value for point in report.points if point.recall >= 0.95 and point.value in ladder)
    assert len(between) == (1 if reached in (60, 80, 160, 300, 400, 600, 800) else 0)


async def test_tune_again_says_what_was_there_and_keeps_other_settings(docs, database):
    database.execute("""COMMENT ON TABLE docs IS 'pgrecall {"version":1,"distance":"cosine","probes":7,"more":[1]}'""")
    first = await docs.tune(0.5, sample=20)
    assert comment(database) == (
        f'pgrecall {{"version":1,"distance":"cosine","probes":7,"more":[1],"ef_search":{first.value}}}'
    )
    second = await docs.tune(0.95, sample=20)
    assert second.before == first.value
    assert f'"ef_search":{second.value}}}' in comment(database)


async def test_tune_that_does_not_reach_the_target_changes_nothing(docs, database):
    before = comment(database)
    await docs.drop_index()
    await docs.create_index(HNSW(m=2, ef_construction=4))
    report = await docs.tune(1.0, k=50, sample=30)
    assert (report.reached, report.value) == (False, None)
    assert report.points[-1].value == 1_000
    assert comment(database) == before
    assert (await docs.explain([1.0] * 32)).candidates == 100
    assert "no ef_search reaches 1.0" in str(report)


async def test_tune_of_ivfflat_is_about_probes(client, corpus, database):
    docs = await client.get_or_create_collection("docs", dimensions=32)
    await docs.upsert(corpus.batch())
    await docs.create_index(IVFFlat(lists=24))
    report = await docs.tune(1.0, sample=20)
    assert (report.knob, report.before, report.reached) == ("probes", 5, True)
    assert [point.value for point in report.points[:4]] == [1, 2, 4, 8]
    assert report.points[0].recall < 0.9
    assert f'"probes":{report.value}' in comment(database)
    assert (await docs.explain([1.0] * 32)).candidates == report.value


async def test_tune_asks_what_the_caller_asks(docs, corpus):
    report = await docs.tune(0.9, queries=corpus.draw(15, seed=4))
    assert report.queries == 15


async def test_tune_for_many_rows_begins_with_as_many_candidates(docs):
    report = await docs.tune(0.5, k=150, queries=np.eye(32)[:5])
    assert report.points[0].value == 150
    drawn = await docs.tune(0.5, k=150, sample=5)
    assert drawn.points[0].value == 151


async def test_report_is_a_table(docs):
    report = await docs.tune(0.9, sample=20)
    lines = str(report).splitlines()
    assert lines[0] == f"{report.index}, 20 queries"
    assert lines[1].split() == ["ef_search", "recall@10", "p50", "ms", "p95", "ms"]
    assert len([line for line in lines if line.startswith(">")]) == 1
    assert lines[-2].split()[:2] == ["exact", "1.000"]
    assert f"ef_search={report.value} reaches 0.9" in lines[-1]


async def test_searches_may_still_say_otherwise(docs):
    await docs.tune(0.9, sample=20)
    assert (await docs.explain([1.0] * 32, options=SearchOptions(ef_search=333))).candidates == 333


async def test_tune_without_an_index_says_how_to_build_one(client, corpus):
    with pytest.raises(ConfigError, match="create_index"):
        await client.collection("nothing").tune()
    docs = await client.get_or_create_collection("docs", dimensions=32)
    await docs.upsert(corpus.batch())
    with pytest.raises(ConfigError, match="create_index"):
        await docs.tune()


async def test_tune_of_a_table_that_is_always_compared_says_so(client):
    docs = await client.get_or_create_collection("docs", dimensions=3)
    await docs.upsert([Record(id=str(n), embedding=[1, n, 0]) for n in range(100)])
    await docs.create_index()
    with pytest.raises(ConfigError, match="answered exactly"):
        await docs.tune()


async def test_tune_of_an_adopted_table_says_that_nothing_can_be_kept(client, database):
    database.execute("CREATE TABLE own (id int PRIMARY KEY, embedding vector(3))")
    database.execute("INSERT INTO own SELECT n, ARRAY[1, n, 0]::vector FROM generate_series(1, 2000) n")
    database.execute("CREATE INDEX ON own USING hnsw (embedding vector_cosine_ops)")
    with pytest.raises(SchemaError, match=r"not made by pgrecall.*SearchOptions"):
        await (await client.get_collection("own")).tune()
    assert comment(database, "own") is None


async def test_tune_by_a_role_that_is_not_the_owner_says_so(docs, database):
    async with AsyncClient(database.role("GRANT ALL ON docs TO {role}")) as client:
        with pytest.raises(PermissionDenied, match="only its owner"):
            await client.collection("docs").tune()
        assert (await client.collection("docs").recall(sample=5)).queries == 5


@pytest.mark.parametrize(
    "arguments",
    [
        {"target": 0},
        {"target": 1.5},
        {"target": True},
        {"target": "0.9"},
        {"target": float("nan")},
        {"k": 0},
        {"sample": -1},
        {"queries": []},
    ],
    ids=str,
)
async def test_tune_refuses_what_makes_no_sense(docs, arguments):
    with pytest.raises(ConfigError):
        await docs.tune(**arguments)


async def test_two_that_tune_at_once_lose_nothing(docs, database):
    other = docs.all_domains()
    await asyncio.gather(docs.tune(0.9, sample=10), other.tune(0.9, sample=10))
    assert comment(database).startswith('pgrecall {"version":1,"distance":"cosine","ef_search":')


async def test_tune_waits_for_an_index_build_without_keeping_others_from_setting_up(docs, database, connection, client):
    async with connection.transaction():
        await connection.execute("LOCK TABLE docs IN SHARE UPDATE EXCLUSIVE MODE")  # as a build does
        tuning = asyncio.create_task(docs.tune(0.5, sample=5))
        while not database.ask("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await asyncio.wait_for(client.get_or_create_collection("another", dimensions=3), 20)
        assert not tuning.done()
    assert (await tuning).reached


async def test_tune_in_the_callers_transaction_is_part_of_it(docs, connection, database):
    before = comment(database)
    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    report = await docs.using(connection).tune(0.5, sample=5)
    assert report.reached
    await transaction.rollback()
    assert comment(database) == before


def test_tune_for_blocking_callers(url, corpus):
    with Client(url) as client:
        docs = client.get_or_create_collection(CollectionConfig(name="docs", dimensions=32))
        docs.upsert(corpus.batch())
        docs.create_index(HNSW(m=8, ef_construction=32))
        assert docs.tune(0.5, sample=5).reached


async def test_tune_without_matplotlib_names_it_before_any_work(client, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"pip install 'pgrecall\[plot\]'"):
        await client.collection("nothing").tune(plot=tmp_path / "curve.svg")


@pytest.mark.parametrize("name", ["curve.xyz", "curve", "missing/curve.svg"])
async def test_plot_that_cannot_be_written_is_refused_before_any_work(client, monkeypatch, tmp_path, name):
    pytest.importorskip("matplotlib")
    with pytest.raises(ConfigError, match="plot="):
        await client.collection("nothing").tune(plot=tmp_path / name)


async def test_plot_is_written(docs, tmp_path):
    pytest.importorskip("matplotlib")
    await docs.tune(0.9, sample=10, plot=str(tmp_path / "curve.svg"))
    assert "<svg" in (tmp_path / "curve.svg").read_text()
