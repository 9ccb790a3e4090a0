"""What differs from one pgvector to the next, on every older server that there is; see `integration_tests.servers`."""

import subprocess

import pytest

from integration_tests.conftest import Server
from integration_tests.oracle import Corpus
from integration_tests.servers import PACKAGES, Cluster, programs
from pgrecall import HNSW, AsyncClient, CollectionConfig, IVFFlat, Record, SearchOptions
from pgrecall.errors import ConfigError, SchemaError
from pgrecall.filters import parse
from pgrecall.plan import Access
from tests.evaluation import passes

REASON = f"needs one of {PACKAGES}, or PGRECALL_TEST_PROGRAMS"
SMALL = HNSW(m=8, ef_construction=32)


def name_of(directory):
    if directory is None:
        return "none"
    return subprocess.run(
        [directory / "postgres", "--version"], check=True, capture_output=True, text=True
    ).stdout.split()[2]


@pytest.fixture(scope="module", params=programs() or [None], ids=name_of)
def server(request, tmp_path_factory):
    """An older server in the place of the session's."""
    if request.param is None:
        pytest.skip(REASON)
    directory = tmp_path_factory.mktemp("old")
    cluster = Cluster(directory, request.param)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PGRECALL_TEST_URL", cluster.url)
        made = Server()
    yield made
    made.close()
    cluster.stop()


@pytest.fixture
async def facts(client):
    """What the engine knows of the server."""
    return await client.server()


def halves(server):
    return tuple(map(int, server.vector_version.split("."))) >= (0, 7)


def iterates(server):
    return tuple(map(int, server.vector_version.split("."))) >= (0, 8)


def kept(filter):
    node = parse(filter)
    return lambda metadata: node is None or passes(node, metadata)


def test_the_server_is_seen_for_what_it_is(server, client, facts):
    assert facts.version // 10_000 == int(server.version.partition(".")[0])
    assert ".".join(map(str, facts.vector_version)) == server.vector_version
    assert (facts.has_halfvec, facts.has_iterative_scan) == (halves(server), iterates(server))


async def test_checks_name_what_is_old(server, client):
    docs = await client.get_or_create_collection("docs", dimensions=3)
    await docs.upsert([Record(id=f"{n}", embedding=[1, 2, n]) for n in range(90)])
    found = {finding.check: finding.verdict for finding in await client.check()}
    new = tuple(map(int, server.vector_version.split("."))) >= (0, 8, 2)
    assert (found["PostgreSQL"], found["pgvector"]) == ("ok", "ok" if new else "warn")
    assert "fail" not in {finding.verdict for finding in await docs.check(sample=5)}


async def test_every_verb_works(client, connection):
    docs = await client.get_or_create_collection("docs", dimensions=3)
    for handle in (docs, docs.using(connection)):
        given = [Record(id=f"{n}", embedding=[1, 2, n], content="é", metadata={"n": n}) for n in range(90)]
        assert (await handle.upsert(given)).inserted == 90
        assert (await handle.upsert(given)).unchanged == 90
        assert (await handle.upsert([*given[:3], Record(id="x", embedding=[3, 2, 1])])).inserted == 1
        assert await handle.update(["x", "y"], metadatas={"m": {"deep": [None, True]}}) == 1
        (found,) = await handle.get(["x"], include=["embedding"])
        assert (found.metadata, found.embedding.tolist()) == ({"m": {"deep": [None, True]}}, [3, 2, 1])
        assert [record.id for record in (await handle.list(limit=2, after="9", prefix=None)).records] == ["x"]
        assert await handle.count({"n": {"$gte": 80}}) == 10
        assert len(await handle.search([1, 2, 3], 100, filter={"m.deep": {"$contains": True}})) == 1
        assert (await handle.stats()).rows == 91
        assert await handle.delete(filter={"n": {"$lt": 10}}) == 10
        assert await handle.clear() == 81


KINDS = [(d, "vector") for d in ("cosine", "l2", "inner_product", "l1")]
KINDS += [("cosine", "halfvec"), ("l1", "halfvec"), ("hamming", "bit"), ("jaccard", "bit")]


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
async def test_distances_are_those_of_brute_force_or_refused_at_once(server, client, kind):
    distance, vector_type = kind
    config = CollectionConfig(name="docs", dimensions=24, distance=distance, vector_type=vector_type)
    if not halves(server) and (vector_type != "vector" or distance == "l1"):
        with pytest.raises(SchemaError, match=r"needs pgvector 0\.7 or later"):
            await client.create_collection(config)
        return
    corpus = Corpus(rows=1_300, dimensions=24, distance=distance, vector_type=vector_type)
    docs = await client.create_collection(config)
    await docs.upsert(corpus.batch())
    query = corpus.query()
    for k in (1, 20, 1_300):
        corpus.check(await docs.search(query, k), query, k)
    await docs.create_index(SMALL)
    assert (await docs.explain(query)).access is Access.INDEX
    for k in (1, 20, 200):
        corpus.check(await docs.search(query, k), query, k, recall=0.5 if k > 1 else 0)
        corpus.check(await docs.search(query, k, options=SearchOptions(exact=True)), query, k)


@pytest.mark.parametrize(
    ("kind", "distance", "embedding"), [("bit(3)", None, [1, 0, 1]), ("vector(3)", "l1", [1, 2, 3])], ids=["bit", "l1"]
)
async def test_a_table_of_others_is_used_or_refused_before_it_is_searched(
    server, client, database, kind, distance, embedding
):
    database.execute(f"CREATE TABLE theirs (id text PRIMARY KEY, embedding {kind})")
    config = CollectionConfig(name="theirs", distance=distance)
    if halves(server):
        docs = await client.get_collection(config)
        await docs.upsert([Record(id="a", embedding=embedding)])
        assert [match.id for match in await docs.search(embedding)] == ["a"]
        return
    handle = client.collection(config)
    for call in (
        lambda: client.get_collection(config),
        lambda: client.get_or_create_collection(config),
        lambda: handle.search(embedding),
        handle.count,
    ):
        with pytest.raises(
            SchemaError, match=r"public\.theirs has it, needs pgvector 0\.7 or later, and this is 0\.6\.2"
        ):
            await call()


FILTERS = [None, {"half": 1}, {"colour": "red", "tenth": 4}, {"rare": True}, {"colour": "none"}, {"number": {"$lt": 3}}]


@pytest.mark.parametrize("index", [SMALL, IVFFlat(lists=10)], ids=["hnsw", "ivfflat"])
async def test_as_many_rows_as_pass_are_found_by_any_index(server, client, connection, index):
    corpus = Corpus(rows=3_000, dimensions=16)
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=16))
    await docs.upsert(corpus.batch())
    await docs.create_index(index)
    query = corpus.query()
    for handle in (docs, docs.using(connection)):
        for k in (1, 30, 300, 1_500):
            for filter in FILTERS:
                for access in (None, Access.EXACT, Access.INDEX):
                    options = SearchOptions(access=access)
                    matches = await handle.search(query, k, filter=filter, options=options)
                    recall = 1 if access is Access.EXACT else 0.1 if k > 1 else 0
                    corpus.check(matches, query, k, keep=kept(filter), recall=recall)
                forced = SearchOptions(access=Access.ITERATIVE)
                if iterates(server):
                    matches = await handle.search(query, k, filter=filter, options=forced)
                    corpus.check(matches, query, k, keep=kept(filter), recall=0.1 if k > 1 else 0)
                else:
                    with pytest.raises(ConfigError, match="'iterative' was asked for"):
                        await handle.search(query, k, filter=filter, options=forced)
    plan = await docs.explain(query, options=SearchOptions(access=Access.INDEX), postgres=True)
    assert any(f"Index Scan using {plan.index}" in line for line in plan.postgres)


FIELDS = {"half": int, "tenth": float, "colour": str, "rare": bool, "tags": list[str], "size.w": int}
ON_FIELDS = [
    {"half": 1},
    {"tenth": {"$between": [2, 4]}},
    {"colour": {"$in": ["red", "blue"]}, "rare": False},
    {"$or": [{"colour": "red"}, {"rare": True}]},
    {"colour": {"$ne": "red"}},
    {"tags": {"$contains": "even"}},
    {"size.w": {"$nin": [0, 1]}, "half": 0},
    {"colour": "none"},
]


async def filled_with_fields(docs):
    corpus = Corpus(rows=2_500, dimensions=16)
    for n, metadata in enumerate(corpus.metadatas):
        metadata |= {"tags": ["even"] if n % 2 == 0 else ["odd"], "size": {"w": n % 5}}
    await docs.upsert(corpus.batch())
    return corpus


@pytest.mark.parametrize("when", ["from the start", "later"])
async def test_fields_work_with_codes_or_without(server, client, database, when):
    fields = FIELDS if when == "from the start" else {}
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=16, fields=fields))
    corpus = await filled_with_fields(docs)
    if when == "later":
        await docs.add_fields(FIELDS)
    await docs.create_index(SMALL)
    columns = {row[0] for row in database.rows("SELECT attname FROM pg_attribute WHERE attrelid = 'docs'::regclass")}
    assert columns >= {*FIELDS}
    assert ("embedding_code" in columns) is halves(server)
    database.execute("CREATE INDEX ON docs USING hnsw (embedding vector_cosine_ops) WHERE colour = 'red'")
    database.execute("VACUUM (ANALYZE) docs")
    async with AsyncClient(database.url) as other:
        docs, query = other.collection("docs"), corpus.query()
        for filter in ON_FIELDS:
            for k in (1, 30, 1_500):
                recall = 0.5 if k > 1 else 0
                for options in (None, SearchOptions(access=Access.INDEX)):
                    matches = await docs.search(query, k, filter=filter, options=options)
                    corpus.check(matches, query, k, keep=kept(filter), recall=recall)
                await served(docs, corpus, k, filter, Access.COVERING, there=halves(server) and "tags" not in filter)
                red = {"$and": [{"colour": "red"}, filter]}
                await served(docs, corpus, k, red, Access.PARTIAL, there=iterates(server))
        plan = await docs.explain(
            query, filter={"half": 1, "tenth": 3}, options=SearchOptions(exact=True), postgres=True
        )
        assert any("docs_domain_id_" in line for line in plan.postgres)
        await docs.update(corpus.ids[:5], metadatas={"colour": "new"})
        assert len(await docs.search(query, 10, filter={"colour": "new"})) == 5


async def served(docs, corpus, k, filter, access, *, there):
    """Check that a way serves, or that it is refused."""
    query, options = corpus.query(), SearchOptions(access=access)
    if there:
        matches = await docs.search(query, k, filter=filter, options=options)
        corpus.check(matches, query, k, keep=kept(filter), recall=0.5 if k > 1 else 0)
    else:
        with pytest.raises(ConfigError, match=f"'{access.value}' was asked for"):
            await docs.search(query, k, filter=filter, options=options)


async def test_what_goes_with_the_embeddings_is_measured_and_indexed_where_that_helps(server, client, monkeypatch):
    monkeypatch.setattr("pgrecall.collection.indexes.field_indexes._WORTH_AN_INDEX", 500)
    corpus = Corpus(rows=2_400, dimensions=16)
    corpus.matrix[::2] += 3
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=16, fields={"half": int}))
    await docs.upsert(corpus.batch())
    await docs.create_index(SMALL)
    query, filter = corpus.matrix[0], {"half": 1}
    matches = await docs.search(query, 20, filter=filter)
    corpus.check(matches, query, 20, keep=lambda m: m["half"], recall=0.5)
    of_values = [index for index in (await docs.stats()).indexes if index.condition is not None]
    # Before 0.8 no search can use them.
    assert len(of_values) == (2 if iterates(server) else 0)


@pytest.mark.parametrize(("dimensions", "quantized"), [(2_001, "halfvec"), (4_001, "bit")])
async def test_many_dimensions_are_indexed_or_refused_with_what_to_do(server, client, dimensions, quantized):
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=dimensions))
    corpus = Corpus(rows=200, dimensions=dimensions)
    await docs.upsert(corpus.batch())
    query = corpus.query()
    if halves(server):
        assert (await docs.create_index(SMALL)).quantized == quantized
        for access in (Access.INDEX, Access.ITERATIVE) if iterates(server) else (Access.INDEX,):
            matches = await docs.search(query, 10, options=SearchOptions(access=access))
            corpus.check(matches, query, 10, recall=0.3)
    else:
        with pytest.raises(ConfigError, match=r"pgvector.*0\.7"):
            await docs.create_index(SMALL)
    corpus.check(await docs.search(query, 10, options=SearchOptions(exact=True)), query, 10)


@pytest.mark.parametrize("quantization", ["halfvec", "bit"])
async def test_quantisation_that_is_asked_for_is_there_or_refused_with_what_to_do(server, client, quantization):
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=32))
    corpus = Corpus(rows=1_200, dimensions=32)
    await docs.upsert(corpus.batch())
    index = HNSW(m=8, ef_construction=32, quantization=quantization)
    if not halves(server):
        with pytest.raises(ConfigError, match=r"pgvector.*0\.7"):
            await docs.create_index(index)
        return
    assert (await docs.create_index(index)).quantized == quantization
    query = corpus.query()
    plan = await docs.explain(query, postgres=True)
    assert (plan.access, plan.quantized) == (Access.INDEX, quantization)
    assert any(f"Index Scan using {plan.index}" in line for line in plan.postgres)
    corpus.check(await docs.search(query, 10), query, 10, recall=0.3)


async def test_recall_is_measured_and_tuned(client):
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=16))
    corpus = Corpus(rows=2_000, dimensions=16)
    await docs.upsert(corpus.batch())
    await docs.create_index(SMALL)
    report = await docs.recall(10, sample=10)
    assert report.recall > 0.5
    await docs.tune(0.9, sample=10)
    assert len(await docs.search(corpus.query(), 10)) == 10
