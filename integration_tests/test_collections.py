"""Collections: made, found, listed, renamed, dropped."""

import asyncio

import pytest

from pgrecall import CollectionConfig, Distance, Record, VectorType
from pgrecall.errors import CollectionExists, CollectionNotFound, ConfigError, DimensionMismatch, SchemaError

A = Record(id="a", embedding=[1, 0, 0], content="hello", metadata={"n": 1})


async def test_create_makes_an_empty_table(client, connection):
    docs = await client.create_collection("docs", dimensions=3)
    assert await docs.count() == 0
    assert await connection.fetchval('SELECT count(*) FROM "docs"') == 0


async def test_create_of_what_exists_is_an_error(client, docs):
    with pytest.raises(CollectionExists, match=r"public\.docs"):
        await client.create_collection("docs", dimensions=3)


async def test_create_of_what_is_a_table_of_somebody_elses_is_an_error(client, connection):
    await connection.execute("CREATE VIEW docs AS SELECT 1")
    with pytest.raises(CollectionExists):
        await client.create_collection("docs", dimensions=3)


async def test_create_by_eight_at_once_succeeds_once(client):
    made = await asyncio.gather(
        *(client.create_collection("docs", dimensions=3) for _ in range(8)), return_exceptions=True
    )
    failed = [type(error) for error in made if isinstance(error, Exception)]
    assert failed == [CollectionExists] * 7


async def test_create_without_dimensions_is_an_error(client):
    with pytest.raises(ConfigError, match="how many dimensions"):
        await client.create_collection("docs")
    assert await client.list_collections() == []


async def test_get_of_what_is_missing_is_an_error(client):
    with pytest.raises(CollectionNotFound, match=r"public\.docs; get_or_create_collection\(\) makes one"):
        await client.get_collection("docs")


async def test_get_of_what_exists_takes_over_its_settings(client):
    config = CollectionConfig(name="docs", dimensions=4, distance=Distance.L1, vector_type=VectorType.HALFVEC)
    await client.create_collection(config)
    stats = await (await client.get_collection("docs")).stats()
    assert (stats.dimensions, stats.distance, stats.vector_type) == (4, Distance.L1, VectorType.HALFVEC)


async def test_get_or_create_makes_what_is_missing_once(client):
    await (await client.get_or_create_collection("docs", dimensions=3)).upsert([A])
    assert await (await client.get_or_create_collection("docs", dimensions=3)).count() == 1


async def test_get_or_create_without_dimensions_of_what_exists_takes_its_own(client, docs):
    await (await client.get_or_create_collection("docs")).upsert([A])
    assert await docs.count() == 1


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({"dimensions": 4}, DimensionMismatch, "3 dimensions, not 4"),
        ({"distance": "l2"}, SchemaError, "made for cosine distance, not l2"),
        ({"vector_type": "halfvec"}, SchemaError, "vector_type='halfvec'"),
        ({"id_type": "uuid"}, SchemaError, "id_type='uuid'"),
    ],
)
async def test_get_or_create_with_other_settings_than_it_was_made_with_is_an_error(
    client, docs, config, error, message
):
    with pytest.raises(error, match=message):
        await client.get_or_create_collection(CollectionConfig(name="docs", **config))


async def test_dimensions_that_contradict_the_configuration_are_an_error(client):
    with pytest.raises(ConfigError, match="dimensions=4"):
        await client.get_or_create_collection(CollectionConfig(name="docs", dimensions=3), dimensions=4)


async def test_a_schema_is_made_with_its_first_collection(client, connection):
    docs = await client.get_or_create_collection(CollectionConfig(name="docs", schema="my app", dimensions=3))
    await docs.upsert([A])
    assert await connection.fetchval('SELECT count(*) FROM "my app".docs') == 1
    assert await client.list_collections(schema="my app") == ["docs"]
    assert await client.list_collections() == []


async def test_a_handle_on_what_was_not_written_yet_is_empty(client):
    docs = client.collection("docs")
    assert await docs.count() == 0
    assert await docs.get(["a"]) == [None]
    assert await docs.search([1, 0, 0], k=5) == []
    assert (await docs.list()).records == []
    assert (await docs.stats()).rows == 0
    assert await docs.delete(["a"]) == 0
    assert await docs.clear() == 0
    assert await docs.update(["a"], contents=["x"]) == 0
    assert await docs.drop_index() == ()
    assert "nothing has been written" in (await docs.explain([1, 0, 0])).reason
    assert await client.list_collections() == []


async def test_a_handle_makes_its_table_at_the_first_write(client):
    docs = client.collection("docs")
    await docs.upsert([A])
    assert await docs.count() == 1
    assert (await docs.stats()).dimensions == 3


async def test_a_handle_whose_first_write_was_refused_can_still_be_written_to(client):
    docs = client.collection("docs")
    with pytest.raises(ConfigError):
        await docs.upsert([Record(id="a", embedding=[[1, 0, 0]])])
    await docs.upsert([A])
    assert (await docs.stats()).dimensions == 3


@pytest.mark.parametrize("embedding", [[], [0.5] * 16_001, "abc", None, 5])
async def test_a_first_write_that_no_column_can_hold_makes_no_table(client, embedding):
    with pytest.raises(ConfigError, match=r"record 0|dimensions must be"):
        await client.collection("docs").upsert([Record(id="a", embedding=embedding)])
    assert await client.list_collections() == []


async def test_list_names_ours_and_only_ours(client, connection):
    await connection.execute("CREATE TABLE theirs (id text)")
    await connection.execute("CREATE TABLE commented (id text); COMMENT ON TABLE commented IS 'pgrecallish'")
    for name in ("b", "a"):
        await client.create_collection(name, dimensions=3)
    assert await client.list_collections() == ["a", "b"]


async def test_rename_keeps_the_rows(client, docs):
    await docs.upsert([A])
    await client.rename_collection("docs", "papers")
    assert await client.list_collections() == ["papers"]
    assert await (await client.get_collection("papers")).count() == 1


async def test_rename_frees_the_old_name_for_another_collection(client, docs):
    await client.rename_collection("docs", "papers")
    again = await client.create_collection("docs", dimensions=5)
    assert (await again.stats()).dimensions == 5
    assert await client.list_collections() == ["docs", "papers"]


async def test_rename_frees_the_name_of_the_index_too(client, docs):
    await docs.upsert([A])
    await docs.create_index()
    await client.rename_collection("docs", "papers")
    again = await client.create_collection("docs", dimensions=3)
    assert (await again.create_index()).valid


async def test_rename_to_a_name_that_is_taken_is_an_error(client, docs):
    await client.create_collection("papers", dimensions=3)
    with pytest.raises(CollectionExists, match=r"public\.papers"):
        await client.rename_collection("docs", "papers")


async def test_rename_of_what_is_missing_is_an_error(client):
    with pytest.raises(CollectionNotFound, match="docs"):
        await client.rename_collection("docs", "papers")


async def test_rename_to_a_name_too_long_is_an_error(client, docs):
    with pytest.raises(ConfigError, match="63 bytes"):
        await client.rename_collection("docs", "x" * 64)


async def test_delete_drops_the_table(client, docs, connection):
    await client.delete_collection("docs")
    assert await connection.fetchval("SELECT to_regclass('docs')") is None


async def test_delete_of_what_is_missing_is_an_error(client):
    with pytest.raises(CollectionNotFound, match="docs"):
        await client.delete_collection("docs")


@pytest.mark.parametrize(
    ("verb", "arguments"), [("delete_collection", ["theirs"]), ("rename_collection", ["theirs", "ours"])]
)
async def test_a_table_of_somebody_elses_is_left_alone(client, connection, verb, arguments):
    await connection.execute("CREATE TABLE theirs (id text PRIMARY KEY, embedding vector(3))")
    with pytest.raises(CollectionNotFound, match=r"theirs.*pgrecall has made"):
        await getattr(client, verb)(*arguments)
    assert await connection.fetchval("SELECT to_regclass('theirs')") is not None


async def test_a_handle_on_what_was_dropped_recovers(client, docs):
    await docs.upsert([A])
    await client.delete_collection("docs")
    with pytest.raises(CollectionNotFound, match="dropped or renamed"):
        await docs.count()
    assert await docs.count() == 0
    await docs.upsert([A])
    assert await docs.count() == 1


async def test_handles_print_what_they_are_on(docs):
    assert repr(docs) == "<AsyncCollection public.docs, domain 'default'>"
    assert repr(docs.all_domains()) == "<AsyncCollection public.docs, all domains>"
