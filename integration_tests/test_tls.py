"""TLS: what a URL says of it reaches the driver, and a connection that is not as safe as asked for is refused."""

import asyncio
import shutil
import ssl
import struct
import subprocess
from contextlib import suppress

import pytest

from integration_tests.faults.proxy import Proxy
from pgrecall import AsyncClient, Client, Record
from pgrecall.errors import ConnectionFailed

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="needs the program openssl")
SSL_REQUEST = struct.pack("!ii", 8, 80_877_103)


class Front(Proxy):
    """Speaks TLS with clients that ask for it, as a server with ``ssl = on`` does, and passes on what they say.

    Attributes:
        context: With what; `None` refuses TLS, as a server with ``ssl = off`` does.
        secured: How many connections were made safe.
    """

    def __init__(self, url, context):
        super().__init__(url)
        self.context, self.secured = context, 0

    async def _serve(self, reader, writer):
        begin = await reader.read(8)
        if begin == SSL_REQUEST:
            writer.write(b"S" if self.context else b"N")
            if self.context:
                try:
                    await writer.start_tls(self.context)
                    begin = await reader.read(8)
                except (ssl.SSLError, ConnectionError):
                    writer.close()
                    return
                self.secured += 1
            else:
                begin = await reader.read(8)
        if not begin:
            writer.close()
            return
        reader._buffer[:0] = begin
        with suppress(ssl.SSLError):
            await super()._serve(reader, writer)


def certificate(directory, name, *names):
    """Make a key, and a certificate that it has signed itself, for the hosts *names*."""
    key, made = directory / f"{name}.key", directory / f"{name}.crt"
    command = [OPENSSL, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    command += ["-keyout", key, "-out", made, "-addext", f"subjectAltName={','.join(names)}"]
    subprocess.run(command, check=True, capture_output=True)
    return key, made


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certificates")
    return {
        "server": certificate(directory, "server", "DNS:localhost"),
        "other": certificate(directory, "other", "DNS:localhost"),
        "client": certificate(directory, "client", "DNS:me"),
    }


@pytest.fixture
def front(server, certificates):
    """Start a `Front`; it is ended with the test."""
    started = []

    async def start(**options):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        key, made = certificates["server"]
        context.load_cert_chain(made, key)
        if options.get("asks"):
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(certificates["client"][1])
        made = Front(server.url, context if options.get("tls", True) else None)
        listening = await asyncio.start_server(made._serve, "127.0.0.1", 0)
        made.port = listening.sockets[0].getsockname()[1]
        started.append((made, listening))
        return made

    return start


def url(front, database, options, host="localhost"):
    return front.url(database.name).replace("127.0.0.1", host).replace("sslmode=disable", options)


@pytest.fixture
def files(certificates):
    names = {
        f"{name}_{kind}": str(file)
        for name, pair in certificates.items()
        for kind, file in zip(("key", "cert"), pair, strict=True)
    }
    return lambda options: options.format(**names)


GOOD = [
    "sslmode=require",
    "sslmode=prefer",
    "sslmode=verify-ca&sslrootcert={server_cert}",
    "sslmode=verify-full&sslrootcert={server_cert}",
]


@pytest.mark.parametrize("options", GOOD)
async def test_modes_that_the_server_satisfies_are_safe_connections(front, database, files, options):
    made = await front()
    async with AsyncClient(url(made, database, files(options))) as client:
        docs = await client.get_or_create_collection("docs", dimensions=3)
        await docs.upsert([Record(id="a", embedding=[1, 2, 3])])
        assert [match.id for match in await docs.search([1, 2, 3])] == ["a"]
    # One to look at the server, and one or more of the pool.
    assert made.secured >= 2


BAD = {
    "another authority": (
        "sslmode=verify-full&sslrootcert={other_cert}",
        "localhost",
        "CERTIFICATE_VERIFY_FAILED|certificate verify",
    ),
    "another host": ("sslmode=verify-full&sslrootcert={server_cert}", "127.0.0.1", "certificate.*127"),
    "authority of the client's": (
        "sslmode=verify-ca&sslrootcert={client_cert}",
        "localhost",
        "certificate verify|CERTIFICATE",
    ),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_server_that_cannot_be_trusted_is_refused(front, database, files, case):
    options, host, says = BAD[case]
    made = await front()
    with pytest.raises(ConnectionFailed, match=says) as caught:
        await AsyncClient(url(made, database, files(options), host)).server()
    assert f"{host}:{made.port}" in str(caught.value)


async def test_an_authority_is_enough_where_the_host_need_not_match(front, database, files):
    made = await front()
    async with AsyncClient(
        url(made, database, files(BAD["another host"][0].replace("full", "ca")), "127.0.0.1")
    ) as client:
        await client.server()
    assert made.secured > 0


async def test_a_server_without_tls_is_refused_where_it_is_required_and_taken_where_it_is_preferred(front, database):
    made = await front(tls=False)
    with pytest.raises(ConnectionFailed, match="SSL"):
        await AsyncClient(url(made, database, "sslmode=require")).server()
    async with AsyncClient(url(made, database, "sslmode=prefer")) as client:
        await client.server()
    assert made.secured == 0


async def test_without_tls_nothing_is_asked_for(front, database):
    made = await front()
    async with AsyncClient(url(made, database, "sslmode=disable")) as client:
        await client.server()
    assert made.secured == 0


async def test_a_clients_certificate_is_shown(front, database, files):
    made = await front(asks=True)
    shown = "sslmode=verify-full&sslrootcert={server_cert}&sslcert={client_cert}&sslkey={client_key}"
    async with AsyncClient(url(made, database, files(shown))) as client:
        await client.server()
    with pytest.raises(ConnectionFailed):
        await AsyncClient(url(made, database, files("sslmode=require"))).server()


async def test_a_blocking_client_takes_the_same_options(front, database, files):
    made = await front()
    with Client(url(made, database, files(GOOD[-1]))) as client:
        assert await asyncio.to_thread(client.list_collections) == []
    assert made.secured >= 1
