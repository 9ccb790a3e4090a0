"""Servers that a system brings along: with TLS, and without pgvector.

Debian and Ubuntu keep their programs in /usr/lib/postgresql.
"""

import asyncio
import shutil
import socket
import subprocess
from pathlib import Path

import asyncpg
import pytest

from integration_tests.servers import Cluster
from pgrecall import AsyncClient, Client, CollectionConfig, PoolConfig, Record
from pgrecall.errors import ConnectionFailed, ExtensionMissing

OPENSSL = shutil.which("openssl")
PROGRAMS = sorted(path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb"))


def certificate(directory, name, *names):
    """Make a key, and a certificate that it has signed itself, for the hosts *names*."""
    key, made = directory / f"{name}.key", directory / f"{name}.crt"
    command = [OPENSSL, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    command += ["-keyout", key, "-out", made, "-addext", f"subjectAltName={','.join(names)}"]
    subprocess.run(command, check=True, capture_output=True)
    key.chmod(0o600)
    return key, made


class Safe:
    """A server that speaks TLS, with a certificate of its own making for the host ``localhost``."""

    def __init__(self, directory):
        pairs = {name: certificate(directory, name, f"DNS:{host}") for name, host in HOSTS.items()}
        self.files = {
            f"{name}_{kind}": file
            for name, pair in pairs.items()
            for kind, file in zip(("key", "cert"), pair, strict=True)
        }
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        files = {"ssl_cert_file": "server_cert", "ssl_key_file": "server_key", "ssl_ca_file": "postgres_cert"}
        settings = {setting: str(self.files[name]) for setting, name in files.items()}
        self.cluster = Cluster(
            directory, PROGRAMS[-1], ssl="on", listen_addresses="127.0.0.1", port=str(self.port), **settings
        )

    def url(self, options, host="localhost"):
        return f"postgresql://postgres@{host}:{self.port}/postgres?{options.format(**self.files)}"


# A client's certificate names its role.
HOSTS = {"server": "localhost", "other": "localhost", "postgres": "me"}


@pytest.fixture(scope="module")
def safe(tmp_path_factory):
    if not PROGRAMS or OPENSSL is None:
        pytest.skip("needs a server with TLS in /usr/lib/postgresql, and the program openssl")
    made = Safe(tmp_path_factory.mktemp("tls"))
    yield made
    made.cluster.stop()


async def is_safe(client):
    """Return whether all of its connections are encrypted, and whose certificate was shown."""

    async def work(session):
        row = await session.connection.fetchrow("SELECT ssl, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        return tuple(row)

    return set(await asyncio.gather(*(client._database.run(work) for _ in range(4))))


MODES = {
    "sslmode=require": True,
    "sslmode=prefer": True,
    "sslmode=verify-ca&sslrootcert={server_cert}": True,
    "sslmode=verify-full&sslrootcert={server_cert}": True,
    "sslmode=disable": False,
}


@pytest.mark.parametrize("options", MODES)
async def test_a_connection_is_as_safe_as_its_url_says(safe, options):
    async with AsyncClient(safe.url(options)) as client:
        assert await is_safe(client) == {(MODES[options], None)}


BAD = {
    "another authority": ("sslmode=verify-full&sslrootcert={other_cert}", "localhost", "certificate"),
    "no authority for the host": ("sslmode=verify-full&sslrootcert={server_cert}", "127.0.0.1", "certificate"),
    "an authority that is no file": (
        "sslmode=verify-full&sslrootcert=/nowhere",
        "localhost",
        "sslrootcert|No such file|cannot be used",
    ),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_server_that_cannot_be_trusted_is_refused(safe, case):
    options, host, says = BAD[case]
    with pytest.raises(ConnectionFailed, match=says) as caught:
        await AsyncClient(safe.url(options, host)).server()
    assert f"{host}:{safe.port}" in str(caught.value)


async def test_an_authority_is_enough_where_the_host_need_not_match(safe):
    async with AsyncClient(safe.url("sslmode=verify-ca&sslrootcert={server_cert}", "127.0.0.1")) as client:
        assert await is_safe(client) == {(True, None)}


async def test_a_clients_certificate_is_shown(safe):
    options = "sslmode=verify-full&sslrootcert={server_cert}&sslcert={postgres_cert}&sslkey={postgres_key}"
    async with AsyncClient(safe.url(options)) as client:
        assert await is_safe(client) == {(True, "/CN=postgres")}


async def test_a_blocking_client_takes_the_same_options(safe):
    with Client(safe.url("sslmode=verify-full&sslrootcert={server_cert}")) as client:
        assert await asyncio.to_thread(client.list_collections) == []


# --- without pgvector -----------------------------------------------------------------------------


async def check_missing(url, pool=None):
    """Check that everything that needs pgvector says that it is missing and what to do, and that all else works."""
    config = CollectionConfig(name="docs", dimensions=3)
    async with AsyncClient(url, pool=pool) as client:
        for call in (
            lambda: client.create_collection(config),
            lambda: client.get_or_create_collection(config),
            lambda: client.collection(config).upsert([Record(id="a", embedding=[1, 2, 3])]),
        ):
            with pytest.raises(
                ExtensionMissing,
                match=r"(?s)could not be installed.*CREATE EXTENSION vector.*package.*postgresql-NN-pgvector",
            ):
                await call()
        assert await client.list_collections() == []
        assert await client.collection("docs").count() == 0
        assert await client.collection("docs").search([1, 2, 3]) == []
        values = client.key_values("values")
        await values.set({"a": b"1"})
        assert await values.get(["a"]) == [b"1"]
        assert (await client.server()).vector_version is None
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT count(*) FROM pg_class WHERE relname = 'docs'") == 0
    await connection.close()


async def test_a_server_without_pgvector_says_what_to_install(safe):
    assert not list(
        (PROGRAMS[-1].parents[3] / "share/postgresql" / PROGRAMS[-1].parent.name).glob("extension/vector.control")
    )
    await check_missing(safe.cluster.url.replace("?", f"?port={safe.port}&"))


async def test_a_server_that_hides_pgvector_says_what_to_install(bare_database, server):
    if int(server.version.partition(".")[0]) < 18:
        pytest.skip("extensions can be hidden from PostgreSQL 18 on")
    await check_missing(bare_database.url, PoolConfig(server_settings={"extension_control_path": "/nowhere"}))
