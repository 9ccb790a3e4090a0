"""What runs out: connections, room on the disk, memory, locks, time."""

import asyncio
import os
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from integration_tests.faults.conftest import batch, check_batches
from pgrecall import AsyncClient, Client, PoolConfig, Record, RetryConfig
from pgrecall.errors import ConnectionFailed, DatabaseError

TRIGGER = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.id LIKE '1-00000-040' THEN RAISE EXCEPTION 'simulated' USING ERRCODE = '{code}', HINT = 'Buy more.'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON docs FOR EACH ROW EXECUTE FUNCTION fail();
"""


@pytest.fixture
async def held(docs, connection):
    """The table, locked by somebody else until the test ends it."""
    await docs.upsert(batch(0, 0))
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("LOCK TABLE docs IN ACCESS EXCLUSIVE MODE")
    yield transaction
    if connection.is_in_transaction():
        await transaction.rollback()


async def test_an_exhausted_pool_says_so_and_serves_again(url, held):
    async with AsyncClient(url, pool=PoolConfig(max_size=2, acquire_timeout=0.2)) as client:
        docs = client.collection("docs")
        waiting = [asyncio.create_task(docs.count()) for _ in range(2)]
        await asyncio.sleep(0.1)
        late = await asyncio.gather(*(docs.search([1, 2, 3]) for _ in range(5)), return_exceptions=True)
        assert {type(error) for error in late} == {ConnectionFailed}
        assert all("acquire_timeout" in str(error) and "max_size" in str(error) for error in late)
        await held.rollback()
        assert await asyncio.gather(*waiting) == [60, 60]
        assert await asyncio.gather(*(docs.count() for _ in range(20))) == [60] * 20


async def test_without_a_limit_an_exhausted_pool_is_waited_for(url, held):
    async with AsyncClient(url, pool=PoolConfig(max_size=2)) as client:
        counts = [asyncio.create_task(client.collection("docs").count()) for _ in range(30)]
        await asyncio.sleep(0.3)
        assert not any(task.done() for task in counts)
        await held.rollback()
        assert await asyncio.gather(*counts) == [60] * 30


async def test_a_server_with_too_many_connections_says_what_to_do_and_is_waited_for(database, docs, connection):
    url = database.role("GRANT SELECT ON docs TO {role}", "ALTER ROLE {role} CONNECTION LIMIT 1")
    if "host" not in url and "@" not in url:
        pytest.skip("needs a role that may log in")
    try:
        taken = await asyncpg.connect(url)
    except asyncpg.InvalidAuthorizationSpecificationError:
        pytest.skip("the server lets no such role in")
    async with AsyncClient(url, pool=PoolConfig(retry=RetryConfig(attempts=2))) as hasty:
        with pytest.raises(ConnectionFailed, match=r"too many connections.*max_size.*PgBouncer.*max_connections"):
            await hasty.collection("docs").count()
    async with AsyncClient(url, pool=PoolConfig(max_size=1, retry=RetryConfig(attempts=60))) as patient:
        counting = asyncio.create_task(patient.collection("docs").count())
        await asyncio.sleep(0.3)
        assert not counting.done()
        await taken.close()
        assert await counting == 0


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("53100", r"Buy more.*no room left.*wrote nothing"),
        ("53200", r"out of memory|ran out of memory"),
        ("53400", "raise the limit"),
    ],
)
async def test_what_a_server_lacks_is_said_and_nothing_is_half_written(docs, connection, code, says):
    await docs.upsert(batch(0, 0))
    await connection.execute(TRIGGER.format(code=code))
    for _ in range(2):
        with pytest.raises(DatabaseError, match=says) as caught:
            await docs.upsert([*batch(0, 1), *batch(1, 0)])
        assert caught.value.__cause__.sqlstate == code
        assert await check_batches(docs, [(0, 0)]) == (60, 60)
    await connection.execute("DROP TRIGGER fail ON docs")
    await docs.upsert([*batch(0, 1), *batch(1, 0)])
    assert await check_batches(docs, [(0, 0), (0, 1), (1, 0)]) == (180, 180)


@contextmanager
def tiny_disk(megabytes):
    """Give a file system that is soon full, to the server's user."""
    place = Path(tempfile.mkdtemp(prefix="tiny-"))
    place.chmod(0o755)
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=777", "tmpfs", place],
            check=False,
            capture_output=True,
        ).returncode
    )
    if not mounted:
        place.rmdir()
        pytest.skip("a file system of a few megabytes is mounted, which this user may not do")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)
        place.rmdir()


async def test_a_disk_that_is_full_loses_nothing_and_serves_again_when_there_is_room(mortal, mortal_url):
    with tiny_disk(6) as place:
        (place / "ts").mkdir(mode=0o777)
        data = (mortal.path / "data").stat()
        os.chown(place / "ts", data.st_uid, data.st_gid)
        admin = await asyncpg.connect(mortal_url)
        await admin.execute(f"CREATE TABLESPACE tiny LOCATION '{place}/ts'")
        pool = PoolConfig(server_settings={"default_tablespace": "tiny"})
        try:
            async with AsyncClient(mortal_url, pool=pool) as client:
                docs = await client.get_or_create_collection("docs", dimensions=3)
                written = []
                with pytest.raises(DatabaseError, match=r"No space left.*no room left.*call again"):  # noqa: PT012 - whichever write fills the disk
                    for number in range(1_000):
                        await docs.upsert(batch(0, number))
                        written.append((0, number))
                sent, found = await check_batches(docs, written)
                assert sent == found > 0
                subprocess.run(["mount", "-o", "remount,size=16m", place], check=True)  # noqa: ASYNC221 - it takes a millisecond
                await docs.upsert(batch(1, 0))
                await check_batches(docs, [*written, (1, 0)])
        finally:
            await admin.execute("DROP TABLE IF EXISTS docs")
            await admin.execute("DROP TABLESPACE tiny")
            await admin.close()


async def test_a_limit_on_temporary_files_is_said(url, docs):
    settings = {"temp_file_limit": "64kB", "work_mem": "64kB"}
    given = [Record(id=f"{n:04}", embedding=[1, 2, 3], content=f"{n} " * 500) for n in range(900)]
    await docs.upsert(given)
    changed = [Record(id=record.id, embedding=[3, 2, 1], content=record.content + "!") for record in given]
    async with AsyncClient(url, pool=PoolConfig(server_settings=settings)) as client:
        with pytest.raises(DatabaseError, match=r"temp_file_limit.*raise the limit.*do less"):
            await client.collection("docs").upsert(changed)
        assert (await client.collection("docs").upsert(changed[:20])).updated == 20
    assert (await docs.upsert(changed)).updated == 880


async def test_a_lock_table_that_is_full_is_said_and_served_again(mortal, mortal_url):
    async with AsyncClient(mortal_url) as client:
        docs = await client.get_or_create_collection("docs", dimensions=3)
        await docs.upsert(batch(0, 0))
        greedy = await asyncpg.connect(mortal_url)
        await greedy.execute("BEGIN")
        # Locks of one's own making, for which no table is needed; each takes a place in the server's shared memory.
        with pytest.raises(asyncpg.OutOfMemoryError):
            await greedy.execute("SELECT pg_advisory_xact_lock(n) FROM generate_series(1, 100000) n")
        await greedy.execute("ROLLBACK; BEGIN")
        taken = 0
        step = 4_096
        while step:
            try:
                await greedy.execute("SAVEPOINT s")
                await greedy.execute(
                    f"SELECT pg_advisory_xact_lock(n) FROM generate_series({taken + 1}, {taken + step}) n"
                )
                taken += step
            except asyncpg.OutOfMemoryError:
                await greedy.execute("ROLLBACK TO s")
                step //= 2
        with pytest.raises(DatabaseError, match=r"shared memory.*max_locks_per_transaction") as caught:  # noqa: PT012 - whichever table is one too many
            for number in range(1, 200):
                await client.collection(f"other{number}").upsert(batch(0, number))
        assert caught.value.__cause__.sqlstate == "53200"
        await greedy.execute("ROLLBACK")
        await greedy.close()
        await docs.upsert(batch(0, 1))
        assert await check_batches(docs, [(0, 0), (0, 1)]) == (120, 120)


@pytest.mark.parametrize("setting", ["lock_timeout", "statement_timeout"])
async def test_limits_of_time_are_said_and_the_next_call_works(url, held, setting):
    pool = PoolConfig(server_settings={setting: "150ms"})
    async with AsyncClient(url, pool=pool) as client:
        docs = client.collection("docs")
        calls = [
            docs.upsert(batch(0, 1)),
            docs.search([1, 2, 3]),
            docs.delete(["0-00000-000"]),
            docs.count(),
            docs.clear(),
        ]
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(end) for end in ends} == {DatabaseError}
        assert [str(end) for end in ends if setting not in str(end)] == []
        await held.rollback()
        await docs.upsert(batch(0, 1))
        assert await check_batches(docs, [(0, 0), (0, 1)]) == (120, 120)


def test_a_blocking_client_meets_the_same_limits(database):
    pool = PoolConfig(max_size=1, acquire_timeout=0.2, server_settings={"statement_timeout": "100ms"})
    with Client(database.url, pool=pool) as client:
        docs = client.get_or_create_collection("docs", dimensions=3)
        database.execute(
            TRIGGER.format(code="53100").replace("RAISE EXCEPTION", "PERFORM pg_sleep(2); RAISE EXCEPTION")
        )
        with pytest.raises(DatabaseError, match="statement_timeout"):
            docs.upsert(batch(1, 0))
        database.execute("DROP TRIGGER fail ON docs")
        docs.upsert(batch(1, 0))
        assert docs.count() == 60
