"""Distances: operator, operator class and score belong together."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgrecall.distance import Distance, VectorType
from pgrecall.errors import ConfigError


@pytest.mark.parametrize(
    ("distance", "value", "score"),
    [
        (Distance.COSINE, 0.25, 0.75),
        (Distance.L2, 3.0, 0.25),
        (Distance.L1, 1.0, 0.5),
        (Distance.INNER_PRODUCT, -5.0, 5.0),
        (Distance.HAMMING, 1.0, 0.5),
        (Distance.JACCARD, 0.4, 0.6),
    ],
)
def test_score_of_a_distance(distance, value, score):
    assert distance.score(value) == pytest.approx(score)


@given(st.sampled_from(Distance), st.floats(0, 2), st.floats(0, 2))
def test_score_is_higher_for_what_is_nearer(distance, one, other):
    nearer, farther = sorted((one, other))
    assert distance.score(nearer) >= distance.score(farther)


@given(st.sampled_from(Distance), st.floats(0, 1))
def test_distance_of_inverts_score(distance, value):
    assert distance.distance_of(distance.score(value)) == pytest.approx(value, abs=1e-9)


def test_distance_of_a_score_that_any_l2_distance_reaches_is_infinite():
    assert Distance.L2.distance_of(0) == math.inf
    assert Distance.L2.distance_of(-1) == math.inf


@pytest.mark.parametrize(
    ("distance", "vector_type", "operator", "operator_class"),
    [
        ("cosine", "vector", "<=>", "vector_cosine_ops"),
        ("l2", "vector", "<->", "vector_l2_ops"),
        ("inner_product", "vector", "<#>", "vector_ip_ops"),
        ("l1", "vector", "<+>", "vector_l1_ops"),
        ("cosine", "halfvec", "<=>", "halfvec_cosine_ops"),
        ("l2", "halfvec", "<->", "halfvec_l2_ops"),
        ("inner_product", "halfvec", "<#>", "halfvec_ip_ops"),
        ("l1", "halfvec", "<+>", "halfvec_l1_ops"),
        ("hamming", "bit", "<~>", "bit_hamming_ops"),
        ("jaccard", "bit", "<%>", "bit_jaccard_ops"),
    ],
)
def test_operator_and_operator_class_belong_together(distance, vector_type, operator, operator_class):
    found = Distance(distance)
    assert found.operator == operator
    assert found.operator_class(VectorType(vector_type)) == operator_class


@pytest.mark.parametrize(
    ("distance", "vector_type"),
    [("hamming", "vector"), ("jaccard", "halfvec"), ("cosine", "bit"), ("l2", "bit")],
)
def test_check_type_refuses_a_pair_that_pgvector_lacks(distance, vector_type):
    with pytest.raises(ConfigError, match=f"{distance}.*{vector_type}.*use one of"):
        Distance(distance).check_type(VectorType(vector_type))


@pytest.mark.parametrize(
    ("name", "distance"),
    [
        ("COSINE", Distance.COSINE),
        ("euclidean", Distance.L2),
        ("dot", Distance.INNER_PRODUCT),
        ("Max Inner-Product", Distance.INNER_PRODUCT),
        ("manhattan", Distance.L1),
        (Distance.JACCARD, Distance.JACCARD),
    ],
)
def test_parse_understands_synonyms(name, distance):
    assert Distance.parse(name) is distance


@pytest.mark.parametrize("name", ["", "cosin", None, 3])
def test_parse_of_an_unknown_distance_lists_the_known_ones(name):
    with pytest.raises(ConfigError, match="cosine, l2, inner_product"):
        Distance.parse(name)


def test_parse_of_an_unknown_vector_type_lists_the_known_ones():
    with pytest.raises(ConfigError, match="vector, halfvec, bit"):
        VectorType.parse("sparsevec")


@pytest.mark.parametrize(("vector_type", "most"), [("vector", 2_000), ("halfvec", 4_000), ("bit", 64_000)])
def test_max_indexed_dimensions_are_those_of_pgvector(vector_type, most):
    assert VectorType(vector_type).max_indexed_dimensions == most
