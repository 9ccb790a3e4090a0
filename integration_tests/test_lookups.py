"""Lookups: the metadata's index serves under row-level security, and shows nothing that the policies would hide."""

from dataclasses import replace

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integration_tests.oracle import Corpus
from integration_tests.tenants import (
    LOOKUPS,
    check_closed,
    check_fixed,
    config,
    looked_up,
    own,
    prying,
    record,
    role_of,
)
from integration_tests.test_filter_language import FILTERS, LEAVES, METADATA, NUMBERS, TEXTS, dumps
from integration_tests.test_row_level_security import NOTHING
from pgrecall import AsyncClient, Client, HashPartitions, Record, SearchOptions
from pgrecall.errors import DatabaseError
from pgrecall.filters import And, Compare, Equals, Key, parse
from pgrecall.filters.nodes import Order
from tests.evaluation import passes

pytestmark = pytest.mark.core

SETTINGS = config(row_level_security=True, fields={"half": int, "colour": str}, text_search=None)
ALL = """SET pgrecall.wanted = '{"{}"}'"""


@pytest.fixture
async def tenants(database):
    async with looked_up(database, SETTINGS) as (boss, runtime, (name, numbers)):
        assert numbers.startswith("pgrecall_numbers_")
        yield boss, runtime, name


FOUND_BY_LOOKUP = [
    {"tenth": 4},
    {"tenth": {"$in": [4, 5]}},
    {"tenth": 4, "rare": False},
    {"tenth": 5, "half": 1},
    {"$or": [{"tenth": 4}, {"rare": True}]},
]
FOUND_BY_NUMBER = [
    {"half": 1},
    {"half": 1, "number": {"$lt": 500}},
    {"half": {"$gt": 0}},
    {"half": {"$gte": 0.5, "$lt": 1.5}, "number": {"$lt": 500}},
    {"half": {"$lt": 0}},
    {"half": {"$gt": 0, "$lte": 0}},
]
NOT_SO = [
    {"colour": "red", "half": 1},
    {"half": {"$ne": 1}},
    {"colour": "red", "tenth": 4},
    {"number": {"$lt": 100}},
    {"tenth": {"$ne": 4}},
    {"$or": [{"tenth": 4}, {"number": {"$gt": 9}}]},
]


async def test_searches_by_metadata_are_served_by_its_index_under_the_policies(database, tenants):
    _, runtime, name = tenants
    corpus = Corpus(rows=2_000, dimensions=3)
    async with AsyncClient(runtime) as client:
        docs = client.collection(SETTINGS)
        for domain in ("red", "blue"):
            await docs.domain(domain).upsert(corpus.batch())
        database.execute("VACUUM ANALYZE docs")
        red, query = docs.domain("red"), corpus.query()
        for filter in (*FOUND_BY_LOOKUP, *FOUND_BY_NUMBER, *NOT_SO):
            node = parse(filter)
            for handle in (red, docs.in_domains(["red", "green"])):
                matches = await handle.search(query, 30, filter=filter, options=SearchOptions(exact=True))
                corpus.check(matches, query, 30, keep=lambda metadata, node=node: passes(node, metadata))
                assert {match.domain_id for match in matches} <= {"red"}
            assert await red.count(filter) == sum(passes(node, metadata) for metadata in corpus.metadatas)
            assert await docs.domain("green").count(filter) == 0
            plan = await red.explain(query, filter=filter, options=SearchOptions(exact=True), postgres=True)
            text = "\n".join(plan.postgres)
            assert ("docs_metadata_idx" in text) is (filter in FOUND_BY_LOOKUP), text
            assert ("pgrecall_numbers" in text or "half >=" in text) is (filter in FOUND_BY_NUMBER), text
            assert ("Tid Scan" in text) is (filter not in NOT_SO), text
        (many,) = await red.search_many([query], 30, filter=FOUND_BY_LOOKUP[0], options=SearchOptions(exact=True))
        corpus.check(many, query, 30, keep=lambda metadata: metadata["tenth"] == 4)
        async with AsyncClient(tenants[0]) as owner:
            # A lookup shows rows of domains that are named, which all domains are not.
            assert await owner.collection(SETTINGS).all_domains().count({"tenth": 4}) == 400
        connection = await asyncpg.connect(runtime)
        async with connection.transaction():
            lent = await red.using(connection).search(query, 30, filter={"tenth": 4}, options=SearchOptions(exact=True))
            corpus.check(lent, query, 30, keep=lambda metadata: metadata["tenth"] == 4)
            assert not await connection.fetchval("SELECT current_setting('pgrecall.wanted', true)")
            assert await connection.fetch(f"SELECT * FROM {name}") == []
        await connection.close()


async def test_a_lookup_shows_a_session_the_places_of_its_domains_and_no_others(database, tenants):
    boss, runtime, name = tenants
    async with AsyncClient(runtime) as client:
        for domain in ("red", "blue"):
            await client.collection(SETTINGS).domain(domain).upsert(own(domain))
    places = {row[0]: row[1] for row in database.rows("SELECT domain_id || id, ctid FROM docs")}
    for url in (runtime, boss):
        async with prying(url) as (connection, heard):
            await check_closed(connection, name, NOTHING, ("SET pgrecall.wanted = ''", "RESET pgrecall.wanted", ALL))
            await connection.execute(f"{ALL}; SET pgrecall.domains = '{{red}}'")
            found = await connection.fetch(f"SELECT place FROM {name} WHERE pg_temp.peek(place)")
            assert {row[0] for row in found} == {places["reda"], places["redb"]}
            assert len(heard) == 2
            await check_fixed(connection, name)
    assert database.ask("SELECT count(*) FROM docs") == 4


async def test_a_view_of_somebody_who_is_bound_is_no_lookup(database, tenants):
    boss, runtime, name = tenants
    note = database.ask(f"SELECT obj_description('{name}'::regclass)")
    database.execute(f"DROP VIEW {name}")
    async with AsyncClient(runtime) as client, AsyncClient(boss) as owner:
        red = client.collection(SETTINGS).domain("red")
        await red.upsert(own("red"))
        connection = await asyncpg.connect(boss)
        await connection.execute(
            f"CREATE VIEW mine AS SELECT ctid AS place FROM docs; COMMENT ON VIEW mine IS $${note}$$"
        )
        await connection.execute(f"GRANT SELECT ON mine TO {role_of(runtime)}")
        await connection.close()
        async with AsyncClient(runtime) as other:
            assert await other.collection(SETTINGS).domain("red").count({"n": 1}) == 2
            plan = await other.collection(SETTINGS).domain("red").explain([1, 2, 3], filter={"n": 1}, postgres=True)
            assert "mine" not in "\n".join(plan.postgres)
        await owner.delete_collection("docs")
    assert database.ask("SELECT count(*) FROM pg_class WHERE relname IN ('docs', 'mine')") == 0


async def test_a_lookup_goes_with_its_table_and_takes_nothing_of_others_along(database, tenants):
    boss, _, _ = tenants
    async with AsyncClient(boss) as owner:
        await owner.rename_collection("docs", "papers")
        papers = replace(SETTINGS, name="papers")
        assert await owner.collection(papers).domain("red").count({"n": 1}) == 0
        await owner.rename_collection("papers", "docs")
        database.execute("CREATE VIEW theirs AS SELECT content FROM docs")
        with pytest.raises(DatabaseError, match="depend"):
            await owner.delete_collection("docs")
        database.execute("DROP VIEW theirs")
        await owner.delete_collection("docs")
    assert database.rows(LOOKUPS) == []


async def test_tables_whose_places_are_not_one_rows_own_have_no_lookup(database):
    async with AsyncClient(database.url) as client:
        await client.create_collection(config(row_level_security=True, fields={}, layout=HashPartitions(count=2)))
    assert database.rows(LOOKUPS) == []


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(metadatas=st.lists(METADATA, min_size=1, max_size=12), filters=st.lists(FILTERS, min_size=1, max_size=6))
def test_a_lookup_finds_every_row_that_passes(secured, metadatas, filters):
    check(secured, metadatas, filters)


def check(docs, metadatas, filters):
    docs.clear()
    docs.upsert([Record(id=str(n), embedding=[1, 2, n + 1.0], metadata=m) for n, m in enumerate(metadatas)])
    for filter in filters:
        assert docs.count(filter) == sum(passes(filter, metadata) for metadata in metadatas)


KEYS = st.sampled_from([Key(("a",)), Key(("b",))])
# What a column holds of numbers, and what it is asked about.
HELD = NUMBERS | st.sampled_from([1e-9, 10**38, -(10**38)])
LARGE = HELD | st.sampled_from([10**60, -(10**60), 1e-60])
RANGES = st.lists(
    st.builds(Compare, KEYS, st.sampled_from(Order), LARGE.map(dumps))
    | st.builds(Equals, KEYS, LARGE.map(dumps))
    | LEAVES,
    min_size=1,
    max_size=3,
).map(lambda clauses: And(tuple(clauses)))
NUMBERED = st.fixed_dictionaries({}, optional={"a": HELD | TEXTS, "b": HELD | st.none()})


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(metadatas=st.lists(NUMBERED, min_size=1, max_size=12), filters=st.lists(RANGES, min_size=1, max_size=6))
def test_a_lookup_by_numbers_finds_every_row_that_passes(numbered, metadatas, filters):
    check(numbered, metadatas, filters)


async def test_a_lookup_by_numbers_shows_the_places_of_the_named_domains(database, tenants):
    boss, runtime, _ = tenants
    (_, (name,)) = database.rows(LOOKUPS)
    async with AsyncClient(runtime) as client:
        for domain, half in (("red", 1), ("blue", 2)):
            await client.collection(SETTINGS).domain(domain).upsert([record("a", domain, metadata={"half": half})])
    places = {row[0]: row[1] for row in database.rows("SELECT domain_id, ctid FROM docs")}
    for url in (runtime, boss):
        async with prying(url) as (connection, heard):
            wanted = [f"SET pgrecall.wanted_numbers = '{each}'" for each in ("", "{-Infinity,Infinity}")]
            await check_closed(connection, name, NOTHING, wanted)
            await connection.execute("SET pgrecall.domains = '{red}'; SET pgrecall.wanted_numbers = '{0,9}'")
            found = await connection.fetch(f"SELECT place FROM {name} WHERE pg_temp.peek(place)")
            assert [row[0] for row in found] == [places["red"]]
            assert len(heard) == 1
            await connection.execute("SET pgrecall.wanted_numbers = '{2,2}'")
            assert await connection.fetch(f"SELECT * FROM {name}") == []
            await check_fixed(connection, name)


async def test_fields_that_are_added_have_lookups_where_the_table_has_them(database, tenants):
    boss, runtime, _ = tenants
    more = replace(SETTINGS, fields={"n": int})
    async with AsyncClient(boss) as owner, AsyncClient(database.url) as admin, AsyncClient(runtime) as client:
        await client.collection(SETTINGS).domain("red").upsert(own("red"))
        before = database.rows(LOOKUPS)
        await owner.collection(SETTINGS).add_fields({"n": int})
        assert database.rows(LOOKUPS) == before
        await admin.collection(SETTINGS).add_fields({"n": int})
        assert len(database.rows(LOOKUPS)) == len(before) + 1
        await owner.collection(SETTINGS).grant(role_of(runtime))
        async with AsyncClient(runtime) as fresh:
            red = fresh.collection(more).domain("red")
            assert await red.count({"n": {"$gt": 0}}) == 2
            plan = await red.explain([1, 2, 3], filter={"n": {"$gt": 0}}, postgres=True)
            assert "wanted_numbers" in "\n".join(plan.postgres)


@pytest.fixture
def secured(database):
    """A collection under the policies, with a lookup, through a role that they bind."""
    yield from bound(database, {}, lookups=1)


@pytest.fixture
def numbered(database):
    """The same, with promoted fields of numbers."""
    yield from bound(database, {"a": int, "b": float}, lookups=3)


def bound(database, fields, lookups):
    role = database.role()
    settings = config(row_level_security=True, fields=fields, text_search=None)
    with Client(database.url) as admin:
        docs = admin.create_collection(settings)
        docs.grant(role_of(role))
    assert len(database.rows(LOOKUPS)) == lookups
    with Client(role) as client:
        yield client.collection(settings, domain="red")
    database.execute(f"DROP OWNED BY {role_of(role)}")
