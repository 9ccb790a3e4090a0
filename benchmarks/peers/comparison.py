"""What the peers are asked to do, and what their answers are compared with."""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import search
from benchmarks.context import SEARCHED, Context
from benchmarks.corpus import Corpus, recall
from benchmarks.peers import environment

PEERS = {
    "vecs": "vecs",
    "langchain_postgres": "langchain-postgres",
    "llama_index_postgres": "llama-index-…-postgres",
}
"""Module of each peer in this package, and its name."""

_ROOT = Path(__file__).parents[2]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options about peers."""
    environment.add_arguments(parser)
    parser.add_argument("--peer-rows", type=int, default=10_000, help="rows that the peers write (10,000)")


def measure(context: Context, options: argparse.Namespace) -> None:
    """Measure each peer: what it writes, how fast it searches, and how good its answers are."""
    search.make_searchable(context)
    try:
        python = environment.interpreter(options.peers_env)
    except RuntimeError as error:
        context.findings.notes.append(str(error))
        return
    rows = min(options.peer_rows, len(context.corpus))
    context.findings.notes.append(
        f"peers write {rows:,} rows, through their own interface into emptied tables without an ANN index; for "
        f"searching, their tables are filled up to all {len(context.corpus):,} rows with SQL and get the same HNSW "
        "index; they run after the engine, each in a process of its own; default means their ef_search unless told "
        "otherwise, which is 40; equal recall means the least ef_search of a ladder that finds as much as the "
        "engine by default, less 0.002"
    )
    with tempfile.TemporaryDirectory(prefix="pgrecall-peers-") as directory:
        job = _write_job(Path(directory), context, rows)
        for peer, title in PEERS.items():
            context.settle()
            answer = ask(python, peer, job)
            if "error" in answer:
                context.findings.notes.append(f"{title} could not be measured: {answer['error']}")
            else:
                _add(context, peer, title, answer)


def _write_job(directory: Path, context: Context, rows: int) -> dict[str, Any]:
    """Write the rows for the peers to *directory*, and return what they are told."""
    small = context.corpus.part(0, rows)
    for name, corpus in (("rows", small), ("revised", small.revised(1))):
        np.save(directory / f"{name}.npy", corpus.vectors)
        (directory / f"{name}.json").write_text(json.dumps(_columns(corpus)))
    np.save(directory / "queries.npy", context.corpus.queries)
    truth = context.corpus.nearest(context.k)
    (directory / "nearest.json").write_text(json.dumps([sorted(ids) for ids in truth]))
    return {
        "url": context.url,
        "directory": str(directory),
        "source": SEARCHED,
        "recall": asyncio.run(search.engine_recall(context, truth)),
        "k": context.k,
        "ef_search": context.ef_search,
        "repeats": context.repeats,
    }


def documents_job(directory: Path, context: Context, what: str = "documents") -> dict[str, Any]:
    """Write the rows for a peer that is to add them as its framework's documents, and return what it is told.

    Args:
        directory: Where to.
        context: The run.
        what: ``documents``, or ``nodes``, as the framework calls them.
    """
    np.save(directory / "rows.npy", context.corpus.vectors)
    (directory / "rows.json").write_text(json.dumps(_columns(context.corpus)))
    return {"url": context.url, "directory": str(directory), "repeats": context.repeats, what: True}


def _columns(corpus: Corpus) -> dict[str, Any]:
    return {"ids": corpus.ids, "contents": corpus.contents, "metadatas": corpus.metadatas}


def ask(python: Path, peer: str, job: dict[str, Any]) -> dict[str, Any]:
    """Return what a peer's process answers; ``error`` says what went wrong."""
    out = Path(job["directory"]) / f"{peer}.json"
    path = Path(job["directory"]) / "job.json"
    path.write_text(json.dumps({**job, "peer": peer, "out": str(out)}))
    command = [str(python), "-m", "benchmarks.peers.worker", str(path)]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no reason given"])[-1]}
    return json.loads(out.read_text())


def _add(context: Context, peer: str, title: str, answer: dict[str, Any]) -> None:
    add = partial(context.findings.add, apart=True)
    title = f"{title} {answer['version']}"
    add(f"load.{peer}", f"load, {title}", "rows/s", answer["load"], against="load.engine")
    if answer["upsert"]:
        add(f"upsert.{peer}", f"upsert, {title}, all changed", "rows/s", answer["upsert"], against="upsert.changed")
    else:
        context.findings.notes.append(f"{title} has no upsert: writing an id again adds a second row")
    truth = context.corpus.nearest(context.k)
    searched = {setting: (f"ef_search {setting}", found) for setting, found in answer["search"].items()}
    if (matched := answer["matched"]) is not None:
        searched["matched"] = f"ef_search {matched['ef_search']}, equal recall", matched
        add(f"ef_search.{peer}.matched", f"ef_search for equal recall, {title}", "", [matched["ef_search"]])
    else:
        context.findings.notes.append(f"{title} finds less than the engine by default with every ef_search there is")
    for setting, (ef, found) in searched.items():
        add(f"search.{peer}.{setting}", f"search p50, {title}, {ef}", "ms", found["p50"], against="search.engine")
        add(f"recall.{peer}.{setting}", f"recall@{context.k}, {title}, {ef}", "", [recall(truth, found["ids"])])
