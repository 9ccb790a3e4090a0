"""Each test gets a database of its own, on a real PostgreSQL that is started for the run and removed after it."""

import asyncio
import itertools
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from pgrecall import Client, Record, embedded

# A server for tests has to survive nothing.
SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@pytest.fixture(scope="session")
def server_url(tmp_path_factory):
    """A server for the whole run; with pytest-xdist each worker has its own."""
    with embedded.start(tmp_path_factory.mktemp("postgres") / "data", settings=SETTINGS) as server:
        yield server.url


def execute(url, statement):
    async def run():
        connection = await asyncpg.connect(url)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run())


def address(url, database):
    """Return *url* with another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


@pytest.fixture(scope="session")
def template(server_url):
    """A database with what most tests begin with, made once."""
    execute(server_url, "CREATE DATABASE template_of_tests")
    with Client(address(server_url, "template_of_tests")) as client:
        notes = client.get_or_create_collection("notes", dimensions=2)
        notes.upsert([Record(id="first", embedding=[1, 0], content="There from the start.")])
    return "template_of_tests"


NUMBERS = itertools.count()


@pytest.fixture
def database_url(server_url, template):
    """A copy of the template for one test; PostgreSQL copies it as a whole, whatever is in it."""
    name = f"test_{next(NUMBERS)}"
    execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield address(server_url, name)
    execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def client(database_url):
    with Client(database_url) as client:
        yield client
