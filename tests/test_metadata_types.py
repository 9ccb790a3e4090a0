import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgrecall import jsonb
from pgrecall.metadata_types import describe, restore

SCALARS = {
    "naive": datetime(2024, 2, 29, 12, 30, 15, 123456),  # noqa: DTZ001 - that it has no zone must come back too
    "utc": datetime(2024, 2, 29, tzinfo=UTC),
    "zoned": datetime(2024, 2, 29, 23, 59, tzinfo=timezone(timedelta(hours=-9, minutes=-30))),
    "date": date(1999, 12, 31),
    "time": time(23, 59, 59, 10_000),
    "zoned time": time(1, tzinfo=UTC),
    "uuid": UUID("8a7f0d0e-5f6b-4c6e-9a5a-0123456789ab"),
    "price": Decimal("19.90"),
    "tiny": Decimal("1E-20"),
    "large": 1e23,
    "negative zero": -0.0,
    "int8": np.int8(-7),
    "uint64": np.uint64(2**64 - 1),
    "float16": np.float16(0.1),
    "float32": np.float32(0.1),
    "float64": np.float64(0.1),
    "bool": np.bool_(True),
    "day": np.datetime64("2024-02-29"),
    "instant": np.datetime64("2024-02-29T01:02:03.000004"),
}
TYPED = st.one_of(
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.dates(),
    st.times(),
    st.uuids(),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(np.float32),
    st.integers(-(2**31), 2**31 - 1).map(np.int32),
)
PLAIN = st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"], min_codepoint=1))
KEYS = st.text(st.characters(exclude_categories=["Cs"], min_codepoint=1), max_size=5)
VALUES = st.recursive(
    PLAIN | TYPED,
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)


def through_json(metadata):
    """Return *metadata* as it comes back from jsonb, which keeps numbers in decimal notation."""
    stored = jsonb.loads(jsonb.dumps(_as_jsonb_prints(jsonb.loads(jsonb.dumps(metadata)))))
    notes = describe(metadata)
    return stored if notes is None else restore(stored, jsonb.loads(jsonb.dumps(notes)))


def _as_jsonb_prints(value):
    if isinstance(value, dict):
        return {key: _as_jsonb_prints(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_as_jsonb_prints(inner) for inner in value]
    if isinstance(value, float):
        return int(value) if abs(value) >= 1e16 else value + 0.0  # and has one zero only
    return value


def same(left, right):
    if isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], value) for key, value in right.items())
    if isinstance(right, list | tuple):
        return type(left) is type(right) and len(left) == len(right) and all(map(same, left, right))
    if isinstance(right, float):
        return type(left) is type(right) and left.hex() == right.hex()
    return type(left) is type(right) and left == right


@pytest.mark.parametrize("value", SCALARS.values(), ids=SCALARS)
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [1, v], lambda v: {"a": {"b": [v]}}, lambda v: (v, "x")])
def test_value_comes_back_as_it_was(value, wrap):
    assert same(through_json({"k": wrap(value), "n": 1}), {"k": wrap(value), "n": 1})


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int16).reshape(2, 3),
        np.zeros((0, 3), np.float32),
        np.array([0.1, 0.2], np.float64),
        np.array([True, False]),
        np.arange(6.0).reshape(2, 3).T,
    ],
)
def test_array_comes_back_with_type_and_shape(array):
    found = through_json({"k": array})["k"]
    assert (found.dtype.name, found.shape) == (array.dtype.name, array.shape)
    assert np.array_equal(found, array)


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_any_metadata_comes_back(metadata):
    assert same(through_json(metadata), metadata)


@pytest.mark.parametrize("metadata", [{}, {"a": 1, "b": "x", "c": None, "d": 0.5, "e": [1, {"f": True}]}])
def test_plain_metadata_needs_no_notes(metadata):
    assert describe(metadata) is None


@pytest.mark.parametrize(
    "note", ["datetime", "uuid", "float", ["decimal", "1.5"], ["tuple", {}], {"x": "date"}, {"0": "date"}]
)
@pytest.mark.parametrize("value", ["changed since", 7, None, [1], {"x": 1}])
def test_note_that_does_not_fit_any_more_changes_nothing(note, value):
    found = restore({"k": value}, {"k": note})["k"]
    assert found == value or found == tuple(value if isinstance(value, list) else ())


@pytest.mark.parametrize(
    "note", [["scalar", "object"], ["array", "V999999999", [1]], ["scalar", "S9999999999"], ["?"], 7]
)
def test_note_of_another_making_is_not_followed(note):
    assert restore({"k": 1}, {"k": note}) == {"k": 1}


def test_note_of_a_missing_key_is_passed_over():
    assert restore({"a": 1}, {"b": "date", "a": None}) == {"a": 1}


def test_decimal_that_was_changed_is_not_overruled_by_its_note():
    assert restore({"k": 2.5}, {"k": ["decimal", "1.50"]}) == {"k": 2.5}
    assert math.isclose(restore({"k": 1.5}, {"k": ["decimal", "1.50"]})["k"], 1.5)
