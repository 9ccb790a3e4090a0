"""Names that point to collections, and are switched in one moment."""

import asyncio

import asyncpg
import pytest

from integration_tests.tenants import config, own, role_of, roles
from pgrecall import AsyncClient, Client, CollectionConfig, Record
from pgrecall.errors import CollectionExists, CollectionNotFound, ConfigError, PermissionDenied

pytestmark = pytest.mark.core


async def test_alias_is_created_switched_listed_and_dropped(url):
    async with AsyncClient(url) as client:
        assert await client.list_aliases() == {}
        for name in ("one", "two"):
            docs = await client.create_collection(name, dimensions=2)
            await docs.upsert([Record(id=name, embedding=[1.0, 0.0])])
        await client.create_alias("docs", "one")
        opened = await client.open_alias("docs", config=CollectionConfig(name="ignored", dimensions=2))
        assert [match.id for match in await opened.search([1.0, 0.0])] == ["one"]
        assert await client.switch_alias("docs", "two") == "one"
        assert [match.id for match in await opened.search([1.0, 0.0])] == ["one"]
        again = await client.open_alias("docs")
        assert [match.id for match in await again.search([1.0, 0.0])] == ["two"]
        assert await client.list_aliases() == {"docs": "two"}
        assert sorted(await client.list_collections()) == ["one", "two"]
        await client.drop_alias("docs")
        assert await client.list_aliases() == {}
        assert await again.count() == 1


async def test_alias_points_to_nothing_that_is_not_there_and_hides_nothing(url):
    async with AsyncClient(url) as client:
        await client.create_collection("one", dimensions=2)
        with pytest.raises(CollectionNotFound, match="alias"):
            await client.open_alias("docs")
        with pytest.raises(CollectionNotFound, match="alias"):
            await client.drop_alias("docs")
        with pytest.raises(CollectionNotFound, match="no table"):
            await client.create_alias("docs", "missing")
        with pytest.raises(CollectionExists, match="hide"):
            await client.create_alias("one", "one")
        await client.create_collection("two", dimensions=2)
        await client.create_alias("docs", "one")
        with pytest.raises(CollectionExists, match="switch_alias"):
            await client.create_alias("docs", "two")
        with pytest.raises(CollectionNotFound):
            await client.switch_alias("docs", "missing")
        with pytest.raises(CollectionNotFound):
            await client.switch_alias("other", "one")
        with pytest.raises(ConfigError):
            await client.create_alias("", "one")
        await client.delete_collection("one")
        with pytest.raises(CollectionNotFound):
            await (await client.open_alias("docs")).search([1.0, 0.0])


async def test_switches_at_the_same_time_each_see_the_one_before(url):
    async with AsyncClient(url) as client:
        names = [f"c{n}" for n in range(6)]
        for name in names:
            await client.create_collection(name, dimensions=2)
        await client.create_alias("docs", "c0")
        before = await asyncio.gather(*(client.switch_alias("docs", name) for name in names[1:]))
        assert sorted([*before, (await client.list_aliases())["docs"]]) == names


async def test_of_aliases_that_are_made_at_the_same_time_there_is_one(url):
    async with AsyncClient(url) as client:
        for name in ("one", "two"):
            await client.create_collection(name, dimensions=2)
        for number in range(10):
            made = await asyncio.gather(
                *(client.create_alias(f"alias {number}", name) for name in ("one", "two")), return_exceptions=True
            )
            (refused,) = [error for error in made if error is not None]
            assert isinstance(refused, CollectionExists)
            there = (await client.list_aliases())[f"alias {number}"]
            assert made[("one", "two").index(there)] is None


def test_blocking_client_has_aliases_too(url):
    with Client(url) as client:
        client.create_collection("one", dimensions=2)
        client.create_alias("docs", "one")
        assert client.open_alias("docs").name == "one"
        assert client.switch_alias("docs", "one") == "one"
        assert client.list_aliases() == {"docs": "one"}
        client.drop_alias("docs")


# What would point an alias elsewhere, or take it away.
SWITCHING = (
    "UPDATE pgrecall_aliases SET collection = 'other'",
    "INSERT INTO pgrecall_aliases (domain_id, namespace, key, collection) VALUES ('default', 'collections', 'n', 'docs')",
    (
        "INSERT INTO pgrecall_aliases (domain_id, namespace, key, collection) "
        "VALUES ('default', 'collections', 'papers', 'other') "
        "ON CONFLICT (domain_id, namespace, key) DO UPDATE SET collection = EXCLUDED.collection"
    ),
    "DELETE FROM pgrecall_aliases",
    "SELECT * FROM pgrecall_aliases FOR UPDATE",
    "COPY pgrecall_aliases FROM stdin",
    "TRUNCATE pgrecall_aliases",
    "DROP TABLE pgrecall_aliases",
    "ALTER TABLE pgrecall_aliases RENAME TO other",
    "CREATE TRIGGER mine BEFORE INSERT ON pgrecall_aliases EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE RULE mine AS ON UPDATE TO pgrecall_aliases DO INSTEAD NOTHING",
)


@pytest.mark.parametrize("policies", [False, True], ids=["plain", "policies"])
async def test_who_works_in_a_collection_follows_its_aliases_and_cannot_switch_them(database, policies):
    settings = config(row_level_security=policies)
    async with roles(database, settings) as (boss, runtime), AsyncClient(boss) as owner:
        await owner.create_collection(config(name="other", row_level_security=policies))
        await owner.create_alias("papers", "docs")
        reader = database.role()
        await owner.collection(settings).grant(role_of(reader), write=False)
        for role in (runtime, reader):
            async with AsyncClient(role) as client:
                opened = await client.open_alias("papers", config=settings, domain="red")
                if role == runtime:
                    assert (await opened.upsert(own("red"))).inserted == 2
                # Which collection a name stands for is the same for all domains.
                assert await opened.count() == 2
                assert await opened.domain("blue").count() == 0
                assert await client.list_aliases() == {"papers": "docs"}
                for call in (
                    client.create_alias("more", "docs"),
                    client.create_alias("papers", "docs"),
                    client.switch_alias("papers", "other"),
                    client.drop_alias("papers"),
                ):
                    with pytest.raises(PermissionDenied, match="pgrecall_aliases"):
                        await call
            connection = await asyncpg.connect(role)
            # A warning only, by which nothing is granted.
            await connection.execute("GRANT UPDATE ON pgrecall_aliases TO CURRENT_USER")
            for statement in SWITCHING:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
            rows = await connection.fetch("SELECT key, collection FROM pgrecall_aliases")
            assert [tuple(row) for row in rows] == [("papers", "docs")]
            await connection.close()
        assert await owner.switch_alias("papers", "other") == "docs"
        database.execute(f"DROP OWNED BY {role_of(reader)}")


async def test_a_role_that_was_given_nothing_is_told_what_reading_aliases_takes(database):
    async with roles(database, config()) as (boss, _), AsyncClient(boss) as owner:
        await owner.create_alias("papers", "docs")
        async with AsyncClient(database.role()) as client:
            with pytest.raises(PermissionDenied, match=r"GRANT SELECT ON public\.pgrecall_aliases"):
                await client.open_alias("papers")
