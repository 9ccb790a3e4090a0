"""The chunks around a chunk."""

import pytest

from pgrecall import CollectionConfig, Columns, Record
from pgrecall.errors import ConfigError, SchemaError


def chunk(document, index, **more):
    return Record(id=f"{document}{index}", embedding=[1, index + 1, 0], document_id=document, chunk_index=index, **more)


@pytest.fixture
async def book(docs):
    await docs.upsert([chunk(d, n, metadata={"odd": n % 2 == 1}) for d in "ab" for n in range(6)])
    await docs.upsert([Record(id="alone", embedding=[0, 0, 1])])
    return docs


async def ids(docs, wanted, window=1, **options):
    records = await docs.get(wanted)
    return [[record.id for record in found] for found in await docs.neighbours(records, window, **options)]


async def test_neighbours_are_those_around_in_order(book):
    assert await ids(book, ["a2", "b0", "a5"]) == [["a1", "a2", "a3"], ["b0", "b1"], ["a4", "a5"]]
    assert await ids(book, ["a2"], 0) == [["a2"]]
    assert await ids(book, ["b1"], 1000) == [[f"b{n}" for n in range(6)]]


async def test_record_of_no_document_has_none(book):
    assert await ids(book, ["alone", "a0"]) == [[], ["a0", "a1"]]
    assert await book.neighbours([]) == []


async def test_neighbours_must_pass_the_filter(book):
    assert await ids(book, ["a2"], 2, filter={"odd": True}) == [["a1", "a3"]]


async def test_matches_have_neighbours_too(book):
    (match,) = await book.search([1, 3, 0], 1, filter={"$document_id": "b"})
    assert [r.id for r in (await book.neighbours([match]))[0]] == ["b1", "b2", "b3"]


async def test_neighbours_are_of_the_same_domain(book):
    await book.domain("other").upsert([chunk("a", 3, content="theirs")])
    assert [r.content for r in (await book.neighbours(await book.get(["a2"])))[0]] == [None] * 3
    with pytest.raises(ConfigError, match="one domain"):
        await book.all_domains().neighbours(await book.get(["a2"]))


@pytest.mark.parametrize("window", [-1, 1001, True, 1.5])
async def test_window_out_of_range_is_refused(book, window):
    with pytest.raises(ConfigError, match="window must be a whole number"):
        await ids(book, ["a1"], window)


async def test_table_without_chunks_says_so(client):
    config = CollectionConfig(name="flat", dimensions=3, columns=Columns(chunk_index=None))
    docs = await client.get_or_create_collection(config)
    await docs.upsert([Record(id="x", embedding=[1, 0, 0])])
    with pytest.raises(SchemaError, match="no columns for document_id and chunk_index"):
        await docs.neighbours([chunk("a", 1)])


async def test_nothing_written_has_no_neighbours(client):
    assert await client.collection("nothing").neighbours([chunk("a", 1)]) == [[]]


def test_blocking_twin_answers_alike(blocking_client):
    docs = blocking_client.get_or_create_collection("docs", dimensions=3)
    docs.upsert([chunk("a", n) for n in range(3)])
    assert [[r.id for r in found] for found in docs.neighbours(docs.get(["a0"]))] == [["a0", "a1"]]
