"""Searching with an index: still min(k, matches) rows, in order, and nearly always brute force's."""

import asyncio

import numpy as np
import pytest

from integration_tests.oracle import Corpus
from pgrecall import HNSW, AsyncClient, Client, CollectionConfig, IVFFlat, Record, RecordBatch, SearchOptions
from pgrecall.plan import Access

ROWS = 6_000
LISTS = 20
# Efforts, and the recall that each is sure to reach. Of HNSW far below what is found: these tests are about the number
# of rows and their order. What a few cells of IVFFlat hold has no bound, since which rows share one depends on the rows
# that pgvector happens to learn from; all of them hold every row.
EFFORTS = {"hnsw": {None: 0.6}, "ivfflat": {None: 0, SearchOptions(probes=LISTS): 1}}
KINDS = [(d, t) for t in ("vector", "halfvec") for d in ("cosine", "l2", "inner_product", "l1")]
KINDS += [("hamming", "bit"), ("jaccard", "bit")]


@pytest.fixture(scope="module")
def corpus():
    return Corpus(rows=ROWS, dimensions=8)


def filled(client, corpus, name, index):
    docs = client.get_or_create_collection(name, dimensions=corpus.dimensions)
    docs.upsert(corpus.batch())
    docs.create_index(index)
    return docs


@pytest.fixture(scope="module", params=["hnsw", "ivfflat"])
def docs(request, module_database, corpus):
    index = HNSW(m=8, ef_construction=32) if request.param == "hnsw" else IVFFlat(lists=LISTS)
    with Client(module_database.url) as client:
        yield filled(client, corpus, request.param, index)


@pytest.mark.parametrize("k", [1, 10, 100, 150, 1_000, 1_001, 2_500, ROWS, 10_000])
def test_search_by_index_gives_k_rows(docs, corpus, k):
    query = corpus.query()
    # The one nearest row is found or it is not: that says nothing about recall.
    for options, recall in EFFORTS[docs.name].items():
        corpus.check(docs.search(query, k, options=options), query, k, recall=recall if k > 1 else 0)


@pytest.mark.parametrize(
    ("filter", "keep"),
    [
        ({"half": 1}, lambda m: m["half"] == 1),
        ({"tenth": 4}, lambda m: m["tenth"] == 4),
        ({"rare": True}, lambda m: m["rare"]),
        ({"colour": "none"}, lambda m: False),
    ],
    ids=["half", "tenth", "rare", "none"],
)
@pytest.mark.parametrize("k", [1, 10, 200, 2_000])
def test_search_by_index_under_a_filter_gives_k_rows(docs, corpus, filter, keep, k):
    query = corpus.query()
    for options, recall in EFFORTS[docs.name].items():
        matches = docs.search(query, k, filter=filter, options=options)
        corpus.check(matches, query, k, keep=keep, recall=recall if k > 1 else 0)


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_index_serves_every_distance_on_every_type(module_database, kind):
    corpus = Corpus(rows=1_200, dimensions=24, distance=kind[0], vector_type=kind[1])
    name = "_".join(kind)
    config = CollectionConfig(name=name, dimensions=24, distance=kind[0], vector_type=kind[1])
    with Client(module_database.url) as client:
        docs = client.get_or_create_collection(config)
        docs.upsert(corpus.batch())
        docs.create_index(HNSW(m=8, ef_construction=32))
        query = corpus.query()
        assert docs.explain(query).access is Access.INDEX
        corpus.check(docs.search(query, 10), query, 10, recall=0.5)


def test_search_by_index_without_candidates_to_spare_gives_k_rows(docs, corpus):
    query = corpus.query()
    options = SearchOptions(ef_search=1, probes=1, max_scan_tuples=1, overfetch=1)
    for k in (10, 1_500):
        for filter, keep in ((None, None), ({"half": 1}, lambda m: m["half"] == 1)):
            corpus.check(docs.search(query, k, filter=filter, options=options), query, k, keep=keep, recall=0)


def test_search_asked_to_be_exact_is_brute_force(docs, corpus):
    query = corpus.query()
    exact = SearchOptions(exact=True)
    corpus.check(docs.search(query, 100, options=exact), query, 100)
    corpus.check(docs.search(query, 100, filter={"half": 1}, options=exact), query, 100, keep=lambda m: m["half"])


def test_search_by_index_leaves_out_what_scores_lower_than_the_threshold(docs, corpus):
    query = corpus.query()
    every = docs.search(query, 50)
    threshold = every[9].score
    found = docs.search(query, 50, score_threshold=threshold)
    assert {match.id for match in found} == {match.id for match in every if match.score >= threshold}
    assert docs.search(query, 50, score_threshold=1.5) == []


@pytest.mark.parametrize("far", [True, False], ids=["far", "near"])
def test_search_under_a_filter_that_goes_with_the_distance_gives_k_rows(module_database, far):
    """All that passes is farther from (or nearer to) the query than all that does not."""
    rng = np.random.default_rng(7)
    embeddings = np.concatenate([rng.normal(5, 0.1, (3_000, 4)), rng.normal(-5, 0.1, (3_000, 4))]).astype(np.float32)
    batch = RecordBatch(
        embeddings=embeddings, ids=[str(n) for n in range(6_000)], metadatas=[{"far": n >= 3_000} for n in range(6_000)]
    )
    with Client(module_database.url) as client:
        config = CollectionConfig(name=f"correlated_{far}", dimensions=4, distance="l2")
        docs = client.get_or_create_collection(config)
        docs.upsert(batch)
        docs.create_index(HNSW(m=8, ef_construction=32))
        assert docs.explain([5] * 4, 10, filter={"far": far}).access is Access.ITERATIVE
        for k in (10, 500):
            matches = docs.search([5] * 4, k, filter={"far": far})
            assert len({match.id for match in matches}) == k
            assert all(match.metadata == {"far": far} for match in matches)


async def test_rows_written_after_the_index_are_found(url, corpus):
    async with AsyncClient(url) as client:
        docs = await client.get_or_create_collection("docs", dimensions=8)
        await docs.upsert(corpus.batch())
        await docs.create_index(HNSW(m=8, ef_construction=32))
        query = corpus.query()
        await docs.upsert([Record(id="new", embedding=query)])
        assert (await docs.explain(query)).access is Access.INDEX
        assert (await docs.search(query, 1))[0].id == "new"
        await docs.delete(["new"])
        assert (await docs.search(query, 1))[0].id != "new"


async def test_search_after_most_rows_were_deleted_gives_what_is_left(url, corpus):
    async with AsyncClient(url) as client:
        docs = await client.get_or_create_collection("docs", dimensions=8)
        await docs.upsert(corpus.batch())
        await docs.create_index(HNSW(m=8, ef_construction=32))
        await docs.search(corpus.query())
        await docs.delete(corpus.ids[:-7])
        found = await docs.search(corpus.query(), 10)
        assert sorted(match.id for match in found) == corpus.ids[-7:]


async def test_many_searches_at_once_do_not_disturb_each_other(module_database, corpus, docs):
    queries = corpus.draw(40)
    async with AsyncClient(module_database.url) as client:
        collection = client.collection(docs.name)
        tasks = [
            collection.search(query, k, filter=filter)
            for query in queries
            for k, filter in ((1, None), (120, None), (10, {"half": 0}))
        ]
        answers = await asyncio.gather(*tasks)
    wanted = [
        (query, k, keep) for query in queries for k, keep in ((1, None), (120, None), (10, lambda m: not m["half"]))
    ]
    for matches, (query, k, keep) in zip(answers, wanted, strict=True):
        corpus.check(matches, query, k, keep=keep, recall=0)


@pytest.mark.parametrize("index", [HNSW(), IVFFlat(lists=4)])
async def test_what_was_written_is_found_through_the_index_by_others_at_once(client, url, index):
    docs = await client.get_or_create_collection("docs", dimensions=3)
    await docs.upsert([Record(id=f"{n}", embedding=[1.0, n, 0.0]) for n in range(1, 200)])
    await docs.create_index(index)
    async with AsyncClient(url) as other:
        there = other.collection("docs")
        options = SearchOptions(access="index")
        for n in range(5):
            await docs.upsert([Record(id="new", embedding=[-1.0, 0.0, n])])
            [found] = await there.search([-1.0, 0.0, n], 1, options=options)
            assert (found.id, found.distance) == ("new", pytest.approx(0, abs=1e-6))
        await docs.delete(["new"])
        assert [match.id for match in await there.search([-1.0, 0.0, 4], 1, options=options)] != ["new"]
