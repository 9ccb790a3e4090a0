"""Sparse embeddings, held against NumPy: written, read, changed, searched by inner product, and fused with the rest."""

from dataclasses import replace

import numpy as np
import pytest

from pgrecall import (
    HNSW,
    AsyncClient,
    Client,
    CollectionConfig,
    Columns,
    Convex,
    HashPartitions,
    HybridOptions,
    KeywordOptions,
    PoolConfig,
    ReciprocalRank,
    Record,
    RecordBatch,
    RecordChange,
    SearchOptions,
    Union,
)
from pgrecall.collection.schema import _check_versions
from pgrecall.errors import ConfigError, DimensionMismatch, IndexBuildError, RecordError, SchemaError
from pgrecall.fusion import LEGS
from pgrecall.plan import Access
from tests.tables import server as described

ROWS = 1_500
SIZE = 400
WORDS = [f"w{n}" for n in range(60)]
QUERY = "w3 w20"


def draw(count, seed, weights=20):
    """Return *count* sparse embeddings, as mappings whose weights single precision holds."""
    rng = np.random.default_rng(seed)
    # A few indices are in most of them, as with learned encoders.
    found = []
    for _ in range(count):
        indices = np.unique((SIZE * rng.random(weights) ** 3).astype(int))
        drawn = rng.exponential(size=len(indices)).astype(np.float32)
        found.append(dict(zip(indices.tolist(), drawn.tolist(), strict=True)))
    return found


def dense(embeddings):
    matrix = np.zeros((len(embeddings), SIZE))
    for row, embedding in zip(matrix, embeddings, strict=True):
        row[list(embedding)] = list(embedding.values())
    return matrix


SPARSE = draw(ROWS, seed=1)
MATRIX = dense(SPARSE)
EMBEDDINGS = np.random.default_rng(2).normal(size=(ROWS, 8)).astype(np.float32)
(ASKED,) = draw(1, seed=3)
NEAR = EMBEDDINGS[7]
PRODUCTS = MATRIX @ dense([ASKED])[0]
CONFIG = CollectionConfig(name="docs", dimensions=2, sparse_dimensions=SIZE)


def ranked(products, k, keep=lambda n: True):
    return sorted((n for n in range(len(products)) if keep(n)), key=lambda n: -products[n])[:k]


def check(matches, k, keep=lambda n: True, recall=1.0):
    """Hold *matches* against brute force."""
    best = ranked(PRODUCTS, k, keep)
    found = [int(match.id) for match in matches]
    assert len(found) == len(set(found)) == len(best)
    assert all(keep(n) for n in found)
    scores = [match.score for match in matches]
    assert scores == pytest.approx(PRODUCTS[found], rel=1e-5)
    assert scores == sorted(scores, reverse=True)
    assert [match.scores.sparse for match in matches] == scores == [-match.distance for match in matches]
    if best:
        assert np.mean(PRODUCTS[found] >= PRODUCTS[best[-1]] - 1e-5) >= recall


@pytest.fixture(scope="module")
def filled(module_database):
    """Two domains, the second of them of fewer rows and with other embeddings; some rows have no sparse embedding."""
    rng = np.random.default_rng(4)
    with Client(module_database.url) as client:
        docs = client.get_or_create_collection(replace(CONFIG, dimensions=8, text_search="simple"))
        docs.upsert(
            RecordBatch(
                embeddings=EMBEDDINGS,
                ids=[str(n) for n in range(ROWS)],
                contents=[" ".join(rng.choice(WORDS, size=8)) for _ in range(ROWS)],
                metadatas=[{"half": n % 2, "rare": n % 100 == 0} for n in range(ROWS)],
                sparse_embeddings=SPARSE,
            )
        )
        others = [{index: 2 * weight for index, weight in one.items()} for one in SPARSE[:50]]
        docs.domain("other").upsert(
            RecordBatch(
                embeddings=EMBEDDINGS[:60], ids=[f"{n}" for n in range(60)], sparse_embeddings=others + [None] * 10
            )
        )
        docs.create_index()
    return module_database.url


@pytest.fixture
async def docs(filled):
    async with AsyncClient(filled) as client:
        yield client.collection("docs")


FORCED = [
    SearchOptions(exact=True),
    SearchOptions(access=Access.INDEX, ef_search=400),
    SearchOptions(access=Access.ITERATIVE),
    None,
]


@pytest.mark.parametrize("options", FORCED)
@pytest.mark.parametrize("k", [1, 10, ROWS + 100])
async def test_the_largest_inner_products_are_found_by_every_way(docs, k, options):
    check(await docs.search_sparse(ASKED, k, options=options), k, recall=0.95)


@pytest.mark.parametrize("options", FORCED)
@pytest.mark.parametrize(("filter", "keep"), [({"half": 1}, lambda n: n % 2), ({"rare": True}, lambda n: n % 100 == 0)])
async def test_filtered_searches_find_k_rows_if_they_pass(docs, filter, keep, options):
    found = await docs.search_sparse(ASKED, 20, filter=filter, options=options)
    check(found, 20, keep=keep, recall=0.9)
    assert all(match.metadata["half"] == int(match.id) % 2 for match in found)


async def test_domains_are_kept_apart(docs):
    found = await docs.domain("other").search_sparse(ASKED, 100)
    assert len(found) == 50, "those without a sparse embedding cannot be compared"
    assert [match.score for match in found] == pytest.approx(sorted(2 * PRODUCTS[:50], reverse=True), rel=1e-5)
    everywhere = await docs.all_domains().search_sparse(ASKED, 30, options=SearchOptions(exact=True))
    assert {match.domain_id for match in everywhere} == {"default", "other"}
    best = sorted([*PRODUCTS, *(2 * PRODUCTS[:50])], reverse=True)[:30]
    assert [match.score for match in everywhere] == pytest.approx(best, rel=1e-5)


async def test_the_index_is_used_and_the_dense_one_still_is(docs):
    plan = await docs.explain_sparse(ASKED, postgres=True)
    near = await docs.explain(NEAR, postgres=True)
    assert plan.access is near.access is Access.INDEX
    assert plan.index != near.index
    for one in (plan, near):
        assert any(f"Index Scan using {one.index} " in line for line in one.postgres)
    assert not any("Sort" in line for line in plan.postgres)
    assert [index.name for index in (await docs.stats()).indexes] == [near.index]
    iterative = await docs.explain_sparse(ASKED, filter={"half": 1}, options=FORCED[2], postgres=True)
    assert any(f"Index Scan using {plan.index} " in line for line in iterative.postgres)


async def test_a_threshold_an_extra_and_the_two_ways_to_write_a_query(docs):
    fifth = np.sort(PRODUCTS)[-5]
    for options in FORCED:
        found = await docs.search_sparse(ASKED, 50, score_threshold=float(fifth) - 1e-4, options=options)
        assert len(found) == 5
    arrays = np.array(list(ASKED)), np.array(list(ASKED.values()))
    found = await docs.search_sparse(arrays, 3, include=["sparse_embedding", "embedding"])
    check(found, 3)
    assert [match.sparse_embedding for match in found] == [SPARSE[int(match.id)] for match in found]
    assert found[0].embedding == pytest.approx(EMBEDDINGS[int(found[0].id)])
    assert (await docs.search_sparse(ASKED, 1))[0].sparse_embedding is None
    assert {match.score for match in await docs.search_sparse({}, 4)} == {0.0}


async def test_blocking_and_lent_callers_find_the_same(filled, connection_to):
    with Client(filled) as client:
        docs = client.collection("docs")
        check(docs.search_sparse(ASKED, 10), 10, recall=0.9)
        assert docs.explain_sparse(ASKED).access is Access.INDEX
    connection = await connection_to(filled)
    async with AsyncClient(connection=connection) as client, connection.transaction():
        lent = client.collection("docs")
        check(await lent.search_sparse(ASKED, 10, filter={"half": 0}, options=FORCED[2]), 10, lambda n: n % 2 == 0, 0.9)
        assert await connection.fetchval("SHOW hnsw.iterative_scan") == "off"
        assert (await lent.get(["3"], include=["sparse_embedding"]))[0].sparse_embedding == SPARSE[3]
        options = HybridOptions(sparse=ASKED)
        assert len(await lent.search_hybrid(QUERY, NEAR, 10, options=options)) == 10


@pytest.fixture
async def connection_to():
    import asyncpg

    made = []

    async def connect(url):
        made.append(await asyncpg.connect(url))
        return made[-1]

    yield connect
    for connection in made:
        await connection.close()


# Three legs


def parts(docs, match):
    corpus = docs._handle.knowledge.corpora[None][0]
    half = float(np.square(list(ASKED.values())).sum())
    return {
        "dense": corpus.dense_score(match.scores.dense),
        "keyword": corpus.keyword_score(match.scores.keyword),
        "sparse": match.scores.sparse / (match.scores.sparse + half) if match.scores.sparse > 0 else 0.0,
    }


@pytest.mark.parametrize("filter", [None, {"half": 1}])
async def test_the_mean_of_three_scores_is_that_over_everything(docs, filter):
    options = HybridOptions(sparse=ASKED, fusion=Convex(alpha=0.4))
    found = await docs.search_hybrid(QUERY, NEAR, 20, filter=filter, options=options)
    near = {match.id: match.score for match in await docs.search(NEAR, ROWS, options=FORCED[0])}
    worded = {match.id: match.scores.keyword for match in await docs.search_keyword(QUERY, ROWS)}
    for match in found:
        assert match.scores.dense == pytest.approx(near[match.id], abs=1e-5)
        assert match.distance == pytest.approx(1 - near[match.id], abs=1e-5)
        assert match.scores.keyword == pytest.approx(worded.get(match.id, 0.0))
        assert match.scores.sparse == pytest.approx(PRODUCTS[int(match.id)], rel=1e-5)
        of = parts(docs, match)
        assert match.score == pytest.approx(0.4 * of["dense"] + 0.3 * of["keyword"] + 0.3 * of["sparse"])
        assert 0 <= match.score <= 1
        assert filter is None or int(match.id) % 2
    whole = HybridOptions(sparse=ASKED, fusion=Convex(alpha=0.4), dense_k=ROWS, keyword_k=ROWS, sparse_k=ROWS)
    best = await docs.search_hybrid(QUERY, NEAR, 20, filter=filter, options=whole)
    assert len({match.id for match in found} & {match.id for match in best}) >= 14
    assert found[0].id == best[0].id == "7" or filter is None


async def test_ranks_and_unions_of_three(docs):
    legs = {
        "dense": [match.id for match in await docs.search(NEAR, 30)],
        "keyword": [match.id for match in await docs.search_keyword(QUERY, 30)],
        "sparse": [match.id for match in await docs.search_sparse(ASKED, 30)],
    }
    weights = {"dense": 1, "keyword": 0.5, "sparse": 2}
    scores = {}
    for leg in LEGS:
        for rank, name in enumerate(legs[leg], start=1):
            scores[name] = scores.get(name, 0) + weights[leg] / (60 + rank) / (3.5 / 61)
    options = HybridOptions(sparse=ASKED, fusion=ReciprocalRank(weights=weights))
    found = await docs.search_hybrid(QUERY, NEAR, 10, options=options)
    assert [match.score for match in found] == pytest.approx(sorted(scores.values(), reverse=True)[:10])
    options = HybridOptions(sparse=ASKED, fusion=Union(), dense_k=4, keyword_k=4, sparse_k=6)
    found = [match.id for match in await docs.search_hybrid(QUERY, NEAR, 12, options=options)]
    assert found[:4] == [match.id for match in await docs.search(NEAR, 12)][:4]
    one = HybridOptions(sparse=ASKED, fusion=ReciprocalRank(weights={"dense": 0, "keyword": 0}))
    found = await docs.search_hybrid(QUERY, NEAR, 5, options=one)
    assert [match.id for match in found] == legs["sparse"][:5]


async def test_exclusions_hold_for_what_only_the_sparse_embedding_finds(docs):
    web = KeywordOptions(syntax="web")
    for fusion in (Convex(), ReciprocalRank()):
        options = HybridOptions(sparse=ASKED, sparse_k=ROWS, words=web, dense_k=5, keyword_k=5, fusion=fusion)
        found = await docs.search_hybrid("w3 -w20", NEAR, ROWS, options=options, include=["highlights"])
        assert len(found) > 100
        assert not any("w20" in match.content.split() for match in found)
        assert all(match.highlights for match in found)


async def test_without_words_both_embeddings_decide(docs):
    options = HybridOptions(sparse=ASKED, fusion=Convex(alpha=0.5), dense_k=ROWS, sparse_k=ROWS)
    found = await docs.search_hybrid("?!", NEAR, 10, options=options)
    assert all(match.scores.keyword is None for match in found)
    corpus = docs._handle.knowledge.corpora[None][0]
    half = float(np.square(list(ASKED.values())).sum())
    for match in found:
        sparse = match.scores.sparse / (match.scores.sparse + half)
        assert match.score == pytest.approx(0.5 * corpus.dense_score(match.scores.dense) + 0.5 * sparse)
    assert (
        len({(m.domain_id, m.id) for m in await docs.all_domains().search_hybrid(QUERY, NEAR, 30, options=options)})
        == 30
    )


# Writing and reading


async def embeddings_of(docs, *ids):
    return [record.sparse_embedding for record in await docs.get(list(ids), include=["sparse_embedding"])]


async def test_what_is_written_comes_back_and_what_changed_is_an_update(client, connection):
    docs = await client.get_or_create_collection(CONFIG)
    lent = docs.using(connection)
    half = np.float16(0.5)
    given = [
        Record(id="a", embedding=[1, 2], sparse_embedding={9: 0.1, 3: 2, 5: 0.0}),
        Record(
            id="b",
            embedding=[1, 2],
            sparse_embedding=(np.array([0, SIZE - 1], np.uint8 if SIZE < 256 else int), [-1, half]),
        ),
        Record(id="c", embedding=[1, 2], sparse_embedding={}),
        Record(id="d", embedding=[1, 2]),
        Record(id="e", embedding=[1, 2], sparse_embedding=([4, 2], [1e-60, 1e-40])),
    ]
    expected = [{3: 2.0, 9: float(np.float32(0.1))}, {0: -1.0, SIZE - 1: 0.5}, {}, None, {2: float(np.float32(1e-40))}]
    # On the pool's connection, by COPY, and as text on a lent one.
    for handle, others in ((docs, 0), (docs.domain("many"), 100), (lent.domain("lent"), 60)):
        batch = [*given, *(replace(given[0], id=f"more{n}") for n in range(others))]
        assert (await handle.upsert(batch)).inserted == len(batch)
        assert (await handle.upsert(batch)).unchanged == len(batch)
        assert await embeddings_of(handle, *"abcde") == expected
        assert await embeddings_of(lent.domain(handle.scope.domain), *"abcde") == expected
        changed = [
            replace(given[0], sparse_embedding={9: 0.2, 3: 2}),
            replace(given[1], sparse_embedding=None),
            given[2],
        ]
        result = await handle.upsert(changed)
        assert (result.updated, result.unchanged) == (2, 1)
        assert await embeddings_of(handle, *"abc") == [{3: 2.0, 9: float(np.float32(0.2))}, None, {}]
        assert (await handle.get(["a"]))[0].sparse_embedding is None
        assert await handle.replace([replace(given[0], sparse_embedding={1: 1})]) == 1
        assert await embeddings_of(handle, "a") == [{1: 1.0}]
        assert await handle.update(["a", "b"], sparse_embeddings=[None, {2: 3}]) == 2
        assert await embeddings_of(handle, "a", "b") == [None, {2: 3.0}]
        assert await handle.amend([RecordChange(id="b", sparse_embedding={2: 4})]) == 1
        page = await handle.list(limit=3, include=["sparse_embedding"])
        assert [record.sparse_embedding for record in page.records] == [None, {2: 4.0}, {}]
    assert (
        await connection.fetchval("SELECT sparse_embedding::text FROM docs WHERE id = 'b' LIMIT 1") == f"{{3:4}}/{SIZE}"
    )


async def test_a_column_is_added_to_a_table_that_is_there(client, connection):
    plain = replace(CONFIG, sparse_dimensions=None)
    docs = await client.get_or_create_collection(plain)
    record = Record(id="a", embedding=[1, 2], sparse_embedding={1: 1.0})
    await docs.upsert([replace(record, sparse_embedding=None)])
    with pytest.raises(SchemaError, match="add_sparse_embeddings"):
        await docs.search_sparse({1: 1.0})
    with pytest.raises(RecordError, match=r"'a'.*add_sparse_embeddings"):
        await docs.upsert([record])
    made = await docs.add_sparse_embeddings(SIZE)
    assert (made.column, made.dimensions, made.index) == ("sparse_embedding", SIZE, None)
    assert await docs.add_sparse_embeddings(SIZE) == made
    with pytest.raises(DimensionMismatch):
        await docs.add_sparse_embeddings(SIZE + 1)
    assert (await docs.upsert([record])).updated == 1
    assert [match.score for match in await docs.search_sparse({1: 3.0})] == [3.0]
    for changes in ({"sparse_dimensions": 7}, {"columns": Columns(sparse_embedding="content_hash", content_hash=None)}):
        with pytest.raises((DimensionMismatch, SchemaError)):
            await client.get_collection(replace(plain, **changes))
    await client.get_or_create_collection(replace(plain, name="others"))
    named = replace(CONFIG, name="others", columns=Columns(sparse_embedding="splade"))
    again = await client.get_collection(named)
    assert (await again.add_sparse_embeddings(SIZE)).column == "splade"
    await again.upsert([record])
    assert await connection.fetchval("SELECT splade::text FROM others") == f"{{2:1}}/{SIZE}"
    with pytest.raises(ConfigError, match="sparse_dimensions"):
        await client.get_or_create_collection(replace(named, name="new", sparse_dimensions=None))


async def test_the_index_comes_with_the_dense_one_and_goes_with_it(client, connection):
    docs = await client.get_or_create_collection(CONFIG)
    record = Record(id="a", embedding=[1, 2], sparse_embedding=dict.fromkeys(range(SIZE), 1.0))
    await docs.upsert([record])
    await docs.create_index()
    first = (await docs.add_sparse_embeddings(SIZE)).index
    assert first.options == (("m", "16"), ("ef_construction", "64"))
    await docs.create_index()
    assert (await docs.add_sparse_embeddings(SIZE)).index.name == first.name
    await docs.create_index(HNSW(m=8), replace=True)
    second = (await docs.add_sparse_embeddings(SIZE)).index
    assert (second.name == first.name, dict(second.options)["m"]) == (False, "8")
    # What is dead slows both indexes, so both are built anew.
    await connection.execute("ALTER TABLE docs SET (autovacuum_enabled = off)")
    for n in range(3):
        await docs.upsert([replace(record, content=f"{n}")])
    await docs._handle.run(lambda session: session.connection.execute("SELECT pg_stat_force_next_flush()"))
    steps = [action.what for action in (await docs.maintain()).actions]
    assert [step.split(".")[-1] for step in steps[:2]] == [(await docs.stats()).indexes[0].name, second.name]
    assert all(step.startswith("REINDEX") for step in steps[:2])
    assert second.name in await docs.drop_index()
    assert (await docs.add_sparse_embeddings(SIZE)).index is None


async def test_a_table_with_partitions_is_indexed_too(client, connection):
    docs = await client.get_or_create_collection(replace(CONFIG, layout=HashPartitions(count=2)))
    for domain in ("default", "b", "c"):
        batch = [Record(id=f"{n}", embedding=[1, n], sparse_embedding=SPARSE[n]) for n in range(60)]
        await docs.domain(domain).upsert(batch)
    await docs.create_index()
    name = (await docs.add_sparse_embeddings(SIZE)).index.name
    await docs.create_index(HNSW(m=8), replace=True)
    made = (await docs.add_sparse_embeddings(SIZE)).index
    assert (made.name == name, dict(made.options)["m"]) == (False, "8")
    counted = "SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%sparsevec_ip_ops%'"
    assert await connection.fetchval(counted) == 3
    for options in (FORCED[0], FORCED[1]):
        found = await docs.domain("b").search_sparse(ASKED, 10, options=options)
        assert [match.score for match in found] == pytest.approx(sorted(PRODUCTS[:60], reverse=True)[:10], rel=1e-5)
    assert made.name in await docs.drop_index()
    assert await connection.fetchval(counted) == 0


async def test_a_copy_takes_them_along(client):
    docs = await client.get_or_create_collection(CONFIG)
    await docs.upsert([Record(id=f"{n}", embedding=[1, n], sparse_embedding=SPARSE[n]) for n in range(20)])
    target = client.collection(replace(CONFIG, name="target"))
    report = await docs.copy_to(target, convert=lambda r: replace(r, sparse_embedding=r.sparse_embedding | {3: 0.3}))
    assert (report.inserted, report.verified) == (20, 20)
    assert await embeddings_of(target, "4") == [dict(sorted((SPARSE[4] | {3: float(np.float32(0.3))}).items()))]
    with pytest.raises(RecordError, match="add_sparse_embeddings"):
        await docs.copy_to(client.collection(CollectionConfig(name="bare", dimensions=2)))


BAD = {
    "twice": ([3, 3], [1.0, 2.0]),
    "counted from 0": {-1: 1.0},
    "400 dimensions": {SIZE: 1.0},
    "NaN": {1: float("nan")},
    "single precision": {1: 1e39},
    "whole numbers": {1.5: 1.0},
    "2 indices": ([1, 2], [1.0]),
    "numbers for weights": {1: "2"},
    "for weights": {1: True},
    "for indices": ([[1]], [1.0]),
    "mapping": "text",
    "not int": 5,
}


async def test_bad_input_is_refused_before_anything_is_sent(client):
    docs = await client.get_or_create_collection(CONFIG)
    good = Record(id="good", embedding=[1, 2], sparse_embedding={1: 1.0})
    for why, embedding in BAD.items():
        with pytest.raises(RecordError, match=f"'bad'.*{why}"):
            await docs.upsert([good, Record(id="bad", embedding=[1, 2], sparse_embedding=embedding)])
        with pytest.raises(RecordError, match=f"query: .*{why}"):
            await docs.search_sparse(embedding)
    assert await docs.count() == 0


async def test_limits_of_pgvector_are_told(client):
    docs = await client.get_or_create_collection(replace(CONFIG, sparse_dimensions=10**9))
    most = {n * 50_000: 1.0 for n in range(16_000)}
    with pytest.raises(RecordError, match="16001 weights"):
        await docs.upsert([Record(id="a", embedding=[1, 2], sparse_embedding=most | {10**9 - 1: 1.0})])
    await docs.upsert([Record(id="a", embedding=[1, 2], sparse_embedding=most)])
    assert [match.score for match in await docs.search_sparse(most)] == [16_000]
    with pytest.raises(IndexBuildError, match="1000"):
        await docs.create_index()
    await docs.delete(["a"])
    await docs.maintain()
    await docs.create_index()
    await docs.upsert([Record(id="b", embedding=[1, 2], sparse_embedding=dict.fromkeys(range(1_000), 1.0))])
    with pytest.raises(RecordError, match=r"1001 weights.*the index"):
        await docs.upsert([Record(id="b", embedding=[1, 2], sparse_embedding=dict.fromkeys(range(1_001), 1.0))])
    assert len(await docs.search_sparse(most, options=SearchOptions(access=Access.INDEX))) == 1
    for wrong in (
        {"sparse_dimensions": 0},
        {"sparse_dimensions": 10**9 + 1},
        {"columns": Columns(sparse_embedding=None)},
    ):
        with pytest.raises(ConfigError):
            replace(CONFIG, **wrong)
    for wrong in ({"sparse": {1: "x"}}, {"sparse_k": 0}):
        with pytest.raises(ConfigError):
            HybridOptions(**wrong)
    with pytest.raises(ConfigError, match="partial"):
        await docs.search_sparse({1: 1.0}, options=SearchOptions(access=Access.PARTIAL))


def test_an_old_pgvector_is_told():
    _check_versions(described(vector_version=(0, 7, 0)), CONFIG)
    old = described(vector_version=(0, 6, 2))
    _check_versions(old, replace(CONFIG, sparse_dimensions=None))
    with pytest.raises(SchemaError, match=r"0\.7 or later, and this is 0\.6\.2"):
        _check_versions(old, CONFIG)


async def test_one_connection_is_enough(filled):
    async with AsyncClient(filled, pool=PoolConfig(max_size=1)) as client:
        found = await client.collection("docs").search_hybrid(QUERY, NEAR, 5, options=HybridOptions(sparse=ASKED))
        assert len(found) == 5
