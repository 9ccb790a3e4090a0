"""Filters on a real server: JSON types are respected, and nothing in a filter is ever SQL."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgrecall import Client, Record
from pgrecall.filters import Column, Equals, In, Key
from pgrecall.jsonb import dumps

pytestmark = pytest.mark.core

VALUES = {
    "int": 1,
    "float": 1.5,
    "text": "1",
    "empty": "",
    "true": True,
    "false": False,
    "null": None,
    "list": [1, 2],
    "longer": [1, 2, 3],
    "object": {"a": 1},
    "wider": {"a": 1, "b": 2},
    "no list": [],
    "no object": {},
    "big": 2**70,
}


@pytest.fixture
async def filled(docs):
    given = [Record(id=row_id, embedding=[1, 2, 3], metadata={"v": value}) for row_id, value in VALUES.items()]
    await docs.upsert([*given, Record(id="missing", embedding=[1, 2, 3])])
    return docs


async def found(docs, filter):
    listed = {record.id for record in (await docs.list(filter=filter)).records}
    searched = {match.id for match in await docs.search([1, 2, 3], k=100, filter=filter)}
    assert listed == searched
    assert await docs.count(filter) == len(listed)
    return listed


@pytest.mark.parametrize("row_id", VALUES.keys() - {"null"})
async def test_filter_finds_the_value_and_no_other(filled, row_id):
    assert await found(filled, {"v": VALUES[row_id]}) == {row_id}


async def test_filter_on_null_finds_null_and_what_lacks_the_key(filled):
    assert await found(filled, {"v": None}) == {"null", "missing"}


@pytest.mark.parametrize("value", ["true", 0, "None", "null", [2, 1], [[1, 2]], {"b": 2}, {"v": 1}, 1.50001, "[]"])
async def test_filter_on_a_value_of_another_kind_finds_nothing(filled, value):
    assert await found(filled, {"v": value}) == set()


async def test_filter_takes_equal_numbers_for_equal(filled):
    assert await found(filled, {"v": 1.0}) == {"int"}


async def test_filter_on_two_keys_needs_both(docs):
    rows = [("a", {"x": 1, "y": 1}), ("b", {"x": 1}), ("c", {"x": 1, "y": 2})]
    await docs.upsert([Record(id=row_id, embedding=[1, 2, 3], metadata=metadata) for row_id, metadata in rows])
    assert await found(docs, {"x": 1, "y": 1}) == {"a"}


async def test_filter_on_a_dotted_key_looks_into_objects_and_on_an_escaped_one_does_not(docs):
    rows = [("a", {"x.y": 1}), ("b", {"x": {"y": 1}})]
    await docs.upsert([Record(id=row_id, embedding=[1, 2, 3], metadata=metadata) for row_id, metadata in rows])
    assert await found(docs, {r"x\.y": 1}) == {"a"}
    assert await found(docs, {"x.y": 1}) == await found(docs, Equals(Key(("x", "y")), b"1")) == {"b"}


async def test_filter_on_a_key_that_is_a_number_does_not_look_into_arrays(docs):
    rows = [("a", {"0": "x"}), ("b", {"k": ["x"]})]
    await docs.upsert([Record(id=row_id, embedding=[1, 2, 3], metadata=metadata) for row_id, metadata in rows])
    assert await found(docs, {"0": "x"}) == {"a"}


async def test_filter_on_a_column(filled):
    assert await found(filled, Equals(Column("id"), b'"int"')) == {"int"}


async def test_filter_on_one_of_several(filled):
    assert await found(filled, In(Key(("v",)), (b"1", b"true", b"null", b'"x"'))) == {"int", "true", "null", "missing"}
    assert await found(filled, In(Key(("v",)), ())) == set()
    assert await found(filled, In(Column("id"), (b'"int"', b'"list"', b'"x"'))) == {"int", "list"}


HOSTILE = [
    "'",
    '"',
    "\\",
    "'; DROP TABLE docs; --",
    "$1",
    "%s",
    "{}",
    "{domain}",
    "::text",
    "\n",
    "\\'",
    "a'b\"c\\d",
    "--",
    "/*",
]


@pytest.mark.parametrize("text", HOSTILE)
async def test_filter_takes_hostile_keys_and_values_literally(docs, text):
    key = text if not text.startswith("$") else "x" + text
    await docs.upsert(
        [
            Record(id="it", embedding=[1, 2, 3], metadata={key: text}),
            Record(id="other", embedding=[1, 2, 3], metadata={"key": "value"}),
        ]
    )
    assert await found(docs, {key: text}) == {"it"}
    assert await found(docs, {key: text + "x"}) == set()
    assert await found(docs, {key + "x": text}) == set()


TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=TEXTS.filter(lambda key: not key.startswith("$")), value=TEXTS | st.integers() | st.booleans(), other=TEXTS)
def test_filter_of_any_text_finds_what_was_written_with_it(blocking_docs, key, value, other):
    blocking_docs.upsert([Record(id="it", embedding=[1, 2, 3], metadata={key: value})])

    def at(name, value):
        return Equals(Key((name,)), dumps(value))

    assert blocking_docs.count(at(key, value)) == 1
    assert blocking_docs.count(at(key, other)) == (other == value)
    assert blocking_docs.count(at(key + other, value)) == 0


@pytest.fixture
def blocking_docs(url):
    with Client(url) as client:
        yield client.get_or_create_collection("docs", dimensions=3)
