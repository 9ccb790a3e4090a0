"""What the planner learns from searches that went otherwise than it thought."""

import gc
import tracemalloc

import numpy as np
import pytest

from pgrecall import Access, CollectionConfig, Record, RecordBatch, SearchOptions

# Hardly any of what an index scan looks at: it ends before it has found what passes.
SHORT = SearchOptions(max_scan_tuples=1, ef_search=10)
FAR = {"side": "far"}


@pytest.fixture
async def sides(client):
    """Two clusters on opposite sides."""
    docs = await client.get_or_create_collection("docs", dimensions=8)
    rng = np.random.default_rng(1)
    around = np.repeat([[1.0] * 8, [-1.0] * 8], 3_000, axis=0)
    metadatas = [{"side": "near"}] * 3_000 + [FAR] * 3_000
    await docs.upsert(
        RecordBatch(
            ids=[str(n) for n in range(6_000)],
            embeddings=around + rng.normal(0, 0.2, around.shape),
            metadatas=metadatas,
        )
    )
    await docs.create_index()
    return docs


async def test_a_search_that_fell_short_gives_k_rows_all_the_same(sides):
    assert len(await sides.search([1] * 8, 10, filter=FAR, options=SHORT)) == 10


async def test_a_way_that_fell_short_is_not_taken_again(sides):
    before = await sides.explain([1] * 8, 10, filter=FAR, options=SHORT)
    assert before.access is Access.ITERATIVE
    assert Access.EXACT in dict(before.considered)
    await sides.search([1] * 8, 10, filter=FAR, options=SHORT)
    after = await sides.explain([1] * 8, 10, filter=FAR, options=SHORT)
    assert after.access is Access.EXACT


async def test_a_search_that_went_well_is_run_so_again(sides):
    near = {"side": "near"}
    before = await sides.explain([1] * 8, 10, filter=near)
    for _ in range(10):
        assert len(await sides.search([1] * 8, 10, filter=near)) == 10
    assert (await sides.explain([1] * 8, 10, filter=near)).access is before.access is Access.ITERATIVE


async def test_fewer_rows_than_k_are_no_fault_of_the_way(sides):
    options = SearchOptions(access=Access.INDEX)
    found = await sides.search([1] * 8, 10, filter={"side": "nowhere"}, options=options)
    assert found == []
    assert (await sides.explain([1] * 8, 10, filter={"side": "nowhere"})).matches == 0


async def test_long_lists_and_long_texts_are_not_held_when_the_search_is_over(client):
    docs = client.collection(CollectionConfig(name="docs", text_search="english"))
    await docs.upsert([Record(id=str(n), embedding=[1, n], content="a word", metadata={"n": n}) for n in range(1_200)])
    await docs.create_index()
    await docs.search([1, 0], 3, filter={"n": {"$in": list(range(5_000))}})
    tracemalloc.start()
    try:
        for first in range(1, 4):
            await docs.search([1, 0], 3, filter={"n": {"$in": list(range(first, first + 5_000))}})
            await docs.in_domains(f"{first} {n}" for n in range(5_000)).search([1, 0], 3)
            await docs.search_keyword(" ".join(f"w{first}w{n}" for n in range(3_000)), 3)
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # One list of them takes more than that.
    assert held < 200_000
