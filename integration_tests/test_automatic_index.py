"""The index that a collection builds by itself: once, in the background, when it is worth it."""

import asyncio
import logging
import math

import pytest

from integration_tests.oracle import Corpus
from pgrecall import HNSW, AsyncClient, Client, CollectionConfig, IVFFlat, Record, RecordBatch
from pgrecall.collection.finding import drift
from pgrecall.collection.indexes import automatic
from pgrecall.errors import PerformanceWarning

ENOUGH = 200
CONFIG = CollectionConfig(name="docs", dimensions=8, index="auto", min_rows_for_index=ENOUGH)
INDEXES = """
SELECT c.relname, m.amname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_am m ON m.oid = c.relam WHERE m.amname IN ('hnsw', 'ivfflat') ORDER BY 1
"""
BUILDS = "SELECT count(*) FROM pg_stat_progress_create_index"


@pytest.fixture(autouse=True)
def no_lull(monkeypatch):
    monkeypatch.setattr(automatic, "_LULL_SECONDS", 0.001)
    monkeypatch.setattr(automatic, "_LULL_ROWS", math.inf)


@pytest.fixture
async def docs(client):
    return await client.get_or_create_collection(CONFIG)


@pytest.fixture
async def writing(connection):
    """A function that begins a transaction which has written to the table: builds wait for its end."""
    transaction = connection.transaction()

    async def begin():
        await transaction.start()
        await connection.execute("INSERT INTO docs (id, embedding) VALUES ('open', '[1,2,3,4,5,6,7,8]')")
        return transaction

    yield begin
    if connection.is_in_transaction():
        await transaction.rollback()


def rows(count, start=0):
    batch = Corpus(rows=count, dimensions=8).batch()
    return RecordBatch(embeddings=batch.embeddings, ids=[f"r{n:05}" for n in range(start, start + count)])


async def indexes(connection):
    return [(row["amname"], row["indisvalid"]) for row in await connection.fetch(INDEXES)]


async def until(client, question, wanted):
    async def ask(session):
        return await session.connection.fetchval(question)

    while await client._database.run(ask) != wanted:  # noqa: ASYNC110 - the server could not set an event
        await asyncio.sleep(0.01)


async def test_enough_rows_have_the_index_built(docs, connection):
    await docs.upsert(rows(ENOUGH))
    built = await docs.wait_for_index()
    assert (built.method, built.valid) == ("hnsw", True)
    assert await indexes(connection) == [("hnsw", True)]


async def test_too_few_rows_have_none_built(docs, connection):
    await docs.upsert(rows(ENOUGH - 1))
    assert await docs.wait_for_index() is None
    assert await indexes(connection) == []


async def test_rows_that_come_one_by_one_are_enough_at_some_time(docs, connection):
    await docs.upsert(rows(ENOUGH - 10))
    for n in range(9):
        await docs.upsert(rows(1, start=1_000 + n))
        assert await docs.wait_for_index() is None
    await docs.upsert(rows(1, start=2_000))
    assert (await docs.wait_for_index()).valid


async def test_rows_that_come_while_somebody_counts_are_counted_too(docs, connection, monkeypatch):
    missing = automatic._missing

    async def slow(handle, session):
        found = await missing(handle, session)
        if not counted:
            counted.append(found)
            await docs.upsert(rows(ENOUGH, start=1_000))
        return found

    counted = []
    monkeypatch.setattr(automatic, "_missing", slow)
    await docs.upsert(rows(10))
    assert (await docs.wait_for_index()).valid
    assert counted == [ENOUGH - 10]


@pytest.mark.parametrize(("index", "method"), [(HNSW(m=4, ef_construction=16), "hnsw"), (IVFFlat(lists=3), "ivfflat")])
async def test_another_kind_where_the_configuration_names_it(client, connection, index, method):
    docs = await client.get_or_create_collection(
        CollectionConfig(name="docs", dimensions=8, index=index, min_rows_for_index=ENOUGH)
    )
    await docs.upsert(rows(ENOUGH))
    built = await docs.wait_for_index()
    assert built.method == method
    assert dict(built.options).items() & {("m", "4"), ("lists", "3")}


async def test_none_by_default(client, connection):
    docs = await client.get_or_create_collection(CollectionConfig(name="docs", dimensions=8, min_rows_for_index=1))
    await docs.upsert(rows(ENOUGH))
    assert await docs.wait_for_index() is None
    assert await indexes(connection) == []


async def test_an_index_that_is_there_is_enough(docs, connection):
    await docs.create_index(IVFFlat(lists=2))
    await docs.upsert(rows(ENOUGH))
    assert (await docs.wait_for_index()).method == "ivfflat"
    assert await indexes(connection) == [("ivfflat", True)]


async def test_unchanged_rows_and_searches_begin_nothing(client, docs, connection):
    plain = await client.get_or_create_collection("docs")
    await plain.upsert(rows(ENOUGH))
    await docs.upsert(rows(ENOUGH))
    await docs.search([1] * 8)
    assert not automatic._runs(docs._handle)
    assert await docs.wait_for_index() is None


async def test_validated_tables_are_not_changed(client, docs, connection):
    config = CollectionConfig(name="docs", index="auto", min_rows_for_index=1, setup="validate")
    theirs = await client.get_collection(config)
    await theirs.upsert(rows(ENOUGH))
    assert await theirs.wait_for_index() is None


async def test_nothing_is_built_on_a_connection_that_was_lent(docs, connection):
    transaction = connection.transaction()
    await transaction.start()
    lent = docs.using(connection)
    await lent.upsert(rows(ENOUGH))
    assert not automatic._runs(lent._handle)
    assert await lent.wait_for_index() is None
    await transaction.rollback()


async def test_many_writers_in_one_process_have_one_built(client, connection, caplog):
    caplog.set_level(logging.INFO, "pgrecall")
    handles = [client.collection(CONFIG, domain=f"d{n % 3}") for n in range(8)]
    await asyncio.gather(*(docs.upsert(rows(ENOUGH, start=n * ENOUGH)) for n, docs in enumerate(handles)))
    assert (await handles[0].wait_for_index()).valid
    assert await indexes(connection) == [("hnsw", True)]
    assert len([r for r in caplog.records if "has the index" in r.getMessage()]) == 1


WRITE = """
import sys
from pgrecall import Client, CollectionConfig, Record
config = CollectionConfig(name="docs", dimensions=8, index="auto", min_rows_for_index=100)
with Client(sys.argv[1]) as client:
    docs = client.get_or_create_collection(config)
    docs.upsert([Record(id=f"{sys.argv[2]} {n}", embedding=[1, 2, 3, 4, 5, 6, 7, n]) for n in range(100)])
    print(docs.wait_for_index(60).name)
"""


async def test_many_processes_have_one_built(docs, connection, url, interpreter):
    processes = [interpreter(WRITE, url, n) for n in range(3)]
    ends = [await asyncio.to_thread(process.communicate, timeout=60) for process in processes]
    assert [complaints for _, complaints in ends] == [""] * 3
    assert len({output for output, _ in ends}) == 1
    assert await indexes(connection) == [("hnsw", True)]


async def test_who_finds_somebody_building_leaves_it_to_them(docs, url, connection, writing, monkeypatch):
    await docs.upsert(rows(ENOUGH - 1))
    await docs.wait_for_index()
    begun = await writing()
    async with AsyncClient(url) as other:
        theirs = asyncio.create_task(other.collection("docs").create_index(HNSW(m=5, ef_construction=16)))
        await until(other, BUILDS, 1)
        await docs.upsert(rows(ENOUGH, start=1_000))
        while automatic._runs(docs._handle):  # noqa: ASYNC110 - the task is not ours
            await asyncio.sleep(0.01)
        assert await docs.wait_for_index(0.05) is None
        waiting = asyncio.create_task(docs.wait_for_index())
        await begun.rollback()
        assert (await theirs).name == (await waiting).name


async def test_waiting_has_an_end(docs, writing, connection):
    begun = await writing()
    await docs.upsert(rows(ENOUGH))
    assert await docs.wait_for_index(0.05) is None
    assert await docs.wait_for_index(timeout=0) is None
    assert automatic._runs(docs._handle)
    await begun.rollback()
    assert (await docs.wait_for_index(60)).valid


async def test_writes_and_searches_go_on_while_it_is_built(docs, writing, connection):
    begun = await writing()
    await docs.upsert(rows(ENOUGH))
    assert await docs.upsert(rows(ENOUGH, start=1_000))
    assert len(await docs.search([1] * 8, 10)) == 10
    assert automatic._runs(docs._handle)
    await begun.rollback()
    assert (await docs.wait_for_index()).valid


async def test_closing_the_client_gives_it_up_and_leaves_no_task(url, connection, writing, client):
    async with AsyncClient(url) as closing:
        docs = await closing.get_or_create_collection(CONFIG)
        begun = await writing()
        await docs.upsert(rows(ENOUGH))
        await until(client, BUILDS, 1)
        others = asyncio.all_tasks()
        (task,) = [task for task in others if task.get_name() == "pgrecall builds an index by itself"]
        closed = asyncio.create_task(closing.close())
        await until(client, BUILDS, 0)
        await begun.rollback()
        await closed
    assert task.cancelled()
    assert await indexes(connection) == []
    await until(client, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", 0)


async def test_an_index_that_was_given_up_is_begun_again_by_the_next_write(url, connection, writing, client):
    begun = None
    async with AsyncClient(url) as closing:
        docs = await closing.get_or_create_collection(CONFIG)
        begun = await writing()
        await docs.upsert(rows(ENOUGH))
        await until(client, BUILDS, 1)
        closed = asyncio.create_task(closing.close())
        await until(client, BUILDS, 0)
        await begun.rollback()
        await closed
        await docs.upsert(rows(1, start=1_000))
        assert (await docs.wait_for_index()).valid


async def test_a_build_that_fails_is_logged_and_not_raised(docs, connection, client, writing, caplog):
    begun = await writing()
    await docs.upsert(rows(ENOUGH))
    await until(client, BUILDS, 1)
    end = "SELECT bool_and(pg_cancel_backend(pid)) FROM pg_stat_progress_create_index"
    await until(client, end, True)
    await until(client, BUILDS, 0)
    await begun.rollback()
    assert await docs.wait_for_index() is None
    (record,) = [record for record in caplog.records if record.name == "pgrecall"]
    assert record.levelno == logging.WARNING
    assert "public.docs" in record.getMessage()
    assert "tried again" in record.getMessage()
    await docs.upsert(rows(1, start=1_000))
    assert not automatic._runs(docs._handle)
    for watch in automatic._watches[client._database].values():
        watch.not_before = 0
    await docs.upsert(rows(1, start=2_000))
    assert (await docs.wait_for_index()).valid


async def test_who_may_not_build_is_told_once(docs, database, caplog):
    url = database.role("GRANT SELECT, INSERT, UPDATE, DELETE ON docs TO {role}")
    async with AsyncClient(url) as client:
        theirs = client.collection(CONFIG)
        for n in range(3):
            await theirs.upsert(rows(ENOUGH, start=n * ENOUGH))
            assert await theirs.wait_for_index() is None
    (record,) = [record for record in caplog.records if record.name == "pgrecall"]
    assert "only its owner" in record.getMessage()


async def test_rows_that_come_fast_are_let_pass_first(docs, connection, monkeypatch):
    monkeypatch.setattr(automatic, "_LULL_ROWS", 1)
    monkeypatch.setattr(automatic, "_LULL_SECONDS", 1.0)
    monkeypatch.setattr(automatic, "_MOST_LULLS", 5)
    naps = []
    sleep = asyncio.sleep

    async def nap(seconds, result=None):
        if seconds == 1.0:
            naps.append(await indexes(connection))
            if len(naps) < 3:
                await docs.upsert(rows(50, start=1_000 * len(naps)))
        return await sleep(0 if seconds == 1.0 else seconds, result)

    monkeypatch.setattr(asyncio, "sleep", nap)
    await docs.upsert(rows(ENOUGH))
    assert (await docs.wait_for_index()).valid
    assert naps == [[], [], []]


def test_a_blocking_client_builds_it_too(url, database):
    with Client(url) as client:
        docs = client.get_or_create_collection(CONFIG)
        docs.upsert(Record(id=str(n), embedding=[1, 2, 3, 4, 5, 6, 7, n]) for n in range(ENOUGH))
        assert docs.wait_for_index(60).valid


UNFINISHED = """
import sys, threading
from pgrecall import Client, CollectionConfig, Record
config = CollectionConfig(name="docs", dimensions=8, index="auto", min_rows_for_index=100)
client = Client(sys.argv[1])
docs = client.get_or_create_collection(config)
docs.upsert([Record(id=str(n), embedding=[1, 2, 3, 4, 5, 6, 7, n]) for n in range(100)])
print("written", flush=True)
sys.stdin.readline()
if sys.argv[2] == "close":
    client.close()
"""


@pytest.mark.parametrize("ending", ["close", "exit"])
async def test_an_interpreter_exits_cleanly_while_it_is_built(docs, url, client, writing, interpreter, ending):
    await writing()
    process = interpreter(UNFINISHED, url, ending)
    assert await asyncio.to_thread(process.stdout.readline) == "written\n"
    await until(client, BUILDS, 1)
    _, complaints = await asyncio.to_thread(process.communicate, "\n", timeout=60)
    assert (process.returncode, complaints) == (0, "")
    await until(client, BUILDS, 0)


ASYNCHRONOUS = """
import asyncio, sys
from pgrecall import AsyncClient, CollectionConfig, Record
config = CollectionConfig(name="docs", dimensions=8, index="auto", min_rows_for_index=100)
async def main():
    client = AsyncClient(sys.argv[1])
    docs = await client.get_or_create_collection(config)
    await docs.upsert([Record(id=str(n), embedding=[1, 2, 3, 4, 5, 6, 7, n]) for n in range(100)])
asyncio.run(main())
"""


async def test_a_loop_that_ends_without_a_close_ends_the_build(docs, url, run, writing, client):
    await writing()
    assert await asyncio.to_thread(run, ASYNCHRONOUS, url) == ""
    await until(client, BUILDS, 0)


FORKED = """
import os, sys
from pgrecall import Client, CollectionConfig, Record
config = CollectionConfig(name="docs", dimensions=8, index="auto", min_rows_for_index=100)
client = Client(sys.argv[1])
docs = client.get_or_create_collection(config)
docs.upsert([Record(id=str(n), embedding=[1, 2, 3, 4, 5, 6, 7, n]) for n in range(100)])
if os.fork() == 0:
    docs.upsert([Record(id="child", embedding=[1, 2, 3, 4, 5, 6, 7, 8])])
    assert docs.wait_for_index(60).valid
    client.close()
    sys.exit()
assert os.wait()[1] == 0
assert docs.wait_for_index(60).valid
client.close()
"""


async def test_a_child_after_a_fork_waits_for_what_its_parent_builds(docs, url, run):
    flags = ("-W", "error", "-W", "ignore:This process")  # Python 3.12 warns of every fork with threads
    assert await asyncio.to_thread(run, FORKED, url, flags=flags) == ""


async def test_an_ivfflat_index_that_is_outgrown_is_warned_of_once(client):
    docs = await client.get_or_create_collection("docs", dimensions=8)
    await docs.upsert(rows(600))
    built = await docs.create_index(IVFFlat(lists=3))

    async def outgrown():
        async def work(session):
            table = await docs._handle.table(session)
            # At each call, as if five minutes had passed.
            for times in drift._next.values():
                times.update({key: 0.0 for key, at in times.items() if at < math.inf})
            await drift.warn_if_outgrown(docs._handle, session, table)
            return await drift.ivfflat_outgrown(session, table)

        return await docs._handle.run(work)

    assert not await outgrown()
    await docs.upsert(rows(700, start=1_000))
    with pytest.warns(PerformanceWarning, match=f"doubled.*{built.name}"):
        assert await outgrown()
    assert await outgrown()
    await docs.create_index(IVFFlat(lists=3), replace=True)
    assert not await outgrown()
    await docs.create_index(HNSW(m=4, ef_construction=16), replace=True)
    assert not await outgrown()


async def test_nothing_is_said_of_an_ivfflat_index_that_others_built(client, connection):
    docs = await client.get_or_create_collection("docs", dimensions=8)
    await connection.execute("CREATE INDEX ON docs USING ivfflat (embedding vector_cosine_ops) WITH (lists = 1)")
    await docs.upsert(rows(1_500))

    async def work(session):
        return await drift.ivfflat_outgrown(session, await docs._handle.table(session))

    assert not await docs._handle.run(work)
