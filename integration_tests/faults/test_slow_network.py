"""A network that is slow, cuts connections in the midst of anything, closes half of them, or goes silent."""

import asyncio
import time

import pytest

from integration_tests.faults.conftest import batch, check_batches
from integration_tests.faults.proxy import between
from pgrecall import AsyncClient, PoolConfig, Record, RetryConfig
from pgrecall.errors import ConnectionFailed, DatabaseError
from pgrecall.postgres import pool as pools


@pytest.fixture
async def proxy(server):
    async with between(server.url) as proxy:
        yield proxy


@pytest.fixture
def slow(proxy, database):
    """The test's database, behind the proxy."""
    return proxy.url(database.name)


async def test_everything_works_over_a_slow_network(proxy, slow):
    proxy.delay = 0.01
    async with AsyncClient(slow) as client:
        docs = await client.get_or_create_collection("docs", dimensions=3)
        await asyncio.gather(*(docs.upsert(batch(writer, 0)) for writer in range(4)))
        assert [len(found) for found in await asyncio.gather(*(docs.search([1, 2, 3], k=7) for _ in range(6)))] == [
            7
        ] * 6
        assert await check_batches(docs, [(writer, 0) for writer in range(4)]) == (240, 240)


async def test_a_connection_cut_at_any_byte_of_a_write_loses_and_doubles_nothing(proxy, slow, docs):
    async with AsyncClient(slow) as client:
        through, written = client.collection("docs"), []
        for number in range(40):
            proxy.cut_after = 37 * number * (1 + number // 20)
            await client.close()  # so that the next bytes are those of a new connection
            try:
                await through.upsert(batch(0, number, rows=60))
            except ConnectionFailed as error:
                # Only what opens the pool is not tried again.
                assert "cannot connect" in str(error)  # noqa: PT017 - it may also succeed
                await through.upsert(batch(0, number, rows=60))
            written.append((0, number))
        assert proxy.cuts >= 30
        assert await check_batches(docs, written) == (2_400, 2_400)


async def test_an_answer_to_commit_that_is_lost_does_not_double_the_rows(proxy, slow, docs):
    async with AsyncClient(slow) as client:
        through = client.collection("docs")
        for number in range(5):
            proxy.deaf_to = b"COMMIT"
            result = await through.upsert(batch(0, number))
            assert proxy.deaf_to is None
            # Perhaps the first try has written them, perhaps the second.
            assert result.inserted + result.unchanged == 60
        assert proxy.cuts == 5
        assert await check_batches(docs, [(0, number) for number in range(5)]) == (300, 300)


async def test_an_answer_to_commit_that_is_lost_is_an_error_where_a_second_try_would_double(proxy, slow, connection):
    await connection.execute("CREATE TABLE theirs (id text, embedding vector(3))")
    async with AsyncClient(slow) as client:
        theirs = client.collection("theirs")
        await theirs.upsert([Record(embedding=[1, 2, 3])])
        proxy.deaf_to = b"COMMIT"
        with pytest.raises(ConnectionFailed, match="lost"):
            await theirs.upsert([Record(embedding=[1, 2, 3])])
        assert proxy.cuts == 1
        assert await theirs.count() in (1, 2)
        proxy.deaf_to = b"COPY"
        await theirs.upsert([Record(embedding=[1, 2, 3]) for _ in range(60)])
        assert await theirs.count() in (61, 62)


async def test_searches_outlive_cuts_and_half_closed_connections(proxy, slow, docs):
    await docs.upsert(batch(0, 0))
    async with AsyncClient(slow, pool=PoolConfig(retry=RetryConfig(attempts=10))) as client:
        through = client.collection("docs")
        await asyncio.gather(*(through.count() for _ in range(16)))
        for _ in range(5):
            proxy.half_close()
            assert await asyncio.gather(*(through.count() for _ in range(8))) == [60] * 8
            proxy.deaf_to = b"ORDER BY"
            assert len(await through.search([1, 2, 3], k=60)) == 60
        assert proxy.cuts >= 1


async def test_a_silent_network_is_given_up_in_time(proxy, slow, docs):
    await docs.upsert(batch(0, 0))
    async with AsyncClient(slow, pool=PoolConfig(command_timeout=0.4, connect_timeout=0.5)) as client:
        through = client.collection("docs")
        assert await through.count() == 60
        proxy.silent = True
        with pytest.raises(DatabaseError, match="command_timeout"):
            await through.search([1, 2, 3])
        # That connection is cut by now, and there is no way to another one.
        with pytest.raises(ConnectionFailed, match="connect_timeout"):
            await through.upsert(batch(0, 1))
        proxy.silent = False
        await through.upsert(batch(0, 1))
        assert await check_batches(docs, [(0, 0), (0, 1)]) == (120, 120)


@pytest.mark.parametrize("verb", ["search", "upsert"])
async def test_a_caller_who_gives_up_on_a_silent_network_is_let_go(proxy, slow, docs, monkeypatch, verb):
    monkeypatch.setattr(pools, "_MEND_SECONDS", 0.2)
    await docs.upsert(batch(0, 0))
    async with AsyncClient(slow) as client:
        through = client.collection("docs")
        assert await through.count() == 60
        proxy.silent = True
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await (through.search([1, 2, 3]) if verb == "search" else through.upsert(batch(0, 1)))
        assert time.monotonic() - began < 20  # and not for ever
        proxy.silent = False
        await through.upsert(batch(0, 1))
        assert await check_batches(docs, [(0, 0), (0, 1)]) == (120, 120)


async def test_a_server_that_does_not_answer_a_new_connection_is_named(proxy, slow, docs):
    await docs.upsert(batch(0, 0))
    async with AsyncClient(slow, pool=PoolConfig(min_size=1, max_size=4, connect_timeout=0.3)) as client:
        proxy.silent = True
        with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1.*no answer within 0\.3 seconds"):
            await client.collection("docs").count()
        proxy.silent = False
        assert await client.collection("docs").count() == 60
        # Of several at once some need new connections, from a pool that is open.
        proxy.silent = True
        waiting = [asyncio.create_task(client.collection("docs").count()) for _ in range(4)]
        await asyncio.sleep(0.5)
        late = [task for task in waiting if task.done()]
        assert {type(task.exception()) for task in late} == {ConnectionFailed}
        assert all("connect_timeout" in str(task.exception()) for task in late)
        proxy.silent = False
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert 60 in ends
        assert await client.collection("docs").count() == 60
