import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgrecall.mmr import maximal_marginal_relevance

QUERY = np.array([1.0, 0.0])


def by_definition(query, candidates, k, lambda_mult):
    """The formula, one pair at a time."""

    def cosine(a, b):
        lengths = np.linalg.norm(a) * np.linalg.norm(b)
        return float(a @ b / lengths) if lengths else 0.0

    picks = []
    while len(picks) < min(k, len(candidates)):
        worth = {
            n: lambda_mult * cosine(one, query) - (1 - lambda_mult) * max(cosine(one, candidates[p]) for p in picks)
            if picks
            else cosine(one, query)
            for n, one in enumerate(candidates)
            if n not in picks
        }
        picks.append(max(worth, key=worth.get))
    return picks


@given(
    st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=12),
    st.integers(1, 14),
    st.floats(0, 1),
)
def test_picks_are_those_of_the_definition(rows, k, lambda_mult):
    # Noise, so that no two are worth the same but for rounding.
    candidates = np.array(rows, float) + np.random.default_rng(7).random((len(rows), 3))
    query = np.array([3.0, 1.0, -2.0])
    found = maximal_marginal_relevance(query, candidates, k, lambda_mult)
    assert found == by_definition(query, candidates, k, lambda_mult)


def test_equal_candidates_are_not_picked_one_after_the_other():
    candidates = np.array([[1.0, 0.0], [1.0, 0.0], [0.9, 0.5]])
    assert maximal_marginal_relevance(QUERY, candidates, 2, 0.4) == [0, 2]


def test_lambda_of_one_is_the_order_of_nearness():
    candidates = np.array([[1.0, 0.0], [1.0, 0.01], [0.9, 0.5]])
    assert maximal_marginal_relevance(QUERY, candidates, 3, 1.0) == [0, 1, 2]


def test_lambda_of_zero_is_respected():
    candidates = np.array([[1.0, 0.0], [1.0, 0.01], [-1.0, 0.0]])
    assert maximal_marginal_relevance(QUERY, candidates, 2, 0.0) == [0, 2]


def test_length_means_nothing():
    candidates = np.array([[5.0, 1.0], [0.1, 0.0]])
    assert maximal_marginal_relevance(QUERY, candidates, 1, 1.0) == [1]


def test_zero_vectors_are_like_nothing():
    candidates = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    assert maximal_marginal_relevance(QUERY, candidates, 3, 0.5) == [1, 0, 2]


@pytest.mark.parametrize("query", [[1, 1, 1, 0], np.array([True, True, True, False])])
def test_bits_are_compared_by_their_agreement(query):
    candidates = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [0, 0, 0, 1]], np.uint8)
    assert maximal_marginal_relevance(np.asarray(query), candidates, 3, 1.0) == [1, 0, 2]
