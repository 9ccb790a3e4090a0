"""Behind PgBouncer in transaction mode: found out by itself, and everything but building an index works."""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from integration_tests.oracle import Corpus
from integration_tests.tenants import config, own, role_of, roles
from pgrecall import HNSW, AsyncClient, Client, PoolConfig, Record
from pgrecall.errors import ConfigError

# Debian keeps it where only root looks.
PGBOUNCER = shutil.which("pgbouncer", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
pytestmark = pytest.mark.core

SETTINGS = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 200
server_tls_sslmode = disable
"""


@pytest.fixture(scope="module")
def pooler(server):
    """The address of a PgBouncer in front of the server, as ``host:port``."""
    if PGBOUNCER is None:
        pytest.skip("needs the program pgbouncer")
    if server.hold is None and server.cluster is None:
        pytest.skip("needs a server that the tests have started, to which anyone on this machine may connect")
    parts = urlsplit(server.url)
    query = parse_qs(parts.query)
    host, port = query["host"][0], query.get("port", ["5432"])[0]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = probe.getsockname()[1]
    directory = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    directory.chmod(0o755)
    file = directory / "pgbouncer.ini"
    file.write_text(SETTINGS.format(host=host, port=port, user=parts.username, listen=listen))
    # Only its owner may open the server's socket, and PgBouncer refuses to run as root.
    owner = (Path(host) / f".s.PGSQL.{port}").stat()
    switched = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    log = (directory / "log").open("w")
    with subprocess.Popen([PGBOUNCER, "-q", file], stdout=log, stderr=log, **switched) as process:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", listen)) == 0:
                    break
            assert process.poll() is None, (directory / "log").read_text()
            time.sleep(0.05)
        yield f"127.0.0.1:{listen}"
        process.terminate()
    log.close()
    shutil.rmtree(directory)


@pytest.fixture
def pooled(pooler, database):
    return f"postgresql://postgres@{pooler}/{database.name}"


def records(count, start=0):
    return [Record(id=f"{n:04}", embedding=[1, 2, n], metadata={"n": n}) for n in range(start, start + count)]


async def test_a_pooler_is_found_by_itself(pooled, url):
    async with AsyncClient(pooled) as through, AsyncClient(url) as direct:
        assert (await through.server()).pooled
        assert not (await direct.server()).pooled


@pytest.mark.parametrize("prepared", [None, False])
async def test_every_verb_works_through_a_pooler(pooled, prepared):
    async with AsyncClient(pooled, pool=PoolConfig(prepared_statements=prepared)) as client:
        docs = await client.get_or_create_collection("docs", dimensions=3)
        assert (await docs.upsert(records(120))).inserted == 120
        assert (await docs.upsert(records(130))).unchanged == 120
        assert await docs.update(["0001"], contents=["new"]) == 1
        assert (await docs.get(["0001"], include=["embedding"]))[0].embedding.tolist() == [1, 2, 1]
        assert (await docs.search([1, 2, 5], k=1, filter={"n": 5}))[0].id == "0005"
        assert len((await docs.list(limit=7)).records) == 7
        assert await docs.delete(filter={"n": 5}) == 1
        assert (await docs.stats()).rows == await docs.clear() == 129
        await client.rename_collection("docs", "papers")
        await client.delete_collection("papers")


async def test_eight_tasks_at_once_work_through_a_pooler(pooled):
    async with AsyncClient(pooled) as client:
        docs = client.collection("docs")

        async def one(task):
            for number in range(12):
                await docs.upsert(records(3, start=task * 100 + number))
                assert await docs.search([1, 2, 3], k=5, filter={"n": task * 100})
                assert (await docs.get([f"{task * 100:04}"]))[0].metadata == {"n": task * 100}
                assert await docs.count({"n": task * 100 + number}) == 1
            await docs.upsert(records(60, start=task * 100))

        await asyncio.gather(*map(one, range(8)))
        assert await docs.count() == 8 * 60


async def test_clients_one_after_the_other_work_through_a_pooler(pooled):
    for number in range(5):
        async with AsyncClient(pooled) as client:
            docs = await client.get_or_create_collection("docs", dimensions=3)
            await docs.upsert(records(1, start=number))
            assert await docs.count() == number + 1


async def test_setup_through_a_pooler_by_many_clients(pooled):
    clients = [AsyncClient(pooled) for _ in range(6)]
    await asyncio.gather(*(client.get_or_create_collection("docs", dimensions=3) for client in clients))
    assert await clients[0].list_collections() == ["docs"]
    await asyncio.gather(*(client.close() for client in clients))


async def test_searches_by_index_work_through_a_pooler(pooled, url):
    corpus = Corpus(rows=2_500, dimensions=8)
    async with AsyncClient(url) as direct:
        docs = await direct.get_or_create_collection("docs", dimensions=8)
        await docs.upsert(corpus.batch())
        await docs.create_index(HNSW(m=8, ef_construction=32))
    async with AsyncClient(pooled) as client:
        docs = client.collection("docs")
        queries = corpus.draw(24)
        plain = await asyncio.gather(*(docs.search(query, 10) for query in queries))
        filtered = await asyncio.gather(*(docs.search(query, 10, filter={"half": 1}) for query in queries))
        for query, matches, others in zip(queries, plain, filtered, strict=True):
            corpus.check(matches, query, 10, recall=0.3)
            corpus.check(others, query, 10, keep=lambda m: m["half"])


async def test_an_index_is_not_built_through_a_pooler(pooled):
    async with AsyncClient(pooled) as client:
        docs = await client.get_or_create_collection("docs", dimensions=3)
        with pytest.raises(ConfigError, match=r"PgBouncer.*server's own address"):
            await docs.create_index()
        with pytest.raises(ConfigError, match="PgBouncer"):
            await docs.drop_index()
        assert (await docs.stats()).indexes == ()


def test_threads_work_through_a_pooler(pooled):
    with Client(pooled) as client:
        docs = client.get_or_create_collection("docs", dimensions=3)
        docs.upsert(records(100))
        assert [match.id for match in docs.search([1, 2, 3], k=1)] == ["0003"]


async def test_row_level_security_leaks_nothing_through_a_pooler(pooled, database, server):
    settings = config(row_level_security=True)
    async with roles(database, settings) as (_, runtime):
        # The pooler logs in as one user for everybody, whom the server makes the role that the policies bind.
        server.execute(f"ALTER ROLE postgres IN DATABASE {database.name} SET role = '{role_of(runtime)}'")
        async with AsyncClient(pooled) as client:
            assert (await client.server()).pooled
            docs = client.collection(settings)
            ended = asyncio.Event()

            async def tenant(name):
                mine, keys = docs.domain(name), client.key_values("n", domain=name)
                for _ in range(4):
                    await mine.upsert(own(name, "abc"), ledger=mine.ledger("l"))
                    found = [*await mine.search([1, 2, 3], k=50), *await mine.get(["a"]), *(await mine.list()).records]
                    assert {one.content for one in found} == {f"a secret of {name}"}
                    await keys.set({"k": name.encode()})
                    assert await keys.get(["k"]) == [name.encode()]
                    assert await mine.count() == 3
                    assert await mine.delete(["c"]) == 1

            async def stranger():
                # Shares the pooler's few connections with the tenants, and names no domain.
                connection = await asyncpg.connect(pooled, statement_cache_size=0)
                looks = 0
                while not ended.is_set() or not looks:
                    assert await connection.fetch("SELECT id FROM docs") == []
                    assert not await connection.fetchval("SELECT current_setting('pgrecall.domains', true)")
                    looks += 1
                await connection.close()

            strangers = [asyncio.create_task(stranger()) for _ in range(2)]
            await asyncio.gather(*(tenant(f"tenant{n}") for n in range(6)))
            ended.set()
            await asyncio.gather(*strangers)
        assert database.ask("SELECT count(*) FROM docs") == 0
        server.execute(f"ALTER ROLE postgres IN DATABASE {database.name} RESET role")
    assert database.ask("SELECT current_user::text") == "postgres"
