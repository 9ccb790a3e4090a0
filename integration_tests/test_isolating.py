"""Moving a domain into a partition of its own while it is read and written, and when whoever moves it is killed."""

import asyncio
from contextlib import suppress

import asyncpg

from pgrecall import HNSW, AsyncClient, CollectionConfig, ListPartitions, PoolConfig, Record, RetryConfig
from pgrecall.errors import PGRecallError
from pgrecall.postgres.session import Session

CONFIG = CollectionConfig(name="docs", dimensions=8, layout=ListPartitions())
SMALL = HNSW(m=4, ef_construction=16)
OWN = (
    "SELECT pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid "
    "WHERE h.inhparent = 'docs'::regclass AND pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT'"
)
# All that a move makes beside: tables of ours that are no partitions, triggers, and their functions.
BESIDE = (
    "SELECT relname FROM pg_class WHERE relname LIKE 'pgrecall_part_%' AND relkind = 'r' AND NOT relispartition "
    "UNION ALL SELECT tgname FROM pg_trigger WHERE tgname LIKE 'pgrecall_part_%' "
    "UNION ALL SELECT proname FROM pg_proc WHERE proname LIKE 'pgrecall_part_%'"
)


def record(number, text):
    return Record(id=f"r{number:05}", embedding=[1.0 + number % 7, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, number], content=text)


class Writer:
    """Writes to the domain that is moved, and knows what is in it."""

    def __init__(self, docs, first):
        self.docs, self.first, self.there, self.rounds = docs, first, {}, 0

    async def run(self, done):
        while not done.is_set():
            self.rounds += 1
            base, text = self.first + 10 * (self.rounds % 30), f"text {self.rounds}"
            await self.docs.upsert([record(base + n, text) for n in range(10)])
            self.there.update({f"r{base + n:05}": text for n in range(10)})
            await self.docs.update([f"r{base:05}"], contents=["changed"])
            self.there[f"r{base:05}"] = "changed"
            assert await self.docs.delete([f"r{base + 1:05}", f"r{base + 2:05}"]) == 2
            del self.there[f"r{base + 1:05}"], self.there[f"r{base + 2:05}"]
            await asyncio.sleep(0.02)


async def read(url, done, kept):
    """Look at the rows that nobody changes: by domain, and among those of all domains."""
    connection = await asyncpg.connect(url)
    looks = 0
    while not done.is_set():
        for condition in ("domain_id = $1", "domain_id || '' = $1"):
            statement = f"SELECT count(*), count(DISTINCT id) FROM docs WHERE {condition} AND content = 'kept'"
            assert tuple(await connection.fetchrow(statement, "big")) == (kept, kept)
        looks += 1
        await asyncio.sleep(0.005)
    await connection.close()
    return looks


async def delete_by_snapshot(url, done, ids):
    """Delete rows in transactions that see the database as it was; PostgreSQL may refuse, and they begin anew."""
    connection = await asyncpg.connect(url)
    left = list(ids)
    while left:
        with suppress(asyncpg.SerializationError, asyncpg.DeadlockDetectedError):
            async with connection.transaction(isolation="repeatable_read"):
                await connection.fetchval("SELECT count(*) FROM docs WHERE domain_id = 'small'")
                await asyncio.sleep(0 if done.is_set() else 0.03)
                await connection.execute("DELETE FROM docs WHERE domain_id = 'big' AND id = $1", left[-1])
            left.pop()
    await connection.close()


async def test_readers_and_writers_carry_on_while_a_domain_is_moved(client, url, connection):
    docs = await client.get_or_create_collection(CONFIG)
    big, small = docs.domain("big"), docs.domain("small")
    await big.upsert([record(n, "kept") for n in range(1_500)])
    doomed = [f"r{n:05}" for n in range(9_000, 9_040)]
    await big.upsert([record(int(row_id[1:]), "doomed") for row_id in doomed])
    await small.upsert([record(n, "small") for n in range(300)])
    await docs.create_index(SMALL)
    done, writers = asyncio.Event(), [Writer(big, 10_000), Writer(big, 20_000), Writer(small, 30_000)]
    async with asyncio.TaskGroup() as tasks:
        for writer in writers:
            tasks.create_task(writer.run(done))
        readers = [tasks.create_task(read(url, done, 1_500)) for _ in range(2)]
        tasks.create_task(delete_by_snapshot(url, done, doomed))
        await asyncio.sleep(0.3)
        phases = []
        report = await docs.isolate_domain("big", on_progress=phases.append)
        await asyncio.sleep(0.3)
        done.set()
    assert min(reader.result() for reader in readers) > 10
    assert report.rows > 1_500
    assert 0 < report.locked < report.seconds
    assert [p.phase for p in phases if p.phase == "copying"]
    assert (phases[-1].phase, phases[-1].fraction) == ("done", 1.0)
    for domain, kept, own in (("big", 1_500, writers[:2]), ("small", 300, writers[2:])):
        expected = {f"r{n:05}": "kept" if domain == "big" else "small" for n in range(kept)}
        for writer in own:
            expected |= writer.there
        found = await connection.fetch("SELECT id, content FROM docs WHERE domain_id = $1", domain)
        assert len(found) == len(expected)
        assert dict(found) == expected
    assert await connection.fetchval(OWN) == "FOR VALUES IN ('big')"
    assert await connection.fetch(BESIDE) == []
    corpus_query = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    assert len(await big.search(corpus_query, 20)) == 20
    # A second call finds that it is done.
    assert (await docs.isolate_domain("big")).rows == 0


class Killer:
    """Kills the backend before the statement of this number that changes anything."""

    def __init__(self, database, at):
        self.database, self.left, self.killed = database, at, False

    def strike(self, session, statement):
        self.left -= not statement.text.lstrip().startswith("SELECT")
        if self.left == 0 and not self.killed:
            self.killed = True
            self.database.execute(f"SELECT pg_terminate_backend({session.connection.get_server_pid()}, 5000)")


async def test_a_move_that_is_killed_between_statements_is_gone_on_with(database, connection, monkeypatch):
    async with AsyncClient(database.url, pool=PoolConfig(retry=RetryConfig(attempts=1))) as client:
        docs = await client.get_or_create_collection(CONFIG)
        everything = 0
        killers = []
        plain = {name: getattr(Session, name) for name in ("fetch", "fetch_value", "execute")}

        def struck(name):
            async def run(session, statement, **more):
                if killers:
                    killers[-1].strike(session, statement)
                return await plain[name](session, statement, **more)

            return run

        for name in plain:
            monkeypatch.setattr(Session, name, struck(name))
        at = -2
        while True:
            at += 3
            domain = f"d{at}"
            await docs.domain(domain).upsert([record(n, domain) for n in range(5)])
            everything += 5
            killers.append(Killer(database, at))
            try:
                await docs.isolate_domain(domain)
            except PGRecallError:
                assert killers[-1].killed
            finished = not killers.pop().killed
            assert await docs.domain(domain).count() == 5
            # Rows that are written between the two calls are not lost either.
            await docs.domain(domain).upsert([record(5, domain), record(0, "new")])
            everything += 1
            assert await docs.all_domains().count() == everything
            await docs.isolate_domain(domain)
            found = dict(await connection.fetch("SELECT id, content FROM docs WHERE domain_id = $1", domain))
            assert found == {f"r{n:05}": domain if n else "new" for n in range(6)}
            assert await connection.fetch(BESIDE) == []
            if finished:
                break
        assert at > 20
        assert len(await connection.fetch(OWN)) == (at + 2) // 3
