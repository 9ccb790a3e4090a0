"""LlamaIndex's own maximal marginal relevance, against LlamaIndex."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.indices.query.embedding_utils import get_top_k_mmr_embeddings

from pgrecall.llama_index.variety import pick


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 12),
    k=st.integers(1, 15),
    threshold=st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]),
)
def test_picks_and_worths_are_the_frameworks(seed, count, k, threshold):
    rng = np.random.default_rng(seed)
    query, candidates = rng.normal(size=4), rng.normal(size=(count, 4))
    worths, positions = get_top_k_mmr_embeddings(
        query.tolist(), candidates.tolist(), similarity_top_k=k, mmr_threshold=threshold
    )
    picked = pick(query, candidates, k, threshold)
    assert [position for position, _ in picked] == positions
    assert [worth for _, worth in picked] == pytest.approx(worths, abs=1e-9)


def test_zero_vector_is_like_nothing():
    assert pick(np.array([1.0, 0.0]), np.array([[0.0, 0.0], [1.0, 0.0]]), 2, 0.5) == [(1, 0.5), (0, 0.0)]
