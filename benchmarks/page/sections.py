"""The sections of RESULTS.md: what each shows, and how what it shows was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from benchmarks.figures import Figure
from benchmarks.page import markdown
from benchmarks.page.document import Answer, Document
from benchmarks.page.markdown import NOTHING, number, ratio
from benchmarks.page.side import ef_search
from benchmarks.page.stores import ENGINE, OURS, PEERS, RAW


def writing(document: Document, answer: Answer) -> list[str]:
    """Return how fast rows are written."""
    rows: list[list[str]] = []
    for title, keys in {
        "load": [(store, store.load) for store in (RAW, *OURS, *PEERS)],
        "change all": [(store, store.upsert) for store in (ENGINE, *PEERS)],
    }.items():
        ours = answer.median(keys[0][1] if title == "change all" else ENGINE.load)
        for store, key in keys:
            if (figure := answer.get(key)) is None:
                continue
            rows.append(
                [
                    title,
                    store.name(document),
                    number(figure.median),
                    _spread(figure),
                    ratio(figure.median / ours) if ours else NOTHING,
                ]
            )
    every = [figure for key, figure in answer.figures.items() if key.startswith(("load.", "upsert."))]
    said = (
        "Rows have an id, a text, JSON metadata and an embedding. Everybody gets them in the form that is natural to "
        "it, made before the clock starts: arrays for COPY and `upsert()`, lists of numbers through the frameworks and "
        "for the peers. Tables are emptied before each repetition and have no vector index; a checkpoint is made "
        "before the clock starts. The last column is the ratio of the medians to pgrecall's."
    )
    return [
        said,
        markdown.table(["", "store", "rows/s", "repetitions", "relative"], rows, left=2),
        _folded("All figures", markdown.figures(answer, every)),
    ]


def searching(document: Document, answer: Answer) -> list[str]:
    """Return how fast one search is, and what it finds."""
    ours = answer.median("search.engine")
    rows: list[list[str]] = []
    exact = f"{answer.settings['hnsw']['ef_search']}"
    for store in (RAW, *OURS, *PEERS):
        settings = ("default", exact, "matched") if store in PEERS else ("default",)
        for which in settings:
            found = store.setting(which)
            if (figure := answer.get(f"search.{found}")) is None:
                continue
            ef = int(exact) if which == exact else ef_search(answer, store, which)
            rows.append(
                [
                    store.name(document),
                    {"default": "as it comes", exact: "as pgrecall's", "matched": "equal recall"}[which],
                    f"{ef}",
                    number(answer.median(f"recall.{found}"), "recall"),
                    number(figure.median, "ms"),
                    _spread(figure),
                    ratio(figure.median / ours) if ours else NOTHING,
                ]
            )
    kinds = ("search.", "p95.", "qps.", "blocking.", "import")
    every = [figure for key, figure in answer.figures.items() if key.startswith(kinds)]
    said = (
        f"One query at a time, {answer.settings['queries']} queries, k={answer.settings['k']}; what comes back is the "
        "id, the text, the metadata and the distance, made into what the interface promises. Recall is the share of "
        "the exact nearest rows, computed with NumPy, that came back. Equal recall: the least `ef_search` of a ladder "
        "with which the peer finds as much as pgrecall does by default, less 0.002. The last column is the ratio of "
        "the medians to pgrecall's."
    )
    return [
        said,
        markdown.table(["store", "ef_search is", "", "recall", "p50", "repetitions", "relative"], rows, left=2),
        _folded("All figures, with throughput, tails and the import", markdown.figures(answer, every)),
    ]


def filters(document: Document, answer: Answer) -> list[str]:
    """Return what is found under filters, beside the peers."""
    size: int = answer.settings["sizes"][0]
    stores = [
        (store, prefix)
        for store, prefix in ((ENGINE, ""), *((peer, f"{peer.key}.") for peer in PEERS))
        if answer.starting(f"{prefix}recall.{size}.")
    ]
    header = ["filter", "passes"]
    for store, _ in stores:
        header += [f"{store.name(document)} recall", "p50 ms", "short"]
    rows: list[list[str]] = []
    for key, title in answer.settings["titles"].items():
        cells = [title, number(answer.median(f"matches.{size}.{key}"))]
        for _, prefix in stores:
            cells += [
                number(answer.median(f"{prefix}recall.{size}.{key}"), "recall"),
                _bare(answer.get(f"{prefix}p50.{size}.{key}")),
                number(answer.median(f"{prefix}short.{size}.{key}")),
            ]
        rows.append(cells)
    queries = answer.settings["queries"]
    said = (
        f"{size:,} rows in random order, with random attributes beside their own; {queries} queries for pgrecall, the "
        "first 100 of them for the peers, whose `ef_search` is pgrecall's own. *Short* counts the answers that have "
        "fewer rows than k although enough rows pass. pgrecall is told which keys will be filtered "
        "(`fields=`), and so is every peer that has a word for it. A dash: the peer's language has no such filter."
    )
    return [
        said,
        markdown.table(header, rows),
    ]


def growth(document: Document, answer: Answer) -> list[str]:
    """Return how each way to the rows grows, and which one was chosen where."""
    del document
    measured = answer.starting("growth.p50.")
    ways = sorted(dict.fromkeys(name.split(".")[0] for name in measured), key="planned".__eq__)
    lines = dict.fromkeys(tuple(name.split(".", 2)[1:]) for name in measured)
    rows: list[list[str]] = []
    for size, key in sorted(lines, key=lambda line: (list(answer.settings["titles"]).index(line[1]), int(line[0]))):
        cells = [answer.settings["titles"][key], f"{int(size):,}"]
        cells.append(number(answer.median(f"growth.matches.{size}.{key}")))
        for way in ways:
            name = f"{way}.{size}.{key}"
            time, recall = answer.get(f"growth.p50.{name}"), answer.median(f"growth.recall.{name}")
            cells.append(NOTHING if time is None else f"{_bare(time)} ({number(recall, 'recall')})")
        planned = answer.get(f"growth.p50.planned.{size}.{key}")
        cells.append(planned.note.partition(" ")[0] if planned is not None else NOTHING)
        rows.append(cells)
    said = (
        "Every way to the nearest rows is asked for by name (`SearchOptions`), then the planner is left to choose. "
        "Milliseconds, and recall in brackets; 50 queries, once, after two passes to warm up."
    )
    return [
        said,
        markdown.table(["filter", "rows", "passes", *ways, "chosen"], rows),
    ]


def words(document: Document, answer: Answer) -> list[str]:
    """Return how good answers are by embedding, by words and by both."""
    rows: list[list[str]] = []
    dense = answer.median("ndcg.dense")
    for key, figure in sorted(answer.starting("ndcg.").items(), key=lambda each: -each[1].median):
        relative = ratio(figure.median / dense) if dense else NOTHING
        what = figure.what.partition(", ")[2]
        time = number(answer.median(f"p50.{key}"), "ms")
        rows.append([f"**{what}**" if key == "hybrid" else what, number(figure.median, "recall"), relative, time])
    said = (
        f"{answer.settings['rows']:,} texts of {_corpus(answer)}, each question asked once after ten to warm up; nDCG@"
        f"{answer.settings['k']} over the questions that have answers. What is fused by hand has no time of its own, "
        "and the peers' answers are judged, not timed."
    )
    parts = [
        said,
        markdown.table(["", "nDCG", "of embedding alone", "p50"], rows),
    ]
    keyword = document.answered("keyword")
    if keyword is not None:
        said = (
            f"How long it takes over {keyword.settings['rows']:,} rows of {_corpus(keyword)}, in turn for each "
            "of 200 questions; the words of every question are new to the engine in each repetition:"
        )
        parts += [said, everything(keyword)]
    return parts


def frameworks(document: Document, answer: Answer) -> list[str]:
    """Return what the frameworks' interfaces cost, and how fast their own stores are fed."""
    said = (
        "The adapter and the engine search the same rows in turn, query by query. Documents and nodes are embedded "
        "already. The peers add the same ones through the same call of the framework, in an environment of their own; "
        "their tables are emptied before each repetition."
    )
    parts = [
        said,
        f"**LangChain**, {answer.settings['rows']:,} rows:",
        everything(answer),
    ]
    if (nodes := document.answered("llama_index")) is not None:
        parts += [
            f"**LlamaIndex**, {nodes.settings['rows']:,} rows:",
            everything(nodes),
        ]
    return parts


def sources(document: Document, answer: Answer) -> list[str]:
    """Return what taking in whole sources costs."""
    del document
    said = (
        f"`ingest()` writes a checkpoint in the transaction of every batch; {answer.settings['rows']:,} made-up "
        "rows, loaded by each way in turn."
    )
    return [
        said,
        everything(answer),
    ]


def tenants(document: Document, answer: Answer) -> list[str]:
    """Return what each layout takes with many tenants."""
    del document
    timed = ("inside", "first", "index", "across")
    rows: list[list[str]] = []
    for key in answer.starting("inside."):
        layout, count = key.split(".")
        cells = [layout, f"{int(count):,}"]
        for name in timed:
            cells.append(_bare(answer.get(f"{name}.{key}")))
            if (recall := answer.median(f"{name}_recall.{key}")) is not None:
                cells[-1] += f" ({number(recall, 'recall')})"
        rows.append([*cells, _bare(answer.get(f"drop.{key}")), _bare(answer.get(f"build.{key}"))])
    header = ["layout", "domains", "inside", "first", "by index", "across", "drop", "index, s"]
    other = [figure for key, figure in answer.figures.items() if key.startswith(("make.", "isolate", "locked"))]
    said = (
        f"{answer.settings['rows']:,} rows dealt out among the domains, in one table (*shared*), in HASH partitions, "
        "and in a partition for each domain (*list*). Milliseconds of one search, and recall in brackets: inside a "
        "domain as the planner chooses, the first time a handle asks there, by the vector index where that is asked "
        "for, and across all domains; then what it takes to drop a domain, and to build the index."
    )
    return [said, markdown.table(header, rows), *([markdown.figures(answer, other)] if other else [])]


def everything(answer: Answer) -> str:
    """Return all figures of a question, as they are."""
    return markdown.figures(answer, list(answer.figures.values()))


def _spread(figure: Figure) -> str:
    least, most = (number(value, figure.unit).removesuffix(f" {figure.unit}") for value in (figure.least, figure.most))
    return f"{least} to {most}"


def _bare(figure: Figure | None) -> str:
    """Return the median of a time, without its unit."""
    return number(figure.median, figure.unit).removesuffix(f" {figure.unit}") if figure is not None else NOTHING


def _corpus(answer: Answer) -> str:
    name = answer.settings["corpus"]
    return "a made-up collection" if name == "synthetic" else f"the collection `{name}`"


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>"


Section = Callable[[Document, Answer], Sequence[str]]
"""Makes the paragraphs of a section from an answer."""

SECTIONS: Final[Sequence[tuple[str, str, str, Section]]] = (
    ("Writing", "writing", "foundation", writing),
    ("Searching", "searching", "foundation", searching),
    ("Searching under filters", "filters", "filtered", filters),
    ("How it grows", "growth", "filtered", growth),
    ("Words and meaning", "hybrid", "quality", words),
    ("Frameworks", "", "langchain", frameworks),
    ("Many tenants", "tenants", "tenants", tenants),
    ("Whole sources", "", "pipeline", sources),
)
"""Heading of each section, its plot, the question that it is about, and what it says."""

SHOWN_WITH: Final = {"keyword": "quality", "llama_index": "langchain"}
"""Questions that are shown in the section of another."""
