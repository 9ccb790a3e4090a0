"""What does LlamaIndex's interface cost over the engine, and how far ahead of its own PGVectorStore is it?

The search is timed query by query in turn with the engine's own, over the same rows; the store's makes nodes of
what it finds. Nodes are chunks that name their documents and neighbours, as `SentenceSplitter` makes them. They
are added here, and by llama-index-vector-stores-postgres in an environment of its own: into a table as it makes
it, and into one with the HNSW index that it makes before the first node comes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import asyncpg
from llama_index.core.vector_stores.types import VectorStoreQuery

from benchmarks import parts
from benchmarks.context import Context
from benchmarks.figures import Target, percentile
from benchmarks.peers import comparison, environment
from benchmarks.peers.nodes import chunks
from benchmarks.timing import in_turn
from pgrecall import AsyncClient, Client
from pgrecall.llama_index import PGRecallVectorStore

_ROWS = 20_000
_WARM_UP = 200
_PEER = "llama_index_postgres"
_SEARCHED = "searched_nodes"
_ADDED = "added_nodes"
_WAYS = {"plain": ("as it makes it", 5), "indexed": ("with its HNSW index made up front", 15)}
"""Tables of theirs: what they are, and how many times as fast adding should be here."""
_SIZE = "SELECT pg_table_size($1::regclass), pg_indexes_size($1::regclass)"
_COLUMNS = (
    "SELECT sum(pg_column_size(content) + pg_column_size(metadata) + COALESCE(pg_column_size(envelope), 0) "
    "+ COALESCE(pg_column_size(document_id), 0) + COALESCE(pg_column_size(chunk_index), 0)) "
    f"FROM {_ADDED}"
)
_THEIR_COLUMNS = "SELECT sum(pg_column_size(text) + pg_column_size(metadata_)) FROM data_peer_llama_plain"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this question."""
    parts.add_arguments(parser, PARTS, _ROWS)


def main(options: argparse.Namespace) -> int:
    """Measure, and report."""
    return parts.answer("llama_index", options, PARTS)


def _search(context: Context, _: argparse.Namespace) -> None:
    passes = asyncio.run(_timed_searches(context))
    for way, what in (("engine", "records"), ("llama_index", "nodes")):
        medians = [percentile(times[way], 50) for times in passes]
        against = "search.engine"
        targets = [Target(bound=1.4, at_least=False, against=against)] if way == "llama_index" else []
        context.findings.add(f"search.{way}", f"search p50, async, {what}: {way}", "ms", medians, targets=targets)


async def _timed_searches(context: Context) -> list[dict[str, list[float]]]:
    queries: list[list[float]] = context.corpus.queries.tolist()
    async with AsyncClient(context.url) as client:
        store = PGRecallVectorStore(_SEARCHED, client=client)
        await store.async_add(chunks(context.corpus, context.corpus.lists))
        docs = store.aclient
        await docs.create_index()
        await context.execute(f"VACUUM ANALYZE {_SEARCHED}", "CHECKPOINT")
        searches = {
            "engine": lambda p: docs.search(queries[p], context.k),
            "llama_index": lambda p: store.aquery(
                VectorStoreQuery(query_embedding=queries[p], similarity_top_k=context.k)
            ),
        }
        await in_turn(searches, len(queries))  # warms up
        return [await in_turn(searches, len(queries)) for _ in range(context.repeats)]


def _load(context: Context, options: argparse.Namespace) -> None:
    rates: list[float] = []
    _nodes_per_second(replace(context, corpus=context.corpus.part(0, _WARM_UP)))
    for _ in range(context.repeats):
        context.settle()
        rates.append(_nodes_per_second(context))
    answer = {} if options.no_peers else _peer(context, options)
    targets: list[Target] = []
    for way, (title, bound) in _WAYS.items():
        if way in answer.get("nodes", {}):
            what = f"add, llama-index-…-postgres {answer['version']}, {title}"
            context.findings.add(f"nodes.peer.{way}", what, "nodes/s", answer["nodes"][way], apart=True)
            targets.append(Target(bound=bound, at_least=True, against=f"nodes.peer.{way}"))
    title = f"add, {len(context.corpus):,} nodes in one call"
    context.findings.add("nodes.pgrecall", title, "nodes/s", rates, targets=targets)
    asyncio.run(_sizes(context, theirs="nodes" in answer))


def _peer(context: Context, options: argparse.Namespace) -> dict[str, Any]:
    """Return what the peer's process answers; what went wrong becomes a note."""
    try:
        python = environment.interpreter(options.peers_env)
    except RuntimeError as error:
        context.findings.notes.append(str(error))
        return {}
    with tempfile.TemporaryDirectory(prefix="pgrecall-peers-") as directory:
        answer = comparison.ask(python, _PEER, comparison.documents_job(Path(directory), context, "nodes"))
    if "error" in answer:
        context.findings.notes.append(f"llama-index-…-postgres could not be measured: {answer['error']}")
    return answer


def _nodes_per_second(context: Context) -> float:
    nodes = chunks(context.corpus, context.corpus.lists)
    with Client(context.url) as client:
        if _ADDED in client.list_collections():
            client.delete_collection(_ADDED)
        store = PGRecallVectorStore(_ADDED, client=client)
        start = time.perf_counter()
        store.add(nodes)
        return len(nodes) / (time.perf_counter() - start)


async def _sizes(context: Context, *, theirs: bool) -> None:
    """Report what a node takes on disk, of which text, metadata and the node itself, without the embedding."""
    nodes = chunks(context.corpus, context.corpus.lists)
    own = sum(len(node.get_content().encode()) + len(_json(node.metadata)) for node in nodes)
    tables = {"pgrecall": (_ADDED, _COLUMNS), "peer": ("data_peer_llama_plain", _THEIR_COLUMNS)}
    add, count = context.findings.add, len(nodes)
    add("bytes.own", "bytes a node: text and metadata as the user has them", "B", [own / count])
    await context.execute(*(f"VACUUM {table}" for name, (table, _) in tables.items() if theirs or name == "pgrecall"))
    connection = await asyncpg.connect(context.url)
    try:
        for name, (table, statement) in tables.items():
            if name == "peer" and not theirs:
                continue
            columns = await connection.fetchval(statement)
            whole, indexes = await connection.fetchrow(_SIZE, table)
            what = f"bytes a node, {name}: all columns but the embedding"
            add(f"bytes.columns.{name}", what, "B", [columns / count], against="bytes.own")
            add(f"bytes.table.{name}", f"bytes a node, {name}: the table", "B", [whole / count])
            add(f"bytes.indexes.{name}", f"bytes a node, {name}: its indexes", "B", [indexes / count])
    finally:
        await connection.close()


def _json(metadata: dict[str, Any]) -> bytes:
    return json.dumps(metadata, ensure_ascii=False, separators=(",", ":")).encode()


PARTS: Final[parts.Parts] = {"search": _search, "load": _load}
