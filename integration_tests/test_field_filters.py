"""Promoting a field changes how fast a filter is, and not what it means."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integration_tests.test_filter_language import FIELDS, FILTERS, LEAVES, METADATA
from pgrecall import Client, CollectionConfig, Record, SearchOptions
from pgrecall.errors import ConfigError
from pgrecall.filters import Compare, Contains, Equals, In, IsEmpty, Key, Not, Order, leaves
from pgrecall.jsonb import dumps
from tests.evaluation import passes

# As many as an index holds; one leads into an object.
SCALARS = ("a", "b", "0", r"a\.b", "x'y", '"', "é", "b.a")
TYPES = {
    "number": dict.fromkeys(SCALARS, float),
    "text": dict.fromkeys(SCALARS, str),
    "time": dict.fromkeys(SCALARS, "time"),
    "boolean": dict.fromkeys(SCALARS, bool),
    "list": dict.fromkeys((*SCALARS, "0.b", "é.é"), list),
    "mixed": dict(zip(SCALARS, (int, str, bool, "time", str, int, bool, str), strict=True)),
}
QUERY = [1.0, 2.0]
MANY = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
def collections(url):
    """One collection without fields, and one for each way to have them."""
    with Client(url) as client:
        made = {"none": client.get_or_create_collection("none", dimensions=2)}
        for name, fields in TYPES.items():
            config = CollectionConfig(name=name, dimensions=2, fields=fields)
            made[name] = client.get_or_create_collection(config)
        yield made


def fill(collections, metadatas):
    records = [
        Record(id=str(n), embedding=[n + 1.0, 7.0], metadata=metadata, domain_id=domain)
        for n, metadata in enumerate(metadatas)
        for domain in ("default", "other")
    ]
    for docs in collections.values():
        docs.all_domains().clear()
        docs.all_domains().upsert(records)


def found(docs, filter, options=None):
    return [(match.id, match.distance) for match in docs.search(QUERY, 100, filter=filter, options=options)]


def check(collections, metadatas, filter):
    """Hold all collections against each other, and against the meaning of *filter* in Python."""
    expected = {str(n) for n, metadata in enumerate(metadatas) if passes(filter, metadata)}
    nearest = found(collections["none"], filter)
    assert {row_id for row_id, _ in nearest} == expected
    text_in_lists = any(isinstance(leaf, Contains) and leaf.json[:1] == b'"' for leaf in leaves(filter))
    for name, docs in collections.items():
        if name == "list" and text_in_lists:
            continue  # there, texts and objects are not looked into
        assert docs.count(filter) == len(expected), name
        assert found(docs, filter) == nearest, name
        try:
            covered = found(docs, filter, SearchOptions(access="covering"))
        except ConfigError:
            continue  # not all of the filter is in the index
        assert [row_id for row_id, _ in covered] == [row_id for row_id, _ in nearest], name
        assert np.allclose([far for _, far in covered], [far for _, far in nearest])


@MANY
@given(metadatas=st.lists(METADATA, min_size=1, max_size=12), filters=st.lists(FILTERS, min_size=1, max_size=4))
def test_a_filter_means_the_same_with_fields_and_without(collections, metadatas, filters):
    fill(collections, metadatas)
    for filter in filters:
        check(collections, metadatas, filter)


SHORT = st.sampled_from([0, 1, 0.5, "a", "", "2024-01-01", True, False, None, [], ["a"], [1, "a"], {"a": 1}])
ROWS = st.fixed_dictionaries({}, optional=dict.fromkeys(("a", "b", "0", "a.b", "x'y", '"', "é"), SHORT))
KEYS = st.sampled_from([Key((name,)) for name in ("a", "b", "0", "a.b", "x'y", '"', "é")])
QUESTIONS = (
    st.builds(Equals, KEYS, SHORT.map(dumps))
    | st.builds(In, KEYS, st.lists(SHORT.map(dumps), max_size=3).map(tuple))
    | st.builds(Compare, KEYS, st.sampled_from(Order), st.sampled_from([0, 0.5, "a", "2024"]).map(dumps))
    | st.builds(Contains, KEYS, st.sampled_from([1, True, None]).map(dumps))
)


@MANY
@given(metadatas=st.lists(ROWS, min_size=4, max_size=12), one=QUESTIONS, other=QUESTIONS, third=QUESTIONS)
def test_conditions_that_columns_answer_are_combined_as_any_others(collections, metadatas, one, other, third):
    fill(collections, metadatas)
    for filter in (one & other, one | ~other, ~(one & other), Not(one | other) & third, one & ~third):
        check(collections, metadatas, filter)


# What a column cannot hold, and what it just holds.
LONG = [
    10**39,
    10**40,
    -(10**38),
    -(10**39),
    1e300,
    5e-324,
    1e-40,
    "x" * 64,
    "x" * 65,
    "é" * 32,
    "é" * 33,
    "x" * 10_000,
    "2024-01-01" + " " * 54,
    "2024-01-01" + " " * 55,
    ["x" * 10_000],
    [10**50],
]


@pytest.mark.parametrize("value", LONG, ids=lambda value: str(value)[:20])
def test_values_that_are_too_long_for_a_column_are_found_all_the_same(collections, value):
    metadatas = [{"a": value}, {"a": 1}, {"a": "x"}, {"b": {"a": value}}, {}, {"a": [value]}, {"a": None}]
    fill(collections, metadatas)
    a, deep = Key(("a",)), Key(("b", "a"))
    for key in (a, deep):
        for filter in (
            Equals(key, dumps(value)),
            In(key, (dumps(value), b"1")),
            In(key, (dumps(value), b'"x"', b"null")),
            Equals(key, b"1"),
            IsEmpty(key),
        ):
            check(collections, metadatas, filter)
            check(collections, metadatas, ~filter)
    if not isinstance(value, list | str):
        check(collections, metadatas, Contains(a, dumps(value)))
    if isinstance(value, str):
        check({**collections, "list": collections["none"]}, metadatas, Contains(a, dumps(value)))


@MANY
@given(metadatas=st.lists(METADATA, min_size=1, max_size=8), filter=LEAVES, field=FIELDS)
def test_a_filter_and_its_negation_share_the_rows_among_them(collections, metadatas, filter, field):
    fill(collections, metadatas)
    for docs in collections.values():
        assert docs.count(filter) + docs.count(~filter) == len(metadatas)


MIXED = [{"a": "axb"}, {"a": ["x"]}, {"a": {"x": 1}}, {"a": ["axb"]}, {"a": "b"}, {}]


@pytest.mark.parametrize("name", [name for name in TYPES if name != "list"])
def test_text_that_is_contained_is_found_in_texts_lists_and_objects(collections, name):
    fill(collections, MIXED)
    check({key: collections[key] for key in ("none", name)}, MIXED, Contains(Key(("a",)), b'"x"'))


def test_a_field_of_lists_looks_into_lists_alone(collections):
    fill(collections, MIXED)
    assert [found_id for found_id, _ in found(collections["list"], Contains(Key(("a",)), b'"x"'))] == ["1"]


@pytest.mark.parametrize("name", TYPES)
def test_rows_of_all_domains_are_found_with_fields_too(collections, name):
    fill(collections, [{"a": 1}, {"a": "1"}, {"a": True}, {"a": [1]}])
    for filter in ({"a": 1}, {"a": "1"}, {"a": True}, {"a": {"$ne": 1}}, {"a": {"$contains": 1}}):
        every = [collections[key].all_domains() for key in ("none", name)]
        assert every[0].count(filter) == every[1].count(filter) > 0
        assert found(every[0], filter) == found(every[1], filter)


@pytest.mark.parametrize("name", TYPES)
def test_rows_are_deleted_by_the_same_filters(collections, name):
    metadatas = [{"a": 1}, {"a": "1"}, {"a": True}, {"a": [1]}, {}]
    for filter in ({"a": 1}, {"a": {"$in": ["1", True]}}, {"a": {"$gt": 0}}, {"a": {"$nin": [1]}}):
        fill(collections, metadatas)
        deleted = [collections[key].delete(filter=filter) for key in ("none", name)]
        assert deleted[0] == deleted[1] > 0
        left = [{r.id for r in collections[key].list().records} for key in ("none", name)]
        assert left[0] == left[1]
        assert collections[name].domain("other").count() == len(metadatas)
