"""Lookups by words: the index on the lexemes serves under row-level security, and shows nothing of other domains."""

import random
from dataclasses import replace

import asyncpg
import pytest

from integration_tests.tenants import LOOKUPS, check_closed, check_fixed, config, looked_up, own, prying, role_of
from integration_tests.test_row_level_security import NOTHING
from pgrecall import AsyncClient, Record

pytestmark = pytest.mark.core

SETTINGS = config(row_level_security=True, fields={}, text_search="simple")
ALL = """SET pgrecall.wanted_words = '{"''secret'' | ''of'' | ''blue'' | !''x''",''blue''}'"""
# Rare ones and common ones: of a word with the number n one text in n + 1 has it.
WORDS = [f"w{n}" for n in range(0, 60, 3)]


@pytest.fixture
async def tenants(database):
    async with looked_up(database, SETTINGS) as (boss, runtime, names):
        assert len(names) == 2
        yield boss, runtime, names[1]


def drawn(seed, rows=1_500):
    """Return texts of which it is known which words they have."""
    chance = random.Random(seed)
    found = []
    for number in range(rows):
        words = [word for word in WORDS if chance.random() * (int(word[1:]) + 1) < 1]
        chance.shuffle(words)
        found.append(
            Record(
                id=f"r{number:04}",
                embedding=[chance.random() + 0.1, chance.random(), 1],
                content=" ".join(words),
                metadata={"tenth": number % 10},
            )
        )
    return found


async def write(client, *domains):
    for seed, domain in enumerate(domains):
        await client.collection(SETTINGS).domain(domain).upsert(drawn(seed))


def texts_with(records, *words):
    return {record.id for record in records if set(words) & set(record.content.split())}


SEARCHES = [
    ("w30 w57 w42", None),
    ("w57 w54", {"tenth": 4}),
    ("w57 w54", {"tenth": {"$lt": 5}}),
    ('"w3 w6" w57', None),
    ("w57 w48 -w3", None),
    ("w5* w45", None),
]


async def test_searches_by_words_are_served_by_their_index_under_the_policies(database, tenants):
    _, runtime, name = tenants
    async with AsyncClient(runtime) as client:
        await write(client, "red", "blue")
    database.execute("VACUUM ANALYZE docs")
    own_records = drawn(0)
    answers = {}
    for served in (True, False):
        if not served:
            database.execute(f"DROP VIEW {name}")
        async with AsyncClient(runtime) as client:
            docs = client.collection(SETTINGS)
            for which, handle in enumerate((docs.domain("red"), docs.in_domains(["red", "green"]))):
                for words, filter in SEARCHES:
                    found = await handle.search_keyword(words, 50, filter=filter)
                    assert {match.domain_id for match in found} == {"red"}
                    answers.setdefault((words, str(filter), which), []).append(
                        [(match.id, match.score, match.distance == match.distance) for match in found]
                    )
                    plan = "\n".join((await handle.explain_keyword(words, 50, filter=filter, postgres=True)).postgres)
                    assert ("docs_content_tsv_idx" in plan and "Tid Scan" in plan) is served, plan
            red = docs.domain("red")
            # Of two lookups that one leads which finds fewer rows.
            plan = await red.explain_keyword("w3 w57", 50, filter={"tenth": 4}, postgres=True)
            assert "docs_metadata_idx" in "\n".join(plan.postgres)
            for word in ("w57", "w30"):
                plan = await red.explain_keyword(word)
                assert plan.lexemes[0].rows == len(texts_with(own_records, word))
                everything = {match.id for match in await red.search_keyword(word, 1_000)}
                assert everything == texts_with(own_records, word)
            hybrid = await red.search_hybrid("w57 w42", [1, 0.5, 1], 20)
            answers.setdefault("hybrid", []).append([(match.id, match.score) for match in hybrid])
            assert await docs.domain("green").search_keyword("w30 w3") == []
    for asked, (by_lookup, by_comparing) in answers.items():
        assert by_lookup == by_comparing, asked
        assert by_lookup, asked


async def test_a_lent_transaction_is_left_without_what_was_looked_for(database, tenants):
    _, runtime, name = tenants
    async with AsyncClient(runtime) as client:
        await client.collection(SETTINGS).domain("red").upsert(own("red"))
        connection = await asyncpg.connect(runtime)
        async with connection.transaction():
            lent = client.collection(SETTINGS).domain("red").using(connection)
            assert len(await lent.search_keyword("secret")) == 2
            assert not await connection.fetchval("SELECT current_setting('pgrecall.wanted_words', true)")
            assert await connection.fetch(f"SELECT * FROM {name}") == []
        await connection.close()


async def test_a_small_part_of_the_rows_is_compared_and_all_domains_are_no_lookups_business(database, tenants):
    boss, runtime, _ = tenants
    async with AsyncClient(runtime) as client:
        await write(client, "red")
        await client.collection(SETTINGS).domain("small").upsert(own("small"))
    database.execute("ANALYZE docs")
    async with AsyncClient(runtime) as client, AsyncClient(boss) as owner:
        small = client.collection(SETTINGS).domain("small")
        plan = await small.explain_keyword("secret", postgres=True)
        assert "pgrecall_words" not in "\n".join(plan.postgres)
        assert len(await small.search_keyword("secret")) == 2
        everywhere = owner.collection(SETTINGS).all_domains()
        assert len(await everywhere.search_keyword("w57", 1_000)) == len(texts_with(drawn(0), "w57"))


async def test_a_lookup_by_words_shows_a_session_the_places_of_its_domains_and_no_others(database, tenants):
    boss, runtime, name = tenants
    async with AsyncClient(runtime) as client:
        for domain in ("red", "blue"):
            await client.collection(SETTINGS).domain(domain).upsert(own(domain))
    places = {row[0]: row[1] for row in database.rows("SELECT domain_id || id, ctid FROM docs")}
    for url in (runtime, boss):
        async with prying(url) as (connection, heard):
            wanted = ("SET pgrecall.wanted_words = ''", "RESET pgrecall.wanted_words", ALL)
            await check_closed(connection, name, NOTHING, wanted)
            await connection.execute(f"{ALL}; SET pgrecall.domains = '{{red}}'")
            # The second query is for a word of the other domain's texts.
            found = await connection.fetch(f"SELECT number, place FROM {name} WHERE pg_temp.peek(place)")
            assert {tuple(row) for row in found} == {(1, places["reda"]), (1, places["redb"])}
            assert len(heard) == 2
            joined = await connection.fetch(f"SELECT d.* FROM {name} RIGHT JOIN docs AS d ON true")
            assert {row["domain_id"] for row in joined} == {"red"}
            with pytest.raises(asyncpg.UndefinedColumnError):
                await connection.fetch(f"SELECT content_tsv FROM {name}")
            for broken in ("{a &}", "'x'", "{{a,b},{c}}"):
                await connection.execute("SELECT set_config('pgrecall.wanted_words', $1, false)", broken)
                with pytest.raises((asyncpg.DataError, asyncpg.PostgresSyntaxError)):
                    await connection.fetch(f"SELECT * FROM {name}")
            await check_fixed(connection, name)
    assert database.ask("SELECT count(*) FROM docs") == 4


async def test_a_table_without_the_lookup_by_words_is_given_it_by_the_verbs_that_make_it(database):
    settings = replace(SETTINGS, text_search=None)
    async with looked_up(database, settings) as (boss, runtime, names):
        assert len(names) == 1
        async with AsyncClient(runtime) as client, AsyncClient(boss) as owner, AsyncClient(database.url) as admin:
            await write(client, "red")
            expected = texts_with(drawn(0), "w57")

            async def check(served):
                async with AsyncClient(runtime) as fresh:
                    red = fresh.collection("docs").domain("red")
                    assert {match.id for match in await red.search_keyword("w57", 1_000)} == expected
                    plan = "\n".join((await red.explain_keyword("w57", postgres=True)).postgres)
                    assert ("pgrecall_words" in plan) is served

            await owner.collection("docs").add_text_search("simple")
            await check(False)
            assert [row[0] for row in database.rows(LOOKUPS)] == names
            await admin.collection("docs").secure()
            assert len(database.rows(LOOKUPS)) == 2
            await check(False)
            await owner.collection("docs").grant(role_of(runtime))
            await check(True)
            database.execute(f"DROP VIEW {database.rows(LOOKUPS)[1][0]}")
            # Who may make it does so with the column, too.
            await admin.collection("docs").add_text_search("simple")
            await owner.collection("docs").grant(role_of(runtime))
            await check(True)
            await owner.rename_collection("docs", "papers")
            papers = client.collection("papers").domain("red")
            assert {match.id for match in await papers.search_keyword("w57", 1_000)} == expected
            await owner.delete_collection("papers")
    assert database.rows(LOOKUPS) == []


async def test_a_lookup_that_looks_at_another_column_is_none_of_this_table_s(database, tenants):
    _, runtime, name = tenants
    note = database.ask(f"SELECT obj_description('{name}'::regclass)")
    async with AsyncClient(runtime) as client:
        await client.collection(SETTINGS).domain("red").upsert(own("red"))
    database.execute(
        f"DROP VIEW {name}; ALTER TABLE docs ADD COLUMN other tsvector; "
        "CREATE VIEW wrong AS SELECT 1::bigint AS number, ctid AS place FROM docs WHERE domain_id = 'x' AND other @@ 'x'"
        f"; COMMENT ON VIEW wrong IS $${note}$$; GRANT SELECT ON wrong TO PUBLIC"
    )
    async with AsyncClient(runtime) as client:
        assert len(await client.collection(SETTINGS).domain("red").search_keyword("secret")) == 2
