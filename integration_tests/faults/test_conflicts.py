"""Writers in each other's way: deadlocks, serialization failures, several processes on one collection."""

import asyncio
import json

import asyncpg
import pytest

from integration_tests.faults.conftest import batch, check_batches
from pgrecall import AsyncClient, PoolConfig, Record, RetryConfig
from pgrecall.errors import DatabaseError

ISOLATION = {"default_transaction_isolation": "serializable"}
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"
INDEXES = """
SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
WHERE m.amname IN ('hnsw', 'ivfflat')
"""


@pytest.fixture
def counted(monkeypatch):
    """The errors that were tried again, or given up."""
    from pgrecall.postgres import database

    seen, transient = [], database._is_transient

    def spy(error):
        seen.append(type(error).__name__)
        return transient(error)

    monkeypatch.setattr(database, "_is_transient", spy)
    return seen


@pytest.mark.parametrize("isolation", ["serializable", "repeatable read"])
async def test_serialization_failures_between_upserts_are_tried_again(url, counted, isolation):
    settings = {"default_transaction_isolation": isolation}
    pool = PoolConfig(max_size=8, server_settings=settings, retry=RetryConfig(attempts=60))
    async with AsyncClient(url, pool=pool) as client:
        docs = await client.get_or_create_collection("docs", dimensions=3)
        await docs.upsert(batch(0, 0))

        async def write(writer):
            for turn in range(4):
                await docs.upsert(
                    [Record(id=f"0-00000-{n:03}", embedding=[1, 1, 1], content=f"{writer} {turn}") for n in range(60)]
                )
                await docs.delete(["0-00000-059"])

        await asyncio.gather(*map(write, range(8)))
        assert "SerializationError" in counted
        await docs.upsert(batch(0, 0))
        assert await check_batches(docs, [(0, 0)]) == (60, 60)


async def test_a_serialization_failure_that_stays_says_how_often_it_was_tried(url, docs, connection):
    await docs.upsert(batch(0, 0))
    await connection.execute(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END$$;"
        "CREATE TRIGGER fail BEFORE UPDATE ON docs FOR EACH ROW EXECUTE FUNCTION fail()"
    )
    for attempts, says in ((1, "again; others write"), (3, r"again; tried 3 times; .*RetryConfig\.attempts")):
        async with AsyncClient(url, pool=PoolConfig(retry=RetryConfig(attempts=attempts))) as client:
            with pytest.raises(DatabaseError, match=says):
                await client.collection("docs").update(["0-00000-001"], contents=["x"])
    await connection.execute("DROP TRIGGER fail ON docs")
    assert await check_batches(docs, [(0, 0)]) == (60, 60)


async def test_a_deadlock_with_somebody_elses_transaction_is_tried_again(url, docs, connection, counted):
    await docs.upsert(batch(0, 0))
    # It gives up last, so that ours is what PostgreSQL ends.
    await connection.execute("SET deadlock_timeout = '20s'")
    pool = PoolConfig(server_settings={"deadlock_timeout": "100ms"}, retry=RetryConfig(attempts=50))
    async with AsyncClient(url, pool=pool) as client:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("UPDATE docs SET content = 'theirs' WHERE id = '0-00000-001'")
        changed = [Record(id=f"0-00000-{n:03}", embedding=[3, 2, 1], content="ours") for n in range(2)]
        ours = asyncio.create_task(client.collection("docs").upsert(changed))
        other = await asyncpg.connect(url)
        while not await other.fetchval(WAITING):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        # Ours has 000 and waits for 001, which is theirs; now they want 000.
        await connection.execute("UPDATE docs SET content = 'theirs' WHERE id = '0-00000-000'")
        await transaction.commit()
        assert (await ours).updated == 2
        assert "DeadlockDetectedError" in counted
        assert [record.content for record in await docs.get(["0-00000-000", "0-00000-001"])] == ["ours", "ours"]
        await other.close()
        assert await docs.count() == 60


BUILDER = """
import asyncio, json, sys
from integration_tests.faults.conftest import batch
from pgrecall import HNSW, AsyncClient, IVFFlat

async def main(url, writer):
    done = []
    async with AsyncClient(url) as client:
        docs = await client.get_or_create_collection("docs", dimensions=3)
        for turn in range(3):
            await docs.upsert(batch(writer, turn))
            done.append((writer, turn))
            await docs.create_index(HNSW(m=4 + turn, ef_construction=16), replace=True)
            await docs.delete([f"{writer}-{turn:05}-{n:03}" for n in range(60)])
            await docs.maintain()
            await docs.upsert(batch(writer, turn))
            assert len(await docs.search([1, 2, 3], k=5)) == 5
    return done

print(json.dumps(asyncio.run(main(sys.argv[1], int(sys.argv[2])))))
"""


async def test_processes_that_create_index_and_reindex_one_collection_do_not_disturb_each_other(
    bare_database, interpreter
):
    processes = [interpreter(BUILDER, bare_database.url, writer) for writer in range(2)]
    ends = await asyncio.gather(*(asyncio.to_thread(process.communicate, timeout=90) for process in processes))
    assert [complaints for _, complaints in ends] == ["", ""]
    acknowledged = [tuple(key) for output, _ in ends for key in json.loads(output)]
    async with AsyncClient(bare_database.url) as client:
        assert await check_batches(client.collection("docs"), acknowledged) == (360, 360)
    rows = await asyncio.to_thread(bare_database.rows, INDEXES)
    assert [row[0] for row in rows] == [True]
