"""A real server for the session, a database of its own for each test.

The server is the one that PGRECALL_TEST_URL names (a superuser's URL), else one that is started in a temporary
directory: of the programs that PGRECALL_TEST_SERVER names (a package such as pgserver, or a directory; see `servers`),
else the embedded one. Without any the tests skip and say so; where PGRECALL_REQUIRE_POSTGRES is set they fail.
"""

import asyncio
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path
from urllib.parse import quote, urlsplit

import asyncpg
import pytest

import pgrecall
from integration_tests.servers import SETTINGS, Cluster, programs_of
from pgrecall import AsyncClient, Client, embedded

NAMED = ("PGRECALL_TEST_URL", "PGRECALL_TEST_SERVER")
TEMPLATE = f"pgrecall_template_{os.getpid()}"
PYTHONPATH = os.pathsep.join([str(Path(pgrecall.__file__).parents[1]), *filter(None, sys.path)])


class Server:
    """The session's server, seen through a superuser's connection."""

    def __init__(self):
        self.directory = None
        self.hold = self.cluster = None
        self.url = os.environ.get("PGRECALL_TEST_URL") or None
        older = os.environ.get("PGRECALL_TEST_SERVER")
        if self.url is None:
            self.directory = Path(tempfile.mkdtemp(prefix="pgrecall-"))
        if self.url is None and older:
            found = programs_of(older)
            if found is None:
                msg = f"PGRECALL_TEST_SERVER={older}: there is no such package, and it is no path of a directory"
                raise pytest.UsageError(msg)
            self.cluster = Cluster(self.directory, found)
            self.url = self.cluster.url
        elif self.url is None:
            self.hold = embedded.start(self.directory / "server", settings=SETTINGS)
            self.url = self.hold.url
        self._numbers = itertools.count()
        self._loop = asyncio.new_event_loop()
        # A thread of its own, so that tests with a loop can ask too.
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._admin = self._wait(asyncpg.connect(self.url))
        self.execute(f"CREATE DATABASE {TEMPLATE}")
        self.version = self.ask("SHOW server_version")
        self.vector_version = self.execute("CREATE EXTENSION vector", TEMPLATE) or self.ask(
            "SELECT extversion FROM pg_extension WHERE extname = 'vector'", TEMPLATE
        )

    def name(self, kind):
        return f"pgrecall_{kind}_{os.getpid()}_{next(self._numbers)}"

    def address(self, database, user=None, password="secret"):
        """Return the URL of *database*, for another user where one is given."""
        parts = urlsplit(self.url)
        netloc = parts.netloc
        if user is not None:
            netloc = f"{quote(user)}:{password}@{netloc.rpartition('@')[2]}"
        query = f"?{parts.query}" if parts.query else ""
        # Not urlunsplit: it drops the slashes where there is no host.
        return f"postgresql://{netloc}/{quote(database)}{query}"

    def execute(self, statement, database=None):
        self._on(database, "execute", statement)

    def ask(self, statement, database=None):
        return self._on(database, "fetchval", statement)

    def rows(self, statement, database=None):
        return self._on(database, "fetch", statement)

    def lack(self, pgvector="0", extension=None):
        """Return what of a pgvector so new, and of an extension, this server lacks; nothing where it lacks nothing."""
        if tuple(map(int, self.vector_version.split("."))) < tuple(map(int, pgvector.split("."))):
            return f"needs pgvector {pgvector}, and this is {self.vector_version}"
        there = f"SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = '{extension}')"
        return f"needs the extension {extension}" if extension is not None and not self.ask(there) else None

    def close(self):
        self.execute(f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")
        self._wait(self._admin.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self.hold is not None:
            self.hold.close()
        if self.cluster is not None:
            self.cluster.stop()
        if self.directory is not None:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _on(self, database, verb, statement):
        async def run():
            connection = self._admin if database is None else await asyncpg.connect(self.address(database))
            try:
                return await getattr(connection, verb)(statement)
            finally:
                if database is not None:
                    await connection.close()

        return self._wait(run())

    def _wait(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=60)


class Database:
    """One test's database, seen through a superuser's connection."""

    def __init__(self, server, template):
        self._server = server
        self._roles = []
        self.name = server.name("db")
        server.execute(f"CREATE DATABASE {self.name} TEMPLATE {template}")
        self.url = server.address(self.name)

    def execute(self, statement):
        self._server.execute(statement, self.name)

    def ask(self, statement):
        return self._server.ask(statement, self.name)

    def rows(self, statement):
        return self._server.rows(statement, self.name)

    def role(self, *statements):
        """Make a role and return its URL; ``{role}`` in *statements* is its name."""
        role = self._server.name("role")
        self._roles.append(role)
        self.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
        for statement in statements:
            self.execute(statement.format(role=role))
        return self._server.address(self.name, role)

    def drop(self):
        self._server.execute(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
        for role in self._roles:
            self._server.execute(f"DROP ROLE IF EXISTS {role}")


_SERVER = pytest.StashKey[Server]()


def _started(config):
    if _SERVER not in config.stash and (embedded.available() or any(map(os.environ.get, NAMED))):
        config.stash[_SERVER] = Server()
    return config.stash.get(_SERVER, None)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Keep the servers that tests start in their own directories apart from another run of the tests by root.

    Each run takes the permission to search away from the directory that pytest keeps for a user, and with it from the
    account that the servers of the run before are switched to.
    """
    if os.geteuid() == 0 and config.option.basetemp is None and not hasattr(config, "workerinput"):
        config.option.basetemp = tempfile.mkdtemp(prefix="pgrecall-tests-")
        config.add_cleanup(lambda: shutil.rmtree(config.option.basetemp, ignore_errors=True))


def pytest_report_header(config):
    # Where pytest-xdist runs the tests, each of its workers has a server of its own.
    if config.option.collectonly or config.getoption("numprocesses", None):
        return None
    server = _started(config)
    if server is None:
        return "server: none"
    kind = "embedded" if server.hold is not None else NAMED[server.cluster is not None]
    return f"server: PostgreSQL {server.version}, pgvector {server.vector_version} ({kind})"


def pytest_runtest_setup(item):
    for marker in item.iter_markers("needs"):
        server = _started(item.config)
        if server is not None and (lack := server.lack(**marker.kwargs)):
            pytest.skip(lack)


def pytest_unconfigure(config):
    server = config.stash.get(_SERVER, None)
    if server is not None:
        server.close()


@pytest.fixture(scope="session")
def server(pytestconfig):
    server = _started(pytestconfig)
    if server is None:
        reason = "needs pgrecall[embedded], or PGRECALL_TEST_URL"
        if os.environ.get("PGRECALL_REQUIRE_POSTGRES"):
            pytest.fail(reason)
        pytest.skip(reason)
    return server


@pytest.fixture
def database(server):
    made = Database(server, TEMPLATE)
    yield made
    made.drop()


@pytest.fixture
def bare_database(server):
    """A database without the extension."""
    made = Database(server, "template0")
    yield made
    made.drop()


@pytest.fixture(scope="module")
def module_database(server):
    """A database that all tests of a module read."""
    made = Database(server, TEMPLATE)
    yield made
    made.drop()


@pytest.fixture
def url(database):
    return database.url


@pytest.fixture
async def client(url):
    async with AsyncClient(url) as client:
        yield client


@pytest.fixture
def blocking_client(url):
    with Client(url) as client:
        yield client


@pytest.fixture
async def connection(url):
    """A plain connection to the test's database."""
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@pytest.fixture
async def docs(client):
    """An empty collection of three dimensions under cosine."""
    return await client.get_or_create_collection("docs", dimensions=3)


# Frameworks, and what they bring along, still ask asyncio what they are to ask inspect from Python 3.14 on.
ASKS_ASYNCIO = "ignore:'asyncio.iscoroutinefunction' is deprecated:DeprecationWarning"


@pytest.fixture
def interpreter():
    """Start an interpreter in which every warning is an error; it is ended with the test."""
    started = []

    def start(script, *arguments, flags=("-W", "error")):
        command = [sys.executable, *flags, "-W", ASKS_ASYNCIO, "-c", textwrap.dedent(script), *map(str, arguments)]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        process = subprocess.Popen(command, text=True, env={**os.environ, "PYTHONPATH": PYTHONPATH}, **pipes)
        started.append(process)
        return process

    yield start
    for process in started:
        with process:
            process.kill()


@pytest.fixture
def run(interpreter):
    """Run a script to its end and return what it printed; it must succeed and complain of nothing."""

    def run(script, *arguments, **options):
        process = interpreter(script, *arguments, **options)
        output, complaints = process.communicate(timeout=60)
        assert (process.returncode, complaints) == (0, "")
        return output.strip()

    return run
