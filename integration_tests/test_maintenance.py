"""Maintenance: what is needed is done, what is not is left alone, and nobody is blocked."""

import pytest

from integration_tests.oracle import Corpus
from pgrecall import HNSW, AsyncClient, IVFFlat
from pgrecall.errors import ConfigError, PermissionDenied
from pgrecall.postgres import statistics

SMALL = HNSW(m=4, ef_construction=16)
ROWS = 1_000
INDEXES = """
SELECT c.relname, c.oid, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_am m ON m.oid = c.relam WHERE m.amname IN ('hnsw', 'ivfflat') ORDER BY 1
"""
DEAD = "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'docs'"


@pytest.fixture
def corpus():
    return Corpus(rows=ROWS, dimensions=8)


@pytest.fixture
async def docs(client, corpus, connection):
    """A collection that nothing is to be done about, with autovacuum off."""
    docs = await client.get_or_create_collection("docs", dimensions=8)
    await docs.upsert(corpus.batch())
    await counted(docs)
    await run(connection, "ALTER TABLE docs SET (autovacuum_enabled = off)")
    await run(connection, "VACUUM ANALYZE docs")
    return docs


async def counted(collection):
    """Have what the collection's own connection wrote counted at once."""

    async def work(session):
        if session.server.version >= 150_000:
            await session.connection.execute("SELECT pg_stat_force_next_flush()")

    await collection._handle.run(work)


async def run(connection, statement):
    """Run *statement* and have what it did counted at once."""
    # Pages are only marked as visible once the commits of their rows are on the disk.
    await connection.execute("SET synchronous_commit = on")
    await connection.execute(statement)
    if connection.get_server_version() >= (15,):
        await connection.execute("SELECT pg_stat_force_next_flush()")
    await connection.execute("SELECT 1")


async def delete(connection, rows):
    await run(connection, f"DELETE FROM docs WHERE id < 'r{rows:05}'")


def steps(report):
    return [action.what for action in report.actions]


async def test_maintain_of_what_is_well_does_nothing(docs):
    report = await docs.maintain()
    assert report.actions == ()
    assert (report.table, report.figures.rows, report.figures.dead, report.figures.visible) == (
        "public.docs",
        ROWS,
        0,
        1.0,
    )
    assert "nothing to do" in str(report)


async def test_maintain_of_what_was_never_written_does_nothing(client):
    report = await client.collection("docs").maintain()
    assert (report.table, report.actions) == ("public.docs", ())


async def test_many_dead_rows_have_the_index_built_anew_and_the_table_vacuumed(docs, connection, corpus):
    built = await docs.create_index(SMALL)
    ((name, oid, _),) = await connection.fetch(INDEXES)
    await delete(connection, 200)
    report = await docs.maintain()
    assert steps(report) == [f"REINDEX INDEX public.{built.name}", "VACUUM public.docs"]
    assert report.figures.dead == 200
    assert "20% of the rows in it are dead" in report.actions[0].why
    assert all(action.seconds > 0 for action in report.actions)
    ((after, new_oid, valid),) = await connection.fetch(INDEXES)
    assert (after, valid) == (name, True)
    assert new_oid != oid
    assert await connection.fetchval(DEAD) == 0
    query = corpus.query()
    corpus.check(await docs.search(query, 10), query, 10, keep=lambda m: m["number"] >= 200, recall=0.9)
    assert steps(await docs.maintain()) == []


@pytest.mark.parametrize("quantization", ["halfvec", "bit"])
async def test_an_index_of_coarser_vectors_is_built_anew_as_it_was(docs, connection, quantization):
    built = await docs.create_index(HNSW(m=4, ef_construction=16, quantization=quantization))
    await delete(connection, 200)
    assert steps(await docs.maintain()) == [f"REINDEX INDEX public.{built.name}", "VACUUM public.docs"]
    (after,) = (await docs.stats()).indexes
    assert (after.name, after.quantized, after.valid) == (built.name, quantization, True)


async def test_fewer_dead_rows_have_the_table_vacuumed(docs, connection):
    await docs.create_index(SMALL)
    ((_, oid, _),) = await connection.fetch(INDEXES)
    await delete(connection, 60)
    assert steps(await docs.maintain()) == ["VACUUM public.docs"]
    assert [row["oid"] for row in await connection.fetch(INDEXES)] == [oid]
    assert await connection.fetchval(DEAD) == 0


async def test_old_statistics_are_taken_anew(docs, connection):
    # In the room that a vacuum has freed, so that the visibility map is left as it is.
    await run(connection, "UPDATE docs SET content = content || '!' WHERE id < 'r00110' AND id >= 'r00100'")
    assert steps(await docs.maintain()) == []
    analyzed = (await docs.maintain(dry_run=True)).figures.analyzed_at
    await run(
        connection,
        "INSERT INTO docs (id, embedding) SELECT 'n' || n, '[1,2,3,4,5,6,7,8]' FROM generate_series(1, 101) n",
    )
    report = await docs.maintain()
    assert steps(report) == ["ANALYZE public.docs"]
    assert (await docs.maintain(dry_run=True)).figures.analyzed_at > analyzed


async def test_pages_that_are_not_known_to_be_visible_have_the_table_vacuumed(client, connection, corpus):
    docs = await client.get_or_create_collection("docs", dimensions=8)
    await docs.upsert(corpus.batch())
    await counted(docs)
    await run(connection, "ALTER TABLE docs SET (autovacuum_enabled = off)")
    await run(
        connection,
        "INSERT INTO docs (id, content, embedding) SELECT n::text, repeat('x', 1000), '[1,2,3,4,5,6,7,8]' FROM generate_series(1, 1000) n",
    )
    await run(connection, "ANALYZE docs")
    report = await docs.maintain()
    assert steps(report) == ["VACUUM public.docs"]
    assert "visible" in report.actions[0].why
    assert steps(await docs.maintain()) == []


async def test_what_dead_builds_left_is_dropped(docs, connection):
    await docs.create_index(SMALL)
    await connection.execute("CREATE INDEX left_behind ON docs USING hnsw (embedding vector_l2_ops)")
    await connection.execute("CREATE INDEX left_too ON docs (content)")
    await connection.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid IN ('left_behind'::regclass, 'left_too'::regclass)"
    )
    assert steps(await docs.maintain()) == ["DROP INDEX public.left_behind", "DROP INDEX public.left_too"]
    assert [valid for _, _, valid in await connection.fetch(INDEXES)] == [True]


async def test_a_dry_run_says_what_and_does_nothing(docs, connection):
    built = await docs.create_index(SMALL)
    before = await connection.fetch(INDEXES)
    await delete(connection, 200)
    report = await docs.maintain(dry_run=True)
    assert report.dry_run
    assert steps(report) == [f"REINDEX INDEX public.{built.name}", "VACUUM public.docs"]
    assert [action.seconds for action in report.actions] == [None, None]
    assert await connection.fetch(INDEXES) == before
    assert await connection.fetchval(DEAD) == 200
    assert "to do:" in str(report)


async def test_indexes_are_read_into_memory_where_that_can_be_done(docs, connection):
    built = await docs.create_index(SMALL)
    await connection.execute('CREATE SCHEMA "Ext"')
    await connection.execute('CREATE EXTENSION pg_prewarm SCHEMA "Ext"')
    assert steps(await docs.maintain()) == [f"pg_prewarm public.{built.name}"]


async def test_an_ivfflat_index_that_is_built_anew_knows_its_rows(docs, connection):
    built = await docs.create_index(IVFFlat(lists=4))
    await delete(connection, 400)
    assert steps(await docs.maintain()) == [f"REINDEX INDEX public.{built.name}", "VACUUM public.docs"]
    assert await connection.fetchval("SELECT obj_description($1::regclass)", built.name) == 'pgrecall {"rows":600}'


async def test_a_table_with_partitions_is_maintained_whole(client, connection):
    await connection.execute("CREATE TABLE parts (id text, embedding vector(3)) PARTITION BY HASH (id)")
    for n in range(2):
        await connection.execute(f"CREATE TABLE p{n} PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER {n})")
    await connection.execute("CREATE INDEX ON parts USING hnsw (embedding vector_cosine_ops)")
    await run(connection, "INSERT INTO parts SELECT n, '[1,2,3]' FROM generate_series(1, 500) n")
    await run(connection, "DELETE FROM parts WHERE id::int <= 200")
    report = await client.collection("parts").maintain()
    assert (report.figures.rows, report.figures.dead) == (300, 200)
    assert steps(report) == ["REINDEX INDEX public.parts_embedding_idx", "VACUUM public.parts"]
    after = (await client.collection("parts").maintain(dry_run=True)).figures
    assert (after.rows, after.dead) == (300, 0)


async def test_only_the_owner_may_maintain(docs, database):
    url = database.role("GRANT SELECT, INSERT, UPDATE, DELETE ON docs TO {role}")
    async with AsyncClient(url) as client:
        theirs = client.collection("docs")
        assert (await theirs.maintain(dry_run=True)).figures.rows == ROWS
        with pytest.raises(PermissionDenied, match="only its owner"):
            await theirs.maintain()


async def test_who_was_given_the_right_may_maintain(docs, database, connection):
    if connection.get_server_version() < (17,):
        pytest.skip("MAINTAIN came with PostgreSQL 17")
    url = database.role("GRANT SELECT, MAINTAIN ON docs TO {role}")
    await delete(connection, 60)
    async with AsyncClient(url) as client:
        assert steps(await client.collection("docs").maintain()) == ["VACUUM public.docs"]
    assert await connection.fetchval(DEAD) == 0


async def test_maintain_on_a_connection_that_was_lent_is_an_error(docs, connection):
    assert (await docs.using(connection).maintain(dry_run=True)).figures.rows == ROWS
    with pytest.raises(ConfigError, match="lent"):
        await docs.using(connection).maintain()


async def test_maintain_of_a_blocking_client(docs, connection, blocking_client):
    await delete(connection, 60)
    assert steps(blocking_client.collection("docs").maintain()) == ["VACUUM public.docs"]


async def test_settings_are_given_back(docs, connection):
    await docs.create_index(SMALL)
    await delete(connection, 200)

    async def settings(session):
        found = await statistics.limits(session)
        return found, await session.connection.fetchval("SHOW statement_timeout")

    before = await docs._handle.run(settings)
    await docs.maintain()
    assert await docs._handle.run(settings) == before
