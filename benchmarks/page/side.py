"""The table of all stores side by side, and the sentence about what it was measured with; README.md shows both."""

from __future__ import annotations

from benchmarks.page import markdown
from benchmarks.page.document import Answer, Document
from benchmarks.page.markdown import NOTHING, number
from benchmarks.page.stores import ALL, ENGINE, PEERS, Store


def setting(document: Document) -> str:
    """Return a sentence about what was measured on what."""
    answer = document.answered("foundation")
    rows = ""
    if answer is not None:
        found, hnsw = answer.settings, answer.settings["hnsw"]
        rows = (
            f"{found['rows']:,} {'made-up rows' if found['corpus'] == 'synthetic' else 'real chunks of text'} of "
            f"{found['dimensions']} dimensions, HNSW (m={hnsw['m']}, ef_construction={hnsw['ef_construction']}), "
            f"k={found['k']}, one client, "
        )
    versions = document.versions
    return (
        f"{rows}{document.machine['cores']} cores, PostgreSQL {versions['postgresql']} with pgvector "
        f"{versions['pgvector']}, all in one run of `{document.command}` on {document.started[:10]}"
    )


def overview(document: Document) -> str:
    """Return the table of all stores side by side, which README.md shows too; empty where nothing is there."""
    answer = document.answered("foundation")
    if answer is None:
        return ""
    header = [
        "",
        "loaded rows/s",
        "changed rows/s",
        "search p50 as it comes",
        "recall@10",
        "search p50 at equal recall",
        "recall@10",
    ]
    return markdown.table(header, [_side(document, answer, store) for store in ALL if answer.get(store.load)])


def _side(document: Document, answer: Answer, store: Store) -> list[str]:
    name = store.name(document)
    changed = number(answer.median(store.upsert))
    if store in PEERS and answer.get(store.upsert) is None:
        changed = "has no upsert"
    cells = [f"**{name}**" if store is ENGINE else name, number(answer.median(store.load)), changed]
    for which in ("default", "matched"):
        found = store.setting(which)
        time = answer.get(f"search.{found}")
        if time is None:
            cells += ["never reached" if which == "matched" and store in PEERS else NOTHING, NOTHING]
            continue
        ef = ef_search(answer, store, which)
        cells += [f"{number(time.median, 'ms')} (ef_search {ef})", number(answer.median(f"recall.{found}"), "recall")]
    return cells


def ef_search(answer: Answer, store: Store, which: str) -> int:
    """Return the ``ef_search`` of a store with a setting; see `Store.setting`."""
    if store not in PEERS:
        return answer.settings["hnsw"]["ef_search"]
    return 40 if which == "default" else int(answer.median(f"ef_search.{store.key}.matched") or 0)
