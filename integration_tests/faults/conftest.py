"""What faults are made with, and what is looked at after each of them."""

import asyncio
import gc
import os
import shutil
import signal
import tempfile
import threading
from pathlib import Path

import asyncpg
import pytest

from pgrecall import Record, embedded

# What is acknowledged must survive a kill, so commits wait until it is written. That the machine itself
# stops is not tried, so it need not reach the disk.
DURABLE = {"fsync": "off", "synchronous_commit": "on", "autovacuum": "off", "max_connections": "60"}
SMALL_LOCK_TABLE = {"max_locks_per_transaction": "10", "max_prepared_transactions": "0"}
OURS = "FROM pg_stat_activity WHERE application_name = 'pgrecall' AND datname = current_database()"


class Mortal:
    """A server of its own, which may be killed; in all else like the session's `Server`."""

    def __init__(self, directory):
        self.path = directory / "server"
        self.holds = []
        self._count = 0
        self.start()

    def start(self):
        """Start it, with the data that there are, at the same address."""
        self.holds.append(embedded.start(self.path, settings=DURABLE | SMALL_LOCK_TABLE))
        self.url = self.holds[0].url

    def kill(self):
        """End the server's main process as the kernel does when memory is out."""
        os.kill(int((self.path / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def name(self, kind):
        self._count += 1
        return f"{kind}_{self._count}"

    def address(self, database, user=None, password="secret"):
        return self.url.replace("/postgres?", f"/{database}?")

    def execute(self, statement, database="postgres"):
        asyncio.run(self._on(database, "execute", statement))

    def ask(self, statement, database="postgres"):
        return asyncio.run(self._on(database, "fetchval", statement))

    def rows(self, statement, database="postgres"):
        return asyncio.run(self._on(database, "fetch", statement))

    async def _on(self, database, verb, statement):
        connection = await asyncpg.connect(self.address(database))
        try:
            return await getattr(connection, verb)(statement)
        finally:
            await connection.close()

    def close(self):
        while self.holds:
            self.holds.pop().close()


@pytest.fixture(scope="session")
def mortal():
    """A server that may be killed."""
    if not embedded.available():
        pytest.skip("needs pgrecall[embedded]")
    directory = Path(tempfile.mkdtemp(prefix="pgrecall-"))
    made = Mortal(directory)
    yield made
    made.close()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def mortal_url(mortal):
    """A database of the server that may be killed, with the extension."""
    name = mortal.name("db")
    mortal.execute(f"CREATE DATABASE {name}")
    mortal.execute("CREATE EXTENSION vector", name)
    return mortal.address(name)


def batch(writer, number, rows=60):
    """Return what one write of one writer brings: rows that tell whose they are."""
    return [
        Record(
            id=f"{writer}-{number:05}-{row:03}",
            embedding=[1, writer + 1, number + 1],
            content=f"{writer} {number} {row}",
            metadata={"batch": f"{writer}-{number}"},
        )
        for row in range(rows)
    ]


async def check_batches(docs, acknowledged, rows=60):
    """Check that every write that was acknowledged is there, and each whole or not at all; return how many rows."""
    found, after = {}, None
    while True:
        page = await docs.list(limit=5_000, after=after, include=["embedding"])
        for record in page.records:
            writer, number, row = map(int, record.content.split())
            assert record.id == f"{writer}-{number:05}-{row:03}"
            assert record.metadata == {"batch": f"{writer}-{number}"}
            assert record.embedding.tolist() == [1, writer + 1, number + 1]
            found.setdefault((writer, number), []).append(row)
        after = page.next
        if after is None:
            break
    assert {key: len(there) for key, there in found.items() if sorted(there) != [*range(rows)]} == {}
    assert set(acknowledged) - set(found) == set()
    assert await docs.count() == len(found) * rows
    return len(acknowledged) * rows, len(found) * rows


async def until(condition):
    """Wait until *condition*, an asynchronous function, holds; the test's time-out ends what never comes."""
    while not await condition():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
async def nothing_leaks():
    """Nothing of a test outlives it: neither tasks, nor threads beside the one portal."""
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    yield
    gc.collect()
    for _ in range(300):
        left = {task for task in asyncio.all_tasks() - tasks if not task.done()} - {asyncio.current_task()}
        if not left:
            break
        await asyncio.sleep(0.01)
    assert left == set()
    names = {thread.name for thread in set(threading.enumerate()) - threads}
    # The loop's own executor keeps its threads until the loop ends.
    assert {name for name in names if not name.startswith(("asyncio_", "pgrecall portal"))} == set()
