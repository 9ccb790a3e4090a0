"""Do words make answers better, and does fusing them with embeddings?

A test collection whose questions have known answers is searched by embedding, by words, and by both; beside
it what PostgreSQL's own ranking gives, and the hybrid search of the peers, each in its own words.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import asyncpg
import numpy as np

from benchmarks import judged, report, server
from benchmarks.context import Context, as_batch
from benchmarks.figures import Target, percentile
from benchmarks.judged import Judged
from benchmarks.peers import comparison, environment
from benchmarks.timing import one_pass
from pgrecall import (
    AsyncClient,
    AsyncCollection,
    CollectionConfig,
    Convex,
    HybridOptions,
    KeywordOptions,
    Match,
    ReciprocalRank,
    Union,
)

_K: Final = 10
_LEG: Final = 100
_LANGUAGE: Final = "english"
_QUESTION: Final = KeywordOptions(syntax="plain")
_HYBRIDS: Final[Mapping[str, tuple[str, HybridOptions]]] = {
    "hybrid": ("hybrid, by default", HybridOptions()),
    "hybrid.half": ("hybrid, alpha 0.5", HybridOptions(fusion=Convex(alpha=0.5))),
    "hybrid.rrf": ("hybrid, reciprocal ranks", HybridOptions(fusion=ReciprocalRank())),
    "hybrid.rrf.dense": (
        "hybrid, reciprocal ranks, words 1/4",
        HybridOptions(fusion=ReciprocalRank(weights={"keyword": 0.25})),
    ),
    "hybrid.union": ("hybrid, union", HybridOptions(fusion=Union())),
}
_PEERS: Final = {"langchain_postgres": "langchain-postgres", "llama_index_postgres": "llama-index-…-postgres"}
_RANKED: Final = """
SELECT id FROM quality, (SELECT replace(plainto_tsquery('english', $1)::text, '&', '|')::tsquery) AS asked(q)
WHERE content_tsv @@ q ORDER BY ts_rank_cd(content_tsv, q) DESC, id LIMIT $2
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this question."""
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="test collection to measure with; a small one is made up without it"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write everything as JSON")
    parser.add_argument("--url", help="a server to use instead of an embedded one; a database is made on it")
    environment.add_arguments(parser)


def main(options: argparse.Namespace) -> int:
    """Measure, and report."""
    collection = judged.make() if options.data is None else judged.read(options.data)
    with server.database(options.url) as url:
        context = Context(url=url, corpus=collection.corpus, k=_K)
        described = asyncio.run(server.describe(url))
        asyncio.run(_ours(context, collection))
        if not options.no_peers:
            _theirs(context, collection, options)
    findings = context.findings
    described["settings"] = {"corpus": collection.corpus.name, "rows": len(collection.corpus), "k": _K}
    asked = sum(map(bool, collection.relevant))
    print(f"\n{len(collection.corpus):,} texts and {asked} questions of {collection.corpus.name}")
    print(f"{report.versions(described['versions'])}\n")
    print(report.table(findings))
    print(report.summary(findings))
    if options.out is not None:
        report.write(options.out, "quality", findings, described)
    return 0


async def _ours(context: Context, collection: Judged) -> None:
    config = CollectionConfig(name="quality", dimensions=collection.corpus.dimensions, text_search=_LANGUAGE)
    async with AsyncClient(context.url) as client:
        docs = await client.create_collection(config)
        await docs.upsert(as_batch(collection.corpus))
        await context.execute("VACUUM ANALYZE quality")
        dense = await _asked(context, collection, "dense", "embedding alone", lambda _, e: docs.search(e, _K))
        await _asked(
            context,
            collection,
            "keyword",
            "words alone, BM25",
            lambda text, _: docs.search_keyword(text, _K, options=_QUESTION),
            targets=[Target(bound=1.5, at_least=True, against="ndcg.ts_rank")],
        )
        await _asked(
            context, collection, "keyword.web", "words alone, with syntax", lambda t, _: docs.search_keyword(t, _K)
        )
        for key, (title, options) in _HYBRIDS.items():
            better = [Target(bound=1.0, at_least=True, against="ndcg.dense")] if key == "hybrid" else []
            await _asked(context, collection, key, title, _hybrid(docs, options), targets=better)
    await _by_hand(context, collection, dense)


def _hybrid(docs: AsyncCollection, options: HybridOptions) -> Callable[[str, np.ndarray], Awaitable[Sequence[Match]]]:
    return lambda text, embedding: docs.search_hybrid(text, embedding, _K, options=options)


async def _asked(
    context: Context,
    collection: Judged,
    key: str,
    title: str,
    search: Callable[[str, np.ndarray], Awaitable[Sequence[Match]]],
    *,
    targets: Sequence[Target] = (),
) -> list[list[str]]:
    """Ask every question, and note how good the answers are and how long they take."""
    pairs = list(zip(collection.questions, collection.corpus.queries, strict=True))
    for text, embedding in pairs[:10]:
        await search(text, embedding)  # warms up
    found: list[list[str]] = []

    async def ask(position: int) -> None:
        found.append([match.id for match in await search(*pairs[position])])

    times = await one_pass(ask, len(pairs))
    add = context.findings.add
    add(
        f"ndcg.{key}",
        f"nDCG@{_K}, {title}",
        "",
        [statistics.fmean(collection.ndcg(found, _K))],
        against="ndcg.dense" if key != "dense" else None,
        targets=targets,
    )
    add(f"p50.{key}", f"p50, {title}", "ms", [percentile(times, 50)])
    return found


async def _by_hand(context: Context, collection: Judged, dense: list[list[str]]) -> None:
    """Rank by PostgreSQL's own function, and fuse that with the embeddings, as is usually done."""
    connection = await asyncpg.connect(context.url)
    ranked = [[row[0] for row in await connection.fetch(_RANKED, text, _LEG)] for text in collection.questions]
    await connection.close()
    add = context.findings.add
    quality = statistics.fmean(collection.ndcg(ranked, _K))
    add("ndcg.ts_rank", f"nDCG@{_K}, ts_rank_cd, any word", "", [quality], against="ndcg.dense")
    similar = collection.corpus.queries @ collection.corpus.vectors.T
    near = [[collection.corpus.ids[n] for n in np.argsort(-row, kind="stable")[:_LEG]] for row in similar]
    fused = [_reciprocal([a, b]) for a, b in zip(near, ranked, strict=True)]
    quality = statistics.fmean(collection.ndcg(fused, _K))
    add(
        "ndcg.rrf.ts_rank",
        f"nDCG@{_K}, reciprocal ranks of embedding and ts_rank_cd",
        "",
        [quality],
        against="ndcg.dense",
    )
    exact = [ids[:_K] for ids in near]
    same = statistics.fmean(len(set(a) & set(b)) / _K for a, b in zip(exact, dense, strict=True))
    context.findings.notes.append(f"the engine's search by embedding gives {same:.1%} of the exact ten nearest")


def _reciprocal(rankings: Sequence[Sequence[str]]) -> list[str]:
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, row_id in enumerate(ranking, start=1):
            scores[row_id] = scores.get(row_id, 0.0) + 1 / (60 + rank)
    return sorted(scores, key=lambda row_id: -scores[row_id])


def _theirs(context: Context, collection: Judged, options: argparse.Namespace) -> None:
    try:
        python = environment.interpreter(options.peers_env)
    except RuntimeError as error:
        context.findings.notes.append(str(error))
        return
    for peer, title in _PEERS.items():
        with tempfile.TemporaryDirectory(prefix="pgrecall-peers-") as directory:
            job = comparison.documents_job(Path(directory), context)
            np.save(Path(directory) / "queries.npy", collection.corpus.queries)
            (Path(directory) / "questions.json").write_text(json.dumps(collection.questions))
            answer = comparison.ask(python, peer, {"k": _K, "questions": True, **_without(job, "documents")})
        if "error" in answer:
            context.findings.notes.append(f"{title} could not be measured: {answer['error']}")
            continue
        for setting, found in answer["hybrid"].items():
            quality = statistics.fmean(collection.ndcg(found, _K))
            what = f"nDCG@{_K}, hybrid of {title} {answer['version']}, {setting}"
            context.findings.add(f"ndcg.{peer}.{setting}", what, "", [quality], against="ndcg.dense")
            ours = context.findings.figures["ndcg.hybrid"]
            better = Target(bound=1.0, at_least=True, against=f"ndcg.{peer}.{setting}")
            context.findings.add(
                ours.key, ours.what, ours.unit, ours.values, against=ours.against, targets=[*ours.targets, better]
            )


def _without(job: dict[str, object], key: str) -> dict[str, object]:
    return {name: value for name, value in job.items() if name != key}
