"""Domains with partitions of their own: made ahead, searched, renamed, dropped, and kept apart."""

import asyncio
from dataclasses import replace

import pytest

from integration_tests.oracle import Corpus
from integration_tests.test_explain import MODES, explained
from integration_tests.test_layouts import LOOSE, partitions_read
from pgrecall import (
    HNSW,
    AsyncClient,
    Client,
    CollectionConfig,
    HashPartitions,
    ListPartitions,
    PoolConfig,
    Record,
    SearchOptions,
)
from pgrecall.errors import ConfigError, SchemaError
from pgrecall.plan import Access

CONFIG = CollectionConfig(name="docs", dimensions=8, layout=ListPartitions())
SMALL = HNSW(m=8, ef_construction=32)
HOSTILE = "it's \\ \"x\") OR ('"
BOUNDS = (
    "SELECT pg_get_expr(c.relpartbound, c.oid), c.relname FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid "
    "WHERE h.inhparent = 'docs'::regclass"
)
OURS = "SELECT relname FROM pg_class WHERE relname ~ '^pgrecall_part' UNION SELECT proname FROM pg_proc WHERE proname ~ '^pgrecall'"


def some(count, text="text"):
    return [Record(id=f"{n}", embedding=[1.0, n, 2, 3, 4, 5, 6, 7], content=text) for n in range(count)]


async def test_a_search_inside_a_domain_reads_its_partition_and_its_index_only(client, connection):
    docs, corpus = await client.get_or_create_collection(CONFIG), Corpus(rows=1_500, dimensions=8)
    await docs.create_index(SMALL)
    own = await docs.create_domain(HOSTILE)
    await own.upsert(corpus.batch())
    await docs.domain("guest").upsert(corpus.batch().slice(0, 1_100))
    later = await docs.create_domain("later")
    await later.upsert(some(20))
    await docs.maintain()
    assert await connection.fetch(LOOSE) == []
    parts = dict(await connection.fetch(BOUNDS))
    mine = parts.pop("FOR VALUES IN ('" + HOSTILE.replace("'", "''") + "')")
    assert parts.keys() == {"DEFAULT", "FOR VALUES IN ('later')"}
    indexes = {row[0] for row in await connection.fetch("SELECT indexname FROM pg_indexes WHERE indexdef ~ 'hnsw'")}
    its = {row[0] for row in await connection.fetch("SELECT indexname FROM pg_indexes WHERE tablename = $1", mine)}
    query = corpus.query()
    for access in (Access.EXACT, Access.INDEX, Access.ITERATIVE):
        for mode in MODES:
            found = await explained(own, query, mode=mode, access=access, analyze=True)
            assert partitions_read(found) == {mine}
            if access is not Access.EXACT:
                assert set(found.indexes) & indexes <= its
                assert found.indexes
        options = SearchOptions(access=access)
        corpus.check(await own.search(query, 20, options=options), query, 20, recall=0.7)
        keep = {"half": 1}
        matches = await own.search(query, 20, filter=keep, options=options)
        corpus.check(matches, query, 20, keep=lambda m: m["half"] == 1, recall=0.7)
    # The partition is what is searched, so that nothing is filtered, and as large as it is.
    plan = await own.explain(query)
    assert (plan.access, plan.rows, plan.matches) == (Access.INDEX, 1_500, 1_500)
    assert (await docs.domain("guest").explain(query)).rows == 1_100
    assert (await later.explain(query)).reason == "the table has only about 20 rows"
    assert (await docs.in_domains([HOSTILE, "guest"]).explain(query)).rows == 2_600
    assert (await docs.all_domains().explain(query)).rows == 2_620
    for scope, others in (
        (docs.in_domains([HOSTILE, "guest"]), ()),
        (docs.all_domains(), await later.search(query, 20)),
    ):
        first = await own.search(query, 30, options=SearchOptions(exact=True))
        second = await docs.domain("guest").search(query, 30, options=SearchOptions(exact=True))
        best = sorted(match.distance for match in [*first, *second, *others])[:30]
        exactly = await scope.search(query, 30, options=SearchOptions(exact=True))
        assert [match.distance for match in exactly] == pytest.approx(best, abs=1e-5)
        nearly = await scope.search(query, 30, options=SearchOptions(access=Access.ITERATIVE))
        assert len({(match.domain_id, match.id) for match in nearly} & {(m.domain_id, m.id) for m in exactly}) >= 21


async def test_any_number_of_callers_make_one_partition(client, url, connection):
    docs = await client.get_or_create_collection(CONFIG)
    async with AsyncClient(url) as other:
        again = await other.get_or_create_collection("docs")
        made = await asyncio.gather(*(one.create_domain(HOSTILE) for one in (docs, again) * 4))
        writing = asyncio.gather(*(docs.domain("guest").upsert(some(5)) for _ in range(9)))
        await asyncio.gather(*(one.create_domain(name) for one in (docs, again) for name in "abc"), writing)
    assert len(await connection.fetch(BOUNDS)) == 5
    assert (await made[0].upsert(some(2))).inserted == 2
    assert await made[-1].count() == 2
    with pytest.raises(ConfigError, match="isolate_domain"):
        await docs.create_domain("guest")
    with pytest.raises(ConfigError, match="lent"):
        await AsyncClient(connection=connection).collection("docs").create_domain("z")
    for name in ("", None, "x" * 501):
        with pytest.raises(ConfigError):
            await docs.create_domain(name)
    for layout in (None, HashPartitions(count=2)):
        plain = await client.create_collection(replace(CONFIG, name=f"plain{layout is None}", layout=layout))
        for verb in (plain.create_domain, plain.isolate_domain):
            with pytest.raises(SchemaError, match=r"ListPartitions"):
                await verb("a")
    with pytest.raises(SchemaError, match="HashPartitions"):
        await client.get_or_create_collection(replace(CONFIG, layout=HashPartitions(count=2)))


async def test_any_name_of_a_domain_is_found_again_in_the_catalog(client, connection, database):
    docs = await client.get_or_create_collection(CONFIG)
    names = [
        HOSTILE,
        "a', 'b",
        "\\",
        "\\'",
        "''",
        "DEFAULT",
        "NULL",
        "a\nb",
        "ünï ☃",
        "FOR VALUES IN ('c')",
        " ",
        "x" * 500,
    ]
    for strings in ("on", "off"):
        pool = PoolConfig(server_settings={"standard_conforming_strings": strings})
        async with AsyncClient(database.url, pool=pool) as other:
            for name in names:
                await other.collection("docs").create_domain(name)
    assert len(await connection.fetch(BOUNDS)) == len(names) + 1
    for name in names:
        await docs.domain(name).upsert(some(1))
        assert await docs.domain(name).delete_domain() == 1
    assert [row[0] for row in await connection.fetch(BOUNDS)] == ["DEFAULT"]


async def test_domains_are_copied_renamed_and_dropped_with_their_partitions(client, connection, database):
    docs = await client.get_or_create_collection(CONFIG)
    own, guest = await docs.create_domain("own"), docs.domain("guest")
    await own.upsert(some(7))
    await guest.upsert(some(4))
    assert await own.copy_domain("copy") == 7
    assert await guest.copy_domain("twin") == 4
    described = {info.name: (info.rows, info.isolated) for info in await docs.all_domains().describe_domains()}
    assert described == {"own": (7, True), "guest": (4, False), "copy": (7, False), "twin": (4, False)}
    assert await docs.all_domains().list_domains() == ["copy", "guest", "own", "twin"]
    assert await docs.in_domains(["own", "twin"]).count_domains() == 2
    for domain in (own, docs.domain("twin")):
        with pytest.raises(ConfigError, match="has rows already"):
            await domain.rename_domain("guest")
    # A new partition takes the place of the old one.
    assert await own.rename_domain(HOSTILE) == 7
    assert await docs.domain("twin").rename_domain("pair") == 4
    assert [row[0] for row in await connection.fetch(BOUNDS)] == ["DEFAULT", f"FOR VALUES IN ({database.ask(QUOTED)})"]
    assert sorted(one.id for one in (await docs.domain(HOSTILE).list()).records) == [f"{n}" for n in range(7)]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(guest.upsert(some(9)))
        deleted = tasks.create_task(docs.domain(HOSTILE).delete_domain())
    assert deleted.result() == 7
    assert await guest.delete_domain() == 9
    assert await docs.domain("nobody").delete_domain() == 0
    assert [row[0] for row in await connection.fetch(BOUNDS)] == ["DEFAULT"]
    assert await docs.all_domains().list_domains() == ["copy", "pair"]
    await (await docs.create_domain("own")).upsert(some(3))
    lent = AsyncClient(connection=connection).collection("docs").domain("own")
    assert await lent.delete_domain() == 3
    assert len(await connection.fetch(BOUNDS)) == 2
    await client.rename_collection("docs", "old")
    await client.delete_collection("old")
    assert await connection.fetch(OURS) == []


QUOTED = "SELECT '''' || replace($q$" + HOSTILE + "$q$, '''', '''''') || ''''"


async def test_what_a_killed_move_has_left_goes_with_its_domain_or_its_collection(client, connection):
    docs = await client.get_or_create_collection(CONFIG)
    before = await connection.fetch(OURS)

    for name in ("a", "b"):
        await docs.domain(name).upsert(some(5))
        with pytest.raises(ZeroDivisionError):
            await docs.isolate_domain(name, on_progress=lambda progress: 1 // (progress.phase != "indexing"))
    assert len(await connection.fetch(OURS)) > len(before)
    assert await docs.domain("a").delete_domain() == 5
    await docs.domain("b").upsert(some(6, "new"))
    # A column that the copy lacks has it made anew.
    await connection.execute("ALTER TABLE docs ADD COLUMN more int")
    assert (await docs.isolate_domain("b")).rows == 6
    assert len(await connection.fetch(OURS)) > len(before)
    await docs.domain("a").upsert(some(5))
    with pytest.raises(ZeroDivisionError):
        await docs.isolate_domain("a", on_progress=lambda progress: 1 // (progress.phase != "indexing"))
    await client.delete_collection("docs")
    assert await connection.fetch(OURS) == []


def test_blocking_handles_make_and_move_domains_alike(url):
    with Client(url) as client:
        docs = client.get_or_create_collection(CONFIG)
        own = docs.create_domain("own")
        assert own.upsert(some(3)).inserted == 3
        docs.domain("guest").upsert(some(4))
        told = []
        report = docs.isolate_domain("guest", on_progress=told.append)
        assert (report.rows, told[-1].phase, told[-1].title) == (4, "done", "guest")
        assert docs.domain("guest").delete_domain() == 4


@pytest.mark.parametrize("layout", [ListPartitions(), HashPartitions(count=2)], ids=["list", "hash"])
async def test_promoted_fields_and_words_go_with_the_partitions(client, connection, layout):
    fields = {"half": int, "colour": str}
    config = replace(CONFIG, layout=layout, fields=fields, text_search="english")
    docs, corpus = await client.create_collection(config), Corpus(rows=1_500, dimensions=8)
    many, few = docs.domain("many"), docs.domain("few")
    await many.upsert(corpus.batch())
    if isinstance(layout, ListPartitions):
        await docs.create_domain("few")
        assert (await docs.isolate_domain("many")).rows == 1_500
    await few.upsert(corpus.batch().slice(0, 60))
    await docs.create_index(SMALL)
    assert await connection.fetch(LOOSE) == []
    await client.get_or_create_collection(config)
    query = corpus.query()
    ways = {Access.EXACT, Access.ITERATIVE, Access.COVERING}
    for filter, keep in (
        ({"half": 1}, lambda m: m["half"] == 1),
        ({"colour": "red", "half": 0}, lambda m: (m["colour"], m["half"]) == ("red", 0)),
        ({"colour": {"$nin": ["red", "blue"]}}, lambda m: m["colour"] not in ("red", "blue")),
    ):
        for access in ways:
            matches = await many.search(query, 20, filter=filter, options=SearchOptions(access=access))
            corpus.check(matches, query, 20, keep=keep, recall=0.7)
        assert await few.count(filter) == sum(map(keep, corpus.metadatas[:60]))
    await many.update(["r00004"], metadatas=[{"colour": "grey"}], merge=True)
    assert [match.id for match in await many.search(query, filter={"colour": "grey"})] == ["r00004"]
    assert [match.id for match in await many.search_keyword("r00007", 3)] == ["r00007"]
    with pytest.raises(SchemaError, match="when it is made"):
        await docs.add_fields({"tenth": int})
    assert await few.rename_domain("less") == 60
    assert len(await docs.domain("less").search(query, 60, filter={"half": 1})) == 30


async def test_no_more_partitions_are_made_than_can_be_planned_and_all_are_dropped(client, connection, monkeypatch):
    docs = await client.get_or_create_collection(CONFIG)
    for module in ("tenancy.domain_partitions.MAX_PARTITIONS", "client._DROPPED_AT_ONCE"):
        monkeypatch.setattr(f"pgrecall.collection.{module}", 3)
    for name in "abc":
        await docs.create_domain(name)
    await docs.domain("guest").upsert(some(2))
    for making in (docs.create_domain("d"), docs.isolate_domain("guest")):
        with pytest.raises(ConfigError, match="3 domains"):
            await making
    await connection.execute("CREATE TABLE one_more PARTITION OF docs FOR VALUES IN ('x', 'y')")
    await client.delete_collection("docs")
    assert await connection.fetch(OURS) == []
