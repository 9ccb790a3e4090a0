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
from benchmarks.pipeline_worker import embed
from pgrecall import HNSW, AsyncClient, AsyncCollection, IngestOptions, Record

PARTS = ("memory", "ingest", "kills", "reembed")
_TABLE = "taken_in"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this question."""
    parser.add_argument("--rows", type=int, default=200_000, help="rows to load (200,000)")
    parser.add_argument("--dimensions", type=int, default=384, help="of their embeddings (384)")
    parser.add_argument("--repeats", type=int, default=3, help="loads of each kind (3)")
    parser.add_argument("--kills", type=int, default=20, help="how often to kill a run (20)")
    parser.add_argument("--reembed-rows", type=int, default=50_000, help="rows to embed anew (50,000)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the rows to embed anew; made up without it")
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
    # Neither the server's address, which may hold a password, nor places on this machine.
    described["settings"] = {name: value for name, value in vars(options).items() if name not in {"data", "out", "url"}}
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
    if options.data is not None:
        rows = corpus.read(options.data, options.reembed_rows)
    async with AsyncClient(url) as client:
        docs = await fresh(client, "embedded_anew", rows.dimensions)
        await docs.upsert(as_batch(rows))
        await docs.create_index(HNSW())
        company = Company(docs, rows)
        tasks = [asyncio.create_task(work(n)) for n in range(4) for work in (company.read, company.write)]
        await asyncio.sleep(options.seconds)
        company.phase, began = "during", time.perf_counter()
        command = ["-m", "benchmarks.pipeline_worker", "reembed", url, "embedded_anew", str(options.load)]
        process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=subprocess.PIPE)
        said = (await process.communicate())[0].decode()
        took = time.perf_counter() - began
        company.ended.set()
        await asyncio.gather(*tasks)
        print(said[-900:], company.faults[:3], f"{company.writes} writes", flush=True)
        assert (await docs.current()).config.model == "new"
        lost, stale = await company.compare()
    none = [Target(bound=0, at_least=False)]
    findings.add("reembed.seconds", f"re-embedding {len(rows):,} rows", "s", [took])
    findings.add("reembed.rate", "rows of the collection a second", "rows/s", [len(rows) / took])
    findings.add("reembed.writes", "writes of others meanwhile", "", [company.writes])
    findings.add("reembed.errors", "failed searches and writes", "", [len(company.faults)], targets=none)
    findings.add("reembed.mixed", "answers with the score of another embedding", "", [company.mixed], targets=none)
    findings.add("reembed.lost", "writes that are not there", "", [lost], targets=none)
    findings.add("reembed.stale", "new embeddings of another content", "", [stale], targets=none)
    for name, values in company.times.items():
        p50, p95 = percentile(values, 50), percentile(values, 95)
        findings.add(f"reembed.{name}.p50", f"search p50, {name}", "ms", [p50], against="reembed.before.p50")
        targets = [Target(bound=2, at_least=False, against="reembed.before.p95")] if name == "during" else []
        key = f"reembed.{name}.p95"
        findings.add(key, f"search p95, {name}", "ms", [p95], against="reembed.before.p95", targets=targets)


class Company:
    """Who searches and writes a collection with the model it has while another one embeds it anew.

    Attributes:
        phase: What the times are filed under.
        ended: Set to have everybody stop.
        times: Milliseconds of each search.
        faults: What failed.
        mixed: Matches whose score is not that of the embedding which this model gave them.
        writes: How many there were.
    """

    def __init__(self, docs: AsyncCollection, rows: corpus.Corpus) -> None:
        self._docs = docs
        self._rows = rows
        self._places = {row_id: place for place, row_id in enumerate(rows.ids)}
        self._written: dict[int, str] = {}
        self.phase = "before"
        self.ended = asyncio.Event()
        self.times: dict[str, list[float]] = {"before": [], "during": []}
        self.faults: list[BaseException] = []
        self.mixed = self.writes = 0

    async def read(self, number: int) -> None:
        """Search until the end."""
        while not self.ended.is_set():
            number += 4
            query = self._rows.queries[number % len(self._rows.queries)]
            start = time.perf_counter()
            try:
                found = await self._docs.search(query, 10)
                assert len(found) == 10
            except Exception as error:  # noqa: BLE001 - counted
                self.faults.append(error)
                continue
            finally:
                self.times[self.phase].append(1_000 * (time.perf_counter() - start))
            scores = self._rows.vectors[[self._places[match.id] for match in found]] @ query
            self.mixed += int(sum(abs(scores - [match.score for match in found]) > 1e-3))
            await asyncio.sleep(0.01)

    async def write(self, number: int) -> None:
        """Change the content of row after row until the end, each task those of its own."""
        rows = self._rows
        while not self.ended.is_set():
            number = (number + 4) % (len(rows) // 4 * 4)
            content = f"{rows.contents[number]} again {self.writes}"
            try:
                await self._docs.upsert([Record(id=rows.ids[number], content=content, embedding=rows.vectors[number])])
            except Exception as error:  # noqa: BLE001 - counted
                self.faults.append(error)
            else:
                self._written[number] = content
                self.writes += 1
            await asyncio.sleep(0.05)

    async def compare(self) -> tuple[int, int]:
        """Return how many writes are not there, and how many new embeddings are not of their row's content."""
        lost = stale = 0
        for start in range(0, len(self._rows), 1_000):
            ids = self._rows.ids[start : start + 1_000]
            found = await self._docs.model("new").get(ids, include=["embedding"])
            embedded = [record for record in found if record is not None and record.embedding is not None]
            expected = [embed([str(record.content)])[0] for record in embedded]
            stale += sum(
                not np.allclose(record.embedding, vector, atol=1e-4)
                for record, vector in zip(embedded, expected, strict=True)
            )
            for place, record in enumerate(found, start):
                wanted = self._written.get(place, self._rows.contents[place])
                lost += record is None or record.content != wanted
        return lost, stale
