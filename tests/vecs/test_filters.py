"""The filter dialect of vecs: what it means to the engine, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgrecall.filters import And, Compare, Equals, In, Key, Not, Or, Order
from pgrecall.vecs.exc import FilterError
from pgrecall.vecs.filters import as_filter

YEAR = Key(("year",))
OPERATORS = {
    "$eq": Equals(YEAR, b"5"),
    "$ne": Not(Equals(YEAR, b"5")),
    "$lt": Compare(YEAR, Order.LESS, b"5"),
    "$lte": Compare(YEAR, Order.LESS_OR_EQUAL, b"5"),
    "$gt": Compare(YEAR, Order.GREATER, b"5"),
    "$gte": Compare(YEAR, Order.GREATER_OR_EQUAL, b"5"),
}


@pytest.mark.parametrize("operator", OPERATORS)
def test_operator_is_the_engines(operator):
    assert as_filter({"year": {operator: 5}}) == OPERATORS[operator]


def test_conditions_are_joined():
    one, other = {"year": {"$eq": 5}}, {"year": {"$in": [1, "1"]}}
    assert as_filter({"$or": [one, other]}) == Or((Equals(YEAR, b"5"), In(YEAR, (b"1", b'"1"'))))
    assert as_filter({"$and": [one, {"$not": other}]}) == And((Equals(YEAR, b"5"), Not(In(YEAR, (b"1", b'"1"')))))
    assert as_filter({"year": {"$gt": 5, "$lt": 5}}) == And((OPERATORS["$gt"], OPERATORS["$lt"]))


@pytest.mark.parametrize("filters", [None, {}])
def test_nothing_lets_all_pass(filters):
    assert as_filter(filters) is None


@pytest.mark.parametrize(
    "filters",
    [
        ["year"],
        "year",
        7,
        {1: {"$eq": 1}},
        {"year": 5},
        {"year": None},
        {"year": [5]},
        {"year": {}},
        {"year": {"eq": 5}},
        {"year": {"$near": 5}},
        {"year": {"nested": {"$eq": 5}}},
        {"year": {"$in": 5}},
        {"year": {"$in": [1, [2]]}},
        {"year": {"$in": [{"a": 1}]}},
        {"year": {"$contains": [5]}},
        {"year": {"$gt": [5]}},
        {"$and": []},
        {"$or": []},
        {"$and": {"year": {"$eq": 5}}},
        {"$or": [{"year": 5}]},
        {"$or": ["year"]},
        {"$not": {"year": 5}},
        {"$xor": [{"year": {"$eq": 5}}]},
    ],
)
def test_what_is_no_filter_is_refused(filters):
    with pytest.raises(FilterError):
        as_filter(filters)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_bare_value_is_never_a_condition(value):
    with pytest.raises(FilterError):
        as_filter({"key": value})
