"""pgvector's binary and text forms, byte by byte."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pgrecall import vectors
from pgrecall.distance import VectorType

SINGLE = arrays(np.float32, (3, 5), elements=st.floats(allow_nan=False, allow_infinity=False, width=32))
HALF = arrays(np.float16, (2, 7), elements=st.floats(-60_000, 60_000, width=16))
BITS = st.integers(1, 40).flatmap(lambda d: arrays(np.uint8, (2, d), elements=st.integers(0, 1)))


def test_encode_vector_is_what_vector_send_writes():
    (row,) = vectors.encode(np.array([[1.0, -2.0]], np.float32), VectorType.VECTOR)
    assert bytes(row).hex() == "0002" + "0000" + "3f800000" + "c0000000"


def test_encode_halfvec_is_what_halfvec_send_writes():
    (row,) = vectors.encode(np.array([[1.0, -2.0]], np.float16), VectorType.HALFVEC)
    assert bytes(row).hex() == "0002" + "0000" + "3c00" + "c000"


def test_encode_bit_is_what_bit_send_writes():
    (row,) = vectors.encode(np.array([[1, 0, 1, 0, 0, 0, 0, 0, 1]], np.uint8), VectorType.BIT)
    assert bytes(row).hex() == "00000009" + "a080"


def test_encode_of_no_rows_is_nothing():
    assert vectors.encode(np.empty((0, 3), np.float32), VectorType.VECTOR) == []


@pytest.mark.parametrize("order", ["C", "F"])
def test_encode_does_not_depend_on_the_order_in_memory(order):
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    rows = vectors.encode(np.array(matrix, order=order), VectorType.VECTOR)
    assert [vectors.decode(row, VectorType.VECTOR).tolist() for row in rows] == matrix.tolist()


@given(SINGLE)
def test_decode_inverts_encode_of_vector(matrix):
    found = [vectors.decode(row, VectorType.VECTOR) for row in vectors.encode(matrix, VectorType.VECTOR)]
    assert np.array_equal(np.stack(found), matrix)


@given(HALF)
def test_decode_inverts_encode_of_halfvec(matrix):
    found = [vectors.decode(row, VectorType.HALFVEC) for row in vectors.encode(matrix, VectorType.HALFVEC)]
    assert np.array_equal(np.stack(found), matrix.astype(np.float32))


@given(BITS)
def test_decode_inverts_encode_of_bit(matrix):
    found = [vectors.decode(row, VectorType.BIT) for row in vectors.encode(matrix, VectorType.BIT)]
    assert np.array_equal(np.stack(found), matrix)


def test_decode_gives_an_array_that_can_be_written():
    (row,) = vectors.encode(np.ones((1, 3), np.float32), VectorType.VECTOR)
    assert vectors.decode(row, VectorType.VECTOR).flags.writeable


@given(SINGLE)
def test_from_text_inverts_to_text_of_vector(matrix):
    for row, data in zip(matrix, vectors.encode(matrix, VectorType.VECTOR), strict=True):
        text = vectors.to_text(data, VectorType.VECTOR)
        assert np.array_equal(vectors.from_text(text, VectorType.VECTOR), row)


@given(BITS)
def test_from_text_inverts_to_text_of_bit(matrix):
    for row, data in zip(matrix, vectors.encode(matrix, VectorType.BIT), strict=True):
        text = vectors.to_text(data, VectorType.BIT)
        assert text == "".join(map(str, row.tolist()))
        assert np.array_equal(vectors.from_text(text, VectorType.BIT), row)
