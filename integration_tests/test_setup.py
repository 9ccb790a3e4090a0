"""Setup by many at once, and where it is not allowed."""

import asyncio

import pytest

from pgrecall import AsyncClient, CollectionConfig, Record
from pgrecall.collection.schema import _check_versions
from pgrecall.errors import CollectionNotFound, ExtensionMissing, PermissionDenied, SchemaError
from tests.tables import server as facts

A = Record(id="a", embedding=[1, 2, 3])
START = """
import sys
from pgrecall import Client, CollectionConfig, Record
url, number = sys.argv[1:]
sys.stdin.readline()
with Client(url) as client:
    docs = client.get_or_create_collection(CollectionConfig(name="docs", schema="new", dimensions=3))
    docs.upsert([Record(id="shared", embedding=[1, 2, 3], content=number), Record(id=number, embedding=[1, 2, 3])])
"""


async def test_eight_processes_set_up_at_once(bare_database, interpreter):
    processes = [interpreter(START, bare_database.url, number) for number in range(8)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    ends = [await asyncio.to_thread(process.communicate, timeout=60) for process in processes]
    assert [(process.returncode, complaints) for process, (_, complaints) in zip(processes, ends, strict=True)] == [
        (0, "")
    ] * 8
    async with AsyncClient(bare_database.url) as client:
        docs = await client.get_collection(CollectionConfig(name="docs", schema="new"))
        assert await docs.count() == 9
        assert await client.list_collections(schema="new") == ["docs"]


async def test_eight_tasks_set_up_at_once(bare_database):
    async with AsyncClient(bare_database.url) as client:

        async def one(number):
            docs = await client.get_or_create_collection(CollectionConfig(name="docs", schema="new"), dimensions=3)
            await docs.upsert([Record(id=str(number), embedding=[1, 2, 3])])

        await asyncio.gather(*map(one, range(8)))
        assert await client.collection(CollectionConfig(name="docs", schema="new")).count() == 8


async def test_eight_first_writes_at_once_make_one_table(client):
    docs = client.collection("docs")
    await asyncio.gather(*(docs.upsert([Record(id=str(n), embedding=[1, 2, 3])]) for n in range(8)))
    assert await docs.count() == 8


async def test_setup_installs_the_extension(bare_database):
    async with AsyncClient(bare_database.url) as client:
        assert (await client.server()).vector_version is None
        docs = await client.get_or_create_collection("docs", dimensions=3)
        await docs.upsert([A])
        assert (await docs.search([1, 2, 3]))[0].id == "a"
        assert (await client.server()).vector_version is not None


async def test_an_extension_in_a_schema_of_its_own_is_found(bare_database):
    bare_database.execute("CREATE SCHEMA ext; CREATE EXTENSION vector SCHEMA ext")
    async with AsyncClient(bare_database.url) as client:
        docs = await client.get_or_create_collection("docs", dimensions=3)
        await docs.upsert([A])
        await docs.create_index()
        (match,) = await docs.search([1, 2, 3], include=["embedding"])
        assert match.embedding.tolist() == [1, 2, 3]


async def test_without_the_right_to_install_the_extension_it_says_what_to_do(bare_database):
    role = bare_database.role()
    async with AsyncClient(role) as client:
        with pytest.raises(ExtensionMissing, match="CREATE EXTENSION vector"):
            await client.get_or_create_collection("docs", dimensions=3)


async def test_validate_installs_and_makes_nothing(bare_database):
    config = CollectionConfig(name="docs", schema="new", dimensions=3, setup="validate")
    async with AsyncClient(bare_database.url) as client:
        with pytest.raises(ExtensionMissing):
            await client.get_or_create_collection(config)
        bare_database_has = await client.server()
        assert bare_database_has.vector_version is None


async def test_validate_makes_no_table(client, connection):
    config = CollectionConfig(name="docs", schema="new", dimensions=3, setup="validate")
    with pytest.raises(CollectionNotFound, match="setup='validate'"):
        await client.get_or_create_collection(config)
    docs = client.collection(config)
    with pytest.raises(CollectionNotFound):
        await docs.upsert([A])
    with pytest.raises(CollectionNotFound):
        await docs.count()
    assert await connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = 'new'") == 0


async def test_validate_uses_what_exists(client, docs):
    config = CollectionConfig(name="docs", dimensions=3, setup="validate")
    validated = await client.get_or_create_collection(config)
    await validated.upsert([A])
    assert await docs.count() == 1


async def test_a_role_without_create_is_told_so(database):
    role = database.role("REVOKE CREATE ON SCHEMA public FROM PUBLIC, {role}")
    async with AsyncClient(role) as client:
        with pytest.raises(PermissionDenied, match=r"may not create table public\.docs.*CREATE"):
            await client.get_or_create_collection("docs", dimensions=3)
        with pytest.raises(PermissionDenied, match=r"may not create table new\.docs"):
            await client.get_or_create_collection(CollectionConfig(name="docs", schema="new"), dimensions=3)


async def test_a_role_without_create_uses_what_exists(database, docs):
    role = database.role("GRANT SELECT, INSERT, UPDATE, DELETE ON docs TO {role}")
    async with AsyncClient(role) as client:
        theirs = await client.get_or_create_collection("docs", dimensions=3)
        await theirs.upsert([A])
        assert await theirs.count() == 1
        with pytest.raises(PermissionDenied, match="only its owner may"):
            await theirs.create_index()
        with pytest.raises(PermissionDenied):
            await client.delete_collection("docs")
    assert await docs.count() == 1


async def test_a_role_that_may_only_read_reads(database, docs):
    await docs.upsert([A])
    role = database.role("GRANT SELECT ON docs TO {role}")
    async with AsyncClient(role) as client:
        theirs = await client.get_or_create_collection("docs", dimensions=3)
        assert (await theirs.search([1, 2, 3]))[0].id == "a"
        assert await theirs.count() == 1
        assert (await theirs.get(["a"]))[0].id == "a"
        writes = [
            lambda: theirs.upsert([A]),
            lambda: theirs.update(["a"], contents=["x"]),
            lambda: theirs.delete(["a"]),
            theirs.clear,
        ]
        for write in writes:
            with pytest.raises(PermissionDenied, match="INSERT, UPDATE and DELETE"):
                await write()


async def test_a_role_that_may_not_even_read_is_told_so(database, docs):
    role = database.role()
    async with AsyncClient(role) as client:
        with pytest.raises(PermissionDenied, match="GRANT SELECT"):
            await client.collection("docs").count()


async def test_a_server_that_is_read_only_is_read(database, docs):
    await docs.upsert([A])
    role = database.role(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON docs TO {role}",
        "ALTER ROLE {role} SET default_transaction_read_only = on",
    )
    async with AsyncClient(role) as client:
        theirs = await client.get_collection("docs")
        assert await theirs.count() == 1
        for write in (lambda: theirs.upsert([A]), lambda: theirs.delete(["a"]), theirs.create_index):
            with pytest.raises(PermissionDenied, match="read-only"):
                await write()
        with pytest.raises(PermissionDenied, match="read-only"):
            await client.get_or_create_collection("more", dimensions=3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"version": 130_011}, "PostgreSQL 13 is too old"), ({"vector_version": (0, 5, 1)}, "pgvector 0.5.1 is too old")],
)
def test_a_version_that_is_too_old_is_refused(changes, message):
    with pytest.raises(SchemaError, match=message):
        _check_versions(facts(**changes), CollectionConfig(name="docs"))


def test_the_oldest_versions_that_are_supported_are_taken():
    assert _check_versions(facts(version=140_000, vector_version=(0, 6, 0)), CollectionConfig(name="docs")) is None


@pytest.mark.parametrize("changes", [{"distance": "l1"}, {"vector_type": "halfvec"}, {"distance": "hamming"}])
def test_what_came_with_pgvector_0_7_is_refused_before(changes):
    with pytest.raises(SchemaError, match=r"needs pgvector 0\.7"):
        _check_versions(facts(vector_version=(0, 6, 2)), CollectionConfig(name="docs", **changes))
