"""What does taking in whole sources cost, does a killed run resume exactly, and who notices re-embedding?

Loading with checkpoints is held against raw COPY of the same rows; a run of records with random ids is killed
at random moments; and a collection is embedded with another model by one process while others search and write.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

from benchmarks import corpus, raw, report, server
from benchmarks.context import Context, as_batch, fresh
from benchmarks.figures import Findings, Target, percentile
from pgrecall import HNSW, AsyncClient, IngestOptions, Record

PARTS = ("memory", "ingest", "kills", "reembed")
_TABLE = "taken_in"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this question."""
    parser.add_argument("--rows", type=int, default=200_000, help="rows to load (200,000)")
    parser.add_argument("--dimensions", type=int, default=384, help="of their embeddings (384)")
    parser.add_argument("--repeats", type=int, default=3, help="loads of each kind (3)")
    parser.add_argument("--kills", type=int, default=20, help="how often to kill a run (20)")
    parser.add_argument("--reembed-rows", type=int, default=50_000, help="rows to embed anew (50,000)")
    parser.add_argument("--load", type=float, default=0.5, help="share of the time that re-embedding takes (0.5)")
    parser.add_argument("--seconds", type=float, default=20.0, help="to search and write before re-embedding (20)")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts to run instead of all")
    parser.add_argument("--url", help="a server to use instead of an embedded one; a database is made on it")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write everything as JSON")


def main(options: argparse.Namespace) -> int:
    """Measure, and report."""
    findings = Findings()
    chosen = options.only or PARTS
    with server.database(options.url) as url:
        described = asyncio.run(server.describe(url))
        if "memory" in chosen:
            asyncio.run(_memory(url, findings, options))
        if "ingest" in chosen:
            rows = corpus.make(options.rows, options.dimensions)
            _loads(Context(url=url, corpus=rows, findings=findings, repeats=options.repeats))
        if "kills" in chosen:
            asyncio.run(_kills(url, findings, options.kills))
        if "reembed" in chosen:
            asyncio.run(_reembed(url, findings, options))
    described["settings"] = {name: str(value) for name, value in vars(options).items()}
    print(report.table(findings))
    if options.out is not None:
        report.write(options.out, "pipeline", findings, described)
    return 0


def _records(rows: corpus.Corpus) -> Iterator[Record]:
    columns = zip(rows.ids, rows.contents, rows.metadatas, rows.vectors, strict=True)
    return (Record(id=i, content=c, metadata=m, embedding=v) for i, c, m, v in columns)


async def _memory(url: str, findings: Findings, options: argparse.Namespace) -> None:
    """Load records that are made as they are taken, and watch this process grow."""
    some = np.random.default_rng(3).normal(size=(1_000, options.dimensions)).astype(np.float32)
    source = (
        Record(id=f"{n}", content=f"item {n} " * 30, metadata={"n": n}, embedding=some[n % 1_000] + n % 7)
        for n in range(options.rows)
    )
    process, sizes = psutil.Process(), []
    async with AsyncClient(url) as client:
        docs = await fresh(client, _TABLE, options.dimensions)
        await docs.ingest(source, run="load", on_progress=lambda _: sizes.append(process.memory_info().rss))
        await client.delete_collection(_TABLE)
    growth = (max(sizes) - sizes[len(sizes) // 4]) / 2**20
    what = f"memory from a quarter to the end of {options.rows:,} rows"
    findings.add("memory.growth", what, "MB", [growth], targets=[Target(bound=32, at_least=False)])


def _loads(context: Context) -> None:
    """Load the same rows in turn by raw COPY, by `upsert`, and by `ingest` with a checkpoint at each batch."""
    rows = context.corpus
    rates: dict[str, list[float]] = {"raw": [], "raw_indexed": [], "upsert": [], "ingest": []}
    with asyncio.Runner() as runner:
        client = AsyncClient(context.url)
        connection = runner.run(raw.connect(context.url, context.ef_search))
        for _ in range(context.repeats):
            for name in ("raw", "raw_indexed"):
                runner.run(raw.make_table(connection, name, rows.dimensions, indexed=name == "raw_indexed"))
                context.settle()
                start = time.perf_counter()
                runner.run(raw.load(connection, name, rows))
                rates[name].append(len(rows) / (time.perf_counter() - start))
                runner.run(connection.execute(f"DROP TABLE {name}"))
            docs = runner.run(fresh(client, _TABLE, rows.dimensions))
            context.settle()
            start = time.perf_counter()
            runner.run(docs.upsert(as_batch(rows)))
            rates["upsert"].append(len(rows) / (time.perf_counter() - start))
            docs = runner.run(fresh(client, _TABLE, rows.dimensions))
            context.settle()
            start = time.perf_counter()
            done = runner.run(docs.ingest(_records(rows), run="load", options=IngestOptions(total=len(rows))))
            rates["ingest"].append(len(rows) / (time.perf_counter() - start))
            assert done.inserted == len(rows)
        runner.run(client.delete_collection(_TABLE))
        runner.run(connection.close())
        runner.run(client.close())
    add = context.findings.add
    add("load.raw", "raw COPY, primary key only", "rows/s", rates["raw"])
    add("load.raw_indexed", "raw COPY, keys and indexes as the engine's", "rows/s", rates["raw_indexed"])
    add("load.upsert", "upsert, RecordBatch", "rows/s", rates["upsert"], against="load.raw")
    targets = [Target(bound=0.6, at_least=True, against="load.raw")]
    add(
        "load.ingest",
        "ingest, Records, checkpoints",
        "rows/s",
        rates["ingest"],
        against="load.raw_indexed",
        targets=targets,
    )


async def _kills(url: str, findings: Findings, kills: int) -> None:
    """Kill a run at random moments, and count what is there in the end."""
    count = 500 * (kills + 10)
    command = [sys.executable, "-m", "benchmarks.pipeline_worker", "load", url, "killed", str(count)]
    dice, times = random.Random(8), 0
    while times < kills:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for _ in range(dice.randint(1, 2)):
                process.stdout.readline()
            await asyncio.sleep(dice.random() * 0.01)
            times += process.poll() is None
            process.kill()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    async with AsyncClient(url) as client:
        there = await client.collection("killed").count()
        connection = await raw.connect(url, 100)
        different = await connection.fetchval("SELECT count(DISTINCT content) FROM killed")
        await connection.close()
    targets = [Target(bound=0, at_least=False)]
    findings.add("kills.lost", f"rows lost by {times} kills", "rows", [count - different], targets=targets)
    findings.add("kills.repeated", f"rows repeated by {times} kills", "rows", [there - different], targets=targets)


async def _reembed(url: str, findings: Findings, options: argparse.Namespace) -> None:
    """Embed a collection anew in a process of its own, while eight tasks here search and write."""
    rows = corpus.make(options.reembed_rows, options.dimensions)
    faults: list[BaseException] = []
    times: dict[str, list[float]] = {"before": [], "during": []}
    async with AsyncClient(url) as client:
        docs = await fresh(client, "embedded_anew", rows.dimensions)
        await docs.upsert(as_batch(rows))
        await docs.create_index(HNSW())
        ended, phase, writes = asyncio.Event(), "before", 0

        async def read(first: int) -> None:
            number = first
            while not ended.is_set():
                number += 4
                start = time.perf_counter()
                try:
                    found = await docs.search(rows.queries[number % len(rows.queries)], 10)
                    assert len(found) == 10
                except Exception as error:  # noqa: BLE001 - counted
                    faults.append(error)
                times[phase].append(1_000 * (time.perf_counter() - start))
                await asyncio.sleep(0.01)

        async def write(first: int) -> None:
            nonlocal writes
            number = first
            while not ended.is_set():
                number = (number + 4) % len(rows)
                content = f"{rows.contents[number]} again {writes}"
                try:
                    await docs.upsert([Record(id=rows.ids[number], content=content, embedding=rows.vectors[number])])
                    writes += 1
                except Exception as error:  # noqa: BLE001 - counted
                    faults.append(error)
                await asyncio.sleep(0.05)

        tasks = [asyncio.create_task(work(n)) for n in range(4) for work in (read, write)]
        await asyncio.sleep(options.seconds)
        phase, began = "during", time.perf_counter()
        command = ["-m", "benchmarks.pipeline_worker", "reembed", url, "embedded_anew", str(options.load)]
        process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=subprocess.PIPE)
        said = (await process.communicate())[0].decode()
        took = time.perf_counter() - began
        ended.set()
        await asyncio.gather(*tasks)
        print(said[-700:], faults[:3], f"{writes} writes", flush=True)
        assert (await docs.current()).config.model == "new"
    findings.add("reembed.seconds", f"re-embedding {len(rows):,} rows", "s", [took])
    findings.add(
        "reembed.errors", "failed searches and writes", "", [len(faults)], targets=[Target(bound=0, at_least=False)]
    )
    for name, values in times.items():
        findings.add(
            f"reembed.{name}.p50", f"search p50, {name}", "ms", [percentile(values, 50)], against="reembed.before.p50"
        )
        targets = [Target(bound=2, at_least=False, against="reembed.before.p95")] if name == "during" else []
        findings.add(
            f"reembed.{name}.p95",
            f"search p95, {name}",
            "ms",
            [percentile(values, 95)],
            against="reembed.before.p95",
            targets=targets,
        )
