"""What does LangChain's interface cost over the engine, and how far ahead of langchain-postgres is it?

The search is timed query by query in turn with the engine's own, over rows without metadata and over rows
with 1 kB of it. Documents whose embeddings are looked up are added by `from_documents`, here and by
langchain-postgres in an environment of its own. Memory is that of a fresh interpreter.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import psutil
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from benchmarks import parts
from benchmarks.context import Context, fresh
from benchmarks.corpus import Corpus
from benchmarks.figures import Target, percentile
from benchmarks.peers import comparison, environment
from benchmarks.timing import in_turn
from pgrecall import AsyncClient, Client, RecordBatch
from pgrecall.langchain import PGRecallVectorStore

_ROWS = 20_000
_MEMORY_ROWS = 200_000
_DIMENSIONS = 384
_WARM_UP = 200
_PEER = "langchain_postgres"
_METADATA = {
    "none": ("no metadata", 1.15),
    "kilobyte": ("1 kB of metadata", 1.25),
}
"""What rows carry: its name, and the bound on the adapter's time over the engine's."""
_ROOT = Path(__file__).parents[1]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this question."""
    parts.add_arguments(parser, PARTS, _ROWS)
    parser.add_argument(
        "--memory-rows", type=int, default=_MEMORY_ROWS, help=f"documents that a generator adds ({_MEMORY_ROWS:,})"
    )


def main(options: argparse.Namespace) -> int:
    """Measure, and report."""
    return parts.answer("langchain", options, PARTS)


def _search(context: Context, _: argparse.Namespace) -> None:
    for name, (title, bound) in _METADATA.items():
        passes = asyncio.run(_timed_searches(context, name))
        add = context.findings.add
        for way in ("engine", "langchain"):
            medians = [percentile(times[way], 50) for times in passes]
            against = f"search.engine.{name}"
            targets = [Target(bound=bound, at_least=False, against=against)] if way == "langchain" else []
            add(f"search.{way}.{name}", f"search p50, async, {title}: {way}", "ms", medians, targets=targets)


async def _timed_searches(context: Context, name: str) -> list[dict[str, list[float]]]:
    queries: list[list[float]] = context.corpus.queries.tolist()
    async with AsyncClient(context.url) as client:
        docs = await fresh(client, f"searched_{name}", context.corpus.dimensions)
        await docs.upsert(_batch(context.corpus, name))
        await docs.create_index()
        await context.execute(f"VACUUM ANALYZE searched_{name}", "CHECKPOINT")
        store = PGRecallVectorStore(Known({}), f"searched_{name}", client=client)
        searches = {
            "engine": lambda p: docs.search(queries[p], context.k),
            "langchain": lambda p: store.asimilarity_search_by_vector(queries[p], k=context.k),
        }
        await in_turn(searches, len(queries))  # warms up
        return [await in_turn(searches, len(queries)) for _ in range(context.repeats)]


def _batch(rows: Corpus, name: str) -> RecordBatch:
    metadatas = None if name == "none" else [_kilobyte(position) for position in range(len(rows))]
    return RecordBatch(ids=rows.ids, contents=rows.contents, metadatas=metadatas, embeddings=rows.vectors)


def _kilobyte(position: int) -> dict[str, Any]:
    """Return metadata of about 1,000 bytes, as a loader of web pages writes it."""
    return {
        "source": f"https://example.org/library/section-{position % 50}/page-{position}.html",
        "title": f"Page {position} of the library",
        "language": "en",
        "page": position,
        "score": position / 7,
        "tags": [f"tag-{position % number}" for number in range(2, 12)],
        "summary": f"What page {position} is about, and why. " * 18,
    }


def _load(context: Context, options: argparse.Namespace) -> None:
    rates: list[float] = []
    _documents_per_second(replace(context, corpus=context.corpus.part(0, _WARM_UP)))
    for _ in range(context.repeats):
        context.settle()
        rates.append(_documents_per_second(context))
    add = context.findings.add
    add("documents.pgrecall", f"from_documents, {len(context.corpus):,} documents", "docs/s", rates)
    if options.no_peers:
        return
    try:
        python = environment.interpreter(options.peers_env)
    except RuntimeError as error:
        context.findings.notes.append(str(error))
        return
    with tempfile.TemporaryDirectory(prefix="pgrecall-peers-") as directory:
        answer = comparison.ask(python, _PEER, comparison.documents_job(Path(directory), context))
    if "error" in answer:
        context.findings.notes.append(f"langchain-postgres could not be measured: {answer['error']}")
        return
    title = f"from_documents, langchain-postgres {answer['version']}"
    add("documents.peer", title, "docs/s", answer["documents"], apart=True)
    targets = [Target(bound=20, at_least=True, against="documents.peer")]
    add("documents.pgrecall", f"from_documents, {len(context.corpus):,} documents", "docs/s", rates, targets=targets)


def _documents_per_second(context: Context) -> float:
    rows = context.corpus
    model = Known(dict(zip(rows.contents, rows.lists, strict=True)))
    entries = zip(rows.ids, rows.contents, rows.metadatas, strict=True)
    documents = [Document(id=i, page_content=content, metadata=metadata) for i, content, metadata in entries]
    with Client(context.url) as client:
        if "documents" in client.list_collections():
            client.delete_collection("documents")
        start = time.perf_counter()
        PGRecallVectorStore.from_documents(documents, model, client=client)
        return len(documents) / (time.perf_counter() - start)


def _memory(context: Context, options: argparse.Namespace) -> None:
    command = [sys.executable, "-m", "benchmarks.langchain", context.url, str(options.memory_rows)]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    context.findings.add(
        "memory",
        f"memory above the start while a generator adds {options.memory_rows:,} documents of 384 dimensions, at most",
        "MB",
        [answer["megabytes"]],
        targets=[Target(bound=300, at_least=False)],
        note=f"{answer['rate']:,.0f} documents/s",
    )


def add_generated(url: str, count: int) -> dict[str, float]:
    """Add *count* generated documents, and return how much memory that took at most, and how fast it was."""
    documents = (Document(id=f"d{n}", page_content=f"text {n} " * 60, metadata={"n": n}) for n in range(count))
    with PGRecallVectorStore(Random(), "generated", url=url) as store:
        store.add_texts(["the first makes the table"])
        with _Peak() as peak:
            start = time.perf_counter()
            store.add_documents(documents)
            seconds = time.perf_counter() - start
    return {"megabytes": (peak.most - peak.first) / 2**20, "rate": count / seconds}


class _Peak:
    """How much memory this process has at first, and at most: looked at a hundred times a second."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.first = self.most = self._process.memory_info().rss

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self.most = max(self.most, self._process.memory_info().rss)


class Known(Embeddings):
    """A model that has embedded its texts already."""

    def __init__(self, embeddings: Mapping[str, list[float]]) -> None:
        self._embeddings = embeddings

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self._embeddings[text] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self._embeddings[text]


class Random(Embeddings):
    """A model that costs nothing and means nothing."""

    def __init__(self) -> None:
        self._numbers = np.random.default_rng(7)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._numbers.standard_normal((len(texts), _DIMENSIONS)).tolist()

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


PARTS: Final[parts.Parts] = {
    "search": _search,
    "load": _load,
    "memory": _memory,
}

if __name__ == "__main__":  # the fresh interpreter whose memory is measured
    print(json.dumps(add_generated(sys.argv[1], int(sys.argv[2]))))
