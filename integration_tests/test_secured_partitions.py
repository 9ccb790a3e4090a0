"""Row-level security of a table with partitions, made by the engine and by the SQL that is printed for it."""

from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg
import pytest

from integration_tests.tenants import own, record, role_of, roles
from pgrecall import HNSW, AsyncClient, CollectionConfig, HashPartitions, ListPartitions, collection_sql
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


@pytest.mark.parametrize("layout", [HashPartitions(count=2), ListPartitions()], ids=["hash", "list"])
async def test_the_printed_sql_makes_partitions_too(database, layout):
    runtime, settings = database.role(), replace(SETTINGS, layout=layout)
    database.execute(collection_sql(settings))
    async with AsyncClient(database.url) as client:
        await client.collection(settings).grant(role_of(runtime))
        async with AsyncClient(runtime) as bound:
            red = bound.collection(settings).domain("red")
            assert (await red.upsert(own("red"))).inserted == 2
            assert len(await red.search(NEAR)) == 2
            assert await red.domain("blue").count() == 0
        if isinstance(layout, ListPartitions):
            assert (await client.collection(settings).isolate_domain("red")).rows == 2
        await only_red(database, runtime)
    database.execute(f"DROP OWNED BY {role_of(runtime)}")


LISTS = replace(SETTINGS, layout=ListPartitions())
PARTS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'docs'::regclass"


@asynccontextmanager
async def raw(url):
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


async def only_red(database, runtime):
    """Hold each partition, named directly by a role that may use it, to what it shows who has named red."""
    async with raw(runtime) as connection:
        seen, changed = [], []
        for (part,) in database.rows(PARTS):
            database.execute(f"GRANT SELECT, UPDATE ON {part} TO {role_of(runtime)}")
            changing = f"UPDATE {part} SET chunk_index = 9"
            assert await connection.execute(changing) == "UPDATE 0"
            async with connection.transaction():
                assert await connection.fetch(f"SELECT 1 FROM {part}") == []
                await connection.fetch("SELECT set_config('pgrecall.domains', '{red}', true)")
                seen += await connection.fetch(f"SELECT domain_id FROM {part}")
                changed.append(await connection.execute(changing))
        assert {row[0] for row in seen} == {"red"}
        assert max(changed) == f"UPDATE {len(seen)}"


async def test_domains_of_their_own_are_kept_apart_also_by_the_partitions_name(database):
    async with roles(database, LISTS) as (boss, runtime), AsyncClient(runtime) as client, AsyncClient(boss) as owner:
        docs, owned = client.collection(LISTS), owner.collection(LISTS)
        await owned.create_domain("red")
        for verb in (docs.create_domain, docs.isolate_domain):
            with pytest.raises(PermissionDenied, match="owner"):
                await verb("blue")
        for name in ("red", "blue", "green"):
            await docs.domain(name).upsert([*own(name), record("c", name, sparse_embedding={1: 1.0})])
        await owned.create_index(HNSW(m=4, ef_construction=16))
        assert (await owned.isolate_domain("blue")).rows == 3
        assert (await owned.isolate_domain("green")).rows == 3
        red = docs.domain("red")
        for found in (await red.search(NEAR), await red.search_keyword("secret"), *await red.search_many([NEAR])):
            assert {match.content for match in found} == {"a secret of red"}
        assert [match.content for match in await red.search_sparse({1: 1.0})] == ["a secret of red"]
        assert len(await docs.in_domains(["red", "blue"]).search(NEAR)) == 6
        assert len(database.rows(PARTS)) == 4
        await only_red(database, runtime)
        # Who may only write deletes rows, and the owner partitions.
        assert await docs.domain("green").delete_domain() == 3
        assert await owned.domain("blue").rename_domain("teal") == 3
        assert len(database.rows(PARTS)) == 4
        assert await owned.domain("teal").delete_domain() == 3
        assert await owned.domain("green").delete_domain() == 0
        assert len(database.rows(PARTS)) == 2
        assert await red.count() == 3


async def test_what_is_written_under_policies_while_a_domain_is_moved_is_moved_too(database):
    async with roles(database, LISTS) as (boss, runtime), AsyncClient(runtime) as client, AsyncClient(boss) as owner:
        red = client.collection(LISTS).domain("red")
        await red.upsert([record(row_id) for row_id in "abcdef"])

        def write(progress):
            if progress.phase == "attaching":
                # Nobody can have a table of their own run the function that works as the owner.
                executes = f"SELECT bool_or(has_function_privilege('{role_of(runtime)}', oid, 'EXECUTE')) FROM pg_proc "
                assert database.ask(executes + "WHERE proname ~ '_mirror$' AND prosecdef") is False
                # Who is not bound by policies says no domain.
                database.execute("UPDATE docs SET content = 'new' WHERE domain_id = 'red' AND id = 'a'")
                role = f"SET ROLE {role_of(runtime)}; SELECT set_config('pgrecall.domains', '{{red}}', true); "
                database.execute(
                    role + "DELETE FROM docs WHERE id = 'b'; UPDATE docs SET content = 'too' WHERE id = 'c'"
                )

        assert (await owner.collection(LISTS).isolate_domain("red", on_progress=write)).rows == 5
        page = await red.list()
        assert [(one.id, one.content) for one in page.records][:2] == [("a", "new"), ("c", "too")]
        assert len(page.records) == 5


async def test_partitions_of_a_table_that_is_secured_later_are_secured_too(database):
    plain = replace(LISTS, row_level_security=False)
    async with roles(database, plain) as (boss, runtime), AsyncClient(boss) as owner:
        docs = owner.collection(plain)
        await (await docs.create_domain("blue")).upsert(own("blue"))
        await docs.domain("red").upsert(own("red"))
        await docs.secure()
        assert database.ask("SELECT count(*) FROM pg_class WHERE relforcerowsecurity AND relispartition") == 2
        await docs.create_domain("late")
        assert database.ask("SELECT count(*) FROM pg_class WHERE relforcerowsecurity AND relispartition") == 3
        await only_red(database, runtime)
