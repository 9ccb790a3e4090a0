"""Filters that look into other tables: what they say at this moment counts, and k rows come back if k exist."""

import numpy as np
import pytest

from pgrecall import AsyncClient, CollectionConfig, RecordBatch, SearchOptions
from pgrecall.errors import CollectionNotFound, FilterError, PGRecallError, SchemaError
from pgrecall.filters import in_table, parse
from pgrecall.plan import Access

ROWS, DOCUMENTS = 600, 60
HERE = np.array([1.0, 0.0, 0.0])


@pytest.fixture
async def shop(client, connection):
    """Ten chunks of each of sixty documents, of which a table of the application's says who may read them."""
    docs = await client.get_or_create_collection(CollectionConfig(name="docs", dimensions=3, text_search="english"))
    rng = np.random.default_rng(1)
    batch = RecordBatch(
        embeddings=rng.normal(size=(ROWS, 3)),
        ids=[f"{n:03}" for n in range(ROWS)],
        contents=["words of a chunk"] * ROWS,
        document_ids=[str(n % DOCUMENTS) for n in range(ROWS)],
        metadatas=[{"half": n % 2, "author": f"a{n % 3}"} for n in range(ROWS)],
    )
    await docs.upsert(batch)
    await docs.domain("other").upsert(batch)
    await connection.execute(
        """
        CREATE SCHEMA "my app";
        CREATE TABLE "my app"."grants ""x of y" (document int, user_id int, admin bool, "until" date);
        INSERT INTO "my app"."grants ""x of y" SELECT n, n % 4, n % 4 = 1, NULL FROM generate_series(0, 59) AS n;
        INSERT INTO "my app"."grants ""x of y" VALUES (NULL, 1, false, '2030-01-01');
        CREATE TABLE authors (name text, country uuid);
        INSERT INTO authors VALUES ('a1', '6ba7b810-9dad-11d1-80b4-00c04fd430c8'), (NULL, NULL);
        """
    )
    return docs


def grants(**where):
    return in_table("$document_id", 'grants "x of y', "document", schema="my app", where=where)


def wanted(keep):
    return {f"{n:03}" for n in range(ROWS) if keep(n % DOCUMENTS)}


@pytest.mark.parametrize("indexed", [False, True])
async def test_every_way_of_reading_keeps_to_what_the_other_table_says(shop, indexed):
    if indexed:
        await shop.create_index()
    mine, own = grants(user_id=1), wanted(lambda document: document % 4 == 1)
    assert {match.id for match in await shop.search(HERE, ROWS, filter=mine)} == own
    assert {record.id for record in (await shop.list(limit=ROWS, filter=mine)).records} == own
    assert await shop.count(mine) == len(own)
    # The table has a NULL too, which is no document, and so takes nothing from what is not there.
    assert await shop.count(~mine) == ROWS - len(own)
    nearest = [match.id for match in await shop.search(HERE, ROWS) if match.id in own and int(match.id) % 2]
    both = mine & parse({"half": 1})
    for access in Access if indexed else [Access.EXACT]:
        if access in (Access.EXACT, Access.INDEX, Access.ITERATIVE):
            found = await shop.search(HERE, 20, filter=both, options=SearchOptions(access=access))
            assert [match.id for match in found] == nearest[:20]
    assert {match.id for match in await shop.search_hybrid("words", HERE, 5, filter=mine)} <= own
    assert {match.id for match in await shop.search_keyword("words", 5, filter=mine)} <= own
    assert {group.value for group in await shop.search_groups(HERE, groups=3, filter=mine)} <= {
        *map(str, range(1, 60, 4))
    }
    assert sum(facet.count for facet in await shop.facet("half", filter=mine)) == len(own)
    assert await shop.delete(filter=mine) == len(own)
    assert await shop.all_domains().count() == 2 * ROWS - len(own)


async def test_conditions_mean_what_their_types_say(shop, connection):
    assert await shop.count(grants(user_id=[1, 2], admin=True)) == await shop.count(grants(admin=True)) == ROWS // 4
    assert await shop.count(grants(user_id=1, until=None)) == ROWS // 4
    assert await shop.count(grants(user_id=())) == 0
    assert await shop.count(grants()) == ROWS
    assert grants(user_id=1) != grants(user_id=True)
    assert grants(user_id=[1, 2]) == grants(user_id=(1, 2))
    country = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
    assert await shop.count(in_table("author", "authors", "name", where={"country": country})) == ROWS // 3
    with pytest.raises(PGRecallError, match="integer"):
        await shop.count(grants(user_id="one"))
    with pytest.raises(CollectionNotFound, match="nowhere"):
        await shop.count(in_table("$id", "nowhere", "id"))
    with pytest.raises(SchemaError, match="nothing"):
        await shop.count(in_table("$id", "authors", "nothing"))
    assert await shop.count() == ROWS


async def test_what_changes_counts_at_once_and_in_the_callers_transaction(shop, connection, url):
    mine = grants(user_id=7)
    assert await shop.search(HERE, 5, filter=mine) == []
    async with AsyncClient(url) as other, connection.transaction():
        await connection.execute('INSERT INTO "my app"."grants ""x of y" VALUES (3, 7)')
        inside = await shop.using(connection).search(HERE, 100, filter=mine)
        assert {match.document_id for match in inside} == {"3"}
        assert len(inside) == ROWS // DOCUMENTS
        assert await other.collection("docs").search(HERE, 5, filter=mine) == []
    assert len(await shop.search(HERE, 100, filter=mine)) == ROWS // DOCUMENTS


async def test_who_may_not_read_the_other_table_finds_nothing_out(shop, database):
    url = database.role("GRANT SELECT ON docs TO {role}")
    async with AsyncClient(url) as client:
        with pytest.raises(PGRecallError, match="permission denied"):
            await client.collection("docs").count(grants())


@pytest.mark.parametrize(
    "arguments",
    [
        {"table": ""},
        {"table": "x" * 64},
        {"column": "a\x00"},
        {"schema": 5},
        {"where": [1]},
        {"where": {"a": {"b": 1}}},
        {"where": {"a": [[1]]}},
        {"where": {f"c{n}": n for n in range(21)}},
        {"field": "$nothing"},
    ],
)
def test_what_is_no_table_is_an_error(arguments):
    with pytest.raises(FilterError):
        in_table(**{"field": "$id", "table": "t", "column": "c", **arguments})


def test_a_mapping_cannot_name_a_table():
    for filter in ({"$id": {"$inTable": {"table": "t"}}}, {"$in_table": {"table": "t"}}):
        with pytest.raises(FilterError, match="not known"):
            parse(filter)
