"""What PostgreSQL makes of our statements: the shape of the SQL, not its estimates, decides."""

import json

import asyncpg
import numpy as np
import pytest

from integration_tests.oracle import Corpus
from pgrecall import HNSW, AsyncClient, Client, IVFFlat
from pgrecall.filters import parse
from pgrecall.plan import Access, Plan
from pgrecall.scope import Scope
from pgrecall.sql import select
from pgrecall.sql.compose import Statement
from pgrecall.sql.selection import Selection
from pgrecall.vectors import encode

ROWS = 4_000
KNOBS = ("hnsw.ef_search", "hnsw.iterative_scan", "hnsw.max_scan_tuples", "ivfflat.probes", "ivfflat.iterative_scan")


@pytest.fixture(scope="module")
def corpus():
    return Corpus(rows=ROWS, dimensions=64)


@pytest.fixture(scope="module", params=["hnsw", "ivfflat"])
def method(request, module_database, corpus):
    with Client(module_database.url) as client:
        docs = client.get_or_create_collection(request.param, dimensions=64)
        docs.upsert(corpus.batch())
        docs.domain("small").upsert(corpus.batch().slice(0, 50))
        docs.create_index(HNSW(m=8, ef_construction=32) if request.param == "hnsw" else IVFFlat(lists=20))
    return request.param


@pytest.fixture
async def docs(module_database, method):
    async with AsyncClient(module_database.url) as client:
        yield client.collection(method)


def shape(access, method, k=10, fetch=20):
    return Plan(
        access=access,
        reason="a test wants it",
        k=k,
        fetch=fetch,
        index="it",
        method=method,
        candidates=100,
        max_scan_tuples=20_000,
        scan_memory=1,
    )


def explained(statement):
    return Statement("EXPLAIN (FORMAT JSON) " + statement.text, statement.args)


async def nodes(docs, plan, query, *, scope=None, filter=None):
    """Return the nodes of PostgreSQL's plan: (type, index) each."""
    handle = docs._handle

    async def work(session):
        table = await handle.table(session)
        selection = Selection(table, scope or handle.scope, session.dialect, parse(filter))
        (encoded,) = encode(np.array([query]), table.vector_type)
        statement = explained(select.search(selection, plan).bind(encoded))
        # As often as it takes PostgreSQL to change to a generic plan.
        for _ in range(7):
            text = await session.fetch_value(statement)
        return json.loads(text)[0]["Plan"]

    found = []

    def walk(node):
        found.append((node["Node Type"], node.get("Index Name", "")))
        for inner in node.get("Plans", ()):
            walk(inner)

    walk(await handle.database.run(work))
    return found


def uses(found, index):
    return any(index in name for _, name in found)


@pytest.mark.parametrize("access", [Access.INDEX, Access.ITERATIVE])
@pytest.mark.parametrize("filter", [None, {"half": 1}, {"rare": True}], ids=["all", "half", "rare"])
@pytest.mark.parametrize("domain", ["default", "small", None])
async def test_index_shapes_use_the_vector_index_and_no_other(docs, method, corpus, access, filter, domain):
    found = await nodes(docs, shape(access, method), corpus.query(), filter=filter, scope=Scope(domain))
    assert [name for _, name in found if name] == [await vector_index(docs)]


@pytest.mark.parametrize("filter", [None, {"half": 1}, {"rare": True}], ids=["all", "half", "rare"])
@pytest.mark.parametrize("domain", ["default", "small", None])
async def test_exact_shape_never_uses_the_vector_index(docs, method, corpus, filter, domain):
    found = await nodes(docs, shape(Access.EXACT, method), corpus.query(), filter=filter, scope=Scope(domain))
    assert not uses(found, await vector_index(docs))
    assert any(kind in ("Sort", "Incremental Sort") for kind, _ in found)


async def test_exact_shape_under_a_rare_filter_uses_the_metadata_index(docs, method, corpus):
    found = await nodes(docs, shape(Access.EXACT, method), corpus.query(), filter={"number": 17})
    assert uses(found, await gin_index(docs))


async def test_exact_shape_in_a_small_domain_uses_an_index_on_it(docs, method, corpus):
    found = await nodes(docs, shape(Access.EXACT, method), corpus.query(), scope=Scope("small"))
    assert not uses(found, await vector_index(docs))
    assert not any(kind == "Seq Scan" for kind, _ in found)


@pytest.mark.parametrize(
    ("arguments", "access"),
    [
        ({}, Access.INDEX),
        ({"k": 1_001}, Access.ITERATIVE),
        ({"filter": {"rare": True}}, Access.EXACT),
        ({"filter": {"half": 1}}, Access.EXACT),
    ],
)
async def test_explain_says_what_search_will_do(docs, method, corpus, arguments, access):
    plan = await docs.explain(corpus.query(), **arguments)
    if method == "ivfflat" and access is Access.ITERATIVE:
        access = Access.INDEX
    assert plan.access is access


async def test_explain_of_a_small_domain_is_exact(docs, corpus):
    plan = await docs.domain("small").explain(corpus.query())
    assert plan.access is Access.EXACT
    assert plan.matches == 50


async def test_a_page_is_read_in_the_order_of_the_key(docs):
    handle = docs._handle

    async def work(session):
        table = await handle.table(session)
        statement = select.page(
            handle.selection(session, table), limit=10, after=("r00100",), prefix=None, extras=frozenset()
        )
        return json.loads(await session.fetch_value(explained(statement)))

    text = json.dumps(await handle.database.run(work))
    assert "pkey" in text
    assert "Sort" not in text


async def vector_index(docs):
    (index,) = (await docs.stats()).indexes
    return index.name


async def gin_index(docs):
    async def work(session):
        return await session.connection.fetchval(
            "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam "
            "WHERE m.amname = 'gin' AND i.indrelid = $1::regclass",
            docs.name,
        )

    return await docs._handle.database.run(work)


async def settings(connection):
    return {knob: await connection.fetchval("SELECT current_setting($1, true)", knob) for knob in KNOBS}


async def test_settings_of_a_search_do_not_reach_the_next_query(docs, corpus):
    handle = docs._handle

    async def work(session):
        return await settings(session.connection)

    # The first search loads the extension, with which its settings get their defaults.
    await docs.search(corpus.query(), 1)
    before = await handle.database.run(work)
    await docs.search(corpus.query(), 777)
    await docs.search(corpus.query(), 1_500)
    assert await handle.database.run(work) == before


@pytest.mark.parametrize("in_transaction", [False, True], ids=["outside", "inside"])
async def test_settings_of_a_search_do_not_reach_the_callers_queries(module_database, docs, corpus, in_transaction):
    connection = await asyncpg.connect(module_database.url)
    try:
        lent = docs.using(connection)
        await lent.search(corpus.query(), 1)
        before = await settings(connection)
        transaction = connection.transaction()
        if in_transaction:
            await transaction.start()
        await lent.search(corpus.query(), 777)
        await lent.search(corpus.query(), 1_500)
        after = await settings(connection)
        if in_transaction:
            await transaction.rollback()
        assert after == before
    finally:
        await connection.close()
