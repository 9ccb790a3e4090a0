"""Every way to the nearest rows, asked for by name, held against brute force: right in number, scope and order."""

import asyncpg
import numpy as np
import pytest

from integration_tests.oracle import Corpus, distances
from pgrecall import (
    HNSW,
    AsyncClient,
    Client,
    CollectionConfig,
    Columns,
    Distance,
    IVFFlat,
    Record,
    RecordBatch,
    RecordChange,
    SearchOptions,
)
from pgrecall.collection.finding import searching
from pgrecall.errors import ConfigError, IndexBuildError
from pgrecall.filters import parse
from pgrecall.plan import Access
from tests.evaluation import passes

ROWS = 2_500
SMALL = HNSW(m=8, ef_construction=32)
# Of HNSW far below what is found: a single row is found or not, and ties among a few bits are many. Which rows share
# a cell of IVFFlat depends on the rows that pgvector happens to learn its cells from, so what a few cells hold has no
# bound; all of them hold every row.
RECALL = 0.7
CELLS = 10
KINDS = [(d, t, "hnsw") for t in ("vector", "halfvec") for d in ("cosine", "l2", "inner_product", "l1")]
KINDS += [("hamming", "bit", "hnsw"), ("jaccard", "bit", "hnsw"), ("cosine", "vector", "ivfflat")]
WITH = {"hnsw": "m = 8, ef_construction = 32", "ivfflat": f"lists = {CELLS}"}
FIELDS = {"half": int, "colour": str, "rare": bool, "size.w": int, "tags": list[str], "at": "time", "maybe": float}
APPROXIMATE = [Access.INDEX, Access.ITERATIVE, Access.PARTIAL, Access.COVERING]
KS = [1, 10, 500, 2_000]
FILTERS = {
    "number": {"half": 1},
    "text": {"colour": "green"},
    "true": {"rare": True},
    "false": {"rare": False},
    "nested": {"size.w": 3},
    "in": {"colour": {"$in": ["red", "black", "none"]}},
    "less": {"size.w": {"$lt": 2}},
    "between": {"at": {"$between": ["2024-01-03", "2024-01-11"]}},
    "not equal": {"maybe": {"$ne": 1}},
    "not in": {"maybe": {"$nin": [0, 1.5]}},
    "or": {"$or": [{"rare": True}, {"colour": "red"}]},
    "not": {"$not": {"half": 1, "colour": "red"}},
    "exists": {"maybe": {"$exists": True}},
    "null": {"maybe": None},
    "list": {"tags": {"$contains": "even"}},
    "whole list": {"tags": ["even"]},
    "no field": {"tenth": {"$gte": 4}},
    "both": {"half": 0, "tenth": {"$in": [2, 4]}, "tags": {"$contains": "even"}},
    "like": {"colour": {"$like": "%e%"}},
    "few": {"number": {"$lt": 7}},
    "none": {"colour": "none"},
}
# One of each sort: what filters mean does not depend on the distance.
SHORT_LIST = ("number", "in", "no field", "none")
COVERED = ["number", "text", "true", "false", "nested", "in", "less", "between", "not equal", "not in", "or", "not"]
COVERED += ["none"]


class Rows(Corpus):
    """A corpus with more to filter by."""

    def __init__(self, rows=ROWS, seed=None, **options):
        super().__init__(rows=rows, **options)
        if seed is not None:
            self.matrix = self.draw(rows, seed=seed)
        for n, metadata in enumerate(self.metadatas):
            metadata |= {"size": {"w": n % 5}, "tags": ["even"] if n % 2 == 0 else ["odd", "uneven"]}
            metadata |= {"at": f"2024-01-{n % 28 + 1:02}"}
            if n % 3:
                metadata["maybe"] = [0, 1, 1.5, "1", None][n % 5]

        self._passing = {}

    def check_filtered(self, matches, query, k, filter, recall=1.0):
        node = parse(filter)
        if node not in self._passing:
            self._passing[node] = {m["number"] for m in self.metadatas if node is None or passes(node, m)}
        kept = self._passing[node]
        self.check(matches, query, k, keep=lambda m: m["number"] in kept, recall=recall if k > 1 else 0)


def index_partly(database, table, opclass, method, condition):
    """Give *table* a vector index of the rows with that condition."""
    database.execute(
        f"CREATE INDEX ON {table} USING {method} (embedding {opclass}) WITH ({WITH[method]}) WHERE {condition}"
    )


@pytest.fixture(scope="module", params=KINDS, ids="-".join)
def kind(request, module_database):
    """A corpus, the collection that holds it, and the method of its indexes: of all rows, and of the red ones."""
    distance, vector_type, method = request.param
    name = "_".join(request.param)
    corpus = Rows(distance=distance, vector_type=vector_type)
    config = CollectionConfig(name=name, dimensions=16, distance=distance, vector_type=vector_type, fields=FIELDS)
    with Client(module_database.url) as client:
        docs = client.get_or_create_collection(config)
        docs.upsert(corpus.batch())
        docs.create_index(SMALL if method == "hnsw" else IVFFlat(lists=CELLS))
    opclass = Distance(distance).operator_class(corpus_type(vector_type))
    index_partly(module_database, name, opclass, method, "colour = 'red'")
    module_database.execute(f"VACUUM (ANALYZE) {name}")
    with Client(module_database.url) as client:
        yield corpus, client.collection(name), method


def corpus_type(name):
    from pgrecall.distance import VectorType

    return VectorType(name)


def has_codes(corpus):
    return corpus.distance is Distance.COSINE


def narrowed(access, filter):
    """Return *filter* as the way needs it: a partial index is of the red rows."""
    return {"$and": [{"colour": "red"}, filter]} if access is Access.PARTIAL else filter


def filters(kind):
    """Return which filters a collection is asked for: all of them by cosine, a few by any other distance."""
    return FILTERS if kind[0].distance is Distance.COSINE else {name: FILTERS[name] for name in SHORT_LIST}


def test_exact_ways_are_brute_force(kind):
    corpus, docs, _ = kind
    query = corpus.query()
    for filter in filters(kind).values():
        for k in KS:
            for options in (SearchOptions(access=Access.EXACT), SearchOptions(exact=True)):
                corpus.check_filtered(docs.search(query, k, filter=filter, options=options), query, k, filter)


def efforts(method, access):
    """Return options of one way with the recall that each is sure to reach."""
    if method == "hnsw" or access is Access.COVERING:
        return {SearchOptions(access=access): RECALL}
    # Unless told otherwise the planner may choose the covering way, to which cells mean nothing.
    return {SearchOptions(access=access): 0, SearchOptions(access=access, probes=CELLS): 1 if access else RECALL}


@pytest.mark.parametrize("access", [None, *APPROXIMATE])
@pytest.mark.parametrize("k", KS)
def test_approximate_ways_give_as_many_rows_as_pass(kind, access, k):
    corpus, docs, method = kind
    query = corpus.query()
    for name, filter in filters(kind).items():
        if k == KS[-1] and name not in SHORT_LIST:
            continue
        wanted = narrowed(access, filter)
        if access is Access.COVERING and not (has_codes(corpus) and name in COVERED):
            with pytest.raises(ConfigError, match="'covering' was asked for, but nothing here can serve"):
                docs.search(query, filter=wanted, options=SearchOptions(access=access))
            continue
        for options, recall in efforts(method, access).items():
            matches = docs.search(query, k, filter=wanted, options=options)
            corpus.check_filtered(matches, query, k, wanted, recall=recall)


def test_approximate_ways_without_a_filter_give_k_rows(kind):
    corpus, docs, method = kind
    query = corpus.query()
    for access in (None, Access.INDEX, Access.ITERATIVE):
        for k in KS:
            for options, recall in efforts(method, access).items():
                corpus.check_filtered(docs.search(query, k, options=options), query, k, None, recall=recall)
    for access in (Access.PARTIAL, Access.COVERING):
        with pytest.raises(ConfigError, match="nothing here can serve"):
            docs.search(query, options=SearchOptions(access=access))


def test_a_value_that_no_partial_index_is_of_cannot_be_asked_of_one(kind):
    corpus, docs, _ = kind
    for filter in ({"colour": "green"}, {"$or": [{"colour": "red"}, {"half": 1}]}, {"colour": {"$ne": "red"}}):
        with pytest.raises(ConfigError, match="'partial' was asked for, but nothing here can serve"):
            docs.search(corpus.query(), filter=filter, options=SearchOptions(access=Access.PARTIAL))


@pytest.mark.parametrize("access", [Access.EXACT, *APPROXIMATE])
def test_without_anything_to_spare_every_way_gives_k_rows(kind, access):
    corpus, docs, _ = kind
    if access is Access.COVERING and not has_codes(corpus):
        return
    query = corpus.query()
    options = SearchOptions(access=access, ef_search=1, probes=1, max_scan_tuples=1, overfetch=1)
    for filter in ({"colour": "red"}, {"colour": "red", "half": 0, "size.w": {"$lt": 4}}):
        for k in (1, 10, 600):
            corpus.check_filtered(docs.search(query, k, filter=filter, options=options), query, k, filter, recall=0)


@pytest.mark.parametrize("access", [Access.EXACT, *APPROXIMATE])
def test_every_way_leaves_out_what_scores_lower_than_the_threshold(kind, access):
    corpus, docs, _ = kind
    if access is Access.COVERING and not has_codes(corpus):
        return
    query, filter, options = corpus.query(), {"colour": "red"}, SearchOptions(access=access)
    every = docs.search(query, 60, filter=filter, options=options)
    threshold = every[20].score
    found = docs.search(query, 60, filter=filter, options=options, score_threshold=threshold)
    # Of rows that are equally far, any may be found.
    assert [match.score for match in found] == [match.score for match in every if match.score >= threshold]
    assert docs.search(query, 60, filter=filter, options=options, score_threshold=every[0].score + 1) == []


@pytest.mark.parametrize("access", [Access.EXACT, *APPROXIMATE])
def test_every_way_returns_embeddings_where_asked(kind, access):
    corpus, docs, _ = kind
    if access is Access.COVERING and not has_codes(corpus):
        return
    query, filter, options = corpus.query(), {"colour": "red"}, SearchOptions(access=access)
    plain = docs.search(query, 20, filter=filter, options=options)
    full = docs.search(query, 20, filter=filter, options=options, include=["embedding", "envelope"])
    assert [match.id for match in plain] == [match.id for match in full]
    assert {match.embedding is None for match in plain} == {True}
    for match in full:
        assert np.array_equal(match.embedding, corpus.matrix[int(match.id[1:])])


@pytest.fixture(scope="module")
def shared(module_database):
    """Four domains with the same ids, whose rows are different ones."""
    corpora = {domain: Rows(rows=900, seed=number) for number, domain in enumerate(("a", "b", "c", "default"))}
    with Client(module_database.url) as client:
        docs = client.get_or_create_collection(CollectionConfig(name="shared", dimensions=16, fields=FIELDS))
        for domain, corpus in corpora.items():
            docs.domain(domain).upsert(corpus.batch())
        docs.create_index(SMALL)
    index_partly(module_database, "shared", "vector_cosine_ops", "hnsw", "colour = 'red'")
    module_database.execute("VACUUM (ANALYZE) shared")
    with Client(module_database.url) as client:
        yield corpora, client.collection("shared")


@pytest.mark.parametrize("access", [None, Access.EXACT, *APPROXIMATE])
@pytest.mark.parametrize("k", [1, 10, 300, 1_200])
def test_no_way_leaves_the_domain(shared, access, k):
    corpora, docs = shared
    for domain, corpus in corpora.items():
        query = corpus.query()
        for filter in ({"colour": "red"}, {"colour": "red", "half": 0}, {"$and": [{"colour": "red"}, {"size.w": 1}]}):
            matches = docs.domain(domain).search(query, k, filter=filter, options=SearchOptions(access=access))
            assert {match.domain_id for match in matches} == {domain}
            corpus.check_filtered(matches, query, k, filter, recall=0.7 if access else 0.5)


@pytest.mark.parametrize("access", [None, Access.EXACT, Access.INDEX, Access.ITERATIVE, Access.PARTIAL])
@pytest.mark.parametrize("k", [1, 10, 300, 2_000])
def test_every_way_finds_rows_of_all_domains_where_asked(shared, access, k):
    corpora, docs = shared
    query = corpora["a"].query()
    every = {
        (domain, corpus.ids[n]): far
        for domain, corpus in corpora.items()
        for n, far in enumerate(distances(corpus.matrix, query, Distance.COSINE))
        if corpus.metadatas[n]["colour"] == "red"
    }
    options = SearchOptions(access=access)
    matches = docs.all_domains().search(query, k, filter={"colour": "red"}, options=options)
    found = {(match.domain_id, match.id): match.distance for match in matches}
    assert len(found) == len(matches) == min(k, len(every))
    assert np.allclose([every[row] for row in found], list(found.values()), atol=1e-5)
    assert list(found.values()) == sorted(found.values())
    assert {domain for domain, _ in found} == {*corpora} or k < 50


def test_codes_are_not_reached_without_a_domain(shared):
    corpora, docs = shared
    with pytest.raises(ConfigError, match="'covering' was asked for"):
        docs.all_domains().search(
            corpora["a"].query(), filter={"colour": "red"}, options=SearchOptions(access=Access.COVERING)
        )


@pytest.mark.parametrize("access", [None, Access.EXACT, *APPROXIMATE])
def test_a_domain_without_rows_has_none(shared, access):
    corpora, docs = shared
    options = SearchOptions(access=access)
    assert docs.domain("nobody").search(corpora["a"].query(), filter={"colour": "red"}, options=options) == []


# --- what changes ------------------------------------------------------------------------------------


async def plan_and_matches(docs, query, k, **arguments):
    """Return what a search found, and how."""
    handle = docs._handle

    async def work(session):
        return await searching.run(handle, session, searching.Query.of(query, k, **arguments))

    matches, plan = await handle.run(work)
    return plan, matches


@pytest.fixture
async def changing(client, database):
    """A collection of its own, with all kinds of indexes."""
    corpus = Rows(rows=1_500)
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=16, fields=FIELDS))
    await docs.upsert(corpus.batch())
    await docs.create_index(SMALL)
    for condition in ("colour = 'red'", "colour = 'new'", "rare", "half = 1"):
        index_partly(database, "docs", "vector_cosine_ops", "hnsw", condition)
    database.execute("VACUUM (ANALYZE) docs")
    async with AsyncClient(database.url) as fresh:
        yield corpus, fresh.collection("docs")


WAYS = [Access.EXACT, *APPROXIMATE]


async def every_way(docs, query, k, filter):
    """Return what each way finds."""
    return [await docs.search(query, k, filter=filter, options=SearchOptions(access=access)) for access in WAYS]


@pytest.mark.parametrize("how", ["update", "upsert", "sql"])
async def test_rows_are_found_by_what_they_are_now(changing, connection, how):
    corpus, docs = changing
    red = [row_id for row_id, m in zip(corpus.ids, corpus.metadatas, strict=True) if m["colour"] == "red"]
    ids, query = red[:30], corpus.matrix[int(red[0][1:])]

    async def found(colour):
        return [{match.id for match in matches} for matches in await every_way(docs, query, 1_000, {"colour": colour})]

    assert await found("red") == [{*red}] * 5
    assert await found("new") == [set()] * 5
    if how == "update":
        await docs.update(ids, metadatas={"colour": "new"})
    elif how == "upsert":
        rows = [(row_id, corpus.matrix[int(row_id[1:])]) for row_id in ids]
        await docs.upsert([Record(id=row_id, embedding=row, metadata={"colour": "new"}) for row_id, row in rows])
    else:
        change = """UPDATE docs SET metadata = metadata || '{"colour": "new"}' WHERE id = ANY($1)"""
        await connection.execute(change, ids)
    assert await found("new") == [{*ids}] * 5
    assert await found("red") == [{*red} - {*ids}] * 5
    await docs.update(ids[:10], metadatas={"colour": 7})
    assert await found("new") == [{*ids[10:]}] * 5


async def test_rows_with_another_embedding_are_found_where_they_are_now(changing):
    corpus, docs = changing
    moved, there = corpus.ids[0], -corpus.matrix[0]
    await docs.update([moved], embeddings=[there])
    for (first,) in await every_way(docs, there, 1, {"colour": "red"}):
        assert (first.id, first.distance) == (moved, pytest.approx(0, abs=1e-6))
    for matches in await every_way(docs, corpus.matrix[0], 5, {"colour": "red"}):
        assert moved not in {match.id for match in matches}


async def test_deleted_rows_never_come_back(changing):
    corpus, docs = changing
    query, red = corpus.query(), {"colour": "red"}
    gone = {match.id for match in await docs.search(query, 50, filter=red)}
    assert await docs.delete(sorted(gone)) == 50
    for matches in await every_way(docs, query, 1_000, red):
        assert not gone & {match.id for match in matches}
        assert len(matches) == 375 - 50
    await docs.delete(filter=red)
    assert await every_way(docs, query, 10, red) == [[]] * 5
    await docs.upsert([Record(id=min(gone), embedding=query, metadata=red)])
    for matches in await every_way(docs, query, 10, red):
        assert [match.id for match in matches] == [min(gone)]


async def test_a_search_within_a_transaction_leaves_no_setting_behind(changing, connection):
    corpus, docs = changing
    knobs = ("hnsw.ef_search", "hnsw.iterative_scan", "hnsw.max_scan_tuples", "hnsw.scan_mem_multiplier")

    async def settings():
        return [await connection.fetchval(f"SHOW {knob}") for knob in knobs]

    await connection.fetchval("SELECT '[1]'::vector <-> '[2]'")
    before = await settings()
    async with connection.transaction():
        lent = docs.using(connection)
        await connection.execute("UPDATE docs SET content = 'mine' WHERE id = 'r00004'")
        for k in (3, 777, 1_500):
            filter = {"colour": "red"}
            for access in WAYS:
                matches = await lent.search(corpus.query(), k, filter=filter, options=SearchOptions(access=access))
                assert {match.content for match in matches if match.id == "r00004"} <= {"mine"}
                corpus.check_filtered(matches, corpus.query(), k, filter, recall=0.7)
                assert await settings() == before
    assert await settings() == before
    assert (await docs.get(["r00004"]))[0].content == "mine"


async def test_settings_of_the_caller_stay_as_they_are(changing, connection):
    corpus, docs = changing
    async with connection.transaction():
        await connection.execute("SET LOCAL hnsw.ef_search = 33; SET LOCAL hnsw.iterative_scan = 'strict_order'")
        await every_way(docs.using(connection), corpus.query(), 200, {"colour": "red"})
        assert await connection.fetchval("SHOW hnsw.ef_search") == "33"
        assert await connection.fetchval("SHOW hnsw.iterative_scan") == "strict_order"


# --- short answers, and what is learnt from them -----------------------------------------------------


async def test_a_short_answer_falls_back(changing):
    corpus, docs = changing
    red, query = {"colour": "red"}, corpus.query()
    for access in APPROXIMATE:
        options = SearchOptions(access=access)
        plan, matches = await plan_and_matches(docs, query, 10, filter=red, options=options)
        assert (plan.access, plan.fell_back, len(matches)) == (access, False, 10)
        plan, matches = await plan_and_matches(docs, query, 400, filter=red, options=options)
        assert (plan.access, plan.fell_back, len(matches)) == (Access.EXACT, True, 375)
        plan, matches = await plan_and_matches(docs, query, 10, filter={**red, "half": 1}, options=options)
        assert (plan.access, plan.fell_back, matches) == (Access.EXACT, True, [])


@pytest.fixture
async def apart(client):
    """Rows of which those that pass a filter are on the other side of all others: an index scan misses them."""
    rng = np.random.default_rng(7)
    near, far = rng.normal(5, 0.1, (4_000, 8)), rng.normal(-5, 0.1, (4_000, 8))
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=8, distance="l2"))
    batch = RecordBatch(
        embeddings=np.concatenate([near, far]).astype(np.float32),
        ids=[f"{n:04}" for n in range(8_000)],
        metadatas=[{"far": n >= 4_000, "third": n % 3} for n in range(8_000)],
    )
    await docs.upsert(batch)
    await docs.create_index(SMALL)
    return docs


SHORT = SearchOptions(max_scan_tuples=1)
"""So few that a scan ends before it comes to what passes."""


async def test_after_a_short_answer_another_way_is_taken(apart):
    query, filter = [5.0] * 8, {"far": True}
    plan, _ = await plan_and_matches(apart, query, 10, filter=filter, options=SHORT)
    assert plan.fell_back
    assert [way for way, _ in plan.considered] == [Access.EXACT]
    again = await apart.explain(query, 10, filter=filter, options=SHORT)
    assert (again.access, again.fell_back) == (Access.EXACT, False)
    plan, matches = await plan_and_matches(apart, query, 10, filter=filter, options=SHORT)
    assert (plan.access, plan.fell_back, len(matches)) == (Access.EXACT, False, 10)


async def test_what_is_learnt_of_one_filter_says_nothing_of_another(apart):
    query = [5.0] * 8
    other = await apart.explain(query, 10, filter={"far": False}, options=SHORT)
    assert other.access is Access.ITERATIVE
    await apart.search(query, 10, filter={"far": True}, options=SHORT)
    assert (await apart.explain(query, 10, filter={"far": False}, options=SHORT)).access is Access.ITERATIVE


async def test_a_count_that_was_learnt_makes_the_filter_exact(apart):
    query, filter = [5.0] * 8, {"far": True, "third": 1}
    forced = SearchOptions(access=Access.ITERATIVE, max_scan_tuples=1)
    matches = await apart.search(query, 3_000, filter=filter, options=forced)
    assert len(matches) == 1_334
    again = await apart.explain(query, 10, filter=filter)
    assert (again.access, again.matches) == (Access.EXACT, 1_334)


WRITES = {
    "upsert": lambda c, ids: c.upsert([Record(id=i, embedding=[5.0] * 8, metadata={"new": 1}) for i in ids]),
    "replace": lambda c, ids: c.replace([Record(id=i, embedding=[5.0] * 8, metadata={"new": 1}) for i in ids]),
    "update": lambda c, ids: c.update(ids, metadatas=[{"new": 1}] * len(ids)),
    "amend": lambda c, ids: c.amend([RecordChange(id=i, metadata={"new": 1}) for i in ids]),
    "update_where": lambda c, ids: c.update_where({"$id": {"$in": ids}}, metadata={"new": 1}),
}


@pytest.mark.parametrize("write", WRITES)
async def test_what_was_learnt_is_forgotten_when_rows_are_written(apart, write):
    query, filter = [5.0] * 8, {"new": 1}
    ids = [record.id for record in (await apart.list(limit=20)).records]
    forced = SearchOptions(access=Access.ITERATIVE)
    assert await apart.search(query, 3_000, filter=filter, options=forced) == []
    assert (await apart.explain(query, filter=filter)).matches == 0
    await WRITES[write](apart, ids)
    assert len(await apart.search(query, 30, filter=filter)) == 20
    assert (await apart.explain(query, filter=filter)).matches == 20


# --- tables of others --------------------------------------------------------------------------------

THEIRS = {
    "no domain": "CREATE TABLE theirs (id text PRIMARY KEY, embedding vector(16), metadata jsonb, content text)",
    "integer id": "CREATE TABLE theirs (id integer PRIMARY KEY, embedding vector(16), metadata jsonb, content text)",
    "key of the id": "CREATE TABLE theirs (id text PRIMARY KEY, domain_id text NOT NULL DEFAULT 'default', "
    "embedding vector(16), metadata jsonb, content text)",
    "uuid": "CREATE TABLE theirs (id uuid PRIMARY KEY, embedding vector(16) NOT NULL, metadata jsonb, content text)",
    "odd names": 'CREATE TABLE theirs ("the Id" text PRIMARY KEY, "vec ""x""" vector(16), "meta data" jsonb, '
    "content text, distance int, found int, nearest int, metadata int)",
    "no unique key": "CREATE TABLE theirs (id text NOT NULL, embedding vector(16), metadata jsonb, content text, "
    "CONSTRAINT for_now UNIQUE (id))",
}
NAMES = {"odd names": Columns(id="the Id", embedding='vec "x"', metadata="meta data")}
IDS = {"integer id": str, "uuid": lambda n: f"00000000-0000-0000-0000-{n:012}"}


@pytest.mark.parametrize("kind", THEIRS)
@pytest.mark.parametrize("method", [SMALL, HNSW(m=8, ef_construction=32, quantization="bit")], ids=["whole", "bits"])
async def test_every_way_serves_a_table_of_others(client, database, kind, method):
    corpus = Rows(rows=1_500)
    database.execute(THEIRS[kind])
    columns = NAMES.get(kind, Columns())
    docs = await client.get_collection(CollectionConfig(name="theirs", columns=columns))
    await docs.add_fields({"half": int, "colour": str, "rare": bool})
    ids = [IDS.get(kind, str)(n) for n in range(1_500)]
    await docs.upsert(RecordBatch(embeddings=corpus.matrix, ids=ids, metadatas=corpus.metadatas))
    if kind == "no unique key":
        database.execute("ALTER TABLE theirs DROP CONSTRAINT for_now")
    embedding = '"' + columns.embedding.replace('"', '""') + '"'
    if kind != "uuid":
        given = '"the Id"' if kind == "odd names" else "id"
        database.execute(f"INSERT INTO theirs ({given}) VALUES ('999999')")  # a row without an embedding
    async with AsyncClient(database.url) as other:
        docs = other.collection(CollectionConfig(name="theirs", columns=columns))
        await docs.create_index(method)
    database.execute(f"CREATE INDEX ON theirs USING hnsw ({embedding} vector_cosine_ops) WHERE colour = 'red'; ")
    database.execute("VACUUM (ANALYZE) theirs")
    async with AsyncClient(database.url) as other:
        docs = other.collection(CollectionConfig(name="theirs", columns=columns))
        query = corpus.query()
        far = distances(corpus.matrix, query, Distance.COSINE)
        red = [n for n in range(1_500) if corpus.metadatas[n]["colour"] == "red"]
        for access in (None, *WAYS):
            options = SearchOptions(access=access)
            if access is Access.COVERING and kind == "no unique key":
                with pytest.raises(ConfigError, match="'covering' was asked for"):
                    await docs.search(query, filter={"colour": "red"}, options=options)
                continue
            for k in (1, 20, 1_000):
                matches = await docs.search(query, k, filter={"colour": "red"}, options=options, include=["embedding"])
                found = [ids.index(match.id) for match in matches]
                assert len(set(found)) == len(found) == min(k, len(red))
                assert {*found} <= {*red}
                assert np.allclose([match.distance for match in matches], far[found], atol=1e-5)
                assert [match.distance for match in matches] == sorted(match.distance for match in matches)
                assert np.array_equal([match.embedding for match in matches], corpus.matrix[found])
                if access is Access.EXACT:
                    assert np.allclose(far[found], np.sort(far[red])[:k], atol=1e-6)


PARTITIONED = (
    "CREATE TABLE theirs (domain_id text, id text, embedding vector(16), metadata jsonb, content text, "
    "PRIMARY KEY (domain_id, id)) PARTITION BY LIST (domain_id); "
    "CREATE TABLE theirs_a PARTITION OF theirs FOR VALUES IN ('a'); "
    "CREATE TABLE theirs_rest PARTITION OF theirs DEFAULT"
)


@pytest.fixture
async def partitioned(client, database):
    corpora = {domain: Rows(rows=1_200, seed=number) for number, domain in enumerate(("a", "b", "c"))}
    database.execute(PARTITIONED)
    docs = await client.get_collection("theirs")
    for domain, corpus in corpora.items():
        batch = RecordBatch(embeddings=corpus.matrix, ids=corpus.ids, metadatas=corpus.metadatas)
        await docs.domain(domain).upsert(batch)
    return corpora, docs


async def test_a_partitioned_table_is_compared_in_one_step(partitioned):
    corpora, docs = partitioned
    for domain, corpus in corpora.items():
        query = corpus.query()
        for filter in (None, {"half": 1}, {"colour": "none"}):
            for k in (1, 30, 2_000):
                matches = await docs.domain(domain).search(query, k, filter=filter)
                corpus.check_filtered(matches, query, k, filter)
    assert len(await docs.all_domains().search(corpora["a"].query(), 4_000)) == 3_600


async def test_an_index_of_theirs_on_a_partitioned_table_is_used(partitioned, database):
    corpora, docs = partitioned
    database.execute("CREATE INDEX ON theirs USING hnsw (embedding vector_cosine_ops)")
    database.execute("VACUUM (ANALYZE) theirs")
    async with AsyncClient(database.url) as other:
        docs = other.collection("theirs")
        for access in (None, Access.EXACT, Access.INDEX, Access.ITERATIVE):
            for domain, corpus in corpora.items():
                query = corpus.query()
                for filter in (None, {"half": 1}, {"rare": True}):
                    for k in (1, 30, 2_000):
                        options = SearchOptions(access=access)
                        matches = await docs.domain(domain).search(query, k, filter=filter, options=options)
                        corpus.check_filtered(matches, query, k, filter, recall=0.6)


async def test_an_index_on_a_partitioned_table_is_built_or_refused_clearly(client, partitioned, database):
    corpora, docs = partitioned
    await docs.create_index(SMALL)
    for domain, corpus in corpora.items():
        query = corpus.query()
        matches = await docs.domain(domain).search(query, 30, options=SearchOptions(access=Access.INDEX))
        corpus.check_filtered(matches, query, 30, None, recall=0.6)
    # By what the partitions are is not known, so neither is which of them a domain is in.
    database.execute(PARTITIONED.replace("theirs", "others").replace("LIST (domain_id)", "LIST (id)"))
    with pytest.raises((ConfigError, IndexBuildError), match="partition"):
        await (await client.get_collection("others")).create_index(SMALL)


async def test_rows_in_tables_that_inherit_are_not_taken_for_others(client, database):
    """As in TimescaleDB, whose tables have their rows in children: the place of a row is not the row."""
    corpus = Rows(rows=900)
    database.execute(
        "CREATE TABLE theirs (id text PRIMARY KEY, embedding vector(16), metadata jsonb, content text); "
        "CREATE TABLE child (PRIMARY KEY (id)) INHERITS (theirs)"
    )
    docs = await client.get_collection("theirs")
    await docs.upsert(RecordBatch(embeddings=corpus.matrix, ids=corpus.ids, metadatas=corpus.metadatas))
    database.execute("INSERT INTO child SELECT id || 'x', embedding, metadata FROM theirs WHERE id > 'r00300'")
    database.execute("ANALYZE theirs")
    docs, query = (await client.get_collection("theirs")), corpus.query()
    for filter, passing in ((None, 1_499), ({"half": 1}, 750)):
        matches = await docs.search(query, 2_000, filter=filter)
        assert len(matches) == len({match.id for match in matches}) == passing
        for match in matches:
            far = distances(corpus.matrix[[int(match.id[1:6])]], query, Distance.COSINE)[0]
            assert match.distance == pytest.approx(far, abs=1e-5)


async def test_numbers_too_long_for_a_column_equal_but_pass_no_comparison(client):
    """As `pgrecall.promoted` says: the column leaves them out, and numbers are compared there."""
    config = CollectionConfig(name="docs", dimensions=2, fields={"p": float})
    docs = await client.create_collection(config)
    values = [1e-20, 0.5, 3, -4, 1e60, -1e60, 10**41]
    await docs.upsert([Record(id=str(n), embedding=[1, n + 1], metadata={"p": v}) for n, v in enumerate(values)])
    for limit in (0, 0.5, 1, -1, 1e30):
        expected = {str(n) for n, value in enumerate(values[:4]) if value < limit}
        assert {match.id for match in await docs.search([1, 1], 20, filter={"p": {"$lt": limit}})} == expected, limit
    assert [match.id for match in await docs.search([1, 1], 20, filter={"p": 10**41})] == ["6"]


async def test_plans_hold_on_a_connection_that_is_lent(changing, url):
    corpus, docs = changing
    connection = await asyncpg.connect(url)
    try:
        lent = docs.using(connection)
        for access in WAYS:
            for k in (1, 40, 1_200):
                for filter in ({"colour": "red"}, {"colour": "red", "half": 0}):
                    options = SearchOptions(access=access)
                    matches = await lent.search(corpus.query(), k, filter=filter, options=options)
                    corpus.check_filtered(matches, corpus.query(), k, filter, recall=0.7)
    finally:
        await connection.close()
