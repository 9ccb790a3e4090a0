"""One build: what it may use, how far it is, and that nothing is left of one that fails."""

import asyncio
import logging
import sys

import asyncpg
import pytest

from integration_tests.oracle import Corpus
from pgrecall import HNSW, AsyncClient, IVFFlat, PoolConfig
from pgrecall.build import BuildOptions
from pgrecall.collection.indexes import building
from pgrecall.errors import ConfigError, IndexBuildError, PermissionDenied
from pgrecall.postgres import Session, statistics
from pgrecall.sql.compose import Statement

pytestmark = pytest.mark.core
# Before, HNSW is never built in parallel, whatever is asked for: parallel builds overflow a buffer.
parallel = pytest.mark.needs(pgvector="0.8.2")

SMALL = HNSW(m=4, ef_construction=16)
WAITING = "waiting for writers before build"
INDEXES = """
SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_am m ON m.oid = c.relam WHERE m.amname IN ('hnsw', 'ivfflat') ORDER BY 1
"""
SETTINGS = """
SELECT name, setting FROM pg_settings WHERE name IN ('maintenance_work_mem', 'max_parallel_maintenance_workers',
  'max_parallel_workers', 'lock_timeout', 'statement_timeout')
"""
BEGUN = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
BUILDS = "SELECT count(*) FROM pg_stat_progress_create_index"
BREAK = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = (SELECT max(indexrelid) FROM pg_index)"


@pytest.fixture
async def filled(client):
    docs = await client.get_or_create_collection("docs", dimensions=8)
    await docs.upsert(Corpus(rows=300, dimensions=8).batch())
    return docs


@pytest.fixture
async def writing(filled, connection):
    """A transaction that has written to the table: builds wait for its end."""
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("UPDATE docs SET content = 'new' WHERE id = 'r00001'")
    yield transaction
    if connection.is_in_transaction():
        await transaction.rollback()


@pytest.fixture
async def other(url):
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@pytest.fixture
def builds(monkeypatch):
    """The settings under which each build was begun; ``builds.before`` may raise what a server would."""

    class Builds(list):
        async def before(self, session, run):
            pass

    seen = Builds()
    execute = Session.execute

    async def spy(self, statement, **options):
        if statement.text.startswith("CREATE INDEX CONCURRENTLY"):
            seen.append(dict(await self.connection.fetch(SETTINGS)))
            await seen.before(self, lambda: execute(self, statement, **options))
        return await execute(self, statement, **options)

    monkeypatch.setattr(Session, "execute", spy)
    return seen


async def indexes(connection):
    return [tuple(row) for row in await connection.fetch(INDEXES)]


async def until(connection, question, wanted):
    while await connection.fetchval(question) != wanted:  # noqa: ASYNC110 - the server could not set an event
        await asyncio.sleep(0.01)


@parallel
async def test_a_build_has_its_own_settings_and_gives_them_back(filled, url, builds):
    theirs = {"maintenance_work_mem": "2MB", "statement_timeout": "60s", "max_parallel_workers": "3"}
    options = BuildOptions(memory="20MB", workers=5)
    async with AsyncClient(url, pool=PoolConfig(max_size=1, server_settings=theirs)) as client:
        docs = client.collection("docs")

        async def settings(session):
            return dict(await session.connection.fetch(SETTINGS))

        before = await docs._handle.run(settings)
        await docs.create_index(SMALL, options=options)
        assert await docs._handle.run(settings) == before
    assert builds == [
        {
            "maintenance_work_mem": "20480",
            "max_parallel_maintenance_workers": "5",
            "max_parallel_workers": "5",
            "lock_timeout": "0",
            "statement_timeout": "0",
        }
    ]


async def test_memory_grows_with_the_index_but_not_beyond_a_bound(filled, url, builds):
    async with AsyncClient(url, pool=PoolConfig(server_settings={"maintenance_work_mem": "1MB"})) as client:
        docs = client.collection("docs")
        await docs.create_index(HNSW(m=100, ef_construction=200))
        await docs.create_index(IVFFlat(lists=100), replace=True)
    graph, cells = (int(settings["maintenance_work_mem"]) for settings in builds)
    # 300 rows of 3.8 kB; 10,000 samples of 0.45 kB
    assert 1_100 < graph < 1_600
    assert 4_300 < cells < 5_000


async def test_cells_that_want_more_memory_say_so(client):
    docs = await client.get_or_create_collection("docs", dimensions=8)
    await docs.upsert(Corpus(rows=3_000, dimensions=8).batch())
    with pytest.raises(IndexBuildError, match=r"memory required.*BuildOptions\(memory="):
        await docs.create_index(IVFFlat(lists=100), options=BuildOptions(memory="1MB"))


async def test_a_graph_that_outgrows_its_memory_is_logged(client, caplog):
    docs = await client.get_or_create_collection("docs", dimensions=8)
    await docs.upsert(Corpus(rows=3_000, dimensions=8).batch())
    await docs.create_index(options=BuildOptions(memory="1MB"))
    assert [r.name for r in caplog.records if "no longer fits" in r.getMessage()] == ["pgrecall"]
    assert await client.server()  # the session went back without a listener, of which asyncpg would warn


@parallel
@pytest.mark.parametrize("error", [asyncpg.DiskFullError, asyncpg.OutOfMemoryError])
async def test_workers_that_get_no_memory_are_done_without(filled, connection, builds, caplog, error):
    caplog.set_level(logging.INFO, "pgrecall")

    async def exhausted(session, run):
        if len(builds) == 1:
            await run()
            await connection.execute(BREAK)
            raise error('could not resize shared memory segment "/PostgreSQL.1" to 67145056 bytes')

    builds.before = exhausted
    built = await filled.create_index(SMALL, options=BuildOptions(workers=3, memory="5MB"))
    assert [(s["max_parallel_maintenance_workers"], s["maintenance_work_mem"]) for s in builds] == [
        ("3", "5120"),
        ("0", "5120"),
    ]
    assert await indexes(connection) == [(built.name, True)]
    assert "without workers" in caplog.text


async def test_no_memory_without_workers_is_an_error_and_leaves_nothing(filled, connection, builds):
    async def exhausted(session, run):
        await run()
        await connection.execute(BREAK)
        raise asyncpg.OutOfMemoryError("out of memory")

    builds.before = exhausted
    with pytest.raises(IndexBuildError, match="out of memory"):
        await filled.create_index(SMALL)
    assert len(builds) == 1
    assert await indexes(connection) == []


async def test_no_time_limit_ends_a_build(filled, url, writing):
    limits = {"lock_timeout": "20ms", "statement_timeout": "800ms"}
    waited = []

    def told(progress):
        waited.append(progress.phase)
        # Progress is looked at twice a second.
        if waited.count(WAITING) == 3:
            asyncio.ensure_future(writing.rollback())  # noqa: RUF006

    async with AsyncClient(url, pool=PoolConfig(server_settings=limits, command_timeout=0.9)) as client:
        assert (await client.collection("docs").create_index(SMALL, progress=told)).valid
    assert waited.count(WAITING) >= 3


async def test_progress_begins_ends_and_never_falls(filled, writing):
    told = []

    def tell(progress):
        told.append(progress)
        if progress.phase == WAITING:
            asyncio.ensure_future(writing.rollback())  # noqa: RUF006

    built = await filled.create_index(SMALL, progress=tell)
    assert built.valid
    assert [told[0].phase, told[0].fraction] == ["starting", None]
    assert [told[-1].phase, told[-1].fraction] == ["done", 1.0]
    assert WAITING in [progress.phase for progress in told]
    shares = [progress.fraction for progress in told[1:]]
    assert shares == sorted(shares)
    assert {progress.index for progress in told} == {"HNSW on public.docs"}


@pytest.mark.parametrize("phase", ["starting", WAITING])
@pytest.mark.parametrize("error", [BrokenPipeError("nobody reads"), KeyError("x"), TimeoutError("enough")])
async def test_what_progress_raises_ends_the_build_and_leaves_nothing(filled, connection, other, writing, phase, error):
    def tell(progress):
        if progress.phase == phase:
            asyncio.ensure_future(writing.rollback())  # noqa: RUF006 - for whose end a drop would wait
            raise error

    with pytest.raises(type(error)) as caught:
        await filled.create_index(SMALL, progress=tell)
    assert caught.value is error
    assert await indexes(other) == []
    assert await other.fetchval(BUILDS) == 0
    assert (await filled.create_index(SMALL)).valid


async def test_progress_that_cannot_be_looked_at_fails_no_build(filled, writing, monkeypatch):
    looks = []

    async def broken(session, backend):
        looks.append(backend)
        if len(looks) == 2:
            asyncio.ensure_future(writing.rollback())  # noqa: RUF006
        return await session.fetch_value(Statement("SELECT 1/0"))

    monkeypatch.setattr(statistics, "build_state", broken)
    told = []
    assert (await filled.create_index(SMALL, progress=told.append)).valid
    assert [progress.phase for progress in told] == ["starting", "done"]
    assert len(looks) >= 2


async def test_progress_with_no_session_to_spare(filled, url):
    told = []
    async with AsyncClient(url, pool=PoolConfig(max_size=1)) as client:
        assert (await client.collection("docs").create_index(SMALL, progress=told.append)).valid
    assert [progress.phase for progress in told] == ["starting", "done"]


async def test_progress_bar(filled, capsys):
    await filled.create_index(SMALL, progress=True)
    assert "HNSW on public.docs" in capsys.readouterr().out


async def test_progress_bar_without_rich_is_an_error_before_anything_is_built(filled, connection, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    with pytest.raises(ConfigError, match="needs rich"):
        await filled.create_index(SMALL, progress=True)
    assert await indexes(connection) == []


async def test_progress_of_a_blocking_client(filled, blocking_client):
    told = []
    built = blocking_client.collection("docs").create_index(
        SMALL, progress=told.append, options=BuildOptions(workers=0)
    )
    assert built.valid
    assert told[-1].fraction == 1.0


async def test_a_build_that_is_ended_leaves_nothing(filled, other, writing):
    building_ = asyncio.create_task(filled.create_index(SMALL))
    await until(other, BEGUN, 1)
    await other.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_progress_create_index")
    await until(other, BUILDS, 0)
    await writing.rollback()
    with pytest.raises(IndexBuildError, match="cancel") as caught:
        await building_
    assert isinstance(caught.value.__cause__, asyncpg.QueryCanceledError)
    assert await indexes(other) == []


async def test_what_cannot_be_removed_at_once_is_removed_by_the_next_build(filled, other, writing, monkeypatch):
    monkeypatch.setattr(building, "_SWEEP_SECONDS", 0.05)
    building_ = asyncio.create_task(filled.create_index(SMALL))
    await until(other, BEGUN, 1)
    await other.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_progress_create_index")
    with pytest.raises(IndexBuildError, match="removed by the next call"):
        await building_
    assert [valid for _, valid in await indexes(other)] == [False]
    await writing.rollback()
    built = await filled.create_index(SMALL)
    assert await indexes(other) == [(built.name, True)]


async def test_a_build_whose_connection_is_cut_says_so(filled, other, writing):
    building_ = asyncio.create_task(filled.create_index(SMALL))
    await until(other, BEGUN, 1)
    await other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_progress_create_index")
    with pytest.raises(IndexBuildError):
        await building_
    await writing.rollback()
    built = await filled.create_index(SMALL)
    assert await indexes(other) == [(built.name, True)]


async def test_a_cancelled_build_ends_on_the_server_too(filled, other, writing):
    building_ = asyncio.create_task(filled.create_index(SMALL, progress=lambda _: None))
    await until(other, BEGUN, 1)
    building_.cancel()
    await until(other, BUILDS, 0)
    await writing.rollback()
    with pytest.raises(asyncio.CancelledError):
        await building_
    await until(other, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", 0)
    assert await indexes(other) == []


async def test_only_the_owner_may_build(filled, database):
    url = database.role("GRANT SELECT, INSERT, UPDATE, DELETE ON docs TO {role}")
    async with AsyncClient(url) as client:
        with pytest.raises(PermissionDenied, match="only its owner"):
            await client.collection("docs").create_index(SMALL)


async def test_what_somebody_else_builds_is_not_taken_for_dead(filled, connection, url, other, writing):
    theirs = await asyncpg.connect(url)
    their_build = asyncio.create_task(
        theirs.execute("CREATE INDEX CONCURRENTLY theirs ON docs USING hnsw (embedding vector_l2_ops)")
    )
    await until(other, BEGUN, 1)

    async def broken(session):
        return await statistics.broken_indexes(session, await filled._handle.table(session))

    assert await indexes(other) == [("theirs", False)]
    assert await filled._handle.run(broken) == []
    await writing.rollback()
    await their_build
    await theirs.close()
    await connection.execute(BREAK)
    assert await filled._handle.run(broken) == ["theirs"]


async def test_any_other_index_is_built_likewise(filled, connection):
    told = []

    async def work(session):
        table = await filled._handle.table(session)
        wanted = building.Build(
            table=table,
            statement=Statement("CREATE INDEX CONCURRENTLY by_content ON docs (content)"),
            what="B-tree on public.docs",
            progress=told.append,
        )
        async with building.alone(session, table):
            assert await building.is_busy(session, table)
            return await building.build(filled._handle, session, wanted)

    assert await filled._handle.run(work) == "by_content"
    assert told[-1].index == "B-tree on public.docs"
    assert await connection.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = 'by_content'::regclass")


async def test_who_does_not_want_to_wait_is_told_that_somebody_builds(filled, connection):
    async def work(session):
        table = await filled._handle.table(session)
        async with building.alone(session, table):
            await filled._handle.run(impatient)

    async def impatient(session):
        async with building.alone(session, await filled._handle.table(session), wait=False):
            pass

    with pytest.raises(building.Busy):
        await filled._handle.run(work)
    # The lock ends with the session that had it, a moment after this has been closed.
    await until(connection, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", 0)
    await filled._handle.run(impatient)


async def test_rows_of_an_ivfflat_index_are_noted_on_it(filled, connection):
    built = await filled.create_index(IVFFlat(lists=3))
    await connection.execute("ANALYZE docs")
    note = await connection.fetchval("SELECT obj_description($1::regclass)", built.name)
    assert note == 'pgrecall {"rows":300}'
