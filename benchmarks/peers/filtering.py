"""How the peers answer the same filters, over the same rows."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import building, tables
from benchmarks.context import Context
from benchmarks.filters import Asked
from benchmarks.peers import environment
from benchmarks.peers.comparison import PEERS, ask
from benchmarks.report import Grid
from benchmarks.truth import Oracle

_LOADED: Final = 100
_QUERIES: Final = 100


def measure(context: Context, asked: Sequence[Asked], oracle: Oracle, directory: Path | None) -> Grid | None:
    """Measure each peer with every filter that it has words for, and return the table of figures.

    Args:
        context: The run, with the rows.
        asked: The filters.
        oracle: Knows the right answers.
        directory: The peers' environment; `None` for the one in the user's cache.
    """
    try:
        python = environment.interpreter(directory)
    except RuntimeError as error:
        context.findings.notes.append(str(error))
        return None
    context.findings.notes.append(
        f"peers: the first {_QUERIES} queries, after as many to warm up; each in a process of its own; ef_search = "
        f"{context.ef_search}, as the engine's; fields are declared to those that know such a thing"
    )
    building.fill(context)
    with tempfile.TemporaryDirectory(prefix="pgrecall-peers-") as made:
        job = _write_job(Path(made), context, asked)
        for peer, title in PEERS.items():
            context.settle()
            answer = ask(python, peer, job)
            if "error" in answer:
                context.findings.notes.append(f"{title} could not be measured: {answer['error']}")
            else:
                _add(context, peer, asked, oracle, answer)
    return _grid(context, asked)


def _write_job(directory: Path, context: Context, asked: Sequence[Asked]) -> dict[str, Any]:
    """Write what the peers need to *directory*, and return what they are told."""
    few = context.corpus.part(0, _LOADED)
    np.save(directory / "rows.npy", few.vectors)
    columns = {"ids": few.ids, "contents": few.contents, "metadatas": few.metadatas}
    (directory / "rows.json").write_text(json.dumps(columns))
    np.save(directory / "queries.npy", context.corpus.queries[:_QUERIES])
    return {
        "url": context.url,
        "directory": str(directory),
        "source": building.BY_HAND,
        "k": context.k,
        "ef_search": context.ef_search,
        "repeats": 1,
        # What is no key of the metadata, the content, is nothing that they could be told of.
        "fields": {name: kind.__name__ for name, kind in tables.FIELDS.items() if not name.startswith("$")},
        "filters": {each.key: each.filter for each in asked},
    }


def _add(context: Context, peer: str, asked: Sequence[Asked], oracle: Oracle, answer: dict[str, Any]) -> None:
    title, add = f"{PEERS[peer]} {answer['version']}", context.findings.add
    silent: dict[str, list[str]] = {}
    for each in asked:
        found = answer["filters"][each.key]
        if (reason := found.get("inexpressible") or found.get("failed")) is not None:
            silent.setdefault(reason, []).append(each.title)
            continue
        judgement = oracle.judge(each.filter, found["ids"])
        key, what = f"{len(context.corpus)}.{each.key}", f"{title}, {each.title}"
        add(f"{peer}.p50.{key}", f"{what}: p50", "ms", found["p50"])
        add(f"{peer}.recall.{key}", f"{what}: recall@{context.k}", "", [judgement.recall])
        add(f"{peer}.short.{key}", f"{what}: answers that are too short", "", [judgement.short])
        if judgement.wrong:
            context.findings.notes.append(f"{what}: {judgement.wrong} rows were returned that do not pass")
    for reason, titles in silent.items():
        context.findings.notes.append(f"{title} did not answer {'; '.join(titles)}: {reason}")


def _grid(context: Context, asked: Sequence[Asked]) -> Grid:
    size = len(context.corpus)
    columns = {"p50": "pgrecall ms", "recall": "recall", "short": "short"}
    for peer, title in PEERS.items():
        columns |= {f"{peer}.p50": f"{title} ms", f"{peer}.recall": "recall", f"{peer}.short": "short"}
    return Grid(
        title=f"{size:,} rows, beside the peers",
        labels=("filter",),
        rows=[(f"{size}.{each.key}", (each.title,)) for each in asked],
        columns=columns,
        judged=False,
    )
