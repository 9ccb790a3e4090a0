"""Changing parts of records, not the same parts of each; deletions that tell; one table by several distances."""

import pytest

from pgrecall import CollectionConfig, Distance, Record, RecordChange
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
