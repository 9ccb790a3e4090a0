"""Plain asyncio: load from an asynchronous source, search concurrently, and see how it was done."""

import asyncio

import numpy as np

from pgrecall import AsyncClient, Record


async def measurements():
    """Stand in for a queue, a cursor or a paginated API."""
    rng = np.random.default_rng(1)
    for number in range(3000):
        yield Record(id=f"m{number}", embedding=rng.normal(size=48), metadata={"station": number % 30})


async def main():
    async with AsyncClient() as client:
        collection = client.collection("example_measurements")
        result = await collection.upsert(measurements(), batch_size=500)
        print(f"{result.inserted} new, {result.updated} changed, {result.unchanged} as before")
        await collection.create_index()

        queries = np.random.default_rng(2).normal(size=(8, 48))
        answers = await asyncio.gather(*(collection.search(query, k=3, filter={"station": 7}) for query in queries))
        for matches in answers:
            print([f"{match.id} {match.score:.2f}" for match in matches])
        print(await collection.explain(queries[0], k=3, filter={"station": 7}))


asyncio.run(main())
