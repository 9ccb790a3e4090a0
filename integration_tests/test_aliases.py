"""Names that point to collections, and are switched in one moment."""

import asyncio

import pytest

from pgrecall import AsyncClient, Client, CollectionConfig, Record
from pgrecall.errors import CollectionExists, CollectionNotFound, ConfigError


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


def test_blocking_client_has_aliases_too(url):
    with Client(url) as client:
        client.create_collection("one", dimensions=2)
        client.create_alias("docs", "one")
        assert client.open_alias("docs").name == "one"
        assert client.switch_alias("docs", "one") == "one"
        assert client.list_aliases() == {"docs": "one"}
        client.drop_alias("docs")
