"""How fast is searching by words, and by words and embedding together?

Questions of three words and of twelve, drawn from texts that are like those that are searched, next to the search
by embedding alone and to what PostgreSQL's own ranking takes.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import asyncpg

from benchmarks import corpus, report, server
from benchmarks.context import Context, as_batch
from benchmarks.figures import Findings, Target, percentile
from benchmarks.timing import Search, in_turn
from pgrecall import AsyncClient, AsyncCollection, CollectionConfig, KeywordOptions
from pgrecall.planner import lexemes

_ROWS: Final = 58_000
_LENGTHS: Final = (3, 12)
_QUESTIONS: Final = 200
_QUESTION: Final = KeywordOptions(syntax="plain")
_WORD: Final = re.compile(r"[A-Za-z]{3,}")
_SEED: Final = 20_260_103
_RANKED: Final = """
SELECT id, content, metadata FROM worded,
(SELECT replace(plainto_tsquery('english', $1)::text, '&', '|')::tsquery) AS asked(q)
WHERE domain_id = 'default' AND content_tsv @@ q ORDER BY ts_rank_cd(content_tsv, q) DESC LIMIT $2
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this question."""
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="rows to measure with; a small corpus is made up without it"
    )
    parser.add_argument("--rows", type=int, default=_ROWS, help=f"how many of them ({_ROWS:,})")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write everything as JSON")
    parser.add_argument("--url", help="a server to use instead of an embedded one; a database is made on it")
    parser.add_argument("--repeats", type=int, default=3, help="repetitions of each measurement (3)")


def main(options: argparse.Namespace) -> int:
    """Measure, and report."""
    rows = corpus.make(options.rows) if options.data is None else corpus.read(options.data, options.rows)
    findings = Findings()
    with server.database(options.url) as url:
        context = Context(url=url, corpus=rows, findings=findings, repeats=options.repeats)
        described = asyncio.run(server.describe(url))
        asyncio.run(_measure(context))
    described["settings"] = {"corpus": rows.name, "rows": len(rows), "dimensions": rows.dimensions, "k": context.k}
    print(f"\n{len(rows):,} rows of {rows.name}; {report.versions(described['versions'])}\n")
    print(report.table(findings))
    print(report.summary(findings))
    if options.out is not None:
        report.write(options.out, "keyword", findings, described)
    return 0


async def _measure(context: Context) -> None:
    config = CollectionConfig(name="worded", dimensions=context.corpus.dimensions, text_search="english")
    async with AsyncClient(context.url) as client:
        docs = await client.create_collection(config)
        await docs.upsert(as_batch(context.corpus))
        await docs.create_index()
        await context.execute("VACUUM ANALYZE worded", "CHECKPOINT")
        connection = await asyncpg.connect(context.url, server_settings={"jit": "off"})
        for length in _LENGTHS:
            print(f"measuring: questions of {length} words …", flush=True)
            await _compare(context, docs, connection, length)
        await connection.close()


async def _compare(context: Context, docs: AsyncCollection, connection: asyncpg.Connection, length: int) -> None:
    asked = questions(context.corpus, length, _QUESTIONS)
    vectors = [context.corpus.queries[n % len(context.corpus.queries)] for n in range(len(asked))]
    searches: Mapping[str, Search] = {
        "keyword": lambda n: docs.search_keyword(asked[n], context.k, options=_QUESTION),
        "dense": lambda n: docs.search(vectors[n], context.k),
        "hybrid": lambda n: docs.search_hybrid(asked[n], vectors[n], context.k),
        "ts_rank": lambda n: connection.fetch(_RANKED, asked[n], context.k),
    }
    # The words of each question are made lexemes of once; here every search is of a question that is new.
    passes: list[dict[str, list[float]]] = []
    await in_turn(searches, len(asked))  # warms up
    for _ in range(context.repeats):
        docs._handle.knowledge.lexemes.clear()  # noqa: SLF001
        passes.append(await in_turn(searches, len(asked)))
    both = [percentile(times["keyword"], 50) + percentile(times["dense"], 50) for times in passes]
    add = context.findings.add
    add(f"sum.{length}", f"{length} words: p50 of words and embedding, added up", "ms", both)
    titles = {"keyword": "by words", "dense": "by embedding", "hybrid": "hybrid", "ts_rank": "ts_rank_cd, any word"}
    for way, title in titles.items():
        for percent in (50, 95):
            add(
                f"p{percent}.{way}.{length}",
                f"{length} words: p{percent}, {title}",
                "ms",
                [percentile(times[way], percent) for times in passes],
                against=f"p{percent}.keyword.{length}" if way == "ts_rank" else None,
                targets=_targets(way, percent, length),
            )
    same = await _as_if_all_were_ranked(docs, asked, context.k)
    add(f"same.{length}", f"{length} words: of the best {context.k}, found without ranking every row", "", [same])


def _targets(way: str, percent: int, length: int) -> list[Target]:
    if way == "keyword":
        return [Target(bound=12 if percent == 50 else 40, at_least=False)]
    if way == "hybrid" and percent == 50:
        return [Target(bound=20, at_least=False), Target(bound=1, at_least=False, against=f"sum.{length}")]
    return []


async def _as_if_all_were_ranked(docs: AsyncCollection, asked: list[str], k: int) -> float:
    """Return the mean share of the score of the best k that is found, against ranking every row with any word."""
    found = [await docs.search_keyword(text, k, options=_QUESTION) for text in asked]
    effort = lexemes._EFFORT  # noqa: SLF001
    lexemes._EFFORT = 10**9  # pyright: ignore[reportAttributeAccessIssue] - without a bound  # noqa: SLF001
    try:
        every = [await docs.search_keyword(text, k, options=_QUESTION) for text in asked]
    finally:
        lexemes._EFFORT = effort  # pyright: ignore[reportAttributeAccessIssue]  # noqa: SLF001
    shares = [
        len({match.id for match in some} & {match.id for match in best}) / len(best)
        for some, best in zip(found, every, strict=True)
        if best
    ]
    return statistics.fmean(shares)


def questions(rows: corpus.Corpus, length: int, count: int) -> list[str]:
    """Return *count* questions of *length* words: three from anywhere in a text, or a stretch of one."""
    draw = random.Random(_SEED)
    found: list[str] = []
    while len(found) < count:
        words = _WORD.findall(draw.choice(rows.contents))
        if len(words) < length:
            continue
        if length <= min(_LENGTHS):
            found.append(" ".join(draw.sample(words, length)))
        else:
            start = draw.randrange(len(words) - length + 1)
            found.append(" ".join(words[start : start + length]))
    return found
