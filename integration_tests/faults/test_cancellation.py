"""Every verb is cancelled, and interrupted with Ctrl-C, in its midst: the next call works, and nothing is left."""

import asyncio
import json
import signal

import asyncpg
import pytest

from integration_tests.faults.conftest import OURS, batch, check_batches
from pgrecall import HNSW, AsyncClient, PoolConfig

SMALL = HNSW(m=4, ef_construction=16)
# Whoever waits for the table.
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
LOCKS = """
SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE a.application_name = 'pgrecall' AND a.datname = current_database() AND l.locktype IN ('advisory', 'relation')
"""
INVALID = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
BUSY = f"SELECT count(*) FILTER (WHERE state <> 'idle') {OURS}"
OPEN = f"SELECT count(*) FILTER (WHERE state LIKE 'idle in transaction%') {OURS}"

VERBS = {
    "upsert": lambda client, docs: docs.upsert(batch(1, 0)),
    "upsert_few": lambda client, docs: docs.upsert(batch(0, 0)[:3]),
    "update": lambda client, docs: docs.update(["0-00000-001"], contents=["0 0 1"]),
    "replace": lambda client, docs: docs.replace(batch(0, 0)),
    "delete": lambda client, docs: docs.delete(["0-00000-001"]),
    "delete_by_filter": lambda client, docs: docs.delete(filter={"batch": "0-0"}),
    "clear": lambda client, docs: docs.clear(),
    "get": lambda client, docs: docs.get(["0-00000-001"]),
    "list": lambda client, docs: docs.list(limit=5),
    "count": lambda client, docs: docs.count(),
    "search": lambda client, docs: docs.search([1, 2, 3]),
    "search_mmr": lambda client, docs: docs.search_mmr([1, 2, 3]),
    "stats": lambda client, docs: docs.stats(),
    "recall": lambda client, docs: docs.recall(3, sample=5),
    "create_index": lambda client, docs: docs.create_index(SMALL),
    "maintain": lambda client, docs: docs.maintain(),
    "add_fields": lambda client, docs: docs.add_fields({"batch": str}),
    "copy_to": lambda client, docs: docs.copy_to(client.collection("copied")),
    "replace_documents": lambda client, docs: docs.replace_documents(batch(0, 0)),
    "list_documents": lambda client, docs: docs.list_documents(),
    "rename": lambda client, docs: client.rename_collection("docs", "papers"),
    "drop": lambda client, docs: client.delete_collection("docs"),
}


async def none_connected(connection):
    """Wait until no connection of ours is left: a backend ends a moment after its client has gone."""
    while await connection.fetchval(f"SELECT count(*) {OURS}"):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)


async def all_rest(connection):
    """Wait until no backend of ours works: one that is cancelled, or that the pool has just opened, does for a moment."""
    async with asyncio.timeout(5):
        while await connection.fetchval(BUSY):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def waits(connection, count):
    while await connection.fetchval(WAITING) < count:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("some", [0, 1, 2])
async def test_every_verb_that_is_cancelled_on_the_server_leaves_nothing(url, connection, some):
    async with AsyncClient(url, pool=PoolConfig(max_size=4)) as client:
        docs = await client.get_or_create_collection("docs", dimensions=3)
        await docs.upsert(batch(0, 0))
        for name in list(VERBS)[some::3]:
            async with connection.transaction():
                await connection.execute("LOCK TABLE docs IN ACCESS EXCLUSIVE MODE")
                task = asyncio.create_task(VERBS[name](client, docs), name=name)
                waiting = asyncio.create_task(waits(connection, 1))
                await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
                assert not task.done(), f"{name} did not wait for the table: {task}"
                task.cancel()
                # What it takes back waits for the table too, for a while.
                await asyncio.wait([task], timeout=10)
                assert task.cancelled(), name
            assert await docs.count() == 60, name
            assert await connection.fetchval(OPEN) == 0, name
            assert await connection.fetchval(LOCKS) == 0, name
            await all_rest(connection)
        await docs.create_index(SMALL, replace=True)
        assert await connection.fetchval(INVALID) == 0
        assert await check_batches(docs, [(0, 0)]) == (60, 60)
    await none_connected(connection)


async def test_every_verb_that_is_cancelled_at_any_moment_does_all_or_nothing(url, connection):
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
    async with AsyncClient(url, pool=PoolConfig(max_size=4)) as client:
        for name in sorted(VERBS):
            for moment in (0, 0.001, 0.004, 0.012):
                docs = await client.get_or_create_collection("docs", dimensions=3)
                await docs.upsert(batch(0, 0))
                task = asyncio.create_task(VERBS[name](client, docs), name=name)
                await asyncio.sleep(moment)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                names = await client.list_collections()
                if "papers" in names:
                    assert "docs" not in names
                    await client.rename_collection("papers", "docs")
                left = await client.collection("docs").count()
                assert left in {"clear": (0, 60), "delete": (59, 60), "delete_by_filter": (0, 60)}.get(
                    name, (0, 60) if name == "drop" else (60, 120)
                ), (name, moment)
                await client.collection("docs").clear()
            assert await connection.fetchval(LOCKS) == 0, name
    await none_connected(connection)
    assert not complaints


INTERRUPTED = """
import asyncio, json, os, signal, sys
from integration_tests.faults.test_cancellation import VERBS
from pgrecall import AsyncClient, Client, PoolConfig

url, kind, names = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
asynchronous = AsyncClient(url, pool=PoolConfig(max_size=4))
blocking = Client(url, pool=PoolConfig(max_size=4))

async def main(name):
    await VERBS[name](asynchronous, asynchronous.collection("docs"))

def count():
    if kind == "asyncio":
        return asyncio.run(asynchronous.collection("docs").count())
    return blocking.collection("docs").count()

count()
for name in names:
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        if kind == "asyncio":
            asyncio.run(main(name))
        else:
            VERBS[name](blocking, blocking.collection("docs"))
        print("ended", flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    sys.stdin.readline()
    print(count(), flush=True)
"""


@pytest.mark.parametrize("kind", ["blocking", "asyncio"])
def test_ctrl_c_in_the_midst_of_every_verb_leaves_the_client_usable(database, interpreter, kind):
    names = sorted(VERBS)

    async def run():
        async with AsyncClient(database.url) as client:
            docs = await client.get_or_create_collection("docs", dimensions=3)
            await docs.upsert(batch(0, 0))
            process = interpreter(INTERRUPTED, database.url, kind, json.dumps(names))
            connection = await asyncpg.connect(database.url)

            def hears():
                line = process.stdout.readline()
                return line or process.communicate(timeout=30)

            for name in names:
                assert await asyncio.to_thread(hears) == "ready\n", name
                async with connection.transaction():
                    await connection.execute("LOCK TABLE docs IN ACCESS EXCLUSIVE MODE")
                    process.stdin.write("go\n")
                    process.stdin.flush()
                    await waits(connection, 1)
                    process.send_signal(signal.SIGINT)
                    assert await asyncio.to_thread(hears) == "interrupted\n", name
                process.stdin.write("go\n")
                process.stdin.flush()
                assert await asyncio.to_thread(hears) == "60\n", name
            assert await asyncio.to_thread(process.communicate, "", 60) == ("", "")
            assert process.returncode == 0
            await connection.close()
            assert await check_batches(docs, [(0, 0)]) == (60, 60)

    asyncio.run(run())
