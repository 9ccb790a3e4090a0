"""Row-level security: what raw SQL cannot reach, what plans survive it, and who may do what."""

import asyncio
import os

import asyncpg
import pytest

from integration_tests.oracle import Corpus
from integration_tests.tenants import config, everything_of, own, record, role_of, roles
from pgrecall import HNSW, Access, AsyncClient, SearchOptions
from pgrecall.errors import CollectionNotFound, DimensionMismatch, PermissionDenied, SchemaError, SecurityWarning

pytestmark = pytest.mark.core

SETTINGS = config(row_level_security=True)
ENTER = "SET LOCAL pgrecall.domains = '{red}'"
TABLES = ("docs", "pgrecall_ledger", "pgrecall_runs", "pgrecall_values")
# What a session that has named no domain must not do, whatever it sets.
NOTHING = (
    "SELECT 1",
    "SET pgrecall.domains = ''",
    "SET pgrecall.domains = '{}'",
    "SET pgrecall.domains = '{NULL}'",
    "RESET pgrecall.domains",
    "SET pgrecall.all_domains = 'on'",
    "BEGIN; SET LOCAL pgrecall.domains = '{blue}'; COMMIT",
    "BEGIN; SET LOCAL pgrecall.domains = '{blue}'; ROLLBACK",
    "SET row_security = on",
    "RESET ALL",
    "DISCARD ALL",
)
# How a session that is in red might reach for blue.
REACHING = (
    "SELECT id FROM docs WHERE domain_id = 'blue'",
    "SELECT id FROM docs WHERE domain_id = 'blue' OR true LIMIT 100 OFFSET 2",
    "SELECT d.id FROM (SELECT * FROM docs OFFSET 0) AS d WHERE domain_id <> 'red'",
    "SELECT d.id FROM docs AS d JOIN docs AS e USING (id) WHERE d.domain_id <> e.domain_id",
    "SELECT id FROM docs TABLESAMPLE SYSTEM (100) WHERE domain_id <> 'red'",
    "SELECT id FROM docs WHERE ctid <> ALL (ARRAY(SELECT ctid FROM docs WHERE domain_id = 'red'))",
    "SELECT * FROM pgrecall_ledger WHERE domain_id <> 'red'",
    "SELECT * FROM pgrecall_runs WHERE domain_id <> 'red'",
    "SELECT * FROM pgrecall_values WHERE domain_id <> 'red'",
    "SELECT attname FROM pg_stats WHERE tablename = 'docs'",
    "SELECT domain_id FROM docs WHERE pg_temp.peek(content) AND domain_id <> 'red'",
    "UPDATE docs SET content = 'taken' WHERE domain_id = 'blue' RETURNING 1",
    "DELETE FROM docs WHERE domain_id = 'blue' RETURNING 1",
    "DELETE FROM pgrecall_ledger WHERE domain_id = 'blue' RETURNING 1",
    "WITH gone AS (DELETE FROM pgrecall_values WHERE domain_id <> 'red' RETURNING 1) SELECT * FROM gone",
)
INSERT = "INSERT INTO docs (domain_id, id, embedding) VALUES ('blue', '{id}', '[1,2,3]')"
UPSERT = "ON CONFLICT (domain_id, id) DO UPDATE SET content = 'taken'"
# What is an error, in any session of the role.
DENIED = (
    INSERT.format(id="new"),
    INSERT.format(id="a"),
    f"{INSERT.format(id='a')} {UPSERT}",
    f"{INSERT.format(id='new')} {UPSERT}",
    "UPDATE docs SET domain_id = 'blue' WHERE id = 'a'",
    "INSERT INTO pgrecall_ledger (domain_id, namespace, key, updated_at) VALUES ('blue', 'l', 'k', 1)",
    "UPDATE pgrecall_values SET domain_id = 'blue'",
    "SET LOCAL row_security = off; SELECT * FROM docs",
    "COPY docs FROM stdin",
    "COPY docs TO PROGRAM 'cat'",
    "TRUNCATE docs",
    "TRUNCATE pgrecall_ledger",
    "DROP POLICY pgrecall_domain ON docs",
    "ALTER POLICY pgrecall_domain ON docs USING (true)",
    "CREATE POLICY mine ON docs USING (true)",
    "ALTER TABLE docs DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE docs NO FORCE ROW LEVEL SECURITY",
    "ALTER TABLE docs OWNER TO CURRENT_USER",
    "DROP TABLE docs",
    "CREATE INDEX ON docs (content)",
    "CREATE TRIGGER mine BEFORE INSERT ON docs EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE TABLE public.mine (LIKE docs)",
    "SET ROLE {owner}",
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "GRANT {owner} TO CURRENT_USER",
    "ALTER ROLE CURRENT_USER BYPASSRLS",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT * FROM pg_statistic",
    "LOCK TABLE docs IN ACCESS EXCLUSIVE MODE; DROP TABLE docs",
)


class Besieged(asyncpg.Connection):
    """A connection that keeps what functions tell; *owner* owns the tables."""

    heard: list
    owner: str


@pytest.fixture
async def besieged(database):
    """The names of owner and runtime role, and a plain connection of the latter beside two tenants."""
    async with roles(database, SETTINGS) as (boss, runtime), AsyncClient(runtime) as client:
        for name in ("red", "blue"):
            docs = client.collection("docs").domain(name)
            await docs.upsert(own(name), ledger=docs.ledger("l"))
            await client.key_values("n", domain=name).set({"k": b"v"})
        connection = await asyncpg.connect(runtime, connection_class=Besieged, statement_cache_size=0)
        # A function that tells all it is shown, and is cheap, so that the planner would rather call it first.
        await connection.execute(
            "CREATE FUNCTION pg_temp.peek(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS "
            "$$ BEGIN RAISE NOTICE 'saw %', $1; RETURN true; END $$"
        )
        heard = []
        connection.add_log_listener(lambda _, message: heard.append(message.message))
        connection.heard, connection.owner = heard, role_of(boss)
        yield connection
        await connection.close()


async def test_raw_sql_that_names_no_domain_sees_and_writes_nothing(besieged, database):
    before = [everything_of(database, name) for name in ("red", "blue")]
    for statement in NOTHING:
        await besieged.execute(statement)
        for table in TABLES:
            assert await besieged.fetch(f"SELECT t::text FROM {table} AS t") == [], statement
            assert await besieged.execute(f"DELETE FROM {table}") == "DELETE 0", statement
            assert await besieged.execute(f"UPDATE {table} SET domain_id = domain_id") == "UPDATE 0", statement
            assert await besieged.copy_from_table(table, output=os.devnull) == "COPY 0", statement
        for domain in ("red", "blue", "", "{blue}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
                await besieged.execute(
                    f"INSERT INTO docs (domain_id, id, embedding) VALUES ('{domain}', 'z', '[1,2,3]')"
                )
    assert [everything_of(database, name) for name in ("red", "blue")] == before


async def test_raw_sql_cannot_reach_another_domain(besieged, database):
    before = everything_of(database, "blue")
    for statement in REACHING:
        async with besieged.transaction():
            await besieged.execute(ENTER)
            assert await besieged.fetch(statement) == [], statement
    async with besieged.transaction():
        await besieged.execute(ENTER)
        # That it can be called at all, and is shown what may be seen.
        assert len(await besieged.fetch("SELECT 1 FROM docs WHERE pg_temp.peek(content)")) == 2
    assert besieged.heard
    assert not [said for said in besieged.heard if "blue" in said]
    assert everything_of(database, "blue") == before


async def test_raw_sql_that_the_role_has_no_right_to_is_refused(besieged, database):
    before = [everything_of(database, name) for name in ("red", "blue")]
    done = []
    for statement in DENIED:
        transaction = besieged.transaction()
        await transaction.start()
        await besieged.execute(ENTER)
        try:
            await besieged.execute(statement.replace("{owner}", besieged.owner))
            done.append(statement)
        except (asyncpg.InsufficientPrivilegeError, asyncpg.FeatureNotSupportedError):
            pass
        await transaction.rollback()
    assert done == []
    assert [everything_of(database, name) for name in ("red", "blue")] == before
    assert database.ask("SELECT count(*) FROM pg_policy") == 2 * len(TABLES)


async def test_views_of_the_role_show_no_more(besieged, database):
    async with besieged.transaction():
        await besieged.execute("CREATE TEMP VIEW v AS SELECT * FROM docs; CREATE TEMP TABLE t AS SELECT * FROM docs")
        assert await besieged.fetch("SELECT id FROM v UNION ALL SELECT id FROM t") == []
        await besieged.execute(ENTER)
        assert {row["domain_id"] for row in await besieged.fetch("SELECT domain_id FROM v")} == {"red"}


async def test_the_owner_is_bound_too_until_it_says_all_domains(database):
    async with roles(database, SETTINGS) as (boss, _), AsyncClient(boss) as owner:
        docs = owner.collection(SETTINGS)
        await docs.domain("red").upsert(own("red"))
        assert await docs.domain("blue").count() == 0
        assert (await docs.all_domains().stats()).domains == {"red": 2}
        connection = await asyncpg.connect(boss)
        assert await connection.fetch("SELECT id FROM docs") == []
        await connection.close()


async def test_nothing_of_a_domain_stays_with_a_pooled_connection(database):
    async with roles(database, SETTINGS) as (_, runtime), AsyncClient(runtime) as client:
        docs = client.collection(SETTINGS)

        async def raw(session):
            return await session.connection.fetchval("SELECT current_setting('pgrecall.domains', true)")

        async def tenant(name):
            red = docs.domain(name)
            for _ in range(5):
                await red.upsert([record(f"{name[-1]}{n}", name) for n in range(3)])
                assert {match.domain_id for match in await red.search([1, 2, 3], k=50)} == {name}
                with pytest.raises(DimensionMismatch):
                    await red.search([1, 2])
                assert not await client._database.run(raw)

        await asyncio.gather(*(tenant(f"tenant{n}") for n in range(8)))


async def test_a_superuser_is_warned_that_nothing_binds_it(database):
    async with roles(database, SETTINGS), AsyncClient(database.url) as client:
        with pytest.warns(SecurityWarning, match="'postgres', which is a superuser or has BYPASSRLS"):
            await client.collection(SETTINGS).count()


async def test_a_table_without_policies_is_refused_until_it_is_secured(database):
    async with roles(database, config()) as (boss, runtime), AsyncClient(boss) as owner, AsyncClient(runtime) as client:
        await client.collection("docs").domain("red").upsert(own("red"))
        with pytest.raises(SchemaError, match=r"policies are missing: secure\(\)"):
            await client.collection(SETTINGS).domain("red").count()
        with pytest.raises(PermissionDenied, match="only its owner"):
            await client.collection("docs").secure()
        with pytest.raises(CollectionNotFound):
            await owner.collection("none").secure()
        await owner.collection(SETTINGS).secure()
        await owner.collection(SETTINGS).secure()
        assert await client.collection(SETTINGS).domain("red").count() == 2
        assert await client.collection(SETTINGS).domain("blue").count() == 0
        database.execute("CREATE POLICY everybody ON docs USING (true)")
        async with AsyncClient(runtime) as again:
            with pytest.raises(SchemaError, match=r"beside the policies.*\['everybody'\]"):
                await again.collection(SETTINGS).domain("red").count()


@pytest.fixture
async def large(database):
    """Two domains of 4,000 rows each, with their vector index."""
    settings = config(row_level_security=True, dimensions=8, text_search=None)
    async with (
        roles(database, settings) as (boss, runtime),
        AsyncClient(boss) as owner,
        AsyncClient(runtime) as client,
    ):
        corpus = Corpus(rows=4_000, dimensions=8)
        docs = client.collection("docs")
        for name in ("red", "blue"):
            await docs.domain(name).upsert(corpus.batch())
        await owner.collection("docs").create_index(HNSW(m=8, ef_construction=32))
        yield corpus, client.collection("docs"), client


@pytest.mark.needs(pgvector="0.8")
async def test_the_vector_index_serves_searches_under_the_policies(large):
    corpus, docs, _ = large
    for scope in (docs.domain("red"), docs.in_domains(["red", "blue"])):
        plan = await scope.explain(corpus.draw(1)[0], 10, options=SearchOptions(access=Access.ITERATIVE), postgres=True)
        text = "\n".join(plan.postgres)
        assert "using docs_embedding_idx" in text
        assert "InitPlan" in text
        assert "Seq Scan" not in text
    for query in corpus.draw(5):
        found = await docs.domain("red").search(query, 10, options=SearchOptions(access=Access.ITERATIVE))
        corpus.check(found, query, 10, recall=0.5)
        assert {match.domain_id for match in found} == {"red"}


async def test_exact_searches_and_filters_are_right_under_the_policies(large):
    corpus, docs, _ = large
    plan = await docs.domain("red").explain(corpus.draw(1)[0], options=SearchOptions(exact=True), postgres=True)
    assert "Index Cond: (domain_id = 'red'::text)" in "\n".join(plan.postgres)
    for query in corpus.draw(5):
        corpus.check(await docs.domain("red").search(query, 10, options=SearchOptions(exact=True)), query, 10)
        matches = await docs.domain("blue").search(query, 10, filter={"half": 1})
        corpus.check(matches, query, 10, keep=lambda m: m["half"])
    report = await docs.domain("red").recall(sample=5)
    assert report.recall > 0.5


async def test_a_search_stays_one_round_trip(large):
    corpus, docs, client = large
    red = docs.domain("red")
    query = corpus.draw(1)[0]
    await red.search(query, 10)
    sent = []

    async def listen(session):
        session.connection.add_query_logger(lambda record: sent.append(record.query))

    await client._database.run(listen)
    await red.search(query, 10)
    await asyncio.sleep(0)
    assert len(sent) == 1
