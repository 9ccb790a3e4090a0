"""The server is killed, in the midst of everything, and started again on the same data."""

import asyncio
import os
import random
import signal

import asyncpg
import numpy as np
import pytest

from integration_tests.faults.conftest import OURS, batch, check_batches, until
from integration_tests.oracle import Corpus
from pgrecall import HNSW, Access, AsyncClient, PoolConfig, RetryConfig, SearchOptions
from pgrecall.errors import ConnectionFailed, IndexBuildError

SMALL = HNSW(m=4, ef_construction=16)
PATIENT = PoolConfig(retry=RetryConfig(attempts=40, max_delay=0.5))
VALID = """
SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
WHERE m.amname = 'hnsw'
"""


async def kill_backend(url):
    """Kill one of our backends with SIGKILL: PostgreSQL then ends all others, and recovers."""
    connection = await asyncpg.connect(url)
    pid = await connection.fetchval(f"SELECT pid {OURS} AND pid <> pg_backend_pid() LIMIT 1")
    connection.terminate()
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("victim", ["server", "backend"])
async def test_ingest_goes_on_after_a_kill_and_nothing_acknowledged_is_lost(mortal, mortal_url, victim):
    acknowledged, errors, alive = [], [], asyncio.Event()
    alive.set()

    async with AsyncClient(mortal_url) as client:
        docs = await client.get_or_create_collection("docs", dimensions=3)

        async def write(writer):
            number, after = 0, 0
            while after < 3:
                try:
                    await docs.upsert(batch(writer, number))
                except ConnectionFailed as error:
                    errors.append(error)
                    await alive.wait()
                    await asyncio.sleep(0.02)
                    continue  # the same once more: it may be there, or not
                acknowledged.append((writer, number))
                number, after = number + 1, after + bool(killed)

        killed = []
        writers = [asyncio.create_task(write(n)) for n in range(6)]
        for _ in range(2):
            await asyncio.sleep(0.3)
            alive.clear()
            if victim == "server":
                mortal.kill()
                await asyncio.to_thread(mortal.start)
            else:
                await kill_backend(mortal_url)
            alive.set()
        killed.append(victim)
        await asyncio.gather(*writers)
        sent, found = await check_batches(docs, acknowledged)
        assert sent == found > 0
        assert all(str(error) for error in errors)
    if victim == "server":
        assert errors


async def test_a_patient_client_notices_a_crash_of_the_server_by_nothing_but_time(mortal, mortal_url):
    async with AsyncClient(mortal_url, pool=PATIENT) as client:
        docs = await client.get_or_create_collection("docs", dimensions=3)
        done = []

        async def work(writer):
            for number in range(30):
                await docs.upsert(batch(writer, number, rows=5))
                done.append((writer, number))
                await docs.search([1, 2, 3], k=3)

        tasks = [asyncio.create_task(work(n)) for n in range(5)]
        await asyncio.sleep(0.2)
        await kill_backend(mortal_url)
        await asyncio.gather(*tasks)
        assert await check_batches(docs, done, rows=5) == (750, 750)


async def test_an_index_build_that_a_kill_ended_is_done_by_the_next_call(mortal, mortal_url):
    corpus = Corpus(rows=400, dimensions=8)
    async with AsyncClient(mortal_url) as client:
        docs = await client.get_or_create_collection("docs", dimensions=8)
        await docs.upsert(corpus.batch())
        other = await asyncpg.connect(mortal_url)
        await other.execute("BEGIN; UPDATE docs SET content = 'new' WHERE id = 'r00001'")
        building = asyncio.create_task(docs.create_index(SMALL))

        async def begun():
            return await other.fetchval("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 1

        await until(begun)
        mortal.kill()
        with pytest.raises((IndexBuildError, ConnectionFailed), match=r"could not be built|lost"):
            await building
        other.terminate()
        await asyncio.to_thread(mortal.start)
        index = await docs.create_index(SMALL)
        assert [
            row[0] for row in await asyncio.to_thread(mortal.rows, VALID, mortal_url.split("/")[3].split("?")[0])
        ] == [True]
        query = corpus.query()
        by_index = SearchOptions(access=Access.INDEX)
        assert (await docs.explain(query, options=by_index)).index == index.name
        corpus.check(await docs.search(query, 10, options=by_index), query, 10, recall=0.5)
        assert await docs.count() == 400


async def test_searches_go_on_after_a_kill_and_are_right(mortal, mortal_url):
    corpus, rng = Corpus(rows=600, dimensions=8), random.Random(1)
    async with AsyncClient(mortal_url) as client:
        docs = await client.get_or_create_collection("docs", dimensions=8)
        await docs.upsert(corpus.batch())
        queries = corpus.draw(8)
        killed, errors = asyncio.Event(), []

        async def ask():
            after = 0
            while after < 5:
                query = queries[rng.randrange(len(queries))]
                try:
                    matches = await docs.search(query, 10)
                except ConnectionFailed as error:
                    errors.append(error)
                    await asyncio.sleep(0.05)
                    continue
                corpus.check(matches, query, 10)
                after += killed.is_set()

        tasks = [asyncio.create_task(ask()) for _ in range(6)]
        await asyncio.sleep(0.1)
        mortal.kill()
        await asyncio.to_thread(mortal.start)
        killed.set()
        await asyncio.gather(*tasks)
        assert errors
        assert all("connect" in str(error) for error in errors)
        assert np.isfinite((await docs.search(queries[0], 1))[0].score)


async def test_backends_that_are_terminated_under_load_cost_nothing(database, connection):
    acknowledged, stop = [], asyncio.Event()
    pool = PoolConfig(max_size=8, retry=RetryConfig(attempts=30))
    async with AsyncClient(database.url, pool=pool) as client:
        docs = await client.get_or_create_collection("docs", dimensions=3)

        async def work(writer):
            number = 0
            while not stop.is_set():
                await docs.upsert(batch(writer, number, rows=60 if number % 2 else 3))
                await docs.delete([f"{writer}-{number:05}-000"])
                assert await docs.count({"batch": f"{writer}-{number}"}) == (59 if number % 2 else 2)
                await docs.upsert(batch(writer, number, rows=60))
                acknowledged.append((writer, number))
                await docs.search([1, 2, 3], k=5)
                number += 1

        tasks = [asyncio.create_task(work(n)) for n in range(8)]
        ended = 0
        for _ in range(25):
            await asyncio.sleep(0.06)
            ended += await connection.fetchval(f"SELECT count(pg_terminate_backend(pid)) {OURS}")
        stop.set()
        await asyncio.gather(*tasks)
        assert ended > 50
        sent, found = await check_batches(docs, acknowledged)
        assert sent == found

    async def none_connected():
        return await connection.fetchval(f"SELECT count(*) {OURS}") == 0

    await until(none_connected)
