"""JSON for jsonb: what it holds round trips, what it cannot hold is an error with a name."""

import datetime as dt
import enum
import math
import sys
import tracemalloc
import uuid
from decimal import Decimal
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgrecall import jsonb

TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=20)


class Colour(enum.StrEnum):
    RED = "red"


@given(VALUES)
def test_loads_inverts_dumps(value):
    assert jsonb.loads(jsonb.dumps(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (dt.date(2024, 2, 29), '"2024-02-29"'),
        (dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC), '"2024-02-29T12:00:00+00:00"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (Decimal("1.10"), "1.10"),
        (Decimal("1E+3"), "1000"),
        (np.int32(7), "7"),
        (np.float32(0.5), "0.5"),
        (np.bool_(True), "true"),
        (np.array([1, 2]), "[1,2]"),
        ((1, 2), "[1,2]"),
        (MappingProxyType({"a": 1}), '{"a":1}'),
        (Colour.RED, '"red"'),
        (2**64, "18446744073709551616"),
        ({"n": [2**70, "é"]}, '{"n": [1180591620717411303424, "é"]}'),
        (None, "null"),
        ("\\u0000", '"\\\\u0000"'),
    ],
)
def test_dumps_of_what_json_lacks_is_its_plain_form(value, text):
    assert jsonb.dumps(value).decode() == text


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (math.nan, "the value"),
        ({"a": [1, math.inf]}, r"a\[1\]"),
        ({"a": {"b": "\x00"}}, r"a\.b"),
        ({"a\x00": 1}, "a key of the value"),
        ({"a": "\ud800"}, "a"),
        ({"\ud800": 1}, "a key"),
        ({1: 2}, "keys must be strings"),
        ({None: 2}, "keys must be strings"),
        ({"a": {1, 2}}, "a is a set"),
        ({"a": b"x"}, "a is a bytes"),
        ({"a": object()}, "a is a object"),
        ({"a": 1j}, "a is a complex"),
        ({"a": Decimal("NaN")}, "a is a Decimal"),
        ({"a": np.float64("nan")}, "a"),
        ({"a": np.array([1.0, math.nan])}, "a holds NaN"),
        ({"a": None, "b": math.nan}, "b is nan"),
    ],
)
def test_dumps_names_the_part_that_jsonb_cannot_hold(value, where):
    with pytest.raises(jsonb.JSONValueError, match=where):
        jsonb.dumps(value)


def test_dumps_of_a_value_that_holds_itself_is_an_error():
    value = {}
    value["self"] = value
    with pytest.raises(jsonb.JSONValueError, match="nested deeper"):
        jsonb.dumps(value)


@pytest.mark.parametrize("value", [10**5_000, {"a": [10**5_000]}], ids=["bare", "nested"])
def test_dumps_of_a_number_too_long_to_be_written_is_an_error(value):
    with pytest.raises(jsonb.JSONValueError):
        jsonb.dumps(value)


def test_loads_keeps_big_integers_exact():
    assert jsonb.loads(b'{"n": 123456789012345678901234567890}') == {"n": 123456789012345678901234567890}


def test_loads_takes_text_and_views():
    assert jsonb.loads("[1]") == jsonb.loads(b"[1]") == jsonb.loads(memoryview(b"[1]")) == [1]


def test_dumps_holds_no_more_memory_than_its_text():
    tracemalloc.start()
    try:
        texts = [jsonb.dumps({"number": number}) for number in range(1_000)]
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 4 * sum(map(sys.getsizeof, texts))
