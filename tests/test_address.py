"""Where the database is, and that its password is never shown."""

import pytest

from pgrecall import AsyncClient, Client
from pgrecall.collection.opening import open_collection
from pgrecall.errors import ConfigError
from pgrecall.postgres import resolve

SECRET = "s3cr3t"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for name in ("PGRECALL_URL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "POSTGRESQL", "postgresql+asyncpg", "postgres+psycopg2"])
def test_resolve_takes_the_schemes_of_other_libraries(scheme):
    assert resolve(f"{scheme}://me@host:5/db").url == "postgresql://me@host:5/db"


def test_resolve_prefers_the_argument(monkeypatch):
    monkeypatch.setenv("PGRECALL_URL", "postgresql://environment/db")
    assert resolve("postgresql://argument/db").url == "postgresql://argument/db"


def test_resolve_prefers_our_own_variable(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://general/db")
    monkeypatch.setenv("PGRECALL_URL", "postgresql://own/db")
    assert resolve(None).url == "postgresql://own/db"


def test_resolve_falls_back_to_the_general_variable(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://general/db")
    assert resolve(None).url == "postgresql://general/db"


def test_resolve_of_nothing_without_the_embedded_server_lists_the_ways(monkeypatch):
    monkeypatch.setattr("pgrecall.embedded.available", lambda: False)
    with pytest.raises(ConfigError, match=r"PGRECALL_URL or DATABASE_URL.*pgrecall\[embedded\]"):
        resolve(None)


@pytest.mark.parametrize("empty", ["", "  ", "\n"])
@pytest.mark.parametrize("make", [resolve, Client, AsyncClient, lambda url: open_collection("docs", url=url)])
def test_an_empty_url_is_an_error_and_not_another_database(make, empty, monkeypatch):
    monkeypatch.setenv("PGRECALL_URL", "postgresql://own/db")
    with pytest.raises(ConfigError, match="the URL is empty: pass postgresql://"):
        make(empty)


def test_resolve_passes_over_a_variable_that_is_blank(monkeypatch):
    monkeypatch.setenv("PGRECALL_URL", " ")
    monkeypatch.setenv("DATABASE_URL", "postgresql://general/db")
    assert resolve(None).url == "postgresql://general/db"
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setattr("pgrecall.embedded.available", lambda: True)
    assert resolve(None).url is None


def test_resolve_of_an_embedded_url_is_a_directory():
    assert str(resolve("embedded:///some/where").path) == "/some/where"


@pytest.mark.parametrize(
    "url",
    [
        "localhost",
        "mysql://h/d",
        "http://h",
        "host=localhost dbname=x",
        "postgresql:/h/d",
        5,
        0,
        False,
        b"",
        b"postgresql://h",
    ],
)
def test_resolve_of_another_kind_of_address_is_an_error(url):
    with pytest.raises(ConfigError, match="must b"):
        resolve(url)


def test_resolve_names_the_variable_that_is_wrong(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "sqlite:///x")
    with pytest.raises(ConfigError, match="DATABASE_URL must begin with"):
        resolve(None)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{SECRET}@host:port/db",
        f"postgresql://me:{SECRET}/x@host/db",
        f"postgresql://me:{SECRET}@[::1/db",
        f"mysql://me:{SECRET}@host/db",
        f"me:{SECRET}@host/db",
    ],
)
def test_resolve_of_a_malformed_url_is_an_error_that_does_not_show_it(url):
    with pytest.raises(ConfigError) as caught:
        resolve(url)
    error = caught.value
    while error is not None:
        assert SECRET not in f"{error} {error!r}"
        error = error.__cause__


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{SECRET}@host:5432/db",
        f"postgresql://host/db?user=me&password={SECRET}",
        f"postgresql://me:{SECRET}@/db?host=%2Ftmp",
        f"postgresql://me@host/db?sslpassword={SECRET}",
        f"postgresql+asyncpg://me:{SECRET}@host/db",
    ],
)
def test_clients_do_not_show_the_password(url):
    for client in (AsyncClient(url), Client(url)):
        shown = f"{client!r} {client} {vars(client)!r}"
        assert SECRET not in shown
        assert "db" in repr(client)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:12/{SECRET}@host/db",
        f"postgresql://me:12#{SECRET}@host/db",
        f"postgresql://me:12?{SECRET}@host/db",
        f"postgresql://me:12@{SECRET}@host/db",
    ],
)
def test_a_password_that_is_not_encoded_is_refused_or_hidden(url):
    shown = []
    try:
        shown += map("{0!r} {0}".format, [resolve(url)])
    except ConfigError as error:
        shown += [str(error)]
    assert SECRET not in shown[0]
    assert "12" not in shown[0]


def test_several_hosts_are_taken_as_the_driver_takes_them():
    address = resolve(f"postgresql://me:{SECRET}@one:1,two:2/db")
    assert SECRET not in str(address)


def test_client_with_a_url_and_a_connection_is_an_error():
    with pytest.raises(ConfigError, match="not both"):
        AsyncClient("postgresql://h/d", connection=object())


def test_client_with_something_else_as_connection_is_an_error():
    with pytest.raises(ConfigError, match="asyncpg Connection or Pool"):
        AsyncClient(connection="postgresql://h/d")
