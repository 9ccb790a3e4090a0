"""Runs in the peers' environment: ``python -m benchmarks.peers.worker job.json`` measures one peer.

Of this package it may import only what needs neither pgrecall nor its dependencies.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import percentile
from benchmarks.peers.rows import Inexpressible, Rows, execute

_WARM_UP = 200
_LADDER = (10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 120, 140, 160, 180, 200, 250, 300, 400, 500, 600, 800, 1000)
_TOLERANCE = 0.002
"""What chance alone moves the recall of two indexes over the same rows apart by."""


def main(path: str) -> None:
    """Do the job that is written in *path*, and write down the answer."""
    job = json.loads(Path(path).read_text())
    rows = Rows.read(Path(job["directory"]), "rows")
    module = importlib.import_module(f"benchmarks.peers.{job['peer']}")
    peer = module.Peer(job["url"], rows.dimensions, job.get("fields", {}))
    if "questions" in job:
        answer: dict[str, Any] = {"hybrid": _hybrid(job, peer, rows)}
    elif "documents" in job:
        answer = {"documents": _rates(job, rows, {"documents": (peer.table, peer.add_documents)})["documents"]}
    elif "nodes" in job:
        answer = {"nodes": _rates(job, rows, peer.node_tables())}
    else:
        answer = _filtered(job, peer, rows) if "filters" in job else _everything(job, peer, rows)
    Path(job["out"]).write_text(json.dumps({"version": peer.version, **answer}))


def _everything(job: dict[str, Any], peer: Any, rows: Rows) -> dict[str, Any]:
    """Return how fast the peer writes, and how it searches without a filter."""
    directory = Path(job["directory"])
    revised = Rows.read(directory, "revised")
    queries: list[list[float]] = np.load(directory / "queries.npy").tolist()
    answer: dict[str, Any] = {"load": [], "upsert": [], "search": {}}
    peer.load(rows.first(_WARM_UP))()
    # The rows are the benchmark's own, as for the engine.
    gc.collect()
    gc.freeze()
    for _ in range(job["repeats"]):
        execute(job["url"], f"TRUNCATE {peer.table}", "CHECKPOINT")
        answer["load"].append(_rate(rows, peer.load))
        if peer.upserts:
            answer["upsert"].append(_rate(revised, peer.load))
    peer.fill(job["source"])
    for setting in ("default", job["ef_search"]):
        ef_search = None if setting == "default" else setting
        run = peer.searcher(job["k"], ef_search)
        answer["search"][f"{setting}"] = _search(run, queries, job["repeats"])
    answer["matched"] = matched(job, peer, queries)
    return answer


def matched(job: dict[str, Any], peer: Any, queries: list[list[float]]) -> dict[str, Any] | None:
    """Return how the peer searches with the least ef_search that finds as much as is asked; `None` where none does."""
    truth = [frozenset(ids) for ids in json.loads((Path(job["directory"]) / "nearest.json").read_text())]
    low, high = 0, len(_LADDER)
    while low < high:
        middle = (low + high) // 2
        _, answers = peer.searcher(job["k"], _LADDER[middle])(queries)
        hits = sum(len(true.intersection(ids)) for true, ids in zip(truth, answers, strict=True))
        if hits / sum(map(len, truth)) >= job["recall"] - _TOLERANCE:
            high = middle
        else:
            low = middle + 1
    if low == len(_LADDER):
        return None
    run = peer.searcher(job["k"], _LADDER[low])
    return {"ef_search": _LADDER[low], **_search(run, queries, job["repeats"])}


def _filtered(job: dict[str, Any], peer: Any, rows: Rows) -> dict[str, Any]:
    """Return how the peer searches with each filter, or why it does not."""
    queries: list[list[float]] = np.load(Path(job["directory"]) / "queries.npy").tolist()
    peer.load(rows)()
    peer.fill(job["source"])
    found: dict[str, Any] = {}
    for key, filter in job["filters"].items():
        try:
            run = peer.searcher(job["k"], job["ef_search"], filter)
            found[key] = _search(run, queries, job["repeats"])
        except Inexpressible as reason:
            found[key] = {"inexpressible": str(reason)}
        except Exception as error:  # noqa: BLE001 - a peer that cannot answer one filter may answer the next
            found[key] = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
    return {"filters": found}


def _hybrid(job: dict[str, Any], peer: Any, rows: Rows) -> dict[str, list[list[str]]]:
    """Return what the peer's hybrid search finds for each question, in each of its settings."""
    directory = Path(job["directory"])
    questions: list[str] = json.loads((directory / "questions.json").read_text())
    queries: list[list[float]] = np.load(directory / "queries.npy").tolist()
    return peer.hybrid(rows, list(zip(questions, queries, strict=True)), job["k"])


def _rates(
    job: dict[str, Any], rows: Rows, tables: dict[str, tuple[str, Callable[[Rows], Callable[[], None]]]]
) -> dict[str, list[float]]:
    """Return rows a second into each of *tables*, which are emptied before each repetition, one after the other."""
    for _, write in tables.values():
        write(rows.first(_WARM_UP))()
    gc.collect()
    gc.freeze()
    rates: dict[str, list[float]] = {name: [] for name in tables}
    for _ in range(job["repeats"]):
        for name, (table, write) in tables.items():
            execute(job["url"], f"TRUNCATE {table}", "CHECKPOINT")
            rates[name].append(_rate(rows, write))
    return rates


def _rate(rows: Rows, write: Callable[[Rows], Callable[[], None]]) -> float:
    """Return rows a second; the input is made in the peer's own form before the clock starts."""
    run = write(rows)
    start = time.perf_counter()
    run()
    return len(rows.ids) / (time.perf_counter() - start)


def _search(
    run: Callable[[list[list[float]]], tuple[list[float], list[list[str]]]],
    queries: list[list[float]],
    repeats: int,
) -> dict[str, Any]:
    """Return the median time of each pass over the queries, and what the first one, a warm-up, found."""
    _, ids = run(queries)
    return {"p50": [percentile(run(queries)[0], 50) for _ in range(repeats)], "ids": ids}


if __name__ == "__main__":
    main(sys.argv[1])
