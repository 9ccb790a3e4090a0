"""Processes that start together, fork, are killed, and end with work in flight."""

import asyncio
import json
import sys

import pytest

from integration_tests.faults.conftest import check_batches
from pgrecall import AsyncClient, Client, embedded

BEGIN = """
import asyncio, json, os, signal, sys, threading, time
from integration_tests.faults.conftest import batch
from pgrecall import AsyncClient, Client
url = sys.argv[1]
"""
FIRST_START = """
client = Client(url)
docs = client.collection("docs")
docs.upsert(batch(int(sys.argv[2]), 0))
print("done", flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not embedded.available(), reason="needs pgrecall[embedded]")
def test_eight_processes_start_the_embedded_server_write_at_once_and_are_killed(tmp_path, interpreter):
    url = f"embedded://{tmp_path}/pg"
    processes = [interpreter(BEGIN + FIRST_START, url, writer) for writer in range(8)]
    assert [process.stdout.readline() for process in processes] == ["done\n"] * 8
    for process in processes:
        process.stdin.write("\n")
        process.stdin.close()
    assert {process.wait(30) for process in processes} == {-9}

    async def check():
        async with AsyncClient(url) as client:
            return await check_batches(client.collection("docs"), [(writer, 0) for writer in range(8)])

    assert asyncio.run(check()) == (480, 480)


PRE_FORK = """
# As gunicorn does: an application that is loaded, and used, before the workers are forked from it.
client = Client(url)
docs = client.get_or_create_collection("docs", dimensions=3)
docs.upsert(batch(9, 0))

def worker(number, ready):
    def serve(thread):
        for turn in range(4):
            docs.upsert(batch(number * 2 + thread, turn, rows=60))
            os.write(ready, json.dumps([number * 2 + thread, turn]).encode() + b"\\n")
            assert docs.search([1, 2, 3], k=3)
    threads = [threading.Thread(target=serve, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if number == 0:
        time.sleep(60)  # until it is killed

def fork(number):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        status = 1
        try:
            worker(number, write)
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    return child, os.fdopen(read)

workers = [fork(number) for number in range(3)]
docs.upsert(batch(9, 1))
told = [json.loads(workers[0][1].readline()) for _ in range(8)]
os.kill(workers[0][0], signal.SIGKILL)
workers.append(fork(3))  # the arbiter puts another one in its place
statuses = [os.waitpid(child, 0)[1] for child, _ in workers]
told += [json.loads(line) for _, pipe in workers[1:] for line in pipe]
for _, pipe in workers:
    pipe.close()
docs.upsert(batch(9, 2))
print(json.dumps([statuses, told, docs.count()]))
"""


def test_workers_that_were_forked_from_a_loaded_application_serve_and_may_be_killed(database, run):
    # Python 3.12 and later warn of any fork of a process with threads, which is what this is about.
    flags = ("-W", "error", "-W", "ignore:This process:DeprecationWarning")
    statuses, told, count = json.loads(run(BEGIN + PRE_FORK, database.url, flags=flags))
    assert statuses == [9, 0, 0, 0]
    told = [tuple(key) for key in told] + [(9, 0), (9, 1), (9, 2)]
    assert len(told) == 4 * 8 + 3

    async def check():
        async with AsyncClient(database.url) as client:
            return await check_batches(client.collection("docs"), told)

    assert asyncio.run(check()) == (count, count)


IN_FLIGHT = """
client = Client(url)
docs = client.get_or_create_collection("docs", dimensions=3)
def write(writer):
    number = 0
    while True:
        docs.upsert(batch(writer, number))
        sys.stdout.write(f"{writer} {number}\\n")
        sys.stdout.flush()
        number += 1
def quietly(writer):
    try:
        write(writer)
    except Exception:
        pass
for writer in range(3):
    threading.Thread(target=quietly, args=(writer,), daemon=True).start()
async def main():
    async def one(writer):
        number = 0
        while True:
            await docs.asynchronous.upsert(batch(writer, number))
            number += 1
    tasks = [asyncio.create_task(one(writer)) for writer in (3, 4)]
    await asyncio.sleep(0.4)
if sys.argv[2] == "asyncio":
    asyncio.run(main())
else:
    time.sleep(0.4)
if sys.argv[2] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("end", ["threads", "asyncio", "killed"])
def test_an_interpreter_that_ends_with_writes_in_flight_leaves_whole_ones(database, interpreter, end):
    process = interpreter(BEGIN + IN_FLIGHT, database.url, end)
    output, complaints = process.communicate(timeout=60)
    # asyncpg tells its log of each connection whose transaction it ends.
    others = [line for line in complaints.splitlines() if not line.startswith("Resetting connection with an active")]
    assert (process.returncode, others) == (-9 if end == "killed" else 0, [])
    acknowledged = [tuple(map(int, line.split())) for line in output.splitlines() if len(line.split()) == 2]
    assert len(acknowledged) > 3

    async def check():
        async with AsyncClient(database.url) as client:
            docs = client.collection("docs")
            sent, found = await check_batches(docs, acknowledged)
            assert found >= sent
            await docs.upsert([])

    asyncio.run(check())
    with Client(database.url) as client:
        assert client.collection("docs").count() > 0


AT_EXIT = """
import atexit
client = Client(url)
def late():
    client.close()
    try:
        print(docs.count())
    except PortalError:
        print("too late")
atexit.register(late)  # runs after the handlers that pgrecall registers at its first use
docs = client.get_or_create_collection("docs", dimensions=3)
docs.upsert(batch(0, 0))
sys.stdout.write("written ")
"""


def test_what_is_closed_or_asked_while_the_interpreter_ends_does_not_complain(database, run):
    # Before 3.12 and after it, threads can still be started then.
    answers = {"written 60", "written too late"} if sys.version_info[:2] == (3, 12) else {"written 60"}
    script = "from pgrecall.errors import PortalError\n" + BEGIN + AT_EXIT
    assert run(script, database.url) in answers
