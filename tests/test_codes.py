"""Codes: a few bits of each dimension, whose Hamming distance is near to the angle."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pgrecall import codes


def bits(embedding):
    """Return the code's bits, shape (b, d): a row for each threshold."""
    code = codes.encode(np.asarray(embedding, np.float32))
    length = int.from_bytes(code[:4], "big")
    unpacked = np.unpackbits(np.frombuffer(code[4:], np.uint8))
    assert not unpacked[length:].any()  # PostgreSQL wants the rest of the last byte to be zero
    return unpacked[:length].reshape(-1, len(embedding))


@pytest.mark.parametrize(
    ("dimensions", "kept"),
    [(1, 4), (384, 4), (1_024, 4), (1_025, 3), (1_365, 3), (1_536, 2), (2_048, 2), (3_072, 1), (4_096, 1), (4_097, 0)],
)
def test_bits_per_dimension_fill_the_code_and_no_more(dimensions, kept):
    assert codes.bits_per_dimension(dimensions) == kept
    assert dimensions * kept <= codes.MAX_CODE_BITS


@given(st.integers(1, 16_000))
def test_a_code_always_fits_its_place_in_an_index(dimensions):
    assert 0 <= codes.bits_per_dimension(dimensions) <= 4
    assert codes.bits_per_dimension(dimensions) * dimensions <= codes.MAX_CODE_BITS


@pytest.mark.parametrize("dimensions", [1, 3, 384, 1_100, 1_536, 4_096])
def test_thresholds_are_ascending_and_symmetric(dimensions):
    limits = codes.thresholds(dimensions)
    assert len(limits) == codes.bits_per_dimension(dimensions)
    assert list(limits) == sorted(set(limits))
    assert limits == pytest.approx([-limit for limit in reversed(limits)], abs=1e-12)


@pytest.mark.parametrize("dimensions", [1_024, 1_300, 2_048, 4_096])
def test_thresholds_divide_the_coordinates_of_random_directions_evenly(dimensions):
    drawn = np.random.default_rng(5).normal(size=(50, dimensions))
    unit = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    limits = codes.thresholds(dimensions)
    shares = np.diff([0, *[(unit <= limit).mean() for limit in limits], 1])
    assert shares == pytest.approx([1 / (len(limits) + 1)] * (len(limits) + 1), abs=0.01)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 7, 8, 9, 384, 1_025, 1_536, 3_072, 4_096])
def test_code_is_in_postgresqls_binary_format_of_bit(dimensions):
    code = codes.encode(np.ones(dimensions, np.float32))
    length = dimensions * codes.bits_per_dimension(dimensions)
    assert isinstance(code, bytes)
    assert int.from_bytes(code[:4], "big") == length
    assert len(code) == 4 + (length + 7) // 8


def test_bits_of_the_lowest_threshold_come_first():
    # In two dimensions: one far above all thresholds, one far below all of them.
    assert bits([1.0, -1.0]).tolist() == [[1, 0]] * 4
    assert bits([0.001, 1.0])[:, 0].tolist() == [1, 1, 0, 0]


def test_each_bit_says_whether_its_dimension_is_above_its_threshold():
    drawn = np.random.default_rng(6).normal(size=100).astype(np.float32)
    unit = drawn / np.linalg.norm(drawn)
    assert (bits(drawn) == (unit[None] > np.float32(codes.thresholds(100))[:, None])).all()


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=20).filter(any), st.integers(-20, 20))
def test_a_code_does_not_depend_on_the_length_of_the_embedding(embedding, power):
    given = np.asarray(embedding, np.float32)
    assume(np.linalg.norm(given) > 1e-20)
    assert codes.encode(given * np.float32(2.0**power)) == codes.encode(given)


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=20))
def test_a_dimension_that_is_above_a_threshold_is_above_all_lower_ones(embedding):
    found = bits(embedding)
    assert (np.diff(found.astype(int), axis=0) <= 0).all()


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_code_of_any_kind_of_numbers_is_the_same(kind):
    embedding = np.array([1.0, -2.0, 0.5, 0.25, -0.125])
    assert codes.encode(embedding.astype(kind)) == codes.encode(embedding.astype(np.float32))


def test_code_of_nothing_but_zeros_exists():
    assert bits([0.0, 0.0, 0.0]).tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(("dimensions", "least"), [(64, 0.9), (384, 0.9), (1_536, 0.9), (3_072, 0.8)])
def test_the_order_of_codes_is_near_to_the_order_of_angles(dimensions, least):
    rng = np.random.default_rng(7)
    query = rng.normal(size=dimensions)
    nearness = np.linspace(0, 2, 300)[:, None]
    rows = (rng.normal(size=(300, dimensions)) + nearness * query).astype(np.float32)
    cosine = 1 - rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)
    hamming = np.array([(bits(row) != bits(query)).sum() for row in rows])
    ranks = [np.argsort(np.argsort(distances)) for distances in (cosine, hamming)]
    assert np.corrcoef(*ranks)[0, 1] > least


def test_among_random_directions_codes_find_most_of_the_nearest_rows():
    rng = np.random.default_rng(8)
    rows = rng.normal(size=(2_000, 384)).astype(np.float32)
    query = rng.normal(size=384).astype(np.float32)
    cosine = 1 - rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)
    hamming = np.array([(bits(row) != bits(query)).sum() for row in rows])
    nearest, candidates = (set(np.argsort(distances)[:k].tolist()) for distances, k in ((cosine, 10), (hamming, 100)))
    assert len(nearest & candidates) >= 9
