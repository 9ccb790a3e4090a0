"""Maximal marginal relevance, run by the engine."""

import numpy as np
import pytest

from pgrecall import MMR, CollectionConfig, RecordBatch
from pgrecall.errors import ConfigError
from pgrecall.mmr import maximal_marginal_relevance

ROWS = np.random.default_rng(3).normal(size=(300, 8)).astype(np.float32)
QUERY = np.random.default_rng(4).normal(size=8).astype(np.float32)


@pytest.fixture(params=["cosine", "l2", "inner_product"])
async def docs(client, request):
    config = CollectionConfig(name="docs", dimensions=8, distance=request.param)
    docs = await client.get_or_create_collection(config)
    ids = [str(n) for n in range(len(ROWS))]
    await docs.upsert(RecordBatch(embeddings=ROWS, ids=ids, metadatas=[{"even": n % 2 == 0} for n in range(len(ROWS))]))
    return docs


@pytest.mark.parametrize("lambda_mult", [0.0, 0.3, 1.0])
async def test_picks_from_the_nearest_by_the_formula(docs, lambda_mult):
    nearest = await docs.search(QUERY, 40, include=["embedding"])
    candidates = np.stack([match.embedding for match in nearest])
    picks = maximal_marginal_relevance(QUERY, candidates, 7, lambda_mult)
    found = await docs.search_mmr(QUERY, 7, mmr=MMR(fetch_k=40, lambda_mult=lambda_mult))
    assert [match.id for match in found] == [nearest[pick].id for pick in picks]


async def test_result_is_more_varied_than_the_nearest(docs):
    def overlap(matches):
        units = np.stack([m.embedding / np.linalg.norm(m.embedding) for m in matches])
        return (units @ units.T)[np.triu_indices(len(units), 1)].mean()

    nearest = await docs.search(QUERY, 5, include=["embedding"])
    varied = await docs.search_mmr(QUERY, 5, mmr=MMR(fetch_k=100, lambda_mult=0.3), include=["embedding"])
    assert overlap(varied) < overlap(nearest)


async def test_filter_holds_and_embedding_comes_only_when_asked(docs):
    found = await docs.search_mmr(QUERY, 9, filter={"even": True})
    assert len(found) == 9
    assert all(match.metadata["even"] and match.embedding is None for match in found)
    assert (await docs.search_mmr(QUERY, 1, include=["embedding"]))[0].embedding is not None


async def test_fetch_k_below_k_still_gives_k(docs):
    assert len(await docs.search_mmr(QUERY, 30, mmr=MMR(fetch_k=1))) == 30


async def test_nothing_passes_gives_nothing(docs):
    assert await docs.search_mmr(QUERY, 3, filter={"even": "no"}) == []


@pytest.mark.parametrize("bad", [{"lambda_mult": 1.1}, {"lambda_mult": -0.1}, {"lambda_mult": True}, {"fetch_k": 0}])
def test_setting_out_of_range_is_refused(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        MMR(**bad)


async def test_bits_are_picked_by_their_agreement(client):
    docs = await client.get_or_create_collection(CollectionConfig(name="bits", dimensions=4, vector_type="bit"))
    bits = [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]]
    await docs.upsert(RecordBatch(embeddings=bits, ids=["a", "b", "c", "d"]))
    found = await docs.search_mmr([1, 1, 1, 0], 2, mmr=MMR(lambda_mult=0.3))
    assert found[0].id in {"b", "c"}
    assert found[1].id in {"a", "d"}
