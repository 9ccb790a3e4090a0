"""Embeddings as callers give them, to one checked matrix."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgrecall.distance import Distance, VectorType
from pgrecall.embeddings import as_matrix
from pgrecall.errors import DimensionMismatch, RecordError

ROWS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]


def matrix(embeddings, dimensions=3, vector_type="vector", distance="l2"):
    describe = "record {}".format
    return as_matrix(embeddings, dimensions, VectorType(vector_type), Distance(distance), describe)


@pytest.mark.parametrize(
    "embeddings",
    [
        ROWS,
        [tuple(row) for row in ROWS],
        tuple(ROWS),
        np.array(ROWS),
        np.array(ROWS, np.float32),
        np.array(ROWS, np.float16),
        np.array(ROWS, ">f8"),
        np.array(ROWS, np.int64),
        np.array(ROWS, order="F"),
        np.array([[*row, 0.0] for row in ROWS])[:, :3],
        np.array(ROWS[::-1])[::-1],
        [np.array(row, np.float32) for row in ROWS],
        [np.array(ROWS[0]), ROWS[1]],
        np.array(ROWS, object),
    ],
    ids=lambda value: f"{type(value).__name__}-{getattr(value, 'dtype', type(value[0]).__name__)}",
)
def test_matrix_of_any_form_is_float32(embeddings):
    found = matrix(embeddings)
    assert found.dtype == np.float32
    assert found.tolist() == ROWS


def test_matrix_for_halfvec_is_float16():
    assert matrix(ROWS, vector_type="halfvec").dtype == np.float16


def test_matrix_leaves_the_callers_array_alone():
    given = np.array(ROWS, np.float64)
    matrix(given)
    assert given.dtype == np.float64


def test_matrix_of_nothing_is_empty():
    assert matrix([]).shape == (0, 3)


@pytest.mark.parametrize("bits", [[1, 0, 1], [True, False, True], [1.0, 0.0, 1.0], np.array([1, 0, 1], np.uint8)])
def test_matrix_of_bits_is_zeros_and_ones(bits):
    assert matrix([bits], vector_type="bit", distance="hamming").tolist() == [[1, 0, 1]]


@pytest.mark.parametrize("bits", [[2, 0, 0], [0.5, 0, 0], [-1, 0, 0], [256, 0, 1], [257, 0, 1]])
def test_matrix_of_anything_but_bits_for_a_bit_column_is_an_error(bits):
    with pytest.raises(RecordError, match=r"record 0.*only 0 and 1"):
        matrix([bits], vector_type="bit", distance="hamming")


def test_matrix_of_nan_for_a_bit_column_is_an_error():
    with pytest.raises(RecordError, match="record 0"):
        matrix([[float("nan"), 0, 1]], vector_type="bit", distance="hamming")


@pytest.mark.parametrize("length", [0, 2, 4])
def test_matrix_names_the_row_of_another_length(length):
    with pytest.raises(DimensionMismatch, match=f"record 1.* {length} dimensions, but 3 are expected"):
        matrix([[1, 2, 3], [1] * length, [1, 2, 3]])


def test_matrix_whose_rows_are_all_of_another_length_is_an_error():
    with pytest.raises(DimensionMismatch, match=r"record 0.* 2 dimensions, but 3"):
        matrix(np.ones((5, 2)))


def test_matrix_without_wanted_dimensions_takes_those_of_the_first():
    assert matrix(np.ones((2, 7)), dimensions=None).shape == (2, 7)
    with pytest.raises(DimensionMismatch, match="record 1"):
        matrix([[1, 2], [1, 2, 3]], dimensions=None)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39, -1e39])
@pytest.mark.parametrize("container", [list, np.array])
def test_matrix_names_the_row_that_float32_cannot_hold(value, container):
    with pytest.raises(RecordError, match=r"record 1.*NaN, infinity"):
        matrix(container([[1.0, 2.0, 3.0], [1.0, value, 3.0]]))


def test_matrix_for_halfvec_names_the_row_that_overflows():
    with pytest.raises(RecordError, match=r"record 1.*halfvec cannot hold"):
        matrix([[1, 2, 3], [1, 70_000, 3]], vector_type="halfvec")


def test_matrix_of_an_integer_beyond_every_float_is_an_error():
    with pytest.raises(RecordError, match="record 0"):
        matrix([[10**400, 1, 1]])


def test_matrix_with_a_zero_row_under_cosine_is_an_error():
    with pytest.raises(RecordError, match=r"record 1.*zero vector"):
        matrix([[1, 2, 3], [0, 0, 0]], distance="cosine")


def test_matrix_with_a_row_that_halfvec_rounds_to_zero_is_an_error_under_cosine():
    with pytest.raises(RecordError, match=r"record 0.*zero vector"):
        matrix([[1e-9, 0, 0]], vector_type="halfvec", distance="cosine")


@pytest.mark.parametrize("distance", ["l2", "l1", "inner_product"])
def test_matrix_with_a_zero_row_is_fine_elsewhere(distance):
    assert not matrix([[0, 0, 0]], distance=distance).any()


@pytest.mark.parametrize(
    "bad",
    [None, "abc", b"abc", 5, ["a", "b", "c"], [1, None, 3], [[1, 2, 3]], {1: 2}, [1j, 2, 3], [1, [2], 3], object()],
    ids=lambda bad: type(bad).__name__,
)
def test_matrix_names_the_row_that_is_no_embedding(bad):
    with pytest.raises((RecordError, DimensionMismatch), match="record 1"):
        matrix([[1, 2, 3], bad])


@pytest.mark.parametrize("bad", [np.array(["a", "b"]), np.ones(3), np.ones((2, 3, 4)), np.array([[1j, 2, 3]])])
def test_matrix_of_an_array_that_holds_no_rows_of_numbers_is_an_error(bad):
    with pytest.raises(RecordError):
        matrix(bad)


FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(st.lists(st.lists(FLOATS, min_size=4, max_size=4), min_size=1, max_size=5))
def test_matrix_keeps_every_float32(rows):
    assert matrix(rows, dimensions=4).tolist() == rows


def test_matrix_leaves_the_warnings_of_other_threads_alone():
    class Row:
        def __array__(self, dtype=None, copy=None):
            # What the process does with warnings is seen by all of its threads.
            seen.append(list(warnings.filters))
            return np.array(ROWS[0], dtype)

    seen = []
    assert matrix([Row(), Row()]).shape == (2, 3)
    assert seen
    assert all(filters == warnings.filters for filters in seen)


@pytest.mark.parametrize("bad", [np.array([1j, 0, 0]), ["1", "2", "3"]])
def test_matrix_loses_no_half_of_a_number_and_reads_no_text(bad):
    with pytest.raises(RecordError, match="record 1: the embedding must be a flat list"):
        matrix([[10**30, 2, 3], bad])
