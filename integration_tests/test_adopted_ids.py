"""Tables whose ids have no unique key, and tables in which the metadata names the document."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from pgrecall import CollectionConfig, Columns, Record, RecordBatch
from pgrecall.errors import ConfigError, DatabaseError, RecordError, SchemaError

COLUMNS = Columns(
    id="name", domain_id=None, document_id=None, document_key="source", no_document="none", newest_by="row"
)
CONFIG = CollectionConfig(name="theirs", columns=COLUMNS, setup="validate")


def record(row_id, document=None, **metadata):
    return Record(id=row_id, embedding=[1.0, 0.0], content=row_id, document_id=document, metadata=metadata)


@pytest.fixture
async def theirs(client, connection):
    await connection.execute(
        "CREATE TABLE theirs (row bigserial PRIMARY KEY, name text, content text, metadata jsonb, embedding vector(2))"
    )
    return await client.get_collection(CONFIG)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"no_document": "None"}, "pass document_key too"),
        ({"document_key": "d"}, "needs document_id=None"),
        ({"document_key": "d", "document_id": None, "metadata": None}, "a column for the metadata"),
        ({"document_key": "d", "document_id": None, "metadata_columns": ["d"]}, "pass document_id='d'"),
        ({"newest_by": "", "domain_id": None}, "newest_by"),
        ({"newest_by": "row"}, "without domains"),
    ],
)
def test_columns_that_contradict_each_other_are_an_error(arguments, match):
    with pytest.raises(ConfigError, match=match):
        Columns(**arguments)


async def test_newest_needs_a_table_that_has_the_column(client, connection):
    with pytest.raises(ConfigError, match="setup='validate'"):
        replace(CONFIG, setup="create")
    await connection.execute("CREATE TABLE theirs (name text, content text, metadata jsonb, embedding vector(2))")
    with pytest.raises(SchemaError, match="no column 'row' for newest_by"):
        await client.get_collection(CONFIG)


async def test_upsert_leaves_one_row_of_each_id(theirs, connection):
    await connection.execute(
        "INSERT INTO theirs (name, content, metadata, embedding) SELECT 'a', n, '{}', '[1,0]' FROM generate_series(1, 3) n"
    )
    assert (await theirs.get(["a", "b"]))[0].content == "3"
    assert [one.content for one in (await theirs.list()).records] == ["3"]
    result = await theirs.upsert([record("a"), record("b")])
    assert (result.ids, result.inserted, result.updated) == (["a", "b"], 1, 1)
    # More than go in one INSERT, by COPY.
    many = RecordBatch(embeddings=[[1.0, 0.0]] * 1_200, ids=[f"{n % 1_100}" for n in range(1_200)])
    result = await theirs.upsert(many)
    assert (result.inserted, result.updated) == (1_100, 0)
    assert (await theirs.upsert(many)).updated == 1_100
    await asyncio.gather(*(theirs.upsert([record("a", n=n), record("z")]) for n in range(6)))
    assert await connection.fetchval("SELECT array_agg(name ORDER BY name) FROM theirs WHERE name >= 'a'") == [
        "a",
        "b",
        "z",
    ]
    assert await theirs.delete(["a"]) == 1


async def test_records_whose_ids_are_made_are_only_added(theirs):
    batch = RecordBatch(embeddings=[[1.0, 0.0]] * 3)
    assert (await theirs.upsert(batch)).inserted == 3
    assert await theirs.count() == 3


async def test_document_is_kept_in_the_metadata(theirs, connection):
    await theirs.upsert([record("a", "d", n=1), record("b", source="e"), record("c"), record("f", "e", source="lost")])
    rows = await connection.fetch("SELECT metadata::text FROM theirs ORDER BY name")
    assert [row[0] for row in rows] == [
        '{"n": 1, "source": "d"}',
        '{"source": "e"}',
        '{"source": "none"}',
        '{"source": "e"}',
    ]
    assert [one.document_id for one in await theirs.get(["a", "b", "c", "f"])] == ["d", "e", None, "e"]
    found = await theirs.search([1.0, 0.0], filter={"$document_id": {"$in": ["d", "none"]}})
    assert [(one.id, one.document_id) for one in found] == [("a", "d")]
    assert [one.id for one in await theirs.search([1.0, 0.0], filter={"$document_id": None})] == ["c"]
    assert sorted(one.id for one in await theirs.search([1.0, 0.0], filter={"$document_id": {"$gte": "e"}})) == [
        "b",
        "f",
    ]
    listed = await theirs.list_documents()
    assert [(one.id, one.chunks) for one in listed.documents] == [("d", 1), ("e", 2)]
    with pytest.raises(RecordError, match=r"id 'x'.*'none' says in public.theirs that there is no document"):
        await theirs.upsert([record("x", "none")])
    with pytest.raises(RecordError, match="metadata must be a mapping"):
        await theirs.upsert(RecordBatch(embeddings=[[1.0, 0.0]], metadatas=[["x"]], document_ids=["d"]))
    replaced = await theirs.replace_documents([record("b", "e")])
    assert (replaced.updated, replaced.deleted) == (1, 1)
    assert await theirs.delete(document_ids=["e", "none"]) == 1
    assert await theirs.count() == 2


async def test_document_key_of_a_table_that_is_made(client):
    columns = Columns(document_id=None, document_key="source")
    docs = await client.get_or_create_collection(CollectionConfig(name="keyed", dimensions=2, columns=columns))
    await docs.upsert([record("a", "d", n=1), record("b", source="e"), record("c")])
    found = await docs.get(["a", "b", "c"])
    assert [(one.document_id, one.metadata) for one in found] == [
        ("d", {"n": 1, "source": "d"}),
        ("e", {"source": "e"}),
        (None, {}),
    ]
    groups = await docs.search_groups([1.0, 0.0])
    assert sorted((group.value, [match.id for match in group.matches]) for group in groups) == [
        ("d", ["a"]),
        ("e", ["b"]),
    ]
    assert {facet.value: facet.count for facet in await docs.facet("$document_id")} == {"d": 1, "e": 1}
    assert (await docs.upsert([record("a", "d", n=1)])).unchanged == 1
    assert await docs.delete(document_ids=["e"]) == 1


@pytest.mark.parametrize("count", [3, 60], ids=["insert", "copy"])
@pytest.mark.parametrize("known", [True, False])
async def test_a_conflict_on_another_key_is_an_error_and_loses_nothing(theirs, connection, count, known):
    # As after a table was restored without its sequence.
    await connection.execute(
        "INSERT INTO theirs (row, name, content, embedding) SELECT n, n, 'old', '[1,0]' FROM generate_series(1, 100) n"
    )
    records = [Record(id=str(40 + n) if known else None, embedding=[1, 0], content="new") for n in range(count)]
    with pytest.raises(DatabaseError, match="theirs_pkey"):
        await theirs.upsert(records)
    assert await connection.fetchval("SELECT count(*) FROM theirs WHERE content = 'old'") == 100


@pytest.mark.parametrize("count", [3, 60], ids=["insert", "copy"])
async def test_ids_can_be_an_identity_that_the_server_would_make(client, connection, count):
    await connection.execute(
        "CREATE TABLE numbered (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, content text, embedding vector(2))"
    )
    docs = await client.get_collection("numbered")
    records = [Record(id=str(n), embedding=[1, 0], content="a") for n in range(count)]
    assert (await docs.upsert(records)).inserted == count
    assert (await docs.upsert(records)).updated == count
