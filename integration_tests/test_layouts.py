"""Tables with partitions: made, written, indexed, searched, read back and dropped."""

import asyncio
from dataclasses import replace

import pytest

from integration_tests.oracle import Corpus
from integration_tests.test_explain import MODES, explained
from pgrecall import HNSW, CollectionConfig, HashPartitions, IVFFlat, SearchOptions
from pgrecall.errors import CollectionNotFound, ConfigError, SchemaError
from pgrecall.plan import Access

DOMAINS = [f"tenant {number}" for number in range(6)]
CONFIG = CollectionConfig(name="docs", dimensions=16, layout=HashPartitions(count=4))
SMALL = HNSW(m=8, ef_construction=32)
RELATIONS = (
    "SELECT c.relname, c.relkind::text, coalesce(c.reloptions, '{}') AS options FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')"
)
LOOSE = (
    "SELECT x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam "
    "WHERE m.amname = 'hnsw' AND x.relkind = 'i' AND (NOT i.indisvalid OR NOT x.relispartition)"
)


@pytest.fixture
def corpus():
    return Corpus(rows=1_200)


@pytest.fixture
async def docs(client, corpus):
    made = await client.get_or_create_collection(CONFIG)
    for domain in DOMAINS:
        await made.domain(domain).upsert(corpus.batch())
    return made


def partitions_read(found):
    """Return the tables that were looked into; a generic plan names more, and leaves them out when it runs."""
    return {node["Relation Name"] for node in found.nodes if "Relation Name" in node and node["Actual Loops"]}


async def test_hash_partitions_hold_the_rows_and_are_read_back(client, connection, docs, corpus):
    relations = await connection.fetch(RELATIONS)
    assert [row["relname"] for row in relations if row["relkind"] == "p"] == ["docs"]
    parts = [row for row in relations if row["relkind"] == "r"]
    assert len(parts) == 4
    assert all("toast_tuple_target=8160" in row["options"] for row in parts)
    with pytest.raises(SchemaError, match="HashPartitions"):
        await client.get_or_create_collection(replace(CONFIG, layout=HashPartitions(count=8)))
    await client.create_collection(CollectionConfig(name="plain", dimensions=16))
    with pytest.raises(SchemaError, match="copy_to"):
        await client.get_or_create_collection(replace(CONFIG, name="plain"))

    tenant = docs.domain(DOMAINS[0])
    assert (await tenant.upsert(corpus.batch())).unchanged == 1_200
    assert await tenant.delete(corpus.ids[:200]) == 200
    assert await tenant.count() == 1_000
    assert await docs.all_domains().count() == 7_000
    stats = await docs.stats()
    assert stats.table_bytes > 100_000
    await docs.maintain()


async def test_a_table_with_partitions_can_be_renamed_and_its_name_be_taken(client, connection, docs):
    await client.rename_collection("docs", "old")
    await client.get_or_create_collection(CONFIG)
    assert await client.collection("old").all_domains().count() == 7_200
    await client.delete_collection("old")
    await client.delete_collection("docs")
    assert await connection.fetch(RELATIONS) == []
    with pytest.raises(CollectionNotFound):
        await client.get_collection("docs")


async def test_a_search_in_one_domain_reads_one_partition(docs, connection, corpus):
    await docs.create_index(SMALL)
    vector_indexes = {
        row[0] for row in await connection.fetch("SELECT indexname FROM pg_indexes WHERE indexdef ~ 'hnsw'")
    }
    query = corpus.query()
    for domain in DOMAINS[:3]:
        tenant, read = docs.domain(domain), set()
        for access in (Access.EXACT, Access.INDEX, Access.ITERATIVE):
            for mode in MODES:
                found = await explained(tenant, query, mode=mode, access=access, analyze=True)
                read |= partitions_read(found)
                if access is not Access.EXACT:
                    (index,) = found.indexes
                    assert index in vector_indexes
            for filter, keep in ((None, None), ({"half": 1}, lambda m: m["half"] == 1)):
                options = SearchOptions(access=access)
                matches = await tenant.search(query, 20, filter=filter, options=options)
                corpus.check(matches, query, 20, keep=keep, recall=0.7)
        assert len(read) == 1
    everywhere = await docs.all_domains().search(query, 60)
    # Every domain has the same embeddings, so the nearest are there once for each.
    assert len(everywhere) == 60
    best = await docs.domain(DOMAINS[0]).search(query, 10, options=SearchOptions(exact=True))
    exactly = await docs.all_domains().search(query, 60, options=SearchOptions(exact=True))
    assert sorted(match.id for match in exactly) == sorted([match.id for match in best] * 6)


async def test_an_index_is_built_in_every_partition_replaced_and_dropped(docs, connection, corpus):
    built = await docs.create_index(SMALL)
    assert built.valid
    assert built.size > 0
    assert await docs.create_index(SMALL) == built
    assert await connection.fetch(LOOSE) == []
    with pytest.raises(SchemaError, match="replace=True"):
        await docs.create_index(HNSW())
    other = await docs.create_index(HNSW(), replace=True)
    assert other.name != built.name
    assert dict(other.options)["m"] == "16"
    assert len(await connection.fetch("SELECT FROM pg_indexes WHERE indexdef LIKE '%USING hnsw%'")) == 5
    with pytest.raises(ConfigError, match="HNSW"):
        await docs.create_index(IVFFlat(), replace=True)
    assert await docs.drop_index() == (other.name,)
    assert await connection.fetch("SELECT FROM pg_indexes WHERE indexdef LIKE '%USING hnsw%'") == []


async def test_a_build_that_was_interrupted_is_taken_up_again(docs, connection):
    parts = sorted(row["relname"] for row in await connection.fetch(RELATIONS) if row["relkind"] == "r")
    made = "CREATE INDEX {} ON {} USING hnsw (embedding vector_cosine_ops) WITH (m = {}, ef_construction = 32)"
    await connection.execute(made.format("kept", parts[0], 8))
    await connection.execute(made.format("other", parts[1], 4))
    await connection.execute(made.format("dead", parts[2], 8))
    await connection.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'dead'::regclass")
    await docs.create_index(SMALL)
    names = {row[0] for row in await connection.fetch("SELECT indexname FROM pg_indexes WHERE indexdef ~ 'hnsw'")}
    assert "kept" in names
    assert not names & {"other", "dead"}
    assert await connection.fetch(LOOSE) == []


async def test_rows_are_copied_in_found_by_words_and_indexed_by_themselves(client, corpus):
    plain = await client.get_or_create_collection(CollectionConfig(name="plain", dimensions=16))
    await plain.domain("a").upsert(corpus.batch())
    config = replace(CONFIG, name="parts", index="auto", min_rows_for_index=1_000, text_search="english")
    parts = await client.create_collection(config)
    await plain.domain("a").copy_to(parts.domain("a"))
    assert [match.id for match in await parts.domain("a").search_keyword("r00007", 3)] == ["r00007"]
    await parts.domain("b").upsert(corpus.batch())
    index = await parts.wait_for_index(60)
    assert index is not None
    assert index.valid
    corpus.check(await parts.domain("a").search(corpus.query(), 30), corpus.query(), 30, recall=0.7)


async def test_rows_are_written_while_the_index_is_built(docs, corpus):
    tenant = docs.domain("new")

    async def write():
        for first in range(0, 1_200, 100):
            await tenant.upsert(corpus.batch().slice(first, first + 100))

    await asyncio.gather(docs.create_index(SMALL), write())
    corpus.check(await tenant.search(corpus.query(), 30), corpus.query(), 30, recall=0.7)


def test_layouts_that_cannot_be_are_refused():
    for count in (1, 1_001, True, "4"):
        with pytest.raises(ConfigError, match="count"):
            HashPartitions(count=count)
    for settings in (
        {"fields": {"$content": str}},
        {"index": IVFFlat()},
        {"columns": replace(CONFIG.columns, domain_id=None)},
    ):
        with pytest.raises(ConfigError, match="partition"):
            replace(CONFIG, **settings)
    with pytest.raises(ConfigError, match="layout"):
        replace(CONFIG, layout="hash")
