"""From how many rows that pass a filter on is which way to the nearest rows the quickest, and how many does it miss?

Two filters of the same form keep the same numbers of rows: one keeps rows at random, the other those that are most
like one text. All ways are taken in turn, query by query, so that whatever else the machine does meets all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import report, samples, server, tables
from benchmarks.context import Context
from benchmarks.corpus import Corpus
from benchmarks.figures import percentile
from benchmarks.timing import Search, in_turn
from benchmarks.truth import Oracle, ids_of
from pgrecall import AsyncClient, AsyncCollection, CollectionConfig, SearchOptions
from pgrecall.plan import Access

KINDS: Final = {"lot": "rows kept at random", "likeness": "rows kept that are most like one text"}
"""The metadata keys that are filtered by, and what such a filter keeps."""

WAYS: Final[Mapping[str, SearchOptions | None]] = {
    "exact": SearchOptions(exact=True),
    "iterative": SearchOptions(access=Access.ITERATIVE),
    "covering": SearchOptions(access=Access.COVERING),
    "planned": None,
}
_KEPT: Final = (50, 150, 500, 1_500, 5_000, 15_000, 50_000, 150_000)
_SEED: Final = 20_260_103
_COLOURS: Final = {"exact": "#b2182b", "iterative": "#2166ac", "covering": "#1a7f37"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this question."""
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="rows to measure with; a small corpus is made up without it"
    )
    parser.add_argument("--rows", type=int, help="how many of them (50,000; 5,000 that are made up)")
    parser.add_argument("--queries", type=int, default=30, help="queries of each pass (30)")
    parser.add_argument("--repeats", type=int, default=3, help="passes, of which each query's quickest counts (3)")
    parser.add_argument("--url", help="a server to use instead of an embedded one; a database is made on it")
    parser.add_argument("--json", "--out", type=Path, metavar="FILE", help="where to write everything as JSON")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="where to draw it, as SVG; needs matplotlib")
    parser.add_argument("--draw", type=Path, metavar="FILE", help="draw this JSON of an earlier run; measure nothing")


def main(options: argparse.Namespace) -> int:
    """Measure, report and draw."""
    if options.draw is not None:
        draw(json.loads(options.draw.read_text()), options.plot)
        return 0
    size = options.rows or (5_000 if options.data is None else 50_000)
    rows = numbered(samples.prepare(options.data, [size], options.queries))
    with server.database(options.url) as url:
        context = Context(url=url, corpus=rows, repeats=options.repeats)
        described = asyncio.run(server.describe(url))
        chosen = asyncio.run(_measure(context))
    described["settings"] = {
        "corpus": rows.name,
        "rows": len(rows),
        "dimensions": rows.dimensions,
        "queries": len(rows.queries),
        "k": context.k,
        "repeats": context.repeats,
        "kept": kept(len(rows)),
        "chosen": chosen,
    }
    context.findings.notes.append(f"times: each query's quickest of {context.repeats} passes, the median over queries")
    print(report.table(context.findings))
    if options.json is not None:
        report.write(options.json, "crossover", context.findings, described)
    if options.plot is not None:
        document = {"figures": context.findings.as_json(), **described}
        draw(document, options.plot)
    return 0


def numbered(rows: Corpus) -> Corpus:
    """Return *rows* with two more numbers in the metadata, by which any number of rows can be kept.

    The rows whose ``lot`` is below n are n rows at random, those whose ``likeness`` is below n the n rows that are
    most like the first one.
    """
    lots: list[int] = np.random.default_rng(_SEED).permutation(len(rows)).tolist()
    places = np.empty(len(rows), int)
    places[np.argsort(-(rows.vectors @ rows.vectors[0]), kind="stable")] = np.arange(len(rows))
    return replace(
        rows,
        metadatas=[
            {**metadata, "lot": lot, "likeness": place}
            for metadata, lot, place in zip(rows.metadatas, lots, places.tolist(), strict=True)
        ],
    )


def kept(rows: int) -> list[int]:
    """Return how many of so many rows the filters keep."""
    return [count for count in _KEPT if count <= rows]


async def _measure(context: Context) -> dict[str, dict[int, str]]:
    """Measure every way with every filter; return which way was chosen, by kind and rows kept."""
    config = CollectionConfig(name="crossover", dimensions=context.corpus.dimensions, fields=dict.fromkeys(KINDS, int))
    await tables.load(context, config)
    oracle = Oracle(context.corpus, context.k)
    chosen: dict[str, dict[int, str]] = {}
    async with AsyncClient(context.url) as client:
        docs = client.collection(config)
        for kind in KINDS:
            chosen[kind] = {}
            for count in kept(len(context.corpus)):
                await _ways(context, docs, oracle, kind, count)
                plan = await docs.explain(context.corpus.queries[0], context.k, filter=_filter(kind, count))
                chosen[kind][count] = plan.access.value
    return chosen


async def _ways(context: Context, docs: AsyncCollection, oracle: Oracle, kind: str, count: int) -> None:
    queries, filter = context.corpus.queries, _filter(kind, count)
    answers: dict[str, list[list[str]]] = {}
    searches: dict[str, Search] = {}
    for way, options in WAYS.items():
        search = partial(_search, docs, context, filter, options)
        answers[way] = [await search(position) for position in range(len(queries))]
        searches[way] = search
    passes = [await in_turn(searches, len(queries)) for _ in range(context.repeats)]
    for way in WAYS:
        quickest = [min(times) for times in zip(*(each[way] for each in passes), strict=True)]
        name, what = f"{way}.{kind}.{count}", f"{count:,} {KINDS[kind]}, {way}"
        context.findings.add(f"ms.{name}", f"{what}: p50", "ms", [percentile(quickest, 50)])
        context.findings.add(
            f"recall.{name}", f"{what}: recall@{context.k}", "", [oracle.judge(filter, answers[way]).recall]
        )


def _filter(kind: str, count: int) -> dict[str, Any]:
    return {kind: {"$gte": 0, "$lte": count - 1}}


async def _search(
    docs: AsyncCollection, context: Context, filter: dict[str, Any], options: SearchOptions | None, position: int
) -> list[str]:
    return ids_of(await docs.search(context.corpus.queries[position], context.k, filter=filter, options=options))


def draw(document: Mapping[str, Any], path: Path) -> None:
    """Draw what a run wrote: times above, recall below, one column for each kind of filter."""
    values = {figure["key"]: figure["median"] for figure in document["figures"]}
    settings = document["settings"]
    counts: Sequence[int] = settings["kept"]
    import_module("matplotlib").rcParams.update({"svg.hashsalt": "crossover", "svg.fonttype": "none", "font.size": 10})
    figure = import_module("matplotlib.figure").Figure(figsize=(9.2, 6.2), layout="constrained")
    grid = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=(3, 2))
    for column, (kind, title) in enumerate(KINDS.items()):
        upper, lower = grid[0][column], grid[1][column]
        for axes, quantity in ((upper, "ms"), (lower, "recall")):
            for way, colour in _COLOURS.items():
                points = [values[f"{quantity}.{way}.{kind}.{count}"] for count in counts]
                axes.plot(counts, points, marker=".", color=colour, label=way)
            planned = [values[f"{quantity}.planned.{kind}.{count}"] for count in counts]
            label = "as the planner chose"
            axes.plot(counts, planned, "o", ms=10, mfc="none", mec="black", ls="none", label=label)
            axes.grid(visible=True, alpha=0.3)
        upper.set(title=title, xscale="log", yscale="log")
        lower.set(xlabel=f"rows that pass, of {settings['rows']:,}")
    grid[0][0].set_ylabel("milliseconds, p50")
    grid[1][0].set_ylabel(f"recall@{settings['k']}")
    grid[1][0].set_ylim(min(value for key, value in values.items() if key.startswith("recall.")) - 0.1, 1.02)
    figure.legend(*grid[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
