"""The whole filter language, against its evaluation in Python, over any JSON."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgrecall import Client, Record
from pgrecall.errors import FilterError
from pgrecall.filters import And, Compare, Contains, Equals, Exists, In, IsEmpty, Key, Matches, Not, Or, Order, parse
from pgrecall.jsonb import dumps
from tests.evaluation import passes

pytestmark = pytest.mark.core

NAMES = st.sampled_from(["a", "b", "0", "a.b", "x'y", '"', "$c", "é"])
TEXTS = st.text(st.characters(codec="ascii", exclude_characters="\x00"), max_size=3) | st.sampled_from(
    ["", "a", "ab", "B", "10", "2024-01-01", "%", "_", "\\", "' OR true --", "日本"]
)
NUMBERS = st.integers(-3, 3) | st.sampled_from([0.5, -1.5, 1e10, 2**70, 10**25])
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=2), max_leaves=5
)
METADATA = st.dictionaries(NAMES, VALUES, max_size=4)
FIELDS = st.lists(NAMES, min_size=1, max_size=2).map(lambda path: Key(tuple(path)))
PATTERNS = TEXTS.map(lambda text: text.replace("\\", "\\\\"))
LEAVES = (
    st.builds(Equals, FIELDS, VALUES.map(dumps))
    | st.builds(In, FIELDS, st.lists(VALUES.map(dumps), max_size=3).map(tuple))
    | st.builds(Compare, FIELDS, st.sampled_from(Order), (NUMBERS | TEXTS).map(dumps))
    | st.builds(Exists, FIELDS)
    | st.builds(IsEmpty, FIELDS)
    | st.builds(Contains, FIELDS, SCALARS.map(dumps))
    | st.builds(Matches, FIELDS, st.just("substring"), TEXTS, st.booleans())
    | st.builds(Matches, FIELDS, st.just("like"), PATTERNS, st.booleans())
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(And, st.lists(inner, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, max_size=3).map(tuple))
    ),
    max_leaves=5,
)


@pytest.fixture
def docs(url):
    with Client(url) as client:
        yield client.get_or_create_collection("docs", dimensions=2)


def fill(docs, metadatas):
    docs.clear()
    docs.upsert([Record(id=str(n), embedding=[1, n + 1.0], metadata=m) for n, m in enumerate(metadatas)])


def found(docs, filter):
    return {record.id for record in docs.list(limit=1_000, filter=filter).records}


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(metadatas=st.lists(METADATA, min_size=1, max_size=12), filters=st.lists(FILTERS, min_size=1, max_size=6))
def test_filter_finds_what_its_evaluation_in_python_finds(docs, metadatas, filters):
    fill(docs, metadatas)
    for filter in filters:
        assert found(docs, filter) == {str(n) for n, metadata in enumerate(metadatas) if passes(filter, metadata)}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(metadatas=st.lists(METADATA, min_size=1, max_size=8), filter=LEAVES)
def test_a_filter_and_its_negation_share_the_rows_among_them(docs, metadatas, filter):
    fill(docs, metadatas)
    yes, no = found(docs, filter), found(docs, ~filter)
    assert yes | no == {str(n) for n in range(len(metadatas))}
    assert not yes & no
    assert docs.count(filter) == len(yes)


ROWS = {
    "a": {"year": 2020, "lang": "en", "tags": ["x", "y"], "note": "Hello World", "size": {"w": 3}, "at": "2024-05-01"},
    "b": {"year": 2021.5, "lang": "de", "tags": [], "note": "", "big": 10**20, "at": "2023-12-31T23:00:00+00:00"},
    "c": {"year": "2020", "lang": None, "tags": "x", "flag": True, "note": "100%"},
    "d": {},
}


@pytest.fixture
def rows(docs):
    docs.upsert(
        [
            Record(id=row_id, embedding=[1, 2], metadata=m, content=f"text of {row_id}", document_id="D", chunk_index=n)
            for n, (row_id, m) in enumerate(ROWS.items())
        ]
    )
    return docs


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"year": 2020}, "a"),
        ({"year": {"$eq": "2020"}}, "c"),
        ({"year": {"$ne": 2020}}, "bcd"),
        ({"year": {"$gte": 2020, "$lt": 2021}}, "a"),
        ({"year": {"$gt": 2020}}, "b"),
        ({"year": {"$lte": "2020"}}, "c"),
        ({"year": {"$between": [2020, 2022]}}, "ab"),
        ({"year": {"$in": [2020, "2020"]}}, "ac"),
        ({"year": {"$in": []}}, ""),
        ({"year": {"$nin": [2020, 2021.5]}}, "cd"),
        ({"lang": {"$exists": True}}, "abc"),
        ({"lang": {"$exists": False}}, "d"),
        ({"lang": None}, "cd"),
        ({"note": {"$like": "%World"}}, "a"),
        ({"note": {"$like": "100\\%"}}, "c"),
        ({"note": {"$ilike": "hello%"}}, "a"),
        ({"note": {"$regex": "^[A-Z]"}}, "a"),
        ({"tags": {"$contains": "x"}}, "ac"),
        ({"tags": {"$containsAny": ["y", "z"]}}, "a"),
        ({"tags": {"$containsAll": ["x", "y"]}}, "a"),
        ({"tags": {"$containsAll": []}}, "abc"),
        ({"tags": {"$isEmpty": True}}, "bd"),
        ({"tags": {"$isEmpty": False}}, "ac"),
        ({"tags": ["x", "y"]}, "a"),
        ({"size.w": 3}, "a"),
        ({"size": {"w": 3}}, "a"),
        ({"big": 10**20}, "b"),
        ({"big": {"$gt": Decimal(10**19)}}, "b"),
        ({"flag": True}, "c"),
        ({"flag": 1}, ""),
        ({"year": np.int64(2020)}, "a"),
        ({"year": {"$in": np.array([2020, 7])}}, "a"),
        ({"at": {"$gte": dt.date(2024, 1, 1)}}, "a"),
        ({"at": {"$lt": dt.datetime(2024, 1, 1, tzinfo=dt.UTC)}}, "b"),
        ({"$or": [{"year": 2020}, {"lang": "de"}]}, "ab"),
        ({"$and": [{"lang": "en"}, {"year": {"$exists": True}}], "tags": {"$contains": "y"}}, "a"),
        ({"$not": {"lang": "en"}}, "bcd"),
        ({"lang": {"$not": {"$in": ["en", "de"]}}}, "cd"),
        ({"$id": "a"}, "a"),
        ({"$id": {"$in": ["a", "d", "z"]}}, "ad"),
        ({"$id": {"$gt": "b"}}, "cd"),
        ({"$document_id": {"$ne": "D"}}, ""),
        ({"$chunk_index": {"$between": [1, 2]}}, "bc"),
        ({"$chunk_index": {"$in": [0, 3]}}, "ad"),
        ({"$content": {"$contains": "of b"}}, "b"),
        ({"$content": {"$like": "text%c"}}, "c"),
        ({"$created_at": {"$gt": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}}, "abcd"),
        ({"$created_at": {"$lt": "2020-01-01"}}, ""),
    ],
    ids=str,
)
def test_operator_finds(rows, filter, expected):
    assert found(rows, filter) == set(expected)
    if filter:
        assert {match.id for match in rows.search([1, 2], 10, filter=filter)} == set(expected)


@pytest.mark.parametrize(
    ("filter", "where"),
    [
        ({"a": {"$foo": 1}}, "a.$foo"),
        ({"a": {"$gt": 1, "plain": 2}}, "a.plain"),
        ({"a": {"$in": "x"}}, "a.$in"),
        ({"a": {"$between": [1]}}, "a.$between"),
        ({"a": {"$gt": [1]}}, "a.$gt"),
        ({"a": {"$gt": None}}, "a.$gt"),
        ({"a": {"$exists": 1}}, "a.$exists"),
        ({"a": {"$like": "x\\"}}, "a.$like"),
        ({"a": {"$like": 5}}, "a.$like"),
        ({"a": {"$contains": [1]}}, "a.$contains"),
        ({"a": {"$in": [float("nan")]}}, r"a.$in\[0\]"),
        ({"$and": []}, "$and"),
        ({"$or": {"a": 1}}, "$or"),
        ({"$or": [{"a": 1}, {"b": {"$x": 1}}]}, r"$or\[1\].b.$x"),
        ({"$nope": 1}, "nope"),
        ({"$not": 5}, "$not"),
        ({"a..b": 1}, "a..b"),
        ({"$id": 5}, "$id"),
        ({"$created_at": "soon"}, "created_at"),
        ({"a": {"$in": list(range(10_001))}}, "10000"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_malformed_filter_is_an_error_that_says_where(filter, where):
    with pytest.raises(FilterError, match=where.replace("$", r"\$").replace(".", r"\.")):
        parse(filter)


def test_filter_nested_too_deep_is_an_error():
    filter = {"a": 1}
    for _ in range(30):
        filter = {"$not": filter}
    with pytest.raises(FilterError, match="deeper than 20"):
        parse(filter)


def test_regular_expression_that_is_none_is_an_error_of_ours(rows):
    with pytest.raises(FilterError, match="regular expression"):
        rows.count({"note": {"$regex": "("}})


def test_nodes_combine_with_operators():
    a, b, c = (Exists(Key((name,))) for name in "abc")
    assert (a & b & c) == And((a, b, c))
    assert (a | b | c) == Or((a, b, c))
    assert ~(a & b) == Not(And((a, b)))
