"""Row-level security of a table with partitions, made by the engine and by the SQL that is printed for it."""

import asyncpg
import pytest

from integration_tests.tenants import own, record, role_of, roles
from pgrecall import HNSW, AsyncClient, CollectionConfig, HashPartitions, collection_sql
from pgrecall.errors import PermissionDenied

SETTINGS = CollectionConfig(
    name="docs",
    dimensions=3,
    text_search="en",
    sparse_dimensions=9,
    layout=HashPartitions(count=2),
    row_level_security=True,
)
NEAR = [1, 2, 10]


async def test_partitions_are_kept_apart_and_indexed_by_their_owner(database):
    async with roles(database, SETTINGS) as (boss, runtime), AsyncClient(runtime) as client:
        docs = client.collection(SETTINGS)
        for name in ("red", "blue", "green"):
            await docs.domain(name).upsert([*own(name), record("c", name, sparse_embedding={1: 1.0})])
        async with AsyncClient(boss) as owner:
            assert (await owner.collection(SETTINGS).create_index(HNSW(m=4, ef_construction=16))).valid
        red = client.collection(SETTINGS).domain("red")
        for found in (await red.search(NEAR), await red.search_keyword("secret"), *await red.search_many([NEAR])):
            assert {match.content for match in found} == {"a secret of red"}
        assert [match.content for match in await red.search_sparse({1: 1.0})] == ["a secret of red"]
        assert len(await docs.in_domains(["red", "blue"]).search(NEAR)) == 6
        with pytest.raises(PermissionDenied):
            await docs.all_domains().count()
        connection = await asyncpg.connect(runtime)
        try:
            # Policies are those of the whole table, so nobody is let read a partition by its own name.
            for (part,) in database.rows(
                "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'docs'::regclass"
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.fetch(f"SELECT 1 FROM {part}")
        finally:
            await connection.close()


async def test_the_printed_sql_makes_partitions_too(database):
    runtime = database.role()
    database.execute(collection_sql(SETTINGS))
    async with AsyncClient(database.url) as client:
        await client.collection(SETTINGS).grant(role_of(runtime))
        async with AsyncClient(runtime) as bound:
            red = bound.collection(SETTINGS).domain("red")
            assert (await red.upsert(own("red"))).inserted == 2
            assert len(await red.search(NEAR)) == 2
            assert await red.domain("blue").count() == 0
    database.execute(f"DROP OWNED BY {role_of(runtime)}")
