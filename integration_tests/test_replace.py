"""Records put in the place of those that exist."""

import pytest

from pgrecall import Record, RecordBatch
from pgrecall.errors import ConfigError, DimensionMismatch, RecordError


def record(row_id, **more):
    return Record(id=row_id, embedding=[0, 1, 0], content="new", document_id="e", chunk_index=7, **more)


@pytest.fixture
async def full(docs):
    old = {"content": "old", "metadata": {"a": 1, "b": 2}, "document_id": "d", "chunk_index": 1}
    await docs.upsert([Record(id=row_id, embedding=[1, 0, 0], **old) for row_id in "xyz"])
    return docs


async def test_replace_puts_the_whole_record_in_place(full):
    before = (await full.get(["x"]))[0].created_at
    assert await full.replace([record("x", metadata={"c": 3})]) == 1
    (found,) = await full.get(["x"], include=["embedding"])
    assert (found.content, found.metadata, found.document_id, found.chunk_index) == ("new", {"c": 3}, "e", 7)
    assert (found.embedding.tolist(), found.created_at) == ([0, 1, 0], before)


async def test_replace_passes_over_what_is_not_there(full):
    assert await full.replace([record("x"), record("nope")]) == 1
    assert await full.count() == 3
    assert await full.replace([]) == 0


async def test_replaced_record_is_known_to_the_next_upsert(full):
    await full.replace([record("x")])
    assert (await full.upsert([record("x")])).inserted == 0
    assert (await full.upsert([record("x")])).unchanged == 1


async def test_replace_is_all_or_nothing(full):
    with pytest.raises(RecordError, match="NUL"):
        await full.replace([record("x"), record("y", metadata={"k": "\x00"})])
    with pytest.raises(DimensionMismatch):
        await full.replace(RecordBatch(ids=["x"], embeddings=[[1, 2]]))
    assert {r.content for r in (await full.list()).records} == {"old"}


async def test_replace_needs_ids_and_one_domain(full):
    with pytest.raises(ConfigError, match="record 1 has no id"):
        await full.replace([record("x"), Record(embedding=[1, 0, 0])])
    with pytest.raises(ConfigError, match="has no id"):
        await full.replace(RecordBatch(embeddings=[[1, 0, 0]]))
    with pytest.raises(ConfigError, match="one domain"):
        await full.all_domains().replace([record("x", domain_id="default")])


async def test_replace_keeps_to_its_domain(full):
    other = full.domain("other")
    assert await other.replace([record("x")]) == 0
    await other.upsert([record("x")])
    assert await other.replace([record("x", metadata={"mine": True})]) == 1
    assert (await full.get(["x"]))[0].content == "old"


async def test_replace_before_anything_was_written_finds_nothing(client):
    assert await client.collection("nothing").replace([record("x")]) == 0
