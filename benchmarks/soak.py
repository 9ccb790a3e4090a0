"""Does anything get lost, doubled or fat when everything goes on at once, and backends die at random?

Sixteen tasks in four processes write, replace, delete, read and search, each on ids of its own, so that it knows
what must be there; one task more builds indexes anew and cleans up. Meanwhile backends are terminated at random
and, on an embedded server, now and then killed, upon which PostgreSQL ends all others and recovers. At the end every
row is held against what was acknowledged.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from benchmarks import report, server
from benchmarks.figures import Findings, Target, percentile
from benchmarks.soak_worker import COLLECTION, CONNECTIONS, Job, fault
from pgrecall import AsyncClient

_OURS = "FROM pg_stat_activity WHERE application_name = 'pgrecall' AND datname = current_database()"
_ZERO = (Target(bound=0, at_least=False),)
# Between two of them there is time for a crash to be recovered from.
_CRASH_SECONDS = 30.0
_MOST_GROWTH = 1.25
_PAGE = 5_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this question."""
    parser.add_argument("--seconds", type=float, default=600, help="how long (600)")
    parser.add_argument("--processes", type=int, default=4, help="how many processes (4)")
    parser.add_argument("--tasks", type=int, default=16, help="how many tasks in all of them (16)")
    parser.add_argument(
        "--kill-every", type=float, default=0.5, help="seconds between two killed backends, about (0.5)"
    )
    parser.add_argument("--url", help="a server to use instead of an embedded one; a database is made on it")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write everything as JSON")


@dataclass(slots=True)
class Watched:
    """What was seen from outside, a line a second, and what was done to the server.

    Attributes:
        memory: Megabytes of all workers together.
        handles: Open files and sockets of all workers together.
        threads: Their threads.
        connections: Their connections.
        terminated: Backends that were terminated.
        crashes: Backends that were killed.
    """

    memory: list[float] = field(default_factory=list)
    handles: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    connections: list[int] = field(default_factory=list)
    terminated: int = 0
    crashes: int = 0


def main(options: argparse.Namespace) -> int:
    """Soak, and report; the status is 1 where something was lost, doubled or wrong."""
    with server.database(options.url) as url, tempfile.TemporaryDirectory() as directory:
        described = asyncio.run(server.describe(url))
        workers = _start(options, url, Path(directory))
        watched = asyncio.run(_watch(options, url, [process for process, _ in workers]))
        diaries = [_diary(process, out) for process, out in workers]
        left = asyncio.run(_connections(url))
        rows = asyncio.run(_compare(url, diaries))
    findings = _findings(options, diaries, watched, rows)
    findings.add("connections.left", "connections left at the end", "", [left], targets=_ZERO)
    described["settings"] = {name: getattr(options, name) for name in ("seconds", "processes", "tasks", "kill_every")}
    print(f"{report.versions(described['versions'])}; {described['machine']['cores']} cores\n")
    print(report.table(findings))
    print(report.summary(findings))
    if options.out is not None:
        report.write(options.out, "soak", findings, described)
    bad = ("lost", "doubled", "wrong", "answers", "connections.left")
    return int(any(findings.figures[key].median > 0 for key in bad))


def _start(options: argparse.Namespace, url: str, directory: Path) -> list[tuple[subprocess.Popen[bytes], Path]]:
    started: list[tuple[subprocess.Popen[bytes], Path]] = []
    for number in range(options.processes):
        file, out = directory / f"{number}.json", directory / f"{number}.out.json"
        tasks = options.tasks // options.processes + (number < options.tasks % options.processes)
        job = Job(url=url, number=number, tasks=tasks, seconds=options.seconds, maintains=number == 0, out=str(out))
        file.write_text(json.dumps(asdict(job)))
        started.append((subprocess.Popen([sys.executable, "-m", "benchmarks.soak_worker", file]), out))
    return started


async def _watch(options: argparse.Namespace, url: str, workers: list[subprocess.Popen[bytes]]) -> Watched:
    """Kill backends, and look at the workers, until they have ended."""
    watched, rng, until = Watched(), random.Random(1), time.monotonic() + options.seconds
    look = kill = time.monotonic()
    crash = kill + _CRASH_SECONDS / 2
    while any(process.poll() is None for process in workers):
        await asyncio.sleep(0.05)
        now = time.monotonic()
        if look <= now < until:
            look = now + 1
            with suppress(psutil.Error):
                _look(watched, [psutil.Process(process.pid) for process in workers if process.poll() is None])
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            if now < until and now >= kill:
                kill = now + options.kill_every * 2 * rng.random()
                await _kill(url, watched, rng, crash=options.url is None and now >= crash)
                crash = now + _CRASH_SECONDS if options.url is None and now >= crash else crash
    return watched


def _look(watched: Watched, workers: list[psutil.Process]) -> None:
    watched.memory.append(sum(one.memory_info().rss for one in workers) / 2**20)
    watched.handles.append(sum(one.num_fds() for one in workers))
    watched.threads.append(sum(one.num_threads() for one in workers))


async def _kill(url: str, watched: Watched, rng: random.Random, *, crash: bool) -> None:
    """End some backends of the workers, whatever they are at; with *crash* kill one."""
    connection = await asyncpg.connect(url)
    try:
        found = [row[0] for row in await connection.fetch(f"SELECT pid {_OURS}")]
        watched.connections.append(len(found))
        chosen = rng.sample(found, min(len(found), 1 if crash else rng.randint(1, 3)))
        if crash and chosen:
            os.kill(chosen[0], signal.SIGKILL)
            watched.crashes += 1
        else:
            await connection.execute("SELECT pg_terminate_backend(p) FROM unnest($1::int[]) p", chosen)
            watched.terminated += len(chosen)
    finally:
        connection.terminate()


def _diary(process: subprocess.Popen[bytes], out: Path) -> dict[str, Any]:
    if process.returncode != 0:
        msg = f"a worker ended with status {process.returncode}"
        raise RuntimeError(msg)
    return json.loads(out.read_text())


async def _connections(url: str) -> int:
    """Return how many connections are left when all workers have ended, a moment later."""
    connection = await asyncpg.connect(url)
    try:
        count = 0
        for _ in range(100):
            count = await connection.fetchval(f"SELECT count(*) {_OURS}")
            if not count:
                break
            await asyncio.sleep(0.05)
        return count
    finally:
        await connection.close()


async def _compare(url: str, diaries: list[dict[str, Any]]) -> Counter[str]:
    """Hold every row that there is against what was acknowledged."""
    possible: dict[str, list[int | None]] = {}
    for diary in diaries:
        possible |= diary["possible"]
    rows: Counter[str] = Counter(unsure=sum(len(allowed) > 1 for allowed in possible.values()))
    rows["acknowledged"] = sum(allowed != [None] and len(allowed) == 1 for allowed in possible.values())
    found: Counter[str] = Counter()
    async with AsyncClient(url) as client:
        docs, after, more = client.collection(COLLECTION), None, True
        while more:
            page = await docs.list(limit=_PAGE, after=after, include=["embedding"])
            for row in page.records:
                found[str(row.id)] += 1
                allowed = possible.get(str(row.id), [None])
                rows["acknowledged and found"] += allowed != [None] and len(allowed) == 1
                rows["wrong"] += all(fault(row, version) for version in allowed)
            after, more = page.next, page.next is not None
        rows["found"] = found.total()
        # Through the index too, which must know all rows that the table has.
        rows["counted"] = await docs.count()
    rows["lost"] = sum(None not in allowed and not found[row_id] for row_id, allowed in possible.items())
    rows["doubled"] = sum(count - 1 for count in found.values()) + abs(rows["counted"] - rows["found"])
    return rows


def _findings(
    options: argparse.Namespace, diaries: list[dict[str, Any]], watched: Watched, rows: Counter[str]
) -> Findings:
    findings = Findings()
    done: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for diary in diaries:
        done.update(diary["done"])
        failed.update(diary["failed"])
    calls = done.total() + failed.total()
    findings.add("throughput", "calls that ended well", "1/s", [done.total() / options.seconds])
    findings.add("errors", "calls that failed", "%", [100 * failed.total() / max(calls, 1)])
    for what in ("search", "upsert", "get", "replace", "delete"):
        times = [value for diary in diaries for value in diary["times"].get(what, [])]
        if times:
            findings.add(f"{what}.p50", f"{what}, median", "ms", [percentile(times, 50)])
            findings.add(f"{what}.p99", f"{what}, 99 %", "ms", [percentile(times, 99)])
    for key in ("acknowledged", "acknowledged and found", "found", "unsure"):
        findings.add(key.replace(" ", "."), f"rows {key}", "", [rows[key]])
    for key in ("lost", "doubled", "wrong"):
        findings.add(key, f"rows {key}", "", [rows[key]], targets=_ZERO)
    wrong = [text for diary in diaries for text in diary["wrong"]]
    findings.add("answers", "answers that contradict what was acknowledged", "", [len(wrong)], targets=_ZERO)
    findings.add("terminated", "backends terminated", "", [watched.terminated])
    findings.add("crashes", "backends killed, upon which the server recovered", "", [watched.crashes])
    _flat(findings, "memory", "memory of the workers", "MB", watched.memory)
    _flat(findings, "handles", "open files and sockets of the workers", "", watched.handles)
    _flat(findings, "threads", "threads of the workers", "", watched.threads)
    most = [Target(bound=options.processes * (CONNECTIONS + 1), at_least=False)]
    findings.add("connections", "most connections at once", "", [max(watched.connections, default=0)], targets=most)
    findings.notes += [f"failed {count} times: {what}" for what, count in failed.most_common(8)]
    findings.notes += [f"calls of {what}: {count:,}" for what, count in done.most_common()]
    findings.notes += wrong[:8]
    return findings


def _flat(findings: Findings, key: str, what: str, unit: str, values: list[Any]) -> None:
    """Report a value that must not grow: the last quarter of the time against the second."""
    quarter = max(len(values) // 4, 1)
    # The first quarter belongs to starting up.
    early, late = values[quarter : 2 * quarter] or values, values[-quarter:]
    if not early or not late:
        return
    first = statistics.median(early)
    findings.add(f"{key}.early", f"{what}, second quarter", unit, [first])
    findings.add(
        f"{key}.late",
        f"{what}, last quarter",
        unit,
        [statistics.median(late)],
        against=f"{key}.early",
        targets=[Target(bound=_MOST_GROWTH, at_least=False, against=f"{key}.early")],
    )
