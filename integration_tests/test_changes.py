"""Changing and deleting what exists."""

import pytest

from pgrecall import Record
from pgrecall.errors import ConfigError, DimensionMismatch, FilterError, RecordError
from pgrecall.filters import And, Column, Equals, In, Or


def record(row_id, **more):
    return Record(**{"id": row_id, "embedding": [1, 2, 3], "content": "old", "metadata": {"a": 1, "b": 2}, **more})


@pytest.fixture
async def filled(docs):
    await docs.upsert(
        [
            record("a", document_id="x", metadata={"n": 1, "kind": "p"}),
            record("b", document_id="x", metadata={"n": 2, "kind": "p"}),
            record("c", document_id="y", metadata={"n": 3, "kind": "q"}),
        ]
    )
    return docs


async def ids(docs):
    return [found.id for found in (await docs.list()).records]


async def test_update_merges_metadata(docs):
    await docs.upsert([record("a")])
    assert await docs.update(["a"], metadatas=[{"b": None, "c": 3}]) == 1
    (found,) = await docs.get(["a"], include=["embedding"])
    assert found.metadata == {"a": 1, "b": None, "c": 3}
    assert (found.content, found.embedding.tolist()) == ("old", [1, 2, 3])


async def test_update_replaces_metadata_where_asked(docs):
    await docs.upsert([record("a")])
    await docs.update(["a"], metadatas=[{"c": 3}], merge=False)
    assert (await docs.get(["a"]))[0].metadata == {"c": 3}


async def test_update_gives_one_mapping_to_all(docs):
    await docs.upsert([record("a"), record("b")])
    assert await docs.update(["a", "b"], metadatas={"c": 3}) == 2
    assert [found.metadata["c"] for found in await docs.get(["a", "b"])] == [3, 3]


async def test_update_changes_the_content(docs):
    await docs.upsert([record("a"), record("b")])
    assert await docs.update(["b", "a"], contents=["new b", None]) == 2
    assert [found.content for found in await docs.get(["a", "b"])] == [None, "new b"]


async def test_update_changes_the_embedding(docs):
    await docs.upsert([record("a")])
    await docs.update(["a"], embeddings=[[4, 5, 6]])
    (found,) = await docs.get(["a"], include=["embedding"])
    assert (found.embedding.tolist(), found.content) == ([4, 5, 6], "old")


async def test_update_passes_over_ids_that_do_not_exist(docs):
    await docs.upsert([record("a")])
    assert await docs.update(["a", "missing"], contents=["x", "y"]) == 1
    assert await ids(docs) == ["a"]


async def test_update_of_more_than_one_statement_holds(docs):
    many = [f"{n:04}" for n in range(2_100)]
    await docs.upsert([record(row_id) for row_id in many])
    assert await docs.update(many, contents=[f"new {row_id}" for row_id in many]) == 2_100
    assert {found.content for found in await docs.get(many)} == {f"new {row_id}" for row_id in many}


async def test_update_leaves_the_time_of_the_first_write(docs):
    await docs.upsert([record("a")])
    (before,) = await docs.get(["a"])
    await docs.update(["a"], contents=["new"])
    assert (await docs.get(["a"]))[0].created_at == before.created_at


async def test_upsert_after_an_update_writes_again(docs):
    await docs.upsert([record("a")])
    await docs.update(["a"], contents=["new"])
    assert (await docs.upsert([record("a")])).updated == 1
    assert (await docs.get(["a"]))[0].content == "old"


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({}, ConfigError),
        ({"contents": ["x", "y"]}, RecordError),
        ({"contents": ["\x00"]}, RecordError),
        ({"contents": [5]}, RecordError),
        ({"metadatas": [{"a": float("nan")}]}, RecordError),
        ({"metadatas": [5]}, RecordError),
        ({"metadatas": []}, RecordError),
        ({"embeddings": [[1, 2]]}, DimensionMismatch),
        ({"embeddings": [[0, 0, 0]]}, RecordError),
        ({"embeddings": [None]}, RecordError),
    ],
)
async def test_update_with_what_cannot_be_stored_changes_nothing(docs, given, error):
    await docs.upsert([record("a")])
    with pytest.raises(error):
        await docs.update(["a"], **given)
    (found,) = await docs.get(["a"])
    assert (found.content, found.metadata) == ("old", {"a": 1, "b": 2})


async def test_update_of_one_string_is_an_error(docs):
    with pytest.raises(ConfigError, match="sequence of ids"):
        await docs.update("a", contents=["x"])


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({"ids": ["a", "missing", "a"]}, "bc"),
        ({"ids": []}, "abc"),
        ({"filter": {"kind": "p"}}, "c"),
        ({"filter": {"kind": "none"}}, "abc"),
        ({"filter": Equals(Column("id"), b'"b"')}, "ac"),
        ({"filter": In(Column("id"), ())}, "abc"),
        ({"document_ids": ["x"]}, "c"),
        ({"document_ids": ["x", "y", "z"]}, ""),
        ({"document_ids": []}, "abc"),
        ({"ids": ["a", "c"], "filter": {"kind": "p"}}, "bc"),
        ({"ids": ["a", "c"], "document_ids": ["y"]}, "ab"),
        ({"filter": {"n": 2}, "document_ids": ["x"]}, "ac"),
        ({"ids": ["a"], "filter": {"n": 1}, "document_ids": ["x"]}, "bc"),
        ({"ids": [], "filter": {"kind": "p"}}, "abc"),
    ],
)
async def test_delete_takes_what_meets_all_conditions(filled, given, left):
    assert await filled.delete(**given) == 3 - len(left)
    assert await ids(filled) == list(left)


async def test_delete_without_a_condition_is_an_error(filled):
    with pytest.raises(ConfigError, match=r"clear\(\)"):
        await filled.delete()
    assert await ids(filled) == ["a", "b", "c"]


@pytest.mark.parametrize("filter", [{}, And(()), And((And(()),))], ids=["mapping", "nodes", "nested nodes"])
async def test_delete_by_an_empty_filter_is_an_error(filled, filter):
    with pytest.raises(FilterError, match="empty filter"):
        await filled.delete(filter=filter)
    assert await ids(filled) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "given",
    [
        {"ids": "a"},
        {"ids": [1.0]},
        {"document_ids": "x"},
        {"document_ids": [1]},
        {"document_ids": ["\ud800"]},
        {"filter": "x"},
    ],
)
async def test_delete_by_what_is_no_condition_is_an_error(filled, given):
    with pytest.raises(ConfigError):
        await filled.delete(**given)
    assert await ids(filled) == ["a", "b", "c"]


async def test_clear_deletes_everything_and_counts_it(filled):
    assert await filled.clear() == 3
    assert await filled.clear() == 0
    assert await filled.count() == 0


@pytest.mark.parametrize(
    "filter",
    [{"$or": [{}]}, {"$or": [{"n": 1}, {"$and": [{}]}]}, {"$not": {"n": {"$in": []}}}, Or((And(()),)), ~Or(())],
)
async def test_delete_by_what_every_row_passes_is_an_error(docs, filter):
    await docs.upsert([Record(id="a", embedding=[1, 2, 3])])
    with pytest.raises(FilterError, match=r"clear\(\)"):
        await docs.delete(filter=filter)
    assert await docs.count() == 1
