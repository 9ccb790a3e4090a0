"""Whatever is passed to a verb, it works, or an error of ours says what is wrong; never one from somewhere inside."""

import numpy as np
import pytest

from integration_tests.arguments import WRONG, refuse, verbs
from pgrecall import AsyncClient, AsyncCollection, CollectionConfig, Record, RecordChange
from pgrecall.errors import PGRecallError

NEAR = [1.0, 2.0]
RIGHT = {
    "alias": lambda: "alias",
    "changes": lambda: [RecordChange(id="a", content="x")],
    "chunks": lambda: [Record(id="a", embedding=NEAR, document_id="d", chunk_index=0)],
    "collection": lambda: "docs",
    "config": lambda: CollectionConfig(name="docs", dimensions=2),
    "dimensions": lambda: 8,
    "domain": lambda: "other",
    "domains": lambda: ["default"],
    "embed": lambda: lambda texts: [NEAR] * len(texts),
    "embedding": lambda: NEAR,
    "embeddings": lambda: [NEAR],
    "field": lambda: "n",
    "fields": lambda: {"n": int},
    "filter": lambda: {"n": 1},
    "id": lambda: "a",
    "ids": lambda: ["a"],
    "metadata": lambda: {"m": 1},
    "model": lambda: "second",
    "name": lambda: "original",
    "namespace": lambda: "space",
    "new_name": lambda: "docs",
    "positive": lambda: ["a"],
    "query": lambda: "words",
    "records": lambda: [Record(id="a", embedding=NEAR)],
    "role": lambda: "postgres",
    "source": lambda: ["text"],
    "table": lambda: "docs",
    "to": lambda: "other",
    "weights": lambda: {1: 0.5},
}
# These wait, or work for long, when they are passed what they can work with.
APART = {"close", "connection", "keep_models", "maintain", "tune", "using", "wait_for_index"}


@pytest.fixture
async def filled(client):
    docs = await client.create_collection("docs", dimensions=2)
    await docs.upsert([Record(id="a", embedding=NEAR, content="words", metadata={"n": 1}, document_id="d")])
    return docs


@pytest.mark.parametrize("verb", verbs(AsyncCollection, APART))
async def test_collection_refuses_what_it_cannot_use(filled, verb):
    await refuse(filled, verb, RIGHT | {"target": lambda: filled.domain("other")})


@pytest.mark.parametrize("verb", verbs(AsyncClient, APART))
async def test_client_refuses_what_it_cannot_use(client, filled, verb):
    await refuse(client, verb, RIGHT)


@pytest.mark.parametrize("name", [name for name in WRONG if name != "None"])
async def test_client_is_not_made_of_what_is_no_address(name):
    for parameter in ("url", "pool", "connection"):
        with pytest.raises(PGRecallError):
            AsyncClient(**{parameter: WRONG[name]()})


async def test_arrays_are_taken_where_there_are_several(filled):
    assert [record.id for record in await filled.get(np.array(["a"]))] == ["a"]
    assert len(await filled.search_many(np.array([NEAR, NEAR]), k=1)) == 2
    assert await filled.recommend(np.array([NEAR]), k=1)
