"""Connections: loops, threads, forks, lost servers, and the end of the interpreter."""

import asyncio
import concurrent.futures
import threading
import time

import pytest

from pgrecall import AsyncClient, Client, PoolConfig, Record
from pgrecall.errors import ConfigError, ConnectionFailed, DatabaseError, PGRecallError, PortalError

A = Record(id="a", embedding=[1, 2, 3])
BACKENDS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgrecall' AND datname = current_database()"

TERMINATE = BACKENDS.replace("count(*)", "pg_terminate_backend(pid)")


def backends(database):
    return database.ask(BACKENDS)


def told(error):
    """Return all that an error and what led to it say."""
    texts, seen = [], set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        texts += [str(error), repr(error), repr(vars(error))]
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


def wait_for(condition):
    """Wait until *condition* holds; the test's time-out ends what never comes."""
    while not condition():
        time.sleep(0.02)


def test_two_runs_in_a_row_share_a_client(url):
    client = AsyncClient(url)
    docs = client.collection("docs")

    async def one(number):
        await docs.upsert([Record(id=str(number), embedding=[1, 2, 3])])
        return await docs.count()

    assert [asyncio.run(one(number)) for number in range(3)] == [1, 2, 3]


def test_the_end_of_a_loop_closes_its_connections(database):
    client = AsyncClient(database.url)
    asyncio.run(client.server())
    wait_for(lambda: backends(database) == 0)
    assert "AsyncClient" in repr(client)


def test_threads_with_loops_of_their_own_share_a_client(url):
    client = AsyncClient(url)
    docs = client.collection("docs")

    async def one(number):
        await docs.upsert([Record(id=str(number), embedding=[1, 2, 3])])
        return len(await docs.search([1, 2, 3], k=100)) > 0

    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        assert list(threads.map(lambda number: asyncio.run(one(number)), range(12))) == [True] * 12
    assert asyncio.run(docs.count()) == 12


def test_threads_share_a_blocking_collection(blocking_client):
    docs = blocking_client.collection("docs")

    def one(number):
        docs.upsert([Record(id=str(number), embedding=[1, 2, 3])])
        return len(docs.search([1, 2, 3], k=100)) > 0

    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        assert list(threads.map(one, range(24))) == [True] * 24
    assert docs.count() == 24


async def test_a_blocking_call_within_a_running_loop_works(blocking_client):
    docs = blocking_client.get_or_create_collection("docs", dimensions=3)
    docs.upsert([A])
    assert await docs.asynchronous.count() == docs.count() == 1


def test_a_blocking_call_on_the_portal_itself_is_an_error(blocking_client):
    docs = blocking_client.get_or_create_collection("docs", dimensions=3)

    async def records():
        yield A
        docs.count()

    with pytest.raises(PortalError, match="use the asynchronous method there"):
        docs.upsert(records())
    assert docs.count() == 0


def test_a_generator_of_a_blocking_upsert_may_block(blocking_client):
    docs = blocking_client.get_or_create_collection("docs", dimensions=3)
    thread = threading.current_thread()

    def records():
        for number in range(3):
            assert threading.current_thread() is thread
            yield Record(id=f"{number} after {docs.count()}", embedding=[1, 2, 3])

    assert docs.upsert(records(), batch_size=1).ids == ["0 after 0", "1 after 1", "2 after 2"]


async def test_close_and_use_again(client, docs, database):
    await docs.upsert([A])
    await client.close()
    wait_for(lambda: backends(database) == 0)
    assert await docs.count() == 1
    await client.close()
    await client.close()


def test_blocking_close_and_use_again(database):
    client = Client(database.url)
    docs = client.get_or_create_collection("docs", dimensions=3)
    client.close()
    wait_for(lambda: backends(database) == 0)
    docs.upsert([A])
    assert docs.count() == 1
    client.close()
    client.close()


async def test_a_context_closes_at_its_end_also_after_an_error(database):
    async def fail():
        async with AsyncClient(database.url) as client:
            await client.server()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await asyncio.to_thread(wait_for, lambda: backends(database) == 0)


def test_a_blocking_context_closes_at_its_end_also_after_an_error(database):
    def fail():
        with Client(database.url) as client:
            client.server()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    wait_for(lambda: backends(database) == 0)


async def test_connections_that_the_server_has_killed_are_replaced(client, docs, connection):
    await docs.upsert([A])
    for _ in range(3):
        # So many at once that the pool holds as many connections as it may.
        assert await asyncio.gather(*(docs.count() for _ in range(40))) == [1] * 40
        await connection.execute(TERMINATE)
        assert await docs.count() == 1
        assert (await docs.upsert([Record(id="a", embedding=[1, 2, 3])])).unchanged == 1


def test_connections_of_a_blocking_client_that_were_killed_are_replaced(blocking_client, database):
    docs = blocking_client.get_or_create_collection("docs", dimensions=3)
    docs.upsert([A])
    database.execute(TERMINATE)
    assert docs.count() == 1


@pytest.fixture
async def locked(docs, connection):
    """The table, locked by somebody else until the test ends."""
    await docs.upsert([A])
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("LOCK TABLE docs IN ACCESS EXCLUSIVE MODE")
    yield transaction
    if connection.is_in_transaction():
        await transaction.rollback()


@pytest.mark.parametrize("verb", ["search", "upsert", "delete"])
async def test_a_task_that_is_cancelled_leaves_the_pool_usable(client, docs, locked, verb):
    calls = {
        "search": lambda: docs.search([1, 2, 3]),
        "upsert": lambda: docs.upsert([Record(id=f"{n}", embedding=[1, 2, 3]) for n in range(100)]),
        "delete": lambda: docs.delete(["a"]),
    }
    tasks = [asyncio.create_task(calls[verb]()) for _ in range(12)]
    await asyncio.sleep(0.2)
    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(end) for end in ends} == {asyncio.CancelledError}
    await locked.rollback()
    assert await asyncio.gather(*(docs.count() for _ in range(12))) == [1] * 12


async def test_an_upsert_that_is_cancelled_at_any_moment_writes_all_or_nothing(docs):
    given = [Record(id=f"{n:04}", embedding=[1, 2, n]) for n in range(1_500)]
    for moment in (0, 0.001, 0.003, 0.006, 0.01, 0.015, 0.02, 0.03):
        task = asyncio.create_task(docs.upsert(given))
        await asyncio.sleep(moment)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await docs.count() in (0, 1_500)
        await docs.clear()


async def test_a_statement_that_takes_too_long_is_given_up(url, docs, locked):
    async with AsyncClient(url, pool=PoolConfig(command_timeout=0.3)) as client:
        with pytest.raises(DatabaseError, match="command_timeout"):
            await client.collection("docs").count()
        await locked.rollback()
        assert await client.collection("docs").count() == 1


async def test_the_pool_opens_no_more_connections_than_it_may(database, docs):
    async with AsyncClient(database.url, pool=PoolConfig(max_size=2)) as client:
        collection = client.collection("docs")
        await asyncio.gather(*(collection.count() for _ in range(30)))
        assert backends(database) <= 2 + 8


async def test_server_settings_of_the_caller_are_set(url):
    settings = {"application_name": "mine", "statement_timeout": "12345"}
    async with AsyncClient(url, pool=PoolConfig(server_settings=settings)) as client:

        async def work(session):
            return [await session.connection.fetchval(f"SHOW {name}") for name in settings]

        assert await client._database.run(work) == ["mine", "12345ms"]


CLOSED = "postgresql://me:s3cr3t@127.0.0.1:1/db"


@pytest.mark.parametrize("url", [CLOSED, "postgresql://127.0.0.1:1/db?user=me&password=s3cr3t"])
async def test_a_server_that_does_not_answer_is_named_without_the_password(url):
    with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1:1") as caught:
        await AsyncClient(url).server()
    assert "s3cr3t" not in told(caught.value)


def test_a_blocking_client_of_a_server_that_does_not_answer_says_so_too():
    with pytest.raises(ConnectionFailed) as caught:
        Client(CLOSED).server()
    assert "s3cr3t" not in told(caught.value)


async def test_a_failed_connection_is_caused_by_what_the_driver_said():
    with pytest.raises(ConnectionFailed) as caught:
        await AsyncClient(CLOSED).server()
    causes, error = [], caught.value
    while error is not None and len(causes) < 5:
        causes.append(error)
        error = error.__cause__
    assert len(causes) < 5
    assert isinstance(causes[-1], OSError)
    assert not isinstance(causes[-1], PGRecallError)


async def test_a_host_that_does_not_exist_is_named():
    with pytest.raises(ConnectionFailed, match=r"no-such-host\.invalid"):
        await AsyncClient("postgresql://me:s3cr3t@no-such-host.invalid/db").server()


async def test_a_database_that_does_not_exist_is_named(server):
    with pytest.raises(ConnectionFailed, match="nowhere"):
        await AsyncClient(server.address("nowhere")).server()


async def test_a_role_that_does_not_exist_is_refused(server, database):
    with pytest.raises(ConnectionFailed, match="nobody_here") as caught:
        await AsyncClient(server.address(database.name, "nobody_here", "s3cr3t")).server()
    assert "s3cr3t" not in told(caught.value)


async def test_a_refused_login_is_tried_once(server, database):
    if server.hold is None:
        pytest.skip("reads the server's log")
    with pytest.raises(ConnectionFailed):
        await AsyncClient(server.address(database.name, "only_once")).server()
    log = (server.hold.path / "server.log").read_text()
    assert log.count('role "only_once" does not exist') == 1


@pytest.mark.parametrize("url", ["postgresql://me:s3cr3t@host:99999/db", "postgresql://me:s3cr3t@host:abc/db"])
def test_a_port_that_is_none_is_an_error_without_the_password(url):
    with pytest.raises(ConfigError) as caught:
        AsyncClient(url)
    assert "s3cr3t" not in told(caught.value)


@pytest.mark.parametrize(
    "query", ["sslmode=s3cr3t", "target_session_attrs=s3cr3t", "sslmode=verify-full&sslrootcert=/s3cr3t"]
)
async def test_an_option_that_the_driver_does_not_take_is_an_error_of_ours(query):
    with pytest.raises(PGRecallError) as caught:
        await AsyncClient(f"postgresql://me:hidden@127.0.0.1:1/db?{query}").server()
    assert "hidden" not in told(caught.value)


async def test_a_blocking_close_on_a_loop_that_used_the_client_too_returns(url):
    client = Client(url)
    assert await client.asynchronous.collection("docs").count() == 0
    client.close()
    await client.asynchronous.close()


async def test_first_use_by_many_of_a_database_without_the_extension_succeeds(bare_database):
    async with AsyncClient(bare_database.url, pool=PoolConfig(max_size=3)) as client:
        writes = [client.collection(f"t{n % 4}").upsert([Record(id=str(n), embedding=[1, 2])]) for n in range(30)]
        assert sum([result.inserted for result in await asyncio.gather(*writes)]) == 30


async def test_a_cancelled_opening_of_a_pool_does_not_stay(url):
    async with AsyncClient(url) as client:
        asking = asyncio.create_task(client.collection("docs").count())
        await asyncio.sleep(0.005)
        for task in asyncio.all_tasks():
            if task.get_name().startswith("pgrecall opens"):
                task.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert await client.collection("docs").count() == 0


@pytest.mark.parametrize(("cost", "warnings"), [("1.1", 0), ("4", 1)])
async def test_a_planner_that_would_avoid_vector_indexes_is_warned_of(url, caplog, cost, warnings):
    async with AsyncClient(url, pool=PoolConfig(server_settings={"random_page_cost": cost})) as client:
        await client.server()
    assert len([record for record in caplog.records if "random_page_cost" in record.message]) == warnings


async def test_a_write_without_a_key_outlives_killed_connections_and_is_not_done_twice(client, connection):
    await connection.execute("CREATE TABLE theirs (id text, embedding vector(3))")
    docs = client.collection("theirs")
    await docs.upsert([Record(embedding=[1, 2, 3])])
    await connection.execute(TERMINATE)
    assert (await docs.upsert([Record(embedding=[1, 2, 3])])).inserted == 1
    assert await docs.count() == 2
