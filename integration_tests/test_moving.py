"""Moving in from tables that are made here as their libraries make them: complete, checked, gone on with, set aside."""

import json
import uuid
from datetime import UTC, datetime

import numpy as np
import pytest

from pgrecall import AsyncClient, CollectionConfig, Distance, Record, VectorType, moving
from pgrecall.errors import CollectionNotFound, ConfigError, DimensionMismatch, SchemaError, TooManyFailures
from pgrecall.moving import (
    Dataknobs,
    LangchainPostgres,
    LlamaIndexPostgres,
    MoveOptions,
    Place,
    TheirCollection,
    Vecs,
)

COUNT = 30
UUIDS = [str(uuid.UUID(int=n + 1)) for n in range(COUNT)]
V1 = """
CREATE TABLE langchain_pg_collection (uuid UUID NOT NULL, name VARCHAR NOT NULL, cmetadata JSON, PRIMARY KEY (uuid), UNIQUE (name));
CREATE TABLE langchain_pg_embedding (id VARCHAR NOT NULL, collection_id UUID, embedding VECTOR, document VARCHAR, cmetadata JSONB,
  PRIMARY KEY (id), FOREIGN KEY (collection_id) REFERENCES langchain_pg_collection (uuid) ON DELETE CASCADE);
"""
V2 = """
CREATE TABLE manuals (langchain_id UUID PRIMARY KEY, content TEXT NOT NULL, embedding halfvec(3) NOT NULL, year INTEGER,
  langchain_metadata JSON);
CREATE INDEX ON manuals USING hnsw (embedding halfvec_l2_ops);
"""
LLAMA = """
CREATE TABLE data_nodes (id BIGSERIAL NOT NULL, text VARCHAR NOT NULL, metadata_ JSON, node_id VARCHAR, embedding VECTOR(3),
  PRIMARY KEY (id));
"""
VECS = """
CREATE SCHEMA vecs;
CREATE TABLE vecs.docs (id VARCHAR NOT NULL PRIMARY KEY, vec vector(3) NOT NULL, metadata JSONB DEFAULT '{}'::jsonb NOT NULL);
"""
KNOBS = """
CREATE SCHEMA edubot;
CREATE TABLE edubot.knowledge_embeddings (
  id UUID PRIMARY KEY, domain_id VARCHAR(100), document_id VARCHAR(255), chunk_index INTEGER, content TEXT,
  embedding vector(3), metadata JSONB DEFAULT '{}', created_at TIMESTAMP DEFAULT NOW());
"""


def vector(n):
    return f"[{n + 1},1,{n / 8}]"


def embedding(n):
    return [n + 1.0, 1.0, n / 8]


def text(n):
    return f"text {n}"


def literal(value):
    return "'" + str(value).replace("'", "''") + "'"


def insert(database, table, rows):
    values = ", ".join(
        "(" + ", ".join("NULL" if value is None else literal(value) for value in row) + ")" for row in rows
    )
    database.execute(f"INSERT INTO {table} VALUES {values}")


def metadata(n):
    return {"n": n, "source": f"d{n // 10}.md", "chunk_index": n % 10, "tags": ["it's", n]}


def langchain_v1(database):
    database.execute(V1)
    insert(database, "langchain_pg_collection", [(uuid.UUID(int=1), "one", "null"), (uuid.UUID(int=2), "two", "null")])
    insert(
        database,
        "langchain_pg_embedding",
        [
            (f"id{n:02}", uuid.UUID(int=n % 3 // 2 + 1), vector(n), text(n), json.dumps(metadata(n)))
            for n in range(COUNT)
        ],
    )
    return LangchainPostgres(sought=TheirCollection(name="*"))


def langchain_v2(database):
    database.execute(V2)
    insert(
        database,
        "manuals",
        [(UUIDS[n], text(n), vector(n), 2000 + n if n % 2 else None, json.dumps(metadata(n))) for n in range(COUNT)],
    )
    return LangchainPostgres(sought=TheirCollection(name="manuals"))


def llama_index(database):
    database.execute(LLAMA)

    def row(n, node_id=None):
        node = {
            "id_": node_id or f"node{n}",
            "embedding": None,
            "metadata": metadata(n),
            "excluded_embed_metadata_keys": ["n"],
            "relationships": {"1": {"node_id": f"doc{n // 10}", "node_type": "4", "metadata": {}, "hash": "h"}},
            "text": "",
            "class_name": "TextNode",
        }
        kept = {**metadata(n), "_node_content": json.dumps(node), "_node_type": "TextNode", "ref_doc_id": "d"}
        return (n + 1, text(n), json.dumps(kept), node_id or f"node{n}", vector(n))

    # The first was added again at the end: the newest counts.
    insert(database, "data_nodes", [*(row(n) for n in range(COUNT - 1)), row(COUNT - 1, "node0")])
    return LlamaIndexPostgres(name="nodes")


def vecs(database):
    database.execute(VECS)
    insert(
        database,
        "vecs.docs",
        [(f"id{n}", vector(n), json.dumps({**metadata(n), "text": text(n)})) for n in range(COUNT)],
    )
    return Vecs(name="docs", content_key="text")


def dataknobs(database):
    database.execute(KNOBS)
    domains = ["a", None, "b's"]
    insert(
        database,
        "edubot.knowledge_embeddings (id, domain_id, document_id, chunk_index, content, embedding, metadata)",
        [
            (UUIDS[n], domains[n % 3], f"d{n // 10}", n, text(n), vector(n), json.dumps(metadata(n)))
            for n in range(COUNT)
        ],
    )
    return Dataknobs()


KINDS = [langchain_v1, langchain_v2, llama_index, vecs, dataknobs]


async def stored(docs):
    """Return all that is stored, by domain and id."""
    return {
        (record.domain_id, record.id): record
        for record in (await docs.all_domains().list(limit=1_000, include=["embedding", "envelope"])).records
    }


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
async def test_source_is_moved_as_it_is_gone_on_with_and_verified(make, database, client):
    source = make(database)
    plan = await moving.aplan(source, client, "docs")
    assert (plan.count, plan.exists, plan.collection.dimensions) == (COUNT, False, 3)
    assert len(plan.examples) == 3
    assert await client.list_collections() == []
    assert database.ask("SELECT to_regclass('pgrecall_runs')") is None

    seen = []

    def kill(progress):
        seen.append(progress)
        if progress.done >= 13:
            raise KeyError("killed")

    options = MoveOptions(write_batch=3)
    with pytest.raises(KeyError, match="killed"):
        await moving.amigrate(source, client, "docs", options=options, progress=kill)
    docs = client.collection("docs")
    before = await stored(docs)
    assert 13 <= len(before) < COUNT

    seen.clear()
    report = await moving.amigrate(source, client, "docs", options=options, progress=seen.append)
    resumed = sum(part.report.resumed_at for part in report.parts)
    assert resumed == len(before)
    assert sum(part.report.read for part in report.parts) == COUNT - resumed
    assert report.ok
    check = report.verification
    assert (check.read, check.set_aside, check.differing, check.changed) == (COUNT, 0, {}, 0)
    assert check.sampled == COUNT
    assert [one.phase for one in seen][-1] == "done"
    assert {one.phase for one in seen} == {"moving", "verifying", "done"}
    assert [one.done for one in seen if one.phase == "verifying"][-1] == COUNT
    after = await stored(docs)
    assert len(after) == COUNT - check.superseded
    by_text = {record.content: record for record in after.values()}
    for n in range(1, COUNT - 1):
        found = by_text[text(n)]
        assert found.embedding.tolist() == embedding(n)
        assert found.metadata["tags"] == ["it's", n]
        assert found.chunk_index == (n if make is dataknobs else n % 10)

    again = await moving.amigrate(source, client, "docs")
    assert again.ok
    assert (again.written, sum(part.report.read for part in again.parts)) == (0, COUNT)


async def test_each_kind_says_what_becomes_of_its_columns(database, client):
    fields = {}
    for make in KINDS:
        plan = await moving.aplan(make(database), client, "docs")
        fields[make] = {one.theirs: one.ours for one in plan.fields}
        print(plan)
        if make is langchain_v2:
            assert (plan.collection.vector_type, plan.collection.distance) == (VectorType.HALFVEC, Distance.L2)
            assert "year (integer) -> metadata.year" in str(plan)
        else:
            assert plan.collection.new_vector_type is VectorType.VECTOR
        if make is dataknobs:
            assert {part.theirs: (part.domain, part.count) for part in plan.parts} == {
                "domain a": ("a", 10),
                "domain b's": ("b's", 10),
                "no domain": ("default", 10),
            }
            assert plan.notes == ("created_at is a time without a zone, and is left out",)
            assert "created_at (timestamp without time zone) -> left out" in str(plan)
    assert fields[langchain_v1]["collection_id"] == "domain_id"
    assert fields[langchain_v2] == {
        "langchain_id": "id",
        "content": "content",
        "embedding": "embedding",
        "year": "metadata.year",
        "langchain_metadata": "metadata",
        "source": "document_id",
        "document_id": "document_id",
        "chunk_index": "chunk_index",
    }
    assert (fields[llama_index]["id"], fields[llama_index]["node_id"]) == (None, "id")
    assert (fields[vecs]["vec"], fields[vecs]["text"]) == ("embedding", "content")
    assert fields[dataknobs]["domain_id"] == "domain_id"


async def test_collections_become_domains_of_any_name(database, client):
    source = langchain_v1(database)
    await moving.amigrate(source, client, "docs", options=MoveOptions(domains={"one": "first"}))
    assert (await client.collection("docs").all_domains().stats()).domains == {"first": 20, "two": 10}
    with pytest.raises(ConfigError, match="has several domains"):
        await moving.amigrate(source, client, "other", options=MoveOptions(domain="all"))
    single = LangchainPostgres(sought=TheirCollection(name="two"))
    await moving.amigrate(single, client, "other", options=MoveOptions(domain="all"))
    assert (await client.collection("other").all_domains().stats()).domains == {"all": 10}
    only = await moving.aplan(Dataknobs(domains=["a", None]), client, "x") if dataknobs(database) else None
    assert [(part.domain, part.count) for part in only.parts] == [("a", 10), ("default", 10)]


async def test_source_in_another_database(database, server, client):
    from integration_tests.conftest import TEMPLATE, Database

    elsewhere = Database(server, TEMPLATE)
    try:
        vecs(elsewhere)
        with pytest.raises(CollectionNotFound):
            await moving.aplan(Vecs(name="docs"), client, "docs")
        source = Vecs(name="docs", place=Place(url=elsewhere.url))
        assert elsewhere.url not in repr(source)
        report = await moving.amigrate(source, client, "docs")
        assert (report.written, report.ok) == (COUNT, True)
        async with AsyncClient(elsewhere.url) as open_already:
            again = await moving.amigrate(Vecs(name="docs", place=Place(client=open_already)), client, "docs")
        assert (again.written, again.ok) == (0, True)
        assert elsewhere.rows("SELECT tablename FROM pg_tables WHERE tablename LIKE 'pgrecall%'") == []
    finally:
        elsewhere.drop()


async def test_what_cannot_be_stored_is_set_aside_and_explained(database, client):
    source = langchain_v1(database)
    database.execute("UPDATE langchain_pg_embedding SET embedding = NULL WHERE id = 'id03'")
    database.execute("UPDATE langchain_pg_embedding SET embedding = '[0,0,0]' WHERE id = 'id04'")
    database.execute("UPDATE langchain_pg_embedding SET embedding = '[1,2]' WHERE id = 'id06'")
    report = await moving.amigrate(source, client, "docs", options=MoveOptions(write_batch=5))
    failed = {failure.id: failure.reason for part in report.parts for failure in part.report.failed}
    assert failed.keys() == {"id03", "id04", "id06"}
    assert "no embedding" in failed["id03"]
    assert "2 dimensions" in failed["id06"]
    assert report.failed == 3
    assert report.ok
    assert (report.verification.found, report.verification.set_aside) == (COUNT - 3, 3)
    assert "3 were set aside" in str(report)
    with pytest.raises(TooManyFailures):
        await moving.amigrate(source, client, "other", options=MoveOptions(max_failures=2))


async def test_verification_finds_what_is_not_as_it_was_read(database, client):
    source = llama_index(database)
    changes = {
        "missing": "DELETE FROM docs WHERE content = 'text 5'",
        "content": "UPDATE docs SET content = 'other' WHERE content = 'text 6'",
        "metadata": "UPDATE docs SET metadata = '{}' WHERE content = 'text 7'",
        "embedding": "UPDATE docs SET embedding = '[9,9,9]' WHERE content = 'text 8'",
        "document_id": "UPDATE docs SET document_id = 'x' WHERE content = 'text 9'",
    }

    def damage(progress):
        if progress.phase == "moving" and progress.done == COUNT:
            for change in changes.values():
                database.execute(change)

    report = await moving.amigrate(source, client, "docs", progress=damage)
    assert not report.ok
    assert sorted(report.verification.differing.values()) == sorted(changes)
    assert str(report.verification).startswith("NOT as it was read: ")
    # Of what is not sampled the embedding is not compared; all else is.
    for change in changes.values():
        database.execute(change)
    database.execute("DROP TABLE docs")
    report = await moving.amigrate(source, client, "docs", options=MoveOptions(sample=0), progress=damage)
    assert sorted(report.verification.differing.values()) == sorted(set(changes) - {"embedding"})
    assert report.verification.sampled == 0
    unchecked = await moving.amigrate(source, client, "docs", options=MoveOptions(verify=False))
    assert (unchecked.ok, unchecked.verification) == (True, None)


async def test_source_that_has_changed_is_read_from_its_beginning(database, client):
    source = vecs(database)

    def kill(progress):
        if progress.done >= 10:
            raise KeyError("killed")

    with pytest.raises(KeyError):
        await moving.amigrate(source, client, "docs", options=MoveOptions(write_batch=5), progress=kill)
    database.execute("DELETE FROM vecs.docs WHERE id = 'id0'")
    report = await moving.amigrate(source, client, "docs")
    assert (report.parts[0].report.resumed_at, report.parts[0].report.read) == (0, COUNT - 1)
    assert report.ok


@pytest.mark.parametrize("loss", ["collection", "domain", "table"])
async def test_part_whose_rows_are_gone_is_moved_once_more(loss, database, client):
    source = langchain_v1(database)

    def kill(progress):
        if progress.done >= 24:
            raise KeyError("killed")

    with pytest.raises(KeyError):
        await moving.amigrate(source, client, "docs", options=MoveOptions(write_batch=2), progress=kill)
    if loss == "collection":
        await client.delete_collection("docs")
    else:
        database.execute("DELETE FROM docs WHERE domain_id = 'one'" if loss == "domain" else "DROP TABLE docs")
    async with AsyncClient(database.url) as later:
        report = await moving.amigrate(source, later, "docs")
        if loss == "table":  # behind our back, so that the second run goes on: that is found, and mended by the next
            assert set(report.verification.differing.values()) == {"missing"}
            report = await moving.amigrate(source, later, "docs")
        assert report.ok
        assert report.parts[0].report.written == (0 if loss == "table" else 20)
        assert (await later.collection("docs").all_domains().stats()).domains == {"one": 20, "two": 10}


async def test_collection_that_is_there_keeps_what_it_is(database, client):
    source = vecs(database)
    config = CollectionConfig(name="docs", dimensions=3, vector_type=VectorType.HALFVEC, distance=Distance.L2)
    docs = await client.create_collection(config)
    await docs.upsert([Record(id="mine", embedding=[1, 2, 3], created_at=datetime(2020, 1, 1, tzinfo=UTC))])
    plan = await moving.aplan(source, client, "docs")
    assert plan.exists
    report = await moving.amigrate(source, client, "docs")
    assert report.ok
    assert await docs.count() == COUNT + 1
    assert (await docs.stats()).vector_type is VectorType.HALFVEC
    await client.create_collection("narrow", dimensions=2)
    with pytest.raises(DimensionMismatch, match="holds embeddings of 2 dimensions"):
        await moving.aplan(source, client, "narrow")


async def test_source_that_is_not_there_is_named(database, client):
    vecs(database)
    database.execute("CREATE TABLE data_none (id int)")
    for source, error, message in (
        (Vecs(name="nothing"), CollectionNotFound, "nothing"),
        (LlamaIndexPostgres(name="nothing"), CollectionNotFound, "data_nothing"),
        (LlamaIndexPostgres(name="none"), SchemaError, "no table of PGVectorStore"),
        (Dataknobs(), CollectionNotFound, "edubot.knowledge_embeddings"),
        (LangchainPostgres(sought=TheirCollection(name="*")), CollectionNotFound, "langchain_pg_collection"),
    ):
        with pytest.raises(error, match=message):
            await moving.aplan(source, client, "docs")
    for wrong in ({"write_batch": 0}, {"sample": -1}, {"max_failures": -1}, {"domain": ""}, {"index": "hnsw"}):
        with pytest.raises(ConfigError):
            MoveOptions(**wrong)


def test_blocking_callers_move_and_build_the_index(database, blocking_client):
    from pgrecall import HNSW

    source = dataknobs(database)
    assert moving.plan(source, blocking_client, "docs").count == COUNT
    phases = []
    report = moving.migrate(
        source,
        blocking_client,
        "docs",
        options=MoveOptions(index=HNSW()),
        progress=lambda told: phases.append(told.phase),
    )
    assert report.ok
    assert "indexing" in phases
    docs = blocking_client.collection("docs")
    assert [index.method for index in docs.stats().indexes] == ["hnsw"]
    assert np.allclose(docs.domain("a").get([UUIDS[0]], include=["embedding"])[0].embedding, embedding(0))
