"""Changing parts of records, not the same parts of each; deletions that tell; one table by several distances."""

import asyncio
from datetime import UTC, datetime

import pytest

from pgrecall import CollectionConfig, Distance, Record, RecordChange
from pgrecall.collection.writing import amending
from pgrecall.errors import CollectionNotFound, ConfigError, DimensionMismatch, FilterError, RecordError, SchemaError

ONE = [1.0, 0.0, 0.0]


@pytest.fixture
async def filled(docs):
    await docs.upsert([Record(id=name, embedding=ONE, content=name, metadata={"n": 1, "of": name}) for name in "abc"])
    await docs.domain("other").upsert([Record(id="a", embedding=ONE, content="theirs", metadata={"theirs": 1})])
    return docs


async def test_amend_changes_only_what_is_named(filled):
    changes = [
        RecordChange(id="a", content="lost", chunk_index=9),
        RecordChange(id="a", content="new", document_id="d", chunk_index=2),
        RecordChange(id="b", metadata={"n": 2}),
        RecordChange(id="c", embedding=[0.0, 1.0, 0.0]),
        RecordChange(id="none", content="x"),
    ]
    assert await filled.amend(changes) == 3
    a, b, c = await filled.get(["a", "b", "c"], include=["embedding"])
    assert (a.content, a.document_id, a.chunk_index, a.metadata) == ("new", "d", 2, {"n": 1, "of": "a"})
    assert (b.content, b.metadata, c.embedding.tolist()) == ("b", {"n": 2, "of": "b"}, [0, 1, 0])
    assert await filled.amend([RecordChange(id="b", metadata={"m": 3})], merge=False) == 1
    assert (await filled.get(["b"]))[0].metadata == {"m": 3}
    assert (await filled.domain("other").get(["a"]))[0].content == "theirs"
    assert await filled.all_domains().amend([RecordChange(id="a", content="both")]) == 2


WRONG = [
    (RecordChange(id="b", embedding=[1.0]), DimensionMismatch),
    (RecordChange(id="b", content="a\0b"), RecordError),
    (RecordChange(id="b"), ConfigError),
    (Record(id="b"), ConfigError),
]


async def test_amend_with_a_fault_changes_nothing(filled):
    for wrong, error in WRONG:
        with pytest.raises(error):
            await filled.amend([RecordChange(id="a", metadata={"n": 9}), wrong])
    assert await filled.count({"n": 9}) == 0


async def test_the_last_change_of_an_id_counts_however_it_is_spelled(client):
    docs = await client.create_collection(CollectionConfig(name="uuids", dimensions=3, id_type="uuid"))
    one = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    await docs.upsert([Record(id=one, embedding=ONE, content="old")])
    changes = [RecordChange(id=one.upper(), content="lost", chunk_index=1), RecordChange(id=one, content="new")]
    assert await docs.amend(changes) == 1
    assert await docs.amend(reversed(changes)) == 1
    assert [(found.content, found.chunk_index) for found in await docs.get([one])] == [("lost", 1)]


async def test_deletions_tell_and_keys_are_those_of_the_scope(filled):
    assert await filled.metadata_keys() == ["n", "of"]
    assert await filled.metadata_keys({"of": "none"}) == []
    assert await filled.all_domains().metadata_keys() == ["n", "of", "theirs"]
    assert sorted(await filled.delete_returning(["a", "b", "none"])) == ["a", "b"]
    assert await filled.delete_returning(filter={"of": "c"}) == ["c"]
    assert await filled.domain("other").count() == 1
    with pytest.raises(FilterError):
        await filled.delete_returning(filter={})


async def test_any_distance_searches_one_table_by_several(client, filled):
    config = CollectionConfig(name="docs", distance=Distance.L2, any_distance=True)
    with pytest.raises(SchemaError, match="made for cosine"):
        await client.get_collection(CollectionConfig(name="docs", distance=Distance.L2))
    by_l2 = await client.get_collection(config)
    await by_l2.create_index()
    await filled.create_index()
    assert {index.distance for index in await filled.indexes()} == {Distance.COSINE, Distance.L2}
    assert [match.distance for match in await by_l2.search([2.0, 0.0, 0.0], k=1)] == [1.0]
    assert [match.distance for match in await filled.search([2.0, 0.0, 0.0], k=1)] == [0.0]


async def test_only_tables_of_embeddings_are_listed_and_dropped(client, filled, connection):
    await connection.execute("CREATE TABLE theirs (id text PRIMARY KEY, v vector(3)); CREATE TABLE plain (id text)")
    assert await client.list_vector_tables() == ["docs", "theirs"]
    assert [column.length for column in await client.describe_table("theirs")] == [None, 3]
    for name, adopted in (("theirs", False), ("plain", True)):
        with pytest.raises(CollectionNotFound):
            await client.delete_collection(name, adopted=adopted)
    await client.delete_collection("theirs", adopted=True)
    assert await client.list_vector_tables() == ["docs"]


async def test_what_passes_a_filter_is_changed_and_nothing_else(docs, monkeypatch):
    monkeypatch.setattr(amending, "_BLOCK", 7)
    when = datetime(2024, 5, 1, tzinfo=UTC)
    await docs.upsert([Record(id=f"{n:02}", embedding=ONE, metadata={"n": n, "half": n % 2}) for n in range(40)])
    await docs.domain("other").upsert([Record(id="01", embedding=ONE, metadata={"half": 1})])
    assert await docs.update_where({"half": 1, "n": {"$lt": 30}}, metadata={"half": 0, "when": when}) == 15
    assert [record.metadata.get("when") for record in await docs.get(["01", "02"])] == [when, None]
    assert await docs.count({"half": 1}) == 5
    assert await docs.update_where({"half": 1}, metadata={"only": True}, merge=False) == 5
    assert (await docs.get(["39"]))[0].metadata == {"only": True}
    assert (await docs.upsert([Record(id="00", embedding=ONE, metadata={"n": 0, "half": 0})])).unchanged == 1
    assert (await docs.upsert([Record(id="39", embedding=ONE, metadata={"n": 39, "half": 1})])).updated == 1
    assert await docs.domain("other").count({"half": 1}) == 1
    assert await docs.update_where({"half": 7}, metadata={"x": 1}) == 0
    for wrong, error in (({}, FilterError), ({"a": {"$what": 1}}, FilterError)):
        with pytest.raises(error):
            await docs.update_where(wrong, metadata={"x": 1})
    with pytest.raises(RecordError, match="NUL"):
        await docs.update_where({"half": 0}, metadata={"x": "\0"})
    with pytest.raises(ConfigError, match="one domain"):
        await docs.all_domains().update_where({"half": 0}, metadata={"x": 1})
    assert await docs.count({"x": {"$exists": True}}) == 0


async def test_two_that_change_what_passes_lose_nothing(docs, monkeypatch):
    monkeypatch.setattr(amending, "_BLOCK", 7)
    await docs.upsert([Record(id=f"{n:02}", embedding=ONE, metadata={"n": n}) for n in range(60)])
    await asyncio.gather(
        *(docs.update_where({"n": {"$lt": 40}}, metadata={"low": True}) for _ in range(3)),
        *(docs.update_where({"n": {"$gte": 20}}, metadata={"high": True}) for _ in range(3)),
    )
    assert [await docs.count(filter) for filter in ({"low": True}, {"high": True}, {"low": True, "high": True})] == [
        40,
        40,
        20,
    ]
