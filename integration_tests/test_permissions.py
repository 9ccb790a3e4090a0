"""Who may do what: roles that only read or only write rows, and SQL that somebody else runs for us."""

import re

import pytest

from integration_tests.tenants import config, own, record, role_of, roles
from pgrecall import HNSW, AsyncClient, CollectionConfig, IVFFlat, Rights, collection_sql
from pgrecall.errors import ConfigError, PermissionDenied

pytestmark = pytest.mark.core

# All that the catalogs say of what is in a schema, but for names that are made up at random.
CATALOG = {
    "tables": """
        SELECT c.relname, c.relkind::text, c.reloptions::text, c.relrowsecurity, c.relforcerowsecurity,
               obj_description(c.oid, 'pg_class'), c.relacl::text, pg_get_userbyid(c.relowner)
        FROM pg_class c WHERE c.relnamespace = '{0}'::regnamespace ORDER BY 1""",
    "columns": """
        SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attstorage::text,
               a.attstattarget, a.attcollation::regcollation::text, pg_get_expr(d.adbin, d.adrelid),
               col_description(c.oid, a.attnum)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = '{0}'::regnamespace AND a.attnum > 0 ORDER BY 1, 2""",
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = '{0}' ORDER BY 1",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = '{0}'::regnamespace ORDER BY 1, 2""",
    "policies": "SELECT * FROM pg_policies WHERE schemaname = '{0}' ORDER BY tablename, policyname",
    "functions": "SELECT proname, prosrc, proacl::text FROM pg_proc WHERE pronamespace = '{0}'::regnamespace",
    "triggers": """
        SELECT tgname, pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE c.relnamespace = '{0}'::regnamespace ORDER BY 1, 2""",
    "views": "SELECT viewname, viewowner, definition FROM pg_views WHERE schemaname = '{0}' ORDER BY 1",
    "schema": "SELECT nspacl::text FROM pg_namespace WHERE nspname = '{0}'",
}


def catalog(database, schema):
    return {
        kind: [
            re.sub(
                rf"\b{schema}\b",
                "made",
                re.sub(r"pgrecall_(derive|lookup|words|numbers)_[0-9a-f]+", r"\1", repr(tuple(row))),
            )
            for row in database.rows(query.format(schema))
        ]
        for kind, query in CATALOG.items()
    }


@pytest.mark.needs(pgvector="0.7")
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"row_level_security": True},
        {"row_level_security": True, "fields": {"kind": str, "n": int, "tags": list[str]}, "text_search": None},
        pytest.param(
            {"id_type": "uuid", "vector_type": "halfvec", "distance": "l2", "fields": {"$content": str}},
            marks=pytest.mark.needs(extension="pg_trgm"),
        ),
        {"name": 'odd "name"', "fields": {}, "text_search": "de", "row_level_security": True},
        {"dimensions": 2_500, "fields": {}, "text_search": None},
    ],
    ids=["plain", "policies", "fields", "halfvec", "odd", "long"],
)
async def test_printed_sql_makes_what_the_engine_makes(database, client, settings):
    runtime = role_of(database.role())
    printed = config(**settings, schema="printed", index=HNSW(m=8))
    script = collection_sql(printed, runtime=Rights(role=runtime))
    # All in one transaction, as with psql -1.
    database.execute(script)
    made = config(**settings, schema="engine", index=HNSW(m=8))
    docs = await client.get_or_create_collection(made)
    await docs.create_index(HNSW(m=8))
    await docs.grant(runtime)
    expected, found = catalog(database, "engine"), catalog(database, "printed")
    assert len(expected["tables"]) >= 7
    assert found == expected
    # And nothing is left to do for an engine that may not do it.
    there = await client.get_collection(printed)
    assert (await there.create_index(HNSW(m=8))).valid
    assert catalog(database, "printed") == expected
    database.execute(f"DROP OWNED BY {runtime}")


def test_sql_is_printed_only_of_what_is_known():
    with pytest.raises(ConfigError, match="how many dimensions"):
        collection_sql(CollectionConfig(name="docs"))
    with pytest.raises(ConfigError, match="how many lists"):
        collection_sql(CollectionConfig(name="docs", dimensions=3, index=IVFFlat()))
    assert "lists = 7" in collection_sql(CollectionConfig(name="docs", index=IVFFlat(lists=7)), dimensions=3)
    assert "pgrecall_ledger" not in collection_sql(CollectionConfig(name="docs"), dimensions=3, beside=False)
    with pytest.raises(ConfigError, match="role"):
        Rights(role="")


async def test_grant_makes_a_role_that_can_do_no_more_than_it_must(database, client):
    docs = await client.get_or_create_collection(config(row_level_security=True))
    name = role_of(database.role()) + "_made"
    await docs.grant(name, create=True)
    await docs.grant(name, create=True)
    (role,) = database.rows(f"SELECT * FROM pg_roles WHERE rolname = '{name}'")
    rights = ("rolsuper", "rolcreaterole", "rolcreatedb", "rolcanlogin", "rolreplication", "rolbypassrls")
    assert not any(role[right] for right in rights)
    held = {
        (row[0], row[1])
        for row in database.rows(
            f"SELECT table_name, privilege_type FROM information_schema.role_table_grants WHERE grantee = '{name}'"
        )
    }
    expected = {"SELECT", "INSERT", "UPDATE", "DELETE"}
    tables = ("docs", "pgrecall_ledger", "pgrecall_runs", "pgrecall_values")
    # Aliases are read only: to point one elsewhere is the owner's. The table was made by a superuser: it has lookups.
    views = [table for table, _ in held if re.match("pgrecall_(lookup|words|numbers)_", table)]
    assert len(views) == 2
    read_only = {(name, "SELECT") for name in ("pgrecall_aliases", *views)}
    assert held == {(table, right) for table in tables for right in expected} | read_only
    with pytest.raises(PermissionDenied):
        async with AsyncClient(database.role("GRANT USAGE ON SCHEMA public TO {role}")) as other:
            await other.collection("docs").grant(name)
    database.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.mark.parametrize("policies", [False, True], ids=["plain", "policies"])
@pytest.mark.parametrize("session", [False, True], ids=["select-only", "read-only-session"])
async def test_who_may_only_read_reads_everything_and_is_told_about_the_rest(database, policies, session):
    async with roles(database, config(row_level_security=policies)) as (boss, runtime):
        async with AsyncClient(boss) as owner:
            docs = owner.collection("docs").domain("red")
            await docs.upsert(own("red"))
            await docs.domain("blue").upsert(own("blue"))
            reader = runtime
            if session:
                database.execute(f"ALTER ROLE {role_of(runtime)} SET default_transaction_read_only = on")
            else:
                reader = database.role()
                await docs.grant(role_of(reader), write=False)
        async with AsyncClient(reader) as client:
            docs = client.collection(config(row_level_security=policies)).domain("red")
            assert [match.id for match in await docs.search([1, 2, 10], filter={"kind": "x"})] == ["a", "b"]
            assert len(await docs.search_keyword("secret")) == len(await docs.search_hybrid("secret", [1, 2, 3])) == 2
            assert len((await docs.list()).records) == await docs.count() == (await docs.stats()).rows == 2
            assert (await docs.recall(k=1)).recall == 1
            assert (await docs.explain([1, 2, 3], postgres=True)).postgres
            assert [info.rows for info in await docs.describe_domains()] == [2]
            assert await docs.ledger("l").keys() == []
            assert await client.key_values("n", domain="red").get(["k"]) == [None]
            for write in (
                docs.upsert([record()]),
                docs.replace([record()]),
                docs.replace_documents([record()]),
                docs.update(["a"], contents=["new"]),
                docs.delete(["a"]),
                docs.clear(),
                docs.copy_domain("pink"),
                docs.rename_domain("pink"),
                docs.ledger("l").mark(["k"]),
                client.key_values("n", domain="red").set({"k": b"v"}),
            ):
                with pytest.raises(PermissionDenied, match="read-only" if session else "needs|may not"):
                    await write
        assert database.ask("SELECT count(*) FROM docs WHERE content LIKE '%secret%'") == 4
        if not session:
            database.execute(f"DROP OWNED BY {role_of(reader)}")


async def test_a_role_without_create_uses_what_there_is_and_is_told_what_it_lacks(database):
    async with roles(database, config()) as (_, runtime), AsyncClient(runtime) as client:
        docs = await client.get_or_create_collection(config())
        assert (await docs.upsert(own("red"))).inserted == 2
        assert (await docs.ledger("l").mark(["k"])) is None
        for wanted in (
            client.get_or_create_collection("more", dimensions=3),
            docs.create_index(),
            docs.add_fields({"new": int}),
            docs.secure(),
            client.delete_collection("docs"),
            client.rename_collection("docs", "papers"),
        ):
            with pytest.raises(PermissionDenied):
                await wanted
        assert len(await docs.search([1, 2, 3])) == 2


async def test_a_role_without_rights_is_told_which_it_needs(database):
    async with roles(database, config()), AsyncClient(database.role()) as client:
        with pytest.raises(PermissionDenied, match=r"GRANT SELECT ON public\.docs"):
            await client.collection("docs").count()
