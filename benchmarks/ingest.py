"""How fast rows are written: by hand, through the engine, and through the adapters."""

from __future__ import annotations

import asyncio
import gc
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from benchmarks import adapters, raw
from benchmarks.context import Context, as_batch, fresh
from benchmarks.figures import Target
from pgrecall import AsyncClient, Client

_NAME = "written"
_WARM_UP = 2_000


def measure(context: Context) -> None:
    """Measure loading and upserting, everything once in each repetition."""
    rates = _rates(context)
    add = context.findings.add
    add("load.raw", "load, raw COPY, primary key only", "rows/s", rates["raw"])
    add(
        "load.raw_indexed",
        "load, raw COPY, keys and indexes as the engine's",
        "rows/s",
        rates["raw_indexed"],
        against="load.raw",
    )
    for name, what, targets in (
        ("engine", "load, engine, RecordBatch", [Target(bound=0.7, at_least=True, against="load.raw")]),
        ("langchain", "load, LangChain, add_embeddings", [Target(bound=0.4, at_least=True, against="load.raw")]),
        ("llama_index", "load, LlamaIndex, add", [Target(bound=8_000, at_least=True)]),
    ):
        if name in rates:
            add(f"load.{name}", what, "rows/s", rates[name], against="load.raw_indexed", targets=targets)
    add(
        "upsert.changed",
        "upsert, engine, all rows changed",
        "rows/s",
        rates["changed"],
        targets=[
            Target(bound=15_000, at_least=True),
            Target(bound=6, at_least=True, against="upsert.vecs"),
        ],
    )
    add(
        "upsert.unchanged",
        "upsert, engine, no row changed",
        "rows/s",
        rates["unchanged"],
        against="upsert.changed",
    )


def _rates(context: Context) -> dict[str, list[float]]:
    """Return rows/s of each way to write."""
    corpus = context.corpus
    loads = adapters.loads(corpus)
    small = adapters.loads(corpus.part(0, _WARM_UP))
    revisions = [corpus.revised(revision) for revision in range(context.repeats)]
    # The rows are the benchmark's own: looking them through again and again is no part of any way to write.
    gc.collect()
    gc.freeze()
    rates: dict[str, list[float]] = defaultdict(list)
    with asyncio.Runner() as runner, Client(context.url) as blocking:
        client = AsyncClient(context.url)

        def timed(name: str, write: Callable[[], Any]) -> None:
            start = time.perf_counter()
            write()
            rates[name].append(len(corpus) / (time.perf_counter() - start))

        def empty() -> Any:
            made = runner.run(fresh(client, _NAME, corpus.dimensions))
            context.settle()
            return made

        docs = empty()
        runner.run(docs.upsert(as_batch(corpus.part(0, _WARM_UP))))
        for load in small.values():
            load(blocking, _NAME)
        connection = runner.run(raw.connect(context.url, context.ef_search))
        for revised in revisions:
            for name in ("raw", "raw_indexed"):
                runner.run(raw.make_table(connection, name, corpus.dimensions, indexed=name == "raw_indexed"))
                context.settle()
                timed(name, lambda name=name: runner.run(raw.load(connection, name, corpus)))
            for name, load in loads.items():
                empty()
                timed(name, lambda load=load: load(blocking, _NAME))
            docs = empty()
            # No checkpoint in between: after one, the first change of every page is logged with the whole page.
            for name, rows in (("engine", corpus), ("changed", revised), ("unchanged", revised)):
                timed(name, lambda docs=docs, rows=rows: runner.run(docs.upsert(as_batch(rows))))
        empty()
        runner.run(connection.execute("DROP TABLE raw, raw_indexed"))
        runner.run(connection.close())
        runner.run(client.close())
    return rates
