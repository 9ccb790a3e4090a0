"""A caller's own connection or pool: its transaction, its codecs, its to close."""

import asyncio
import json

import asyncpg
import numpy as np
import pytest

from integration_tests.oracle import Corpus
from pgrecall import AsyncClient, CollectionConfig, Record
from pgrecall.errors import ConfigError, RecordError

A = Record(id="a", embedding=[1, 2, 3], content="x", metadata={"n": [1, None, "é"]}, envelope={"k": 1})


async def plain(connection):
    """Leave the connection as the driver makes it."""


async def with_json(connection):
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(kind, schema="pg_catalog", encoder=json.dumps, decoder=json.loads)


async def with_strange_json(connection):
    """A codec that wraps everything, as an application may."""
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind,
            schema="pg_catalog",
            encoder=lambda value: json.dumps(value.inner),
            decoder=lambda text: ("json", text),
        )


async def with_pgvector(connection):
    """What pgvector's own package registers, in effect."""
    for kind in ("vector", "halfvec"):
        await connection.set_type_codec(
            kind,
            schema="public",
            encoder=lambda value: str(list(value)),
            decoder=lambda text: np.array(json.loads(text)),
            format="text",
        )
    await connection.set_type_codec("bit", schema="pg_catalog", encoder=str, decoder=str, format="text")


CODECS = [plain, with_json, with_strange_json, with_pgvector]


@pytest.mark.parametrize("register", CODECS)
async def test_every_verb_works_whatever_codecs_the_connection_has(client, connection, register):
    await register(connection)
    lent = AsyncClient(connection=connection)
    docs = await lent.get_or_create_collection("docs", dimensions=3)
    assert (await docs.upsert([A])).inserted == 1
    assert (await docs.upsert([A])).unchanged == 1
    assert (await docs.upsert([Record(id=f"{n}", embedding=[1, 2, n]) for n in range(80)])).inserted == 80
    assert await docs.update(["a"], metadatas={"m": {"deep": True}}, contents=["y"]) == 1
    (found,) = await docs.get(["a"], include=["embedding", "envelope"])
    assert found.embedding.tolist() == [1, 2, 3]
    assert found.embedding.dtype == np.float32
    assert (found.content, found.metadata) == ("y", {"n": [1, None, "é"], "m": {"deep": True}})
    assert found.envelope == {"k": 1}
    (match, *_) = await docs.search([1, 2, 3], filter={"m": {"deep": True}}, include=["embedding", "envelope"])
    assert (match.id, match.embedding.tolist(), match.envelope) == ("a", [1, 2, 3], {"k": 1})
    assert len((await docs.list(limit=50)).records) == 50
    assert (await docs.stats()).rows == await docs.count() == 81
    assert await docs.delete(filter={"n": [1, None, "é"]}) == 1
    # What was written by this way is read by the other.
    assert await client.collection("docs").count() == 80


@pytest.mark.parametrize("register", CODECS)
async def test_searches_by_index_are_planned_whatever_codecs_the_connection_has(client, connection, register):
    corpus = Corpus(rows=2_500, dimensions=8)
    docs = await client.get_or_create_collection("docs", dimensions=8)
    await docs.upsert(corpus.batch())
    await docs.create_index()
    await register(connection)
    lent, query = docs.using(connection), corpus.query()
    corpus.check(await lent.search(query, 10), query, 10, recall=0.5)
    corpus.check(await lent.search(query, 10, filter={"half": 1}), query, 10, keep=lambda m: m["half"])


@pytest.mark.parametrize(
    ("vector_type", "embedding"), [("vector", [1.1, 2.2, 3.3e-20]), ("halfvec", [1.1, 2.2, 3.3]), ("bit", [1, 0, 1])]
)
async def test_both_ways_store_the_same(client, connection, vector_type, embedding):
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=3, vector_type=vector_type))
    record = Record(id="a", embedding=embedding, metadata={"n": 0.1})
    await docs.using(connection).upsert([record])
    assert (await docs.upsert([record])).unchanged == 1
    ours, theirs = [(await way.get(["a"], include=["embedding"]))[0] for way in (docs, docs.using(connection))]
    assert np.array_equal(ours.embedding, theirs.embedding)
    assert ours.metadata == theirs.metadata
    rewritten = Record(id="b", embedding=ours.embedding, metadata={"n": 0.1})
    await docs.upsert([rewritten])
    same = "SELECT count(DISTINCT (embedding::text, metadata, content_hash)) FROM docs"
    assert await connection.fetchval(same) == 1


async def test_the_codecs_of_the_connection_stay_as_they_were(docs, connection):
    await with_strange_json(connection)
    lent = docs.using(connection)
    await lent.upsert([A])
    await lent.search([1, 2, 3])
    assert await connection.fetchval("SELECT '[1]'::jsonb") == ("json", "[1]")
    assert await connection.fetchval("SELECT '[1,2]'::vector") == "[1,2]"


async def test_what_is_written_is_rolled_back_with_the_callers_transaction(docs, connection):
    await connection.execute("CREATE TABLE mine (x int)")
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("INSERT INTO mine VALUES (1)")
    lent = docs.using(connection)
    await lent.upsert([A])
    assert (await lent.count(), await docs.count()) == (1, 0)
    await transaction.rollback()
    assert (await lent.count(), await docs.count()) == (0, 0)


async def test_what_is_written_is_committed_with_the_callers_transaction(docs, connection):
    async with connection.transaction():
        await docs.using(connection).upsert([A])
        assert await docs.count() == 0
    assert await docs.count() == 1


async def test_a_table_made_in_the_callers_transaction_goes_with_it(connection):
    lent = AsyncClient(connection=connection)
    transaction = connection.transaction()
    await transaction.start()
    docs = lent.collection("docs")
    await docs.upsert([A])
    await transaction.rollback()
    assert await connection.fetchval("SELECT to_regclass('docs')") is None
    with pytest.raises(Exception, match="dropped"):
        await docs.count()
    assert await docs.count() == 0


async def test_a_write_that_fails_does_not_spoil_the_callers_transaction(docs, connection):
    await connection.execute("ALTER TABLE docs ADD CONSTRAINT short CHECK (length(content) < 5)")
    async with connection.transaction():
        await connection.execute("CREATE TABLE mine (x int)")
        lent = docs.using(connection)
        with pytest.raises(RecordError):
            await lent.upsert([Record(id="a", embedding=[0, 0, 0])])
        with pytest.raises(Exception, match="short"):
            await lent.upsert([Record(id="a", embedding=[1, 2, 3], content="too long")])
        assert await connection.fetchval("SELECT 1") == 1
    assert await connection.fetchval("SELECT to_regclass('mine')") == "mine"


async def test_a_pool_of_the_callers_is_used_and_not_closed(url):
    async with asyncpg.create_pool(url, min_size=1, max_size=3) as pool:
        async with AsyncClient(connection=pool) as client:
            docs = await client.get_or_create_collection("docs", dimensions=3)
            await asyncio.gather(*(docs.upsert([Record(id=f"{n}", embedding=[1, 2, 3])]) for n in range(10)))
            assert await docs.count() == 10
        assert await pool.fetchval("SELECT count(*) FROM docs") == 10


async def test_a_connection_of_a_pool_is_used(url, docs):
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool, pool.acquire() as connection:
        await docs.using(connection).upsert([A])
        await AsyncClient(connection=connection).collection("docs").upsert([Record(id="b", embedding=[1, 2, 3])])
    assert await docs.count() == 2


async def test_a_connection_that_was_lent_is_not_closed(connection):
    async with AsyncClient(connection=connection) as client:
        await client.server()
    assert await connection.fetchval("SELECT 1") == 1


async def test_many_tasks_take_turns_on_a_connection(docs, connection):
    lent = docs.using(connection)
    await asyncio.gather(*(lent.upsert([Record(id=f"{n}", embedding=[1, 2, 3])]) for n in range(10)))
    assert await lent.count() == 10


async def test_handles_lent_the_same_connection_take_turns_too(docs, connection):
    await asyncio.gather(*(docs.using(connection).upsert([Record(id=f"{n}", embedding=[1, 2, 3])]) for n in range(10)))
    assert await docs.count() == 10


@pytest.mark.parametrize("lent", ["postgresql://localhost/db", 5, object()])
async def test_using_what_is_no_connection_is_an_error(docs, lent):
    with pytest.raises(ConfigError, match="connection"):
        docs.using(lent)


async def test_a_client_of_a_lent_connection_says_so(connection):
    assert repr(AsyncClient(connection=connection)) == "<AsyncClient a connection of the caller's>"
