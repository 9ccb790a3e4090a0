"""Rankings into one, with nothing but Python."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgrecall import Convex, ReciprocalRank, Union
from pgrecall.errors import ConfigError

A, B, C = ("d", "a"), ("d", "b"), ("d", "c")
RANKINGS = {"dense": [A, B], "keyword": [B, C]}
SCORES = {"dense": {A: 0.9, B: 0.5, C: 0.1}, "keyword": {A: 0.0, B: 0.4, C: 0.8}}


def test_convex_is_the_weighted_mean_of_all_scores():
    fused = Convex(alpha=0.7).fuse(RANKINGS, SCORES)
    assert fused == pytest.approx({A: 0.63, B: 0.47, C: 0.31})


def test_convex_shares_the_rest_between_words_and_sparse_embeddings():
    fused = Convex(alpha=0.5).fuse({**RANKINGS, "sparse": [A]}, {**SCORES, "sparse": {A: 1.0}})
    assert fused[A] == pytest.approx(0.5 * 0.9 + 0.25 * 0.0 + 0.25 * 1.0)


def test_reciprocal_ranks_are_added_and_divided_by_the_most_there_can_be():
    fused = ReciprocalRank().fuse(RANKINGS, SCORES)
    most = 2 / 61
    assert fused == pytest.approx({A: (1 / 61) / most, B: (1 / 62 + 1 / 61) / most, C: (1 / 62) / most})
    assert ReciprocalRank().fuse({"dense": [A], "keyword": [A]}, SCORES) == {A: pytest.approx(1.0)}


def test_weights_of_reciprocal_ranks_count():
    fused = ReciprocalRank(weights={"keyword": 0.0}).fuse(RANKINGS, SCORES)
    assert max(fused, key=fused.get) == A
    assert fused[C] == 0


def test_union_appends_what_only_words_have_found():
    assert list(Union().fuse(RANKINGS, SCORES)) == [A, B, C]


@given(
    st.lists(st.integers(0, 9), unique=True, max_size=8),
    st.lists(st.integers(0, 9), unique=True, max_size=8),
    st.sampled_from([Convex(), Convex(alpha=0), Convex(alpha=1), ReciprocalRank(), Union()]),
    st.randoms(use_true_random=False),
)
def test_every_record_gets_a_score_from_0_to_1(dense, keyword, fusion, random):
    rankings = {"dense": [("d", str(n)) for n in dense], "keyword": [("d", str(n)) for n in keyword]}
    records = {*rankings["dense"], *rankings["keyword"]}
    scores = {leg: {record: random.random() for record in records} for leg in rankings}
    fused = fusion.fuse(rankings, scores)
    assert set(fused) == records
    assert all(0 <= score <= 1 + 1e-9 for score in fused.values())


@pytest.mark.parametrize(
    "make",
    [
        lambda: Convex(alpha=1.1),
        lambda: Convex(alpha=True),
        lambda: Convex(alpha="much"),
        lambda: ReciprocalRank(weights={"dens": 1}),
        lambda: ReciprocalRank(weights={"dense": -1}),
        lambda: ReciprocalRank(weights={"dense": 0, "keyword": 0, "sparse": 0}),
        lambda: ReciprocalRank(constant=-1),
    ],
)
def test_what_cannot_be_a_weight_is_refused(make):
    with pytest.raises(ConfigError):
        make()
