"""Interpreters that end, fork and are interrupted: quietly, and with nothing broken on either side."""

import asyncio
import signal

import asyncpg
import pytest

BEGIN = "import asyncio, os, sys, threading\nfrom pgrecall import AsyncClient, Client, Record\nurl = sys.argv[1]\n"


def test_the_interpreter_ends_quietly_without_close_after_asynchronous_use(url, run):
    script = """
async def main():
    docs = AsyncClient(url).collection("docs")
    await docs.upsert([Record(id="a", embedding=[1, 2, 3])])
    print(await docs.count())
asyncio.run(main())
"""
    assert run(BEGIN + script, url) == "1"


def test_the_interpreter_ends_quietly_without_close_after_blocking_use(url, run):
    script = """
docs = Client(url).collection("docs")
docs.upsert([Record(id="a", embedding=[1, 2, 3])])
print(docs.count())
"""
    assert run(BEGIN + script, url) == "1"


def test_the_interpreter_ends_quietly_after_both_uses_of_one_client(url, run):
    script = """
client = Client(url)
docs = client.collection("docs")
docs.upsert([Record(id="a", embedding=[1, 2, 3])])
print(asyncio.run(docs.asynchronous.count()), docs.count())
"""
    assert run(BEGIN + script, url) == "1 1"


def test_the_interpreter_ends_quietly_when_a_script_fails(url, interpreter):
    script = """
docs = Client(url).collection("docs")
docs.upsert([Record(id="a", embedding=[1, 2, 3])])
sys.exit("enough")
"""
    process = interpreter(BEGIN + script, url)
    assert process.communicate(timeout=60) == ("", "enough\n")
    assert process.returncode == 1


def test_the_interpreter_ends_quietly_while_a_thread_still_searches(url, run):
    script = """
docs = Client(url).collection("docs")
docs.upsert([Record(id="a", embedding=[1, 2, 3])])
first = threading.Event()
def search():
    while True:
        try:
            docs.search([1, 2, 3])
        except Exception:
            return
        first.set()
threading.Thread(target=search, daemon=True).start()
first.wait()
print("done")
"""
    assert run(BEGIN + script, url) == "done"


# Python 3.12 and later warn of any fork of a process with threads, which is what these tests are about.
FORKING = ("-W", "error", "-W", "ignore:This process:DeprecationWarning")
FORK = """
docs = {collection}
{use_before}
sys.stdout.flush()
child = os.fork()
if child == 0:
    {use}
    sys.stdout.flush()
    {end}
status = os.waitpid(child, 0)[1]
{use}
print("child ended with", status)
"""
BLOCKING = {
    "collection": 'Client(url).collection("docs")',
    "use_before": 'docs.upsert([Record(id="a", embedding=[1, 2, 3])])',
    "use": 'print(docs.count(), len(docs.search([1, 2, 3])), docs.upsert([Record(id="a", embedding=[1, 2, 3])]).unchanged)',
}
ASYNCHRONOUS = {
    "collection": 'AsyncClient(url).collection("docs")',
    "use_before": 'asyncio.run(docs.upsert([Record(id="a", embedding=[1, 2, 3])]))',
    "use": "print(asyncio.run(docs.count()), len(asyncio.run(docs.search([1, 2, 3]))), "
    'asyncio.run(docs.upsert([Record(id="a", embedding=[1, 2, 3])])).unchanged)',
}


@pytest.mark.parametrize("kind", [BLOCKING, ASYNCHRONOUS], ids=["blocking", "asynchronous"])
@pytest.mark.parametrize("end", ["sys.exit(0)", "os._exit(0)"])
def test_parent_and_forked_child_both_go_on(url, run, kind, end):
    output = run(BEGIN + FORK.format(end=end, **kind), url, flags=FORKING)
    assert output.splitlines() == ["1 1 1", "1 1 1", "child ended with 0"]


def test_a_forked_child_that_does_nothing_leaves_the_parents_connections_alone(url, run):
    script = FORK.format(end="sys.exit(0)", **{**BLOCKING, "use": "pass"})
    script += "\nfor _ in range(3):\n    " + BLOCKING["use"]
    output = run(BEGIN + script, url, flags=FORKING)
    assert output.splitlines() == ["child ended with 0", *["1 1 1"] * 3]


def test_workers_of_multiprocessing_that_were_forked_work(url, run):
    script = """
import multiprocessing
docs = Client(url).collection("docs")
docs.upsert([Record(id=str(n), embedding=[1, 2, 3]) for n in range(5)])
asyncio.run(docs.asynchronous.count())
def work(n):
    return docs.count() + asyncio.run(docs.asynchronous.count()) + len(docs.search([1, 2, 3], k=n))
with multiprocessing.get_context("fork").Pool(3) as pool:
    print(pool.map(work, range(1, 7)))
print(docs.count())
"""
    output = run(BEGIN + script, url, flags=FORKING)
    assert output.splitlines() == ["[11, 12, 13, 14, 15, 15]", "5"]


def test_an_interrupt_of_a_blocking_search_leaves_the_client_usable(database, interpreter):
    # A shell has the commands that it runs in the background ignore interrupts, and so do their children.
    script = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
docs = Client(url).collection("docs")
docs.upsert([Record(id="a", embedding=[1, 2, 3])])
print("ready", flush=True)
sys.stdin.readline()
try:
    print("waiting", flush=True)
    docs.search([1, 2, 3])
except KeyboardInterrupt:
    print("interrupted", flush=True)
sys.stdin.readline()
print(docs.count(), flush=True)
"""
    process = interpreter(BEGIN + script, database.url)
    assert process.stdout.readline() == "ready\n"

    async def interrupt():
        connection = await asyncpg.connect(database.url)
        async with connection.transaction():
            await connection.execute("LOCK TABLE docs IN ACCESS EXCLUSIVE MODE")
            process.stdin.write("go\n")
            process.stdin.flush()
            while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
            # The portal's thread may be waiting for the lock before the main thread is waiting for the portal.
            await asyncio.sleep(0.2)
            process.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(process.stdout.readline) == "waiting\n"
            assert await asyncio.to_thread(process.stdout.readline) == "interrupted\n"
        await connection.close()

    asyncio.run(interrupt())
    assert process.communicate("go\n", timeout=60) == ("1\n", "")


def test_a_child_forked_while_a_thread_opens_a_pool_works(url, run):
    script = """
client = Client(url)
docs = client.collection("docs")
docs.count()
client.asynchronous._pools._lock.acquire()  # as another thread might at this moment
child = os.fork()
if child == 0:
    print(docs.count(), flush=True)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
client.asynchronous._pools._lock.release()
print(docs.count())
"""
    assert run(BEGIN + script, url) == "0\n0\n0"
