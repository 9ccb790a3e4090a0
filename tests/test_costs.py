"""What ways take: more for more, and comparable with each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgrecall.planner import costs

DIMENSIONS = st.integers(1, 16_000)
ROWS = st.integers(0, 10_000_000)
KINDS = (costs.exact, costs.scan, costs.compare_codes, costs.rerank)


@pytest.mark.parametrize("cost", KINDS)
def test_no_rows_take_nothing(cost):
    assert cost(384, 0) == 0


@pytest.mark.parametrize("cost", KINDS)
@given(dimensions=DIMENSIONS, one=ROWS, other=ROWS)
def test_more_rows_take_more(cost, dimensions, one, other):
    few, many = sorted((one, other))
    assert 0 <= cost(dimensions, few) <= cost(dimensions, many)


@pytest.mark.parametrize("cost", KINDS)
@given(one=DIMENSIONS, other=DIMENSIONS, rows=ROWS)
def test_longer_embeddings_take_more(cost, one, other, rows):
    short, long = sorted((one, other))
    assert cost(short, rows) <= cost(long, rows)


@given(DIMENSIONS)
def test_a_row_of_a_scan_takes_more_than_a_row_that_is_compared(dimensions):
    # Else an index that looks at every row would be taken for better than comparing every row.
    assert costs.scan(dimensions, 1) > costs.exact(dimensions, 1)


@given(bits=st.integers(1, 4), dimensions=st.integers(1, 1_024))
def test_a_code_takes_less_than_the_embedding_that_it_is_of(bits, dimensions):
    assert costs.compare_codes(bits * dimensions, 1) < costs.exact(dimensions, 1)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_default_ef_search_grows_with_the_table_within_pgvectors_limits(one, other):
    small, large = sorted((one, other))
    assert 1 <= costs.default_ef_search(small) <= costs.default_ef_search(large) <= 1_000


@given(st.integers(1, 10_000), st.integers(0, 10**7), st.integers(1, 4))
def test_more_codes_are_reranked_than_rows_are_wanted(k, rows, bits):
    assert costs.reranked(k, rows, bits) > k


@given(st.integers(1, 10_000), st.integers(1, 10_000), st.integers(0, 10**7), st.integers(0, 10**7))
def test_more_codes_are_reranked_for_more_rows_among_more_and_with_fewer_bits(one_k, other_k, one_rows, other_rows):
    k, more_k = sorted((one_k, other_k))
    rows, more_rows = sorted((one_rows, other_rows))
    assert costs.reranked(k, rows, 4) <= costs.reranked(more_k, rows, 4)
    assert costs.reranked(k, rows, 4) <= costs.reranked(k, more_rows, 4)
    by_bits = [costs.reranked(k, rows, bits) for bits in (4, 3, 2, 1)]
    assert by_bits == sorted(by_bits)
