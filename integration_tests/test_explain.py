"""What PostgreSQL makes of our statements: the shape of the SQL, not its estimates, decides.

Plans are looked at as prepared statements get them, both for the values at hand and generic ones, in the binary
form of our own connections and in the text of those that are lent.
"""

import asyncio
import json
import threading
from decimal import Decimal
from itertools import product

import asyncpg
import numpy as np
import pytest

from integration_tests.oracle import Corpus
from pgrecall import HNSW, AsyncClient, Client, CollectionConfig, IVFFlat, SearchOptions, codes
from pgrecall.distance import VectorType
from pgrecall.filters import Equals, Key, parse
from pgrecall.jsonb import dumps
from pgrecall.plan import Access
from pgrecall.sql import ddl, select
from pgrecall.sql.compose import Statement
from pgrecall.sql.search import search
from pgrecall.vectors import encode, to_text

ROWS = 4_000
KNOBS = ("hnsw.ef_search", "hnsw.iterative_scan", "hnsw.max_scan_tuples", "ivfflat.probes", "ivfflat.iterative_scan")
SMALL = HNSW(m=8, ef_construction=32)
INDEXES = {
    "hnsw": SMALL,
    "ivfflat": IVFFlat(lists=20),
    "halfvec": HNSW(m=8, ef_construction=32, quantization="halfvec"),
    "bit": HNSW(m=8, ef_construction=32, quantization="bit"),
}
LABELS = ["plain", "it's", 'say "hi"', "back\\slash", "\\'", "日本 é", "two\nlines", "$1 %s {x} --", "", "::text)"]
AMOUNTS = [0, 1, -5, 2.5, -0.25, 10**12, 10**25, 1e-7]
ODD = 'Order "By" (it\'s)'
FIELDS = {"half": int, "colour": str, "label": str, "amount": float, "flag": bool, ODD: str, "size.w": int}
VALUES = [
    *(Equals(Key(("label",)), dumps(label)) for label in LABELS),
    # As PostgreSQL writes them.
    *(Equals(Key(("amount",)), f"{Decimal(str(amount)):f}".encode()) for amount in AMOUNTS),
    *(Equals(Key(("flag",)), dumps(flag)) for flag in (True, False)),
    Equals(Key((ODD,)), b'"odd 1"'),
    Equals(Key(("size", "w")), b"2"),
]
"""What there is a partial index of, in the collection that has them."""
FILTERS = {
    "all": None,
    "half": {"half": 1},
    "rare": {"rare": True},
    "tenth": {"tenth": 3, "half": 1},
    "in": {"colour": {"$in": ["red", "blue"]}},
    "range": {"amount": {"$gte": 1, "$lt": 1e6}},
    "not": {"flag": {"$ne": True}},
    "or": {"$or": [{"colour": "red"}, {"flag": True}]},
    "exists": {"colour": {"$exists": True}},
    "id": {"$id": {"$in": ["r00001", "r00002"]}},
    "many": {"half": 1, "colour": "red", "flag": True, "size.w": 1, "label": "plain", "tenth": 1, "rare": True},
}
COVERED = ("half", "in", "range", "not", "or")
MODES = ["force_custom_plan", "force_generic_plan"]
WIRES = ["binary", "text"]


@pytest.fixture(scope="module")
def corpus():
    made = Corpus(rows=ROWS, dimensions=64)
    for n, metadata in enumerate(made.metadatas):
        metadata |= {
            "label": LABELS[n % len(LABELS)],
            "amount": AMOUNTS[n % len(AMOUNTS)],
            "flag": n % 3 == 0,
            ODD: f"odd {n % 5}",
            "size": {"w": n % 4},
        }
    return made


def fill(client, corpus, name):
    config = CollectionConfig(name=f"by_{name}", dimensions=64, fields=FIELDS)
    docs = client.get_or_create_collection(config)
    docs.upsert(corpus.batch())
    docs.domain("small").upsert(corpus.batch().slice(0, 50))
    docs.create_index(INDEXES.get(name, SMALL))
    return docs.name


@pytest.fixture(scope="module", params=INDEXES)
def method(request, module_database, corpus):
    with Client(module_database.url) as client:
        fill(client, corpus, request.param)
    return request.param


@pytest.fixture
async def docs(module_database, method):
    async with AsyncClient(module_database.url) as client:
        yield client.collection(f"by_{method}")


@pytest.fixture(scope="module")
def filled_partials(module_database, corpus):
    with Client(module_database.url) as client:
        return fill(client, corpus, "partials")


@pytest.fixture(scope="module")
def built_partials(module_database, filled_partials, server):
    """A collection with a vector index of all rows, and one of each of `VALUES`."""
    statements = []

    async def work(client):
        handle = client.collection(filled_partials)._handle

        async def compose(session):
            table = await handle.table(session)
            composed = [ddl.create_vector_index(table, SMALL, session.dialect, condition=value) for value in VALUES]
            statements.extend(statement.text for statement in composed)

        await handle.database.run(compose)

    run_async(module_database.url, work)
    for statement in statements:
        server.execute(statement, module_database.name)
    server.execute(f"VACUUM (ANALYZE) {filled_partials}", module_database.name)
    return filled_partials


def run_async(url, work):
    async def run():
        async with AsyncClient(url) as client:
            await work(client)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    thread.join()


@pytest.fixture
async def partials(module_database, built_partials):
    async with AsyncClient(module_database.url) as client:
        yield client.collection(built_partials)


def scopes(docs):
    """Return handles on nearly all rows, on few of them, and on all."""
    return docs, docs.domain("small"), docs.all_domains()


def literal(value, vectors):
    """Return an argument of a statement as SQL, *vectors* being those of its arguments that are no JSON."""
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return "ARRAY[" + ",".join(literal(one, vectors) for one in value) + "]"
    if isinstance(value, bytes | memoryview):
        text = vectors.get(bytes(value)) or bytes(value).decode()
        return literal(text, vectors)
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    assert isinstance(value, bool | int | float | Decimal)
    return str(value)


class Explained:
    """PostgreSQL's plan of a search.

    Attributes:
        plan: Ours.
        nodes: PostgreSQL's, as it describes them.
    """

    def __init__(self, plan, found):
        self.plan = plan
        self.nodes = []
        self._walk(found)

    def __repr__(self):
        return f"{self.plan}: {self.kinds} {self.indexes}"

    def _walk(self, node):
        self.nodes.append(node)
        for inner in node.get("Plans", ()):
            self._walk(inner)

    @property
    def kinds(self):
        return [node["Node Type"] for node in self.nodes]

    @property
    def indexes(self):
        return [node["Index Name"] for node in self.nodes if "Index Name" in node]


async def explained(docs, query, *, k=10, filter=None, mode=MODES[0], analyze=False, **options):
    """Return what a prepared search of *docs* is planned as."""
    handle = docs._handle
    plan = await docs.explain(query, k, filter=filter, options=SearchOptions(**options))

    async def work(session):
        table = await handle.table(session)
        selection = handle.selection(session, table, parse(filter))
        (encoded,) = encode(np.array([query]), table.vector_type)
        code = codes.encode(query)
        statement = search(selection, plan).bind(encoded, code)
        vectors = {encoded: to_text(encoded, table.vector_type), code: to_text(code, VectorType.BIT)}
        arguments = ", ".join(literal(value, vectors) for value in statement.args)
        connection = session.connection
        await connection.execute(f"SET plan_cache_mode = {mode}; PREPARE searching AS {statement.text}")
        try:
            how = "ANALYZE, FORMAT JSON" if analyze else "FORMAT JSON"
            text = await connection.fetchval(f"EXPLAIN ({how}) EXECUTE searching ({arguments})")
        finally:
            await connection.execute("RESET plan_cache_mode; DEALLOCATE searching")
        return json.loads(text)[0]["Plan"]

    return Explained(plan, await handle.database.run(work))


@pytest.fixture(params=WIRES)
async def through(request, url, module_database):
    """Return a collection as it is, or on a connection that is lent."""
    if request.param == "binary":
        yield lambda docs: docs
        return
    connection = await asyncpg.connect(module_database.url, server_settings={"random_page_cost": "1.1", "jit": "off"})
    yield lambda docs: docs.using(connection)
    await connection.close()


async def vector_index(docs):
    """Return the name of the vector index of all rows."""
    (index,) = [index for index in (await docs.stats()).indexes if index.condition is None]
    return index.name


async def indexes_by_method(docs, method):
    async def work(session):
        rows = await session.connection.fetch(
            "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam "
            "WHERE m.amname = $1 AND i.indrelid = $2::regclass",
            method,
            docs.name,
        )
        return {row[0] for row in rows}

    return await docs._handle.database.run(work)


async def field_indexes(docs):
    """Return the name of the index on each field's column."""
    handle = docs._handle

    async def work(session):
        return {index.column: index.name for index in (await handle.table(session)).field_indexes}

    return await handle.database.run(work)


@pytest.mark.parametrize("filter", FILTERS.values(), ids=FILTERS)
async def test_index_shapes_use_the_vector_index_and_no_other(docs, corpus, filter):
    whole = await vector_index(docs)
    for asked, mode, access in product(scopes(docs), MODES, (Access.INDEX, Access.ITERATIVE)):
        found = await explained(asked, corpus.query(), filter=filter, mode=mode, access=access)
        assert found.indexes == [whole], found
        assert "Seq Scan" not in found.kinds


@pytest.mark.parametrize("access", [Access.INDEX, Access.ITERATIVE])
@pytest.mark.parametrize("k", [1, 10, 100])
async def test_index_shapes_use_the_vector_index_on_any_connection(docs, corpus, through, access, k):
    whole = await vector_index(docs)
    for filter, mode in product((None, {"half": 1}, {"rare": True}), MODES):
        found = await explained(through(docs), corpus.query(), k=k, filter=filter, mode=mode, access=access)
        assert found.indexes == [whole], found


@pytest.mark.parametrize("filter", FILTERS.values(), ids=FILTERS)
async def test_exact_shape_never_uses_a_vector_index(docs, corpus, filter):
    whole = await vector_index(docs)
    for asked, mode in product(scopes(docs), MODES):
        found = await explained(asked, corpus.query(), filter=filter, mode=mode, access=Access.EXACT)
        assert whole not in found.indexes
        assert "Sort" in found.kinds


async def test_exact_shape_never_uses_a_partial_vector_index(partials, corpus, through):
    names = {index.name for index in (await partials.stats()).indexes}
    for value, mode in product(VALUES, MODES):
        found = await explained(through(partials), corpus.query(), filter=value, mode=mode, access=Access.EXACT)
        assert not {*found.indexes} & names, found


async def test_exact_shape_reads_each_row_it_found_by_its_place(docs, corpus, through):
    """Only the k rows that are returned are read with all that they carry."""
    found = await explained(through(docs), corpus.query(), filter={"half": 1}, access=Access.EXACT)
    assert "Tid Scan" in found.kinds


async def test_exact_shape_under_a_rare_filter_uses_the_metadata_index(docs, corpus, through):
    gin = await indexes_by_method(docs, "gin")
    for mode in MODES:
        found = await explained(through(docs), corpus.query(), filter={"number": 17}, mode=mode, access=Access.EXACT)
        assert {*found.indexes} & gin


async def test_exact_shape_under_a_filter_on_a_field_uses_its_index(docs, corpus, through):
    filter = {"label": "plain", "half": 0, "flag": True}
    ours = {*(await field_indexes(docs)).values()}
    for mode in MODES:
        found = await explained(through(docs), corpus.query(), filter=filter, mode=mode, access=Access.EXACT)
        assert {*found.indexes} & ours


async def test_exact_shape_in_a_small_domain_uses_an_index_on_it(docs, corpus, through):
    found = await explained(through(docs).domain("small"), corpus.query(), access=Access.EXACT)
    assert found.indexes
    assert "Seq Scan" not in found.kinds


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{value.field}={value.json.decode()}")
async def test_partial_shape_uses_just_the_index_of_that_value(partials, corpus, through, value):
    whole = await vector_index(partials)
    for mode in MODES:
        found = await explained(through(partials), corpus.query(), filter=value, mode=mode, access=Access.PARTIAL)
        assert found.plan.condition == value
        assert found.plan.index != whole
        assert found.indexes == [found.plan.index], found


@pytest.mark.parametrize(
    "rest", [{"half": 1}, {"rare": True}, {"colour": {"$in": ["red"]}}, {"tenth": {"$lt": 5}}], ids=str
)
async def test_partial_shape_uses_no_other_index_for_the_rest_of_the_filter(partials, corpus, rest):
    for asked, mode in product(scopes(partials), MODES):
        found = await explained(asked, corpus.query(), filter={"flag": True, **rest}, mode=mode, access=Access.PARTIAL)
        assert found.plan.condition == Equals(Key(("flag",)), b"true")
        assert found.indexes == [found.plan.index], found


async def test_partial_shape_takes_the_smallest_of_several_that_fit(partials, corpus):
    filter = {"flag": True, "label": "plain", "amount": {"$in": [0]}}
    found = await explained(partials, corpus.query(), filter=filter, access=Access.PARTIAL)
    assert found.plan.condition == Equals(Key(("label",)), b'"plain"')
    assert found.indexes == [found.plan.index]


async def test_index_shapes_use_no_partial_index(partials, corpus, through):
    whole = await vector_index(partials)
    for value, mode, access in product(VALUES, MODES, (Access.INDEX, Access.ITERATIVE)):
        found = await explained(through(partials), corpus.query(), filter=value, mode=mode, access=access)
        assert found.indexes == [whole]


@pytest.mark.parametrize("filter", [FILTERS[name] for name in COVERED], ids=COVERED)
async def test_covering_shape_reads_codes_from_an_index_alone(partials, corpus, through, filter):
    ours = {*(await field_indexes(partials)).values()}
    for domain, mode in product(("default", "small"), MODES):
        asked = through(partials).domain(domain)
        found = await explained(asked, corpus.query(), filter=filter, mode=mode, access=Access.COVERING, analyze=True)
        (codes_read,) = [node for node in found.nodes if node["Node Type"] == "Index Only Scan"]
        assert codes_read["Index Name"] in ours
        assert codes_read["Heap Fetches"] <= ROWS / 50
        assert [name for name in found.indexes if name != codes_read["Index Name"]] == ["by_partials_pkey"]
        assert not {"Seq Scan", "Bitmap Heap Scan"} & {*found.kinds}


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{value.field}={value.json.decode()}")
async def test_covering_shape_under_a_value_enters_at_it(partials, corpus, through, value):
    for mode in MODES:
        found = await explained(through(partials), corpus.query(), filter=value, mode=mode, access=Access.COVERING)
        (codes_read,) = [node for node in found.nodes if node["Node Type"] == "Index Only Scan"]
        assert codes_read["Index Name"] == (await field_indexes(partials))[str(value.field)]
        assert "Seq Scan" not in found.kinds


@pytest.mark.parametrize("name", ["halfvec", "bit"])
async def test_quantised_indexes_are_said_to_be_used(module_database, corpus, name):
    with Client(module_database.url) as client:
        said = fill(client, corpus, f"{name}_said")
        client.collection(said).create_index(INDEXES[name], replace=True)
    async with AsyncClient(module_database.url) as client:
        docs = client.collection(said)
        for access in (Access.INDEX, Access.ITERATIVE):
            plan = await docs.explain(corpus.query(), options=SearchOptions(access=access), postgres=True)
            assert plan.quantized == name
            assert plan.index == await vector_index(docs)
            assert any(f"Index Scan using {plan.index}" in line for line in plan.postgres)


@pytest.mark.parametrize(
    ("arguments", "access"),
    [
        ({}, Access.INDEX),
        ({"k": 1_001}, Access.EXACT),
        ({"filter": {"rare": True}}, Access.EXACT),
        ({"filter": {"half": 1}}, Access.EXACT),
    ],
)
async def test_explain_says_what_search_will_do(docs, method, corpus, arguments, access):
    plan = await docs.explain(corpus.query(), **arguments)
    if method == "ivfflat" and arguments == {"k": 1_001}:
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
        page = select.page(
            handle.selection(session, table), limit=10, after=("r00100",), prefix=None, extras=frozenset()
        )
        statement = Statement("EXPLAIN (FORMAT JSON) " + page.text, page.args)
        return await session.fetch_value(statement)

    text = await handle.database.run(work)
    assert "pkey" in text
    assert "Sort" not in text


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
