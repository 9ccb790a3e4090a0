"""Many writers at once: no deadlock, no duplicate, nothing lost."""

import asyncio
import time

import numpy as np
import pytest

from pgrecall import AsyncClient, CollectionConfig, PoolConfig, Record, RecordBatch

DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
OURS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgrecall' AND datname = current_database()"


def settled(database):
    """Wait until our connections are gone, and have reported what they counted."""
    while database.ask(OURS):
        time.sleep(0.05)


def batch(ids, writer):
    return RecordBatch(
        embeddings=np.full((len(ids), 3), writer + 1.0),
        ids=[f"{n:04}" for n in ids],
        contents=[f"writer {writer}"] * len(ids),
    )


@pytest.mark.parametrize("count", [20, 300])
async def test_writers_of_the_same_ids_neither_deadlock_nor_duplicate(url, count):
    rng = np.random.default_rng(1)
    async with AsyncClient(url, pool=PoolConfig(max_size=10)) as client:
        docs = await client.get_or_create_collection("docs", dimensions=3)
        results = await asyncio.gather(
            *(docs.upsert(batch(rng.permutation(count), writer)) for writer in range(10) for _ in range(3))
        )
        assert await docs.count() == count
        assert sum(result.inserted for result in results) == count
        assert sum(len(result.ids) for result in results) == 30 * count
        found = (await docs.list(limit=count, include=["embedding"])).records
        # Each row is one writer's own, whole.
        assert all(r.content == f"writer {int(r.embedding[0]) - 1}" for r in found)


async def test_writers_of_overlapping_ids_neither_deadlock_nor_duplicate(url, database):
    rng = np.random.default_rng(2)
    async with AsyncClient(url, pool=PoolConfig(max_size=10)) as client:
        docs = await client.get_or_create_collection("docs", dimensions=3)
        given = [rng.choice(400, 150, replace=False) for _ in range(30)]
        results = await asyncio.gather(*(docs.upsert(batch(ids, n)) for n, ids in enumerate(given)))
        distinct = len(set(np.concatenate(given).tolist()))
        assert await docs.count() == sum(result.inserted for result in results) == distinct
    # PostgreSQL ends a deadlock after a second, and we would try again: that it was none is for it to say.
    await asyncio.to_thread(settled, database)
    assert database.ask(DEADLOCKS) == 0


async def test_writers_and_deleters_do_not_disturb_each_other(url):
    async with AsyncClient(url, pool=PoolConfig(max_size=10)) as client:
        docs = await client.get_or_create_collection("docs", dimensions=3)
        ids = [f"{n:04}" for n in range(100)]
        work = []
        for writer in range(8):
            work += [
                docs.upsert(batch(range(100), writer)),
                docs.delete(ids[::-1]),
                docs.update(ids, contents=["x"] * 100),
            ]
        await asyncio.gather(*work)
        await docs.upsert(batch(range(100), 9))
        assert await docs.count() == 100


async def test_domains_are_written_at_once(url):
    async with AsyncClient(url) as client:
        docs = await client.get_or_create_collection("docs", dimensions=3)
        await asyncio.gather(*(docs.domain(f"d{n}").upsert(batch(range(100), n)) for n in range(10)))
        assert (await docs.all_domains().stats()).domains == {f"d{n}": 100 for n in range(10)}


async def test_many_first_writes_of_many_collections_at_once(url):
    async with AsyncClient(url) as client:

        async def one(number):
            docs = client.collection(CollectionConfig(name=f"docs{number % 5}", schema=f"s{number % 2}"))
            await docs.upsert([Record(id=str(number), embedding=[1, 2, 3])])

        await asyncio.gather(*map(one, range(20)))
        names = [await client.list_collections(schema=schema) for schema in ("s0", "s1")]
        assert names == [[f"docs{n}" for n in range(5)]] * 2


async def test_writers_of_the_same_ids_into_several_domains_lose_nothing(url):
    async with AsyncClient(url, pool=PoolConfig(max_size=10)) as client:
        docs = await client.get_or_create_collection("docs", dimensions=3)
        everyone, domains = docs.all_domains(), [f"d{n}" for n in range(4)]

        async def write(writer):
            given = [
                Record(id=f"{n:03}", domain_id=domain, embedding=[1, 2, 3], content=f"{writer}")
                for domain in (domains if writer % 2 else domains[::2])
                for n in range(30)
            ]
            result = await everyone.upsert(given)
            assert len(result.ids) == len(given)
            return result.inserted

        inserted = await asyncio.gather(*map(write, range(12)))
        assert sum(inserted) == await everyone.count() == 120
        # Whoever comes last has written all of its rows, whatever came between.
        await write(99)
        assert {record.content for record in (await everyone.list(limit=200)).records} == {"99"}
