"""Filters: a mapping to nodes, or an error that names the part."""

import datetime as dt
import math

import pytest

from pgrecall.errors import FilterError
from pgrecall.filters import And, Column, Equals, Key, parse


def test_parse_of_none_is_no_filter():
    assert parse(None) is None


def test_parse_of_an_empty_mapping_is_no_filter():
    assert parse({}) is None


def test_parse_of_one_key_is_one_comparison():
    assert parse({"year": 2024}) == Equals(Key(("year",)), b"2024")


def test_parse_of_eq_is_the_bare_value():
    assert parse({"year": {"$eq": 2024}}) == parse({"year": 2024})


def test_parse_of_two_keys_is_both():
    assert parse({"a": 1, "b": "x"}) == And((Equals(Key(("a",)), b"1"), Equals(Key(("b",)), b'"x"')))


def test_parse_keeps_json_types_apart():
    values = ["2024", 2024, True, None, [2024], {"a": 2024}]
    assert len({parse({"year": value}).json for value in values}) == len(values)


def test_parse_leads_a_dotted_key_into_objects():
    assert parse({"a.b": 1}).field == Key(("a", "b"))


def test_parse_keeps_an_escaped_dot_in_its_key():
    assert parse({r"a\.b.c": 1}).field == Key(("a.b", "c"))


def test_parse_of_a_nested_mapping_is_a_value():
    assert parse({"a": {"b": 1}}) == Equals(Key(("a",)), b'{"b":1}')


def test_parse_returns_nodes_as_they_are():
    node = Equals(Column("id"), b'"a"')
    assert parse(node) is node


def test_nodes_are_joined_with_and():
    one, two, three = (Equals(Key((name,)), b"1") for name in "abc")
    assert (one & two) & three == And((one, two, three))


def test_filters_are_hashable():
    assert hash(parse({"a": [1], "b": {"c": 2}})) == hash(parse({"a": [1], "b": {"c": 2}}))


@pytest.mark.parametrize("filter", ["a", 1, [("a", 1)], True, {"a"}])
def test_parse_of_what_is_no_mapping_is_an_error(filter):
    with pytest.raises(FilterError, match="must be a mapping"):
        parse(filter)


@pytest.mark.parametrize("key", [1, None, "", ("a",)])
def test_parse_of_a_key_that_is_no_name_is_an_error(key):
    with pytest.raises(FilterError, match="non-empty string"):
        parse({key: 1})


@pytest.mark.parametrize("filter", [{"$nonsense": []}, {"a": {"$nonsense": 1}}, {"a": {"$eq": 1, "b": 2}}])
def test_parse_of_an_unknown_operator_is_an_error(filter):
    with pytest.raises(FilterError, match="not known"):
        parse(filter)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, {1, 2}, object(), b"x", "\x00", "\ud800", {"a": math.nan}, {1: 2}]
)
def test_parse_of_a_value_that_json_cannot_hold_names_the_key(value):
    with pytest.raises(FilterError, match="'colour'"):
        parse({"colour": value})


def test_parse_of_a_number_too_long_to_be_written_is_an_error():
    with pytest.raises(FilterError):
        parse({"n": 10**5_000})


@pytest.mark.parametrize("key", ["\x00", "a\x00b", "\ud800"])
def test_parse_of_a_key_that_postgresql_cannot_hold_is_an_error(key):
    with pytest.raises(FilterError, match="key"):
        parse({key: 1})


def test_parse_of_a_thousand_and_one_keys_is_an_error():
    with pytest.raises(FilterError, match="at most 1000"):
        parse({str(number): 1 for number in range(1_001)})


def test_parse_writes_dates_as_json_does():
    assert parse({"day": dt.date(2024, 2, 29)}).json == b'"2024-02-29"'


def test_a_key_prints_as_its_path():
    assert str(Key(("a", "b"))) == "a.b"
