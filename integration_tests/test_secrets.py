"""A password that a URL holds is shown nowhere: in no object, copy, log record or error, and in no frame of ours."""

import asyncio
import copy
import json
import logging
import pickle
import socket
import traceback
import warnings

import pytest
from langchain_core.load import dumps
from llama_index.core.schema import TextNode

import pgrecall.langchain as of_langchain
import pgrecall.llama_index as of_llama_index
from integration_tests.conftest import TEMPLATE
from pgrecall import AsyncClient, Client, PoolConfig, RetryConfig
from pgrecall.errors import ConfigError, PGRecallError
from pgrecall.langchain import (
    PGRecallByteStore,
    PGRecallDocumentStore,
    PGRecallRetriever,
    PGRecallSemanticCache,
    PGRecallVectorStore,
    PGRecordManager,
)
from pgrecall.llama_index import PGRecallIngestionStore
from pgrecall.llama_index import PGRecallVectorStore as PGRecallLlamaStore
from pgrecall.testing import llama_index as _  # noqa: F401 - may be imported beside the others

SECRET = "hunter2-Zq"
DEAD = f"postgresql://me:{SECRET}@127.0.0.1:1/db"
# Everything that a URL can be given to, and everything that comes from that.
NO_OBJECTS = {"PGRecallTranslator", "DocumentPage", "number_chunks"}


class Model:
    def embed_documents(self, texts):
        return [[1.0, 2.0, 3.0]] * len(texts)

    def embed_query(self, text):
        return [1.0, 2.0, 3.0]


def objects(url):
    """Return every public object that knows the way to a database, by its name."""
    asynchronous, blocking = AsyncClient(url), Client(url)
    store = PGRecallVectorStore(Model(), "docs", url=url)
    made = {
        "AsyncClient": asynchronous,
        "Client": blocking,
        "AsyncCollection": asynchronous.collection("docs"),
        "Collection": blocking.collection("docs"),
        "AsyncKeyValues": asynchronous.key_values("values"),
        "KeyValues": blocking.key_values("values"),
        "AsyncLedger": asynchronous.collection("docs").ledger("ledger"),
        "Ledger": blocking.collection("docs").ledger("ledger"),
        "PGRecallVectorStore": store,
        "PGRecallRetriever": store.as_retriever(),
        "PGRecallSemanticCache": PGRecallSemanticCache(Model(), url=url),
        "PGRecordManager": PGRecordManager("manager", url=url),
        "PGRecallByteStore": PGRecallByteStore("bytes", url=url),
        "PGRecallDocumentStore": PGRecallDocumentStore("documents", url=url),
        "llama_index.PGRecallVectorStore": PGRecallLlamaStore("docs", url=url),
        "llama_index.PGRecallIngestionStore": PGRecallIngestionStore("docs", url=url),
        "all domains": blocking.collection("docs").all_domains(),
        "address": asynchronous._pools.address,
        "pools": asynchronous._pools,
        "database": asynchronous._database,
        "handle": asynchronous.collection("docs")._handle,
    }
    assert isinstance(made["PGRecallRetriever"], PGRecallRetriever)
    return made


def forms(thing):
    """Return all that can be made of an object without asking it for its URL."""
    makers = {
        "repr": repr,
        "str": str,
        "format": "{}".format,
        "percent": lambda one: f"{one!s}{one!r}",
        "in a list": lambda one: repr([one]),
        "its variables": lambda one: (
            repr(getattr(one, "__dict__", {}).keys()) + repr([repr(v) for k, v in vars(one).items() if k != "url"])
        ),
        "pickle": lambda one: pickle.dumps(one).decode("latin1"),
        "copy": lambda one: repr(copy.copy(one)),
        "deep copy": lambda one: repr(copy.deepcopy(one)),
        "to_dict": lambda one: json.dumps(one.to_dict(), default=repr),
        "to_json": lambda one: repr(one.to_json()),
        "dict": lambda one: repr(one.dict()),
        "model_dump": lambda one: repr(one.model_dump()),
        "model_dump_json": lambda one: one.model_dump_json(fallback=repr),
        "LangChain's dumps": dumps,
    }
    for name, make in makers.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                yield name, make(thing)
            except Exception as error:  # noqa: BLE001 - what cannot be done tells nothing either
                yield f"the error of {name}", told(error)


def shown(value):
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - an object that is only half made
        return f"{type(value)}: {error!r}"


def told(error):
    """Return all that an error, and what led to it, say, and what is in the variables of all frames but the tests'."""
    texts, left, seen = [], [error], set()
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        left += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
        texts += [str(one), repr(one), repr(one.args), repr(vars(one)), *getattr(one, "__notes__", ())]
        for frame, _line in traceback.walk_tb(one.__traceback__):
            if frame.f_code.co_filename != __file__:
                texts += [f"{name}={shown(value)}" for name, value in frame.f_locals.items()]
    return "\n".join(texts)


def test_every_public_object_is_looked_at():
    looked_at = {name.rpartition(".")[2] for name in objects(DEAD)}
    assert {name for name in of_langchain.__all__ if name not in NO_OBJECTS} <= looked_at
    assert set(of_llama_index.__all__) <= looked_at


@pytest.mark.parametrize("name", [*objects(DEAD)])
def test_no_form_of_an_object_shows_the_password(name):
    thing = objects(DEAD)[name]
    assert {form: text for form, text in forms(thing) if SECRET in text} == {}


@pytest.fixture
def talkative(caplog):
    """Every log record of every library, at its most talkative."""
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


@pytest.fixture
def refusing():
    """The URL of a port that answers to nobody."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield DEAD.replace(":1/", f":{probe.getsockname()[1]}/")


def calls(url):
    """Return one call of each kind of object, each of which connects."""
    made = objects(url)
    return {
        "AsyncClient": made["AsyncClient"].server,
        "AsyncCollection": lambda: made["AsyncCollection"].search([1, 2, 3]),
        "AsyncKeyValues": lambda: made["AsyncKeyValues"].get(["a"]),
        "Client": made["Client"].list_collections,
        "Collection": made["Collection"].count,
        "Ledger": lambda: made["Ledger"].marked(["a"]),
        "PGRecallVectorStore": lambda: made["PGRecallVectorStore"].similarity_search("a"),
        "PGRecallRetriever": lambda: made["PGRecallRetriever"].invoke("a"),
        "PGRecordManager": made["PGRecordManager"].create_schema,
        "PGRecallByteStore": lambda: made["PGRecallByteStore"].mget(["a"]),
        "PGRecallSemanticCache": lambda: made["PGRecallSemanticCache"].lookup("a", "b"),
        "llama_index": lambda: made["llama_index.PGRecallVectorStore"].add([TextNode(text="a", embedding=[1.0, 2.0])]),
    }


async def failure(call):
    try:
        done = call()
        if hasattr(done, "__await__"):
            await done
    except PGRecallError as error:
        return error
    return None


@pytest.mark.parametrize("name", [*calls(DEAD)])
async def test_no_error_of_a_connection_that_fails_shows_the_password(refusing, talkative, name):
    error = await failure(calls(refusing)[name])
    assert error is not None
    assert "127.0.0.1" in str(error)
    assert SECRET not in told(error)
    assert [
        record for record in talkative.records if SECRET in f"{record.getMessage()}{record.exc_text}{record.args}"
    ] == []


QUERIES = [
    "sslmode=nonsense",
    "sslmode=verify-full&sslrootcert=/nowhere",
    "target_session_attrs=x",
    "sslmode=require",
    "passfile=/nowhere",
    f"sslpassword={SECRET}",
]


@pytest.mark.parametrize("query", QUERIES)
async def test_no_error_of_an_option_shows_the_password(refusing, talkative, query):
    error = await failure(AsyncClient(f"{refusing}?{query}").server)
    assert error is not None
    assert SECRET not in told(error)
    assert SECRET not in talkative.text


async def test_no_error_of_a_working_connection_shows_the_password(server, database, talkative):
    url = server.address(database.name, "postgres", SECRET) if server.hold is not None else None
    if url is None:
        pytest.skip("needs the embedded server, which asks nobody for a password")
    pool = PoolConfig(command_timeout=0.5, retry=RetryConfig(attempts=2))
    async with AsyncClient(url, pool=pool) as client:
        docs = await client.get_or_create_collection("docs", dimensions=3)
        for form, text in [*forms(client), *forms(docs), *forms(client._pools)]:
            assert SECRET not in text, form
        await docs.count()
        database.execute(
            "CREATE OR REPLACE FUNCTION slow() RETURNS bool LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(5); RETURN true; END$$"
        )
        failing = {
            "a statement that is too slow": lambda: client._database.run(
                lambda session: session.connection.fetch("SELECT pg_sleep(5)")
            ),
            "a table that there is not": lambda: client.delete_collection("nowhere"),
            "a bad expression": lambda: docs.search([1, 2, 3], filter={"a": {"$regex": "("}}),
            "dimensions": lambda: docs.search([1, 2]),
        }
        for what, call in failing.items():
            error = await failure(call)
            assert SECRET not in told(error), what
        # A connection that a pool which is open cannot make any more.
        database.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database.name}' AND pid <> pg_backend_pid()"
        )
        server.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS false")
        try:
            error = await failure(docs.count)
        finally:
            server.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
        assert error is not None
        assert SECRET not in told(error)
        assert await docs.count() == 0
    assert SECRET not in talkative.text
    assert TEMPLATE not in talkative.text


class Rendering(logging.Handler):
    """Keeps log records as a reporter of errors does: with the variables of all frames."""

    def __init__(self):
        super().__init__()
        self.said = []

    def emit(self, record):
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            trace = traceback.TracebackException.from_exception(record.exc_info[1], capture_locals=True)
            text += "".join(trace.format())
        self.said.append(text)


async def test_what_the_pool_logs_of_its_own_accord_shows_no_password(server, database):
    if server.hold is None:
        pytest.skip("needs the embedded server, which asks nobody for a password")
    handler = Rendering()
    logger = logging.getLogger("asyncpg")
    logger.addHandler(handler)
    try:
        url = server.address(database.name, "postgres", SECRET)
        async with AsyncClient(url, pool=PoolConfig(min_size=2, max_size=2)) as client:
            await client.list_collections()
            server.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS false")
            server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database.name}'")
            for _ in range(200):
                if handler.said:
                    break
                await asyncio.sleep(0.02)
            server.execute(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
            assert await client.list_collections() == []
    finally:
        logger.removeHandler(handler)
    told = "\n".join(handler.said)
    assert "Failed to restore" in told
    assert "not currently accepting connections" in told
    assert SECRET not in told


@pytest.mark.parametrize(
    "url", [f"me:{SECRET}@host/db", f"mysql://me:{SECRET}@host/db", f"postgresql://me:{SECRET}@host:x/db"]
)
def test_no_error_of_a_url_that_cannot_be_read_shows_it(url):
    for make in (AsyncClient, Client, lambda one: PGRecallVectorStore(Model(), "docs", url=one)):
        with pytest.raises(ConfigError) as caught:
            make(url)
        error = caught.value
        while error is not None:
            assert SECRET not in f"{error}{error!r}{error.args}"
            error = error.__cause__ or error.__context__
