"""Searching without an index: every answer is brute force's."""

import numpy as np
import pytest
from blockbuster import blockbuster_ctx

from integration_tests.oracle import Corpus
from pgrecall import Client, CollectionConfig, Distance, Match, Record, SearchOptions
from pgrecall.errors import ConfigError, DimensionMismatch, FilterError, RecordError
from pgrecall.plan import Access

pytestmark = pytest.mark.core
# Halfvec, L1, and distances on bits.
newer = pytest.mark.needs(pgvector="0.7")
KINDS = [
    ("cosine", "vector"),
    ("l2", "vector"),
    ("inner_product", "vector"),
    pytest.param(("l1", "vector"), marks=newer),
]
KINDS += [pytest.param((d, "halfvec"), marks=newer) for d in ("cosine", "l2", "inner_product", "l1")]
KINDS += [pytest.param((d, "bit"), marks=newer) for d in ("hamming", "jaccard")]


@pytest.fixture(scope="module", params=KINDS, ids="-".join)
def kind(request, module_database):
    """A corpus of 400 rows, and the collection that holds it."""
    distance, vector_type = request.param
    corpus = Corpus(rows=400, distance=distance, vector_type=vector_type)
    config = CollectionConfig(
        name=f"{distance}_{vector_type}", dimensions=16, distance=distance, vector_type=vector_type
    )
    with Client(module_database.url) as client:
        docs = client.get_or_create_collection(config)
        docs.upsert(corpus.batch())
        yield corpus, docs


@pytest.mark.parametrize("k", [1, 7, 400, 401, 10_000])
def test_search_gives_the_k_nearest(kind, k):
    corpus, docs = kind
    query = corpus.query()
    corpus.check(docs.search(query, k), query, k)


@pytest.mark.parametrize(
    ("filter", "keep"),
    [
        ({"half": 1}, lambda m: m["half"] == 1),
        ({"colour": "red", "tenth": 4}, lambda m: m["colour"] == "red" and m["tenth"] == 4),
        ({"rare": True}, lambda m: m["rare"]),
        ({"colour": "none"}, lambda m: False),
    ],
    ids=["half", "both", "one", "none"],
)
def test_search_under_a_filter_gives_the_k_nearest_that_pass(kind, filter, keep):
    corpus, docs = kind
    query = corpus.query()
    corpus.check(docs.search(query, 30, filter=filter), query, 30, keep=keep)


def test_search_leaves_out_what_scores_lower_than_the_threshold(kind):
    corpus, docs = kind
    query = corpus.query()
    every = docs.search(query, 400)
    threshold = (every[20].score + every[21].score) / 2
    found = docs.search(query, 400, score_threshold=threshold)
    assert {match.id for match in found} == {match.id for match in every if match.score >= threshold}


def test_search_keeps_what_scores_exactly_the_threshold(kind):
    corpus, docs = kind
    query = corpus.query()
    for position in range(0, 60, 3):
        threshold = docs.search(query, position + 1)[-1].score
        found = docs.search(query, position + 1, score_threshold=threshold)
        assert len(found) == position + 1


def test_search_returns_embeddings_where_asked(kind):
    corpus, docs = kind
    query = corpus.query()
    plain, full = docs.search(query, 3), docs.search(query, 3, include=["embedding"])
    assert [match.embedding for match in plain] == [None] * 3
    for match in full:
        assert np.array_equal(match.embedding, corpus.matrix[int(match.id[1:])])


async def test_search_of_a_filter_across_domains_counts_k_in_each(client):
    docs = await client.get_or_create_collection("docs", dimensions=2)
    for domain in ("red", "blue"):
        await docs.domain(domain).upsert([Record(id=f"{n}", embedding=[n + 1, 1]) for n in range(20)])
    matches = await docs.domain("red").search([1, 1], k=15)
    assert [match.domain_id for match in matches] == ["red"] * 15
    assert len(await docs.all_domains().search([1, 1], k=100)) == 40


async def test_search_gives_every_field_of_a_match(docs):
    await docs.upsert(
        [
            Record(
                id="a",
                embedding=[3, 4, 0],
                content="hello",
                metadata={"n": 1},
                document_id="d",
                chunk_index=2,
                envelope={"x": 1},
            )
        ]
    )
    (match,) = await docs.search([3, 4, 0], k=1, include=["envelope"])
    assert isinstance(match, Match)
    assert (match.id, match.content, match.metadata, match.document_id) == ("a", "hello", {"n": 1}, "d")
    assert (match.chunk_index, match.domain_id, match.envelope) == (2, "default", {"x": 1})
    assert (match.distance, match.score) == pytest.approx((0, 1), abs=1e-6)


@pytest.mark.parametrize(
    ("distance", "wanted", "score"),
    [
        ("cosine", 1 - 0.6, 0.6),
        ("l2", 20**0.5, 1 / (1 + 20**0.5)),
        ("inner_product", -3, 3),
        pytest.param("l1", 6, 1 / 7, marks=newer),
    ],
)
async def test_search_scores_by_the_distance_of_the_collection(client, distance, wanted, score):
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=2, distance=distance))
    await docs.upsert([Record(id="a", embedding=[3, 4])])
    (match,) = await docs.search([1, 0], k=1)
    assert match.distance == pytest.approx(wanted, abs=1e-6)
    assert match.score == pytest.approx(score, abs=1e-6)


@newer
@pytest.mark.parametrize(("distance", "wanted", "score"), [("hamming", 2, 1 / 3), ("jaccard", 2 / 3, 1 / 3)])
async def test_search_of_bits_scores_by_their_distance(client, distance, wanted, score):
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=4, distance=distance))
    await docs.upsert([Record(id="a", embedding=[1, 1, 0, 0])])
    (match,) = await docs.search([1, 0, 1, 0], k=1)
    assert (match.distance, match.score) == pytest.approx((wanted, score))


@pytest.mark.parametrize("scale", [1e-30, 1e-25, 1e-10, 1e10, 1e25, 1e30])
async def test_search_under_cosine_does_not_mind_the_length_of_a_vector(docs, scale):
    try:
        await docs.upsert([Record(id="a", embedding=[scale, scale, 0])])
    except RecordError:
        # What pgvector cannot compare in single precision may be refused, but never scored wrongly.
        return
    (match,) = await docs.search([1, 0, 0], k=1)
    assert match.score == pytest.approx(0.5**0.5, abs=1e-5)


async def test_search_prefers_options_over_the_planner(docs):
    await docs.upsert([Record(id="a", embedding=[1, 0, 0])])
    await docs.create_index()
    plan = await docs.explain([1, 0, 0], options=SearchOptions(exact=True))
    assert (plan.access, plan.reason) == (Access.EXACT, "it was asked for")


async def test_search_takes_a_query_of_any_form(docs):
    await docs.upsert([Record(id="a", embedding=[1, 2, 3])])
    for query in ([1, 2, 3], (1.0, 2.0, 3.0), np.array([1, 2, 3]), np.arange(9.0)[1:9:3], np.float16([1, 2, 3])):
        assert [match.id for match in await docs.search(query)] == ["a"]


@pytest.mark.parametrize("k", [0, -1, True, "5", 1.0, None, 10_001, 100_000])
async def test_search_for_an_impossible_k_is_an_error(docs, k):
    with pytest.raises(ConfigError, match="k must be a whole number from 1 to 10000"):
        await docs.search([1, 0, 0], k)


@pytest.mark.parametrize("threshold", ["0.5", float("nan"), float("inf"), True, [0.5]])
async def test_search_with_an_impossible_threshold_is_an_error(docs, threshold):
    with pytest.raises(ConfigError, match="score_threshold"):
        await docs.search([1, 0, 0], score_threshold=threshold)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ([1, 0], DimensionMismatch),
        ([1, 0, 0, 0], DimensionMismatch),
        ([], DimensionMismatch),
        ([float("nan"), 0, 0], RecordError),
        ([float("inf"), 0, 0], RecordError),
        ([1e39, 0, 0], RecordError),
        ([0, 0, 0], RecordError),
        ("abc", RecordError),
        (None, RecordError),
        (5, RecordError),
        ([[1, 0, 0]], RecordError),
        ([1, None, 0], RecordError),
        (np.ones((1, 3)), RecordError),
    ],
    ids=str,
)
async def test_search_for_what_is_no_embedding_is_an_error(docs, query, error):
    with pytest.raises(error, match="query"):
        await docs.search(query)


async def test_search_with_what_is_no_filter_is_an_error(docs):
    with pytest.raises(FilterError):
        await docs.search([1, 0, 0], filter=["a"])


async def test_zero_vectors_are_stored_and_found_where_they_have_a_distance(client):
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=2, distance=Distance.L2))
    await docs.upsert([Record(id="zero", embedding=[0, 0]), Record(id="one", embedding=[1, 0])])
    assert [match.id for match in await docs.search([0, 0])] == ["zero", "one"]


async def test_search_never_blocks_the_loop(client):
    # Connecting looks for the password file, which is asyncpg's affair.
    await client.server()
    with blockbuster_ctx("pgrecall"):
        docs = await client.get_or_create_collection("docs", dimensions=3)
        await docs.upsert([Record(id=str(n), embedding=[1, 2, n]) for n in range(100)])
        assert len(await docs.search([1, 2, 3], filter={})) == 10
