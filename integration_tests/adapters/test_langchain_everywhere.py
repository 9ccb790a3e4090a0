"""One store in web servers, notebooks, workers, threads and loops of all kinds."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import copy
import pickle
import threading
import warnings
from contextlib import asynccontextmanager, contextmanager

import asyncpg
import pytest
from blockbuster import BlockingError, blockbuster_ctx
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.indexing import aindex
from langchain_core.outputs import Generation

from pgrecall import Client, CollectionConfig, PoolConfig
from pgrecall.langchain import (
    PGRecallByteStore,
    PGRecallDocumentStore,
    PGRecallSemanticCache,
    PGRecallVectorStore,
    PGRecordManager,
)

with warnings.catch_warnings():
    # Which of its clients starlette would rather have is no concern of ours.
    warnings.simplefilter("ignore")
    import httpx
    from fastapi import FastAPI, Request
    from fastapi.testclient import TestClient


class Asynchronous(DeterministicFakeEmbedding):
    """A model that needs no thread for its asynchronous methods."""

    async def aembed_query(self, text):
        return self.embed_query(text)

    async def aembed_documents(self, texts):
        return self.embed_documents(texts)


MODEL = Asynchronous(size=8)
DOCUMENTS = [
    Document(id=str(n), page_content=f"text {n}", metadata={"source": "s", "chunk_index": n}) for n in range(40)
]
BACKENDS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgrecall' AND datname = current_database()"
PATIENCE = 30


@pytest.fixture
def filled(url):
    with PGRecallVectorStore.from_documents(DOCUMENTS, MODEL, url=url) as store:
        yield store


def backends_end(database):
    """Return whether the connections to *database* come to an end."""
    pause = threading.Event()
    return any(database.ask(BACKENDS) == 0 or pause.wait(0.02) for _ in range(500))


def ids(documents):
    return [document.id for document in documents]


# -- web servers -----------------------------------------------------------------------------------


@pytest.fixture
def app(url, filled):
    @asynccontextmanager
    async def lifespan(app):
        async with PGRecallVectorStore(MODEL, url=url) as store:
            app.state.store = store
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/async/{text}")
    async def asynchronous(text: str, request: Request):
        return ids(await request.app.state.store.asimilarity_search(text, k=1))

    @app.get("/sync/{text}")
    def synchronous(text: str, request: Request):
        return ids(request.app.state.store.similarity_search(text, k=1))

    @app.get("/mixed/{text}")
    async def mixed(text: str, request: Request):
        store = request.app.state.store
        return ids(store.as_retriever(k=1).invoke(text)) + ids(await store.as_retriever(k=1).ainvoke(text))

    @app.post("/add/{text}")
    async def add(text: str, request: Request):
        return await request.app.state.store.aadd_texts([text], ids=[text])

    # FastAPI resolves annotations by name, and these are not of this module.
    for endpoint in (asynchronous, synchronous, mixed, add):
        endpoint.__annotations__ = {"text": str, "request": Request}
    return app


def test_endpoints_of_both_kinds_answer(app, database):
    with TestClient(app) as client:
        assert client.get("/async/text 7").json() == ["7"]
        assert client.get("/sync/text 7").json() == ["7"]
        assert client.get("/mixed/text 7").json() == ["7", "7"]
        assert client.post("/add/new").json() == ["new"]
        assert client.get("/sync/new").json() == ["new"]
    with TestClient(app) as client:
        assert client.get("/async/new").json() == ["new"]


async def test_concurrent_requests_get_their_own_answers(app):
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        paths = [f"/{kind}/text {n}" for n in range(20) for kind in ("async", "sync", "mixed")]
        answers = await asyncio.wait_for(asyncio.gather(*map(client.get, paths)), PATIENCE)
        assert [answer.json()[0] for answer in answers] == [str(n) for n in range(20) for _ in range(3)]


async def test_end_of_the_application_closes_its_connections(app, filled, database):
    filled.close()
    async with app.router.lifespan_context(app):
        await app.state.store.acount()
        assert database.ask(BACKENDS) >= 1
    assert await asyncio.to_thread(backends_end, database)


# -- notebooks -------------------------------------------------------------------------------------

BEGIN = """
import asyncio, os, sys, threading
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from pgrecall.langchain import PGRecallVectorStore
url = sys.argv[1]
"""
STORE = """
store = PGRecallVectorStore(DeterministicFakeEmbedding(size=8), url=url)
"""
QUIET = ("-W", "error", "-W", "ignore::DeprecationWarning", "-W", "ignore::ResourceWarning")


def test_cells_of_a_notebook_call_and_await(url, run, tmp_path):
    script = """
os.environ["IPYTHONDIR"] = sys.argv[2]
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
config = Config()
config.HistoryManager.enabled = False
shell = InteractiveShell.instance(config=config)
shell.push({"url": url})
cells = [
    "from langchain_core.embeddings import DeterministicFakeEmbedding",
    "from pgrecall.langchain import PGRecallVectorStore",
    "store = PGRecallVectorStore(DeterministicFakeEmbedding(size=8), url=url)",
    "written = store.add_texts(['a', 'b'], ids=['a', 'b'])",
    "first = [d.id for d in store.similarity_search('a', k=1)]",
    "second = [d.id for d in await store.asimilarity_search('b', k=1)]",
    "third = [d.id for d in store.similarity_search('b', k=1)]",
    "fourth = [d.id for d in await store.asimilarity_search('a', k=1)]",
    "fifth = [d.id for d in store.as_retriever(k=1).invoke('a')] + [d.id for d in await store.as_retriever(k=1).ainvoke('b')]",
]
async def kernel():
    for cell in cells:
        result = await shell.run_cell_async(cell, transformed_cell=shell.transform_cell(cell))
        result.raise_error()
    names = ("first", "second", "third", "fourth", "fifth")
    print(*(shell.user_ns[name] for name in names))
asyncio.run(kernel())
"""
    assert run(BEGIN + script, url, tmp_path, flags=QUIET) == "['a'] ['b'] ['b'] ['a'] ['a', 'b']"


def test_shell_without_a_loop_of_its_own_awaits_cell_after_cell(url, run, tmp_path):
    script = """
os.environ["IPYTHONDIR"] = sys.argv[2]
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
config = Config()
config.HistoryManager.enabled = False
shell = InteractiveShell.instance(config=config)
shell.push({"url": url, "Store": PGRecallVectorStore, "Model": DeterministicFakeEmbedding})
for cell in ["store = Store(Model(size=8), url=url)", "await store.aadd_texts(['a'])", "store.count()", "n = await store.acount()"]:
    shell.run_cell(cell, silent=True).raise_error()
print(shell.user_ns["n"])
"""
    assert run(BEGIN + script, url, tmp_path, flags=QUIET) == "1"


# -- processes -------------------------------------------------------------------------------------

FORKING = ("-W", "error", "-W", "ignore:This process:DeprecationWarning")


def test_workers_that_were_forked_after_the_store_was_used_share_it(url, run):
    script = """
import multiprocessing
store.add_texts([f"text {n}" for n in range(8)], ids=[str(n) for n in range(8)])
retriever = store.as_retriever(k=1)
asyncio.run(store.acount())
def task(n):
    found = [d.id for d in store.similarity_search(f"text {n}", k=1)]
    found += [d.id for d in asyncio.run(store.asimilarity_search(f"text {n}", k=1))]
    found += [d.id for d in retriever.invoke(f"text {n}")]
    store.add_texts([f"from {os.getpid()}"], ids=[f"task {n}"])
    return set(found) == {str(n)}
with multiprocessing.get_context("fork").Pool(3) as pool:
    print(all(pool.map(task, range(8), chunksize=1)))
print(store.count())
"""
    assert run(BEGIN + STORE + script, url, flags=FORKING).splitlines() == ["True", "16"]


def test_workers_that_preload_the_application_have_loops_of_their_own(url, run):
    script = """
store.add_texts([f"text {n}" for n in range(8)], ids=[str(n) for n in range(8)])
asyncio.run(store.asimilarity_search("text 1"))
async def serve(worker):
    async with store:
        found = await asyncio.gather(*(store.asimilarity_search(f"text {n}", k=1) for n in range(8)))
        assert [d[0].id for d in found] == [str(n) for n in range(8)]
        await store.aadd_texts([f"worker {worker}"])
children = []
for worker in range(3):
    child = os.fork()
    if child == 0:
        asyncio.run(serve(worker))
        sys.exit(0)
    children.append(child)
print(store.similarity_search("text 5", k=1)[0].id)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
print(store.count(), asyncio.run(store.acount()))
"""
    assert run(BEGIN + STORE + script, url, flags=FORKING).splitlines() == ["5", "[0, 0, 0]", "11 11"]


def test_fork_within_a_running_loop_leaves_both_sides_working(url, run):
    script = """
async def main():
    await store.aadd_texts(["a"])
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if store.similarity_search("a")[0].page_content == "a" else 2
        finally:
            os._exit(code)
    status = await asyncio.to_thread(os.waitpid, child, 0)
    print(os.waitstatus_to_exitcode(status[1]), await store.acount())
asyncio.run(main())
"""
    assert run(BEGIN + STORE + script, url, flags=FORKING) == "0 1"


def test_interpreter_ends_quietly_without_close(url, run):
    script = """
store.add_texts(["a"])
asyncio.run(store.aadd_texts(["b"]))
store.as_retriever().batch(["a", "b"])
threading.Thread(target=store.add_texts, args=(["c"],)).start()
print(store.as_retriever(k=1).invoke("a")[0].page_content)
"""
    assert run(BEGIN + STORE + script, url) == "a"


def test_interpreter_ends_quietly_with_a_stream_left_halfway(url, run):
    script = """
store.add_texts(["a"])
async def main():
    async for part in (store.as_retriever(k=1) | (lambda found: found[0].page_content)).astream("a"):
        print(part)
        return
asyncio.run(main())
"""
    assert run(BEGIN + STORE + script, url) == "a"


# -- threads and loops -----------------------------------------------------------------------------


def test_32_threads_share_a_store(filled):
    start = threading.Barrier(32)

    def work(n):
        start.wait(PATIENCE)
        filled.add_texts([f"thread {n}"], ids=[f"thread {n}"])
        return [
            *ids(filled.similarity_search(f"text {n}", k=1)),
            *ids(filled.similarity_search(f"thread {n}", k=1)),
            *ids(filled.as_retriever(k=1).invoke(f"text {n}")),
        ]

    with concurrent.futures.ThreadPoolExecutor(32) as threads:
        found = list(threads.map(work, range(32), timeout=PATIENCE))
    assert found == [[str(n), f"thread {n}", str(n)] for n in range(32)]
    assert filled.count() == 72


def test_first_use_by_many_threads_at_once_makes_one_table(url):
    with PGRecallVectorStore(MODEL, url=url) as store:
        with concurrent.futures.ThreadPoolExecutor(16) as threads:
            list(threads.map(lambda n: store.add_texts([f"text {n}"]), range(16), timeout=PATIENCE))
        assert store.count() == 16


def test_loops_one_after_the_other_share_a_store(filled, database):
    for n in range(4):
        assert ids(asyncio.run(filled.asimilarity_search(f"text {n}", k=1))) == [str(n)]
        assert ids(asyncio.run(filled.as_retriever(k=1).ainvoke(f"text {n}"))) == [str(n)]


def test_loops_at_the_same_time_share_a_store(filled):
    start = threading.Barrier(6)

    async def work(number):
        await asyncio.to_thread(start.wait, PATIENCE)
        queries = [f"text {n}" for n in range(number, number + 10)]
        found = await asyncio.gather(*(filled.asimilarity_search(query, k=1) for query in queries))
        await filled.aadd_texts([f"loop {number}"], ids=[f"loop {number}"])
        return [documents[0].page_content for documents in found] == queries

    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        assert list(threads.map(lambda n: asyncio.run(work(n)), range(6), timeout=PATIENCE)) == [True] * 6
    assert filled.count() == 46


async def test_blocking_methods_within_a_running_loop_return(filled):
    assert ids(filled.similarity_search("text 3", k=1)) == ["3"]
    assert ids(await filled.asimilarity_search("text 3", k=1)) == ["3"]
    assert filled.add_texts(["new"], ids=["new"]) == ["new"]
    assert ids(filled.as_retriever(k=1).invoke("new")) == ["new"]
    assert filled.delete(["new"]) is True


async def test_blocking_and_asynchronous_calls_at_once_do_not_wait_for_each_other(filled):
    calls = [
        filled.asimilarity_search(f"text {n}", k=1)
        if n % 2
        else asyncio.to_thread(filled.similarity_search, f"text {n}", k=1)
        for n in range(40)
    ]
    found = await asyncio.wait_for(asyncio.gather(*calls), PATIENCE)
    assert [documents[0].id for documents in found] == [str(n) for n in range(40)]


async def test_more_calls_than_connections_all_end(url, filled):
    with Client(url, pool=PoolConfig(max_size=2)) as client:
        store = PGRecallVectorStore(MODEL, client=client)
        calls = [store.asimilarity_search(f"text {n % 40}", k=1) for n in range(120)]
        found = await asyncio.wait_for(asyncio.gather(*calls), PATIENCE)
        assert [documents[0].id for documents in found] == [str(n % 40) for n in range(120)]
        await client.asynchronous.close()


def test_context_variables_of_the_caller_reach_the_embedding_model(url):
    tenant = contextvars.ContextVar("tenant", default="none")
    seen = []

    class Model(Asynchronous):
        def embed_query(self, text):
            seen.append((tenant.get(), threading.current_thread()))
            return super().embed_query(text)

    with PGRecallVectorStore(Model(size=8), url=url) as store:
        store.add_texts(["a"])
        tenant.set("mine")
        store.similarity_search("a")
        asyncio.run(store.asimilarity_search("a"))
    assert seen[-2:] == [("mine", threading.current_thread())] * 2


# -- nothing blocks the loop -----------------------------------------------------------------------


@contextmanager
def watched():
    """Have every blocking call on a running loop raise."""
    with blockbuster_ctx() as detector:
        # asyncpg looks for a password and certificates in files whenever it connects.
        detector.functions["os.stat"].can_block_in("asyncpg/connect_utils.py", "_parse_connect_dsn_and_args")
        yield


def asynchronous_calls(store):
    """Return, by its name, a call of every asynchronous method of *store*."""
    vector = MODEL.embed_query("text 1")
    return {
        "aadd_documents": lambda: store.aadd_documents(DOCUMENTS[:3]),
        "aadd_texts": lambda: store.aadd_texts(["a"], ids=["a"]),
        "aadd_embeddings": lambda: store.aadd_embeddings([("b", vector)], ids=["b"]),
        "aupdate_documents": lambda: store.aupdate_documents(DOCUMENTS[:3]),
        "aupdate_metadata": lambda: store.aupdate_metadata({"0": {"x": 1}}),
        "aget_by_ids": lambda: store.aget_by_ids(["0"]),
        "acount": lambda: store.acount({"x": 1}),
        "alist_documents": lambda: store.alist_documents(limit=2),
        "asearch": lambda: store.asearch("text 1", "mmr"),
        "asimilarity_search": lambda: store.asimilarity_search("text 1", filter={"source": "s"}),
        "asimilarity_search_by_vector": lambda: store.asimilarity_search_by_vector(vector),
        "asimilarity_search_with_score": lambda: store.asimilarity_search_with_score("text 1"),
        "asimilarity_search_with_score_by_vector": lambda: store.asimilarity_search_with_score_by_vector(vector),
        "asimilarity_search_with_relevance_scores": lambda: store.asimilarity_search_with_relevance_scores("text 1"),
        "asimilarity_search_by_vector_with_relevance_scores": lambda: (
            store.asimilarity_search_by_vector_with_relevance_scores(vector)
        ),
        "amax_marginal_relevance_search": lambda: store.amax_marginal_relevance_search("text 1"),
        "amax_marginal_relevance_search_by_vector": lambda: store.amax_marginal_relevance_search_by_vector(vector),
        "amax_marginal_relevance_search_with_score": lambda: store.amax_marginal_relevance_search_with_score("text 1"),
        "amax_marginal_relevance_search_with_score_by_vector": lambda: (
            store.amax_marginal_relevance_search_with_score_by_vector(vector)
        ),
        "akeyword_search": lambda: store.akeyword_search("text 1"),
        "akeyword_search_with_score": lambda: store.akeyword_search_with_score("text 1"),
        "ahybrid_search": lambda: store.ahybrid_search("text 1"),
        "ahybrid_search_with_score": lambda: store.ahybrid_search_with_score("text 1"),
        "aingest": lambda: store.aingest(["text 1"]),
        "adelete": lambda: store.adelete(["0"]),
        "aclose": store.aclose,
    }


def test_every_asynchronous_method_is_watched():
    watched = set(asynchronous_calls(PGRecallVectorStore(MODEL, url="postgresql://localhost/none")))
    there = {name for name in dir(PGRecallVectorStore) if name.startswith("a") and name[1:] in dir(PGRecallVectorStore)}
    elsewhere = {"afrom_langchain_postgres", "acopy_from_langchain_postgres"}
    assert there - watched - elsewhere == {"afrom_documents", "afrom_texts", "afrom_embeddings", "afrom_existing"}


async def test_detector_sees_what_blocks(filled):
    with watched(), pytest.raises(BlockingError):
        filled.similarity_search("text 1")


@pytest.mark.parametrize("warm", [False, True], ids=["first use", "later"])
async def test_store_never_blocks_the_loop(url, warm):
    store = PGRecallVectorStore(MODEL, CollectionConfig(name="worded", text_search="english"), url=url)
    calls = asynchronous_calls(store)
    if warm:
        for call in calls.values():
            await call()
    with watched():
        for call in calls.values():
            await call()


async def test_making_a_store_never_blocks_the_loop(url):
    vector = MODEL.embed_query("a")
    with watched():
        async with await PGRecallVectorStore.afrom_documents(DOCUMENTS, MODEL, url=url) as store:
            assert await store.acount() == 40
        async with await PGRecallVectorStore.afrom_texts(["a"], MODEL, collection="b", url=url):
            pass
        async with await PGRecallVectorStore.afrom_embeddings([("a", vector)], MODEL, collection="c", url=url):
            pass
        async with await PGRecallVectorStore.afrom_existing(MODEL, "c", url=url):
            pass


async def test_retriever_never_blocks_the_loop(url):
    config = CollectionConfig(name="worded", text_search="english")
    async with PGRecallVectorStore(MODEL, config, url=url) as store:
        with watched():
            await store.aadd_documents(DOCUMENTS)
            threshold = {"search_kwargs": {"score_threshold": 0.1}}
            for kind in ("similarity", "mmr", "similarity_score_threshold", "keyword", "hybrid"):
                retriever = store.as_retriever(
                    search_type=kind, k=3, window=2, score_key="s", **threshold if "threshold" in kind else {}
                )
                assert await retriever.ainvoke("text 1")
                assert await retriever.abatch(["text 1", "text 2"])
            await store.as_retriever().aadd_documents(DOCUMENTS[:1])
            chain = store.as_retriever(k=1) | (lambda found: found[0].page_content)
            assert [part async for part in chain.astream("text 1")] == ["text 1"]


@pytest.mark.filterwarnings("ignore:Using SHA-1")
async def test_indexing_never_blocks_the_loop(url):
    async with PGRecallVectorStore(MODEL, url=url) as store:
        with watched():
            manager = PGRecordManager("n", store=store)
            await manager.acreate_schema()
            for documents in (DOCUMENTS, DOCUMENTS[:5]):
                await aindex(documents, manager, store, cleanup="full", source_id_key="source", key_encoder="sha256")
            assert await manager.aget_time() > 0
            await manager.aupdate(["a"], group_ids=["g"])
            assert await manager.aexists(["a", "b"]) == [True, False]
            assert len(await manager.alist_keys()) == 6
            await manager.adelete_keys(["a"])
            await manager.aclose()
        assert await store.acount() == 5


async def test_stores_and_cache_never_block_the_loop(url):
    with watched():
        for kind, value in ((PGRecallByteStore, b"x"), (PGRecallDocumentStore, Document(page_content="x"))):
            async with kind("n", url=url) as values:
                await values.amset([("a", value)])
                assert await values.amget(["a", "b"]) == [value, None]
                assert [key async for key in values.ayield_keys()] == ["a"]
                await values.amdelete(["a"])
        cache = PGRecallSemanticCache(MODEL, url=url)
        await cache.aupdate("prompt", "llm", [Generation(text="answer")])
        assert await cache.alookup("prompt", "llm") == [Generation(text="answer")]
        assert await cache.alookup("another", "llm") is None
        await cache.aclear()
        await cache.aclose()


# -- cancelling and closing ------------------------------------------------------------------------


@pytest.fixture
async def locked(filled, url):
    """The table, locked by somebody else until the test ends."""
    connection = await asyncpg.connect(url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("LOCK TABLE documents IN ACCESS EXCLUSIVE MODE")

    async def wait_for(count):
        for _ in range(500):
            if await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted") >= count:
                return
            await asyncio.sleep(0.02)
        pytest.fail("nobody waits for the lock")

    connection_and_wait = (transaction, wait_for)
    yield connection_and_wait
    if connection.is_in_transaction():
        await transaction.rollback()
    await connection.close()


@pytest.mark.parametrize("verb", ["search", "mmr", "retriever", "add", "delete", "count"])
async def test_cancelled_call_leaves_the_pool_usable(filled, locked, verb):
    transaction, wait_for = locked
    calls = {
        "search": lambda: filled.asimilarity_search("text 1"),
        "mmr": lambda: filled.amax_marginal_relevance_search("text 1"),
        "retriever": lambda: filled.as_retriever(window=1).ainvoke("text 1"),
        "add": lambda: filled.aadd_texts(["x"]),
        "delete": lambda: filled.adelete(["1"]),
        "count": filled.acount,
    }
    tasks = [asyncio.create_task(calls[verb]()) for _ in range(12)]
    await wait_for(1)
    for task in tasks:
        task.cancel()
    ends = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), PATIENCE)
    assert {type(end) for end in ends} == {asyncio.CancelledError}
    await transaction.rollback()
    assert await asyncio.wait_for(asyncio.gather(*(filled.acount() for _ in range(12))), PATIENCE) == [40] * 12
    await filled.aclose()


async def test_call_that_timed_out_leaves_the_pool_usable(filled, locked):
    transaction, _ = locked
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await filled.asimilarity_search("text 1")
    await transaction.rollback()
    assert ids(await filled.asimilarity_search("text 1", k=1)) == ["1"]
    await filled.aclose()


def test_context_closes_at_its_end_and_after_an_error(url, database):
    with PGRecallVectorStore(MODEL, url=url) as store:
        store.add_texts(["a"])
    assert backends_end(database)

    def fail():
        with PGRecallVectorStore(MODEL, url=url) as store:
            store.count()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert backends_end(database)


async def test_asynchronous_context_closes_at_its_end(url, database):
    async with PGRecallVectorStore(MODEL, url=url) as store:
        await store.aadd_texts(["a"])
    assert await asyncio.to_thread(backends_end, database)


def test_closed_store_opens_again_at_the_next_use(filled):
    filled.close()
    assert ids(filled.similarity_search("text 1", k=1)) == ["1"]
    filled.close()
    filled.close()
    assert asyncio.run(filled.acount()) == 40


async def test_store_that_was_closed_asynchronously_opens_again(filled):
    await filled.aclose()
    assert ids(await filled.asimilarity_search("text 1", k=1)) == ["1"]
    await filled.aclose()
    await filled.aclose()
    assert filled.count() == 40


async def test_close_on_the_loop_that_used_the_store_returns(filled):
    await filled.acount()
    filled.close()
    assert await filled.acount() == 40
    await filled.aclose()


def test_store_of_one_loop_is_closed_from_another(filled, database):
    asyncio.run(filled.acount())
    asyncio.run(filled.aclose())
    assert backends_end(database)


def test_store_cannot_be_pickled_with_its_connections(filled):
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(filled)


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy])
def test_copy_works_on_the_same_connections_and_leaves_them_open(filled, database, how):
    with how(filled) as copied:
        assert type(copied) is type(filled)
        assert copied.collection is filled.collection
        assert copied.embeddings is filled.embeddings
        assert copied.count() == 40
    assert database.ask(BACKENDS) > 0
    assert ids(filled.similarity_search("text 1", k=1)) == ["1"]


@pytest.mark.parametrize("deep", [False, True])
def test_copied_retriever_finds_the_same(filled, deep):
    assert filled.as_retriever(k=1).model_copy(deep=deep).invoke("text 1")[0].id == "1"


@pytest.mark.parametrize(
    "make",
    [
        lambda url: PGRecallSemanticCache(MODEL, url=url),
        lambda url: PGRecallByteStore("copied", url=url),
        lambda url: PGRecallDocumentStore("copied", url=url),
        lambda url: PGRecordManager("copied", url=url),
    ],
    ids=["cache", "bytes", "documents", "records"],
)
def test_everything_that_holds_connections_is_copied_alike(url, make):
    with make(url) as made:
        copied = copy.deepcopy(made)
        assert type(copied) is type(made)
        assert vars(copied) == vars(made) | {"_client": None}
