"""Domains with partitions of their own: made ahead, searched, renamed, dropped, and kept apart."""

import asyncio
from dataclasses import replace

import pytest

from integration_tests.oracle import Corpus
from integration_tests.test_explain import MODES, explained
from integration_tests.test_layouts import LOOSE, RELATIONS, partitions_read
from pgrecall import HNSW, AsyncClient, CollectionConfig, HashPartitions, ListPartitions, SearchOptions
from pgrecall.errors import ConfigError, PermissionDenied, SchemaError
from pgrecall.plan import Access

CONFIG = CollectionConfig(name="docs", dimensions=16, layout=ListPartitions())
SMALL = HNSW(m=8, ef_construction=32)
HOSTILE = "it's \\ \"x\") OR ('"
BOUNDS = (
    "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bound, c.oid::int FROM pg_inherits h "
    "JOIN pg_class c ON c.oid = h.inhrelid WHERE h.inhparent = 'docs'::regclass ORDER BY c.oid"
)


async def test_a_domain_made_ahead_has_its_own_partition_and_index(client, connection, oracle=None):
    docs = await client.get_or_create_collection(CONFIG)
    corpus = Corpus(rows=2_500)
    await docs.create_index(SMALL)
    own = await docs.create_domain("own")
    assert str(own.scope) == str(docs.domain("own").scope)
    await own.upsert(corpus.batch())
    await docs.domain(HOSTILE).upsert(corpus.batch())
    print(await connection.fetch(BOUNDS))
    await connection.execute("ANALYZE docs")
    print(await own.explain(corpus.query()))
    print(await docs.domain(HOSTILE).explain(corpus.query()))
    corpus.check(await own.search(corpus.query(), 30), corpus.query(), 30, recall=0.7)
    report = await docs.isolate_domain(HOSTILE, on_progress=print)
    print(report)
    print(await connection.fetch(BOUNDS))
    assert await docs.domain(HOSTILE).count() == 2_500
    assert await docs.all_domains().count() == 5_000
    assert await connection.fetch(LOOSE) == []
    print([i for i in await docs.all_domains().describe_domains()])
    assert await docs.domain(HOSTILE).rename_domain("b") == 2_500
    assert await docs.domain("b").delete_domain() == 2_500
    assert await own.delete_domain() == 2_500
    print(await connection.fetch(BOUNDS))
    print(await connection.fetch(RELATIONS))
