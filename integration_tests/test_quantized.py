"""Indexes of something coarser than the column: any number of dimensions is indexed, and answers are ordered anew."""

import asyncio

import asyncpg
import numpy as np
import pytest

from integration_tests.oracle import COLOURS, Corpus
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
    SearchOptions,
)
from pgrecall.errors import ConfigError, PGRecallError, SchemaError
from pgrecall.plan import Access

WIDE = [
    ("vector", 2_000, None),
    ("vector", 2_001, "halfvec"),
    ("vector", 3_072, "halfvec"),
    ("vector", 4_000, "halfvec"),
    ("vector", 4_001, "bit"),
    ("vector", 5_000, "bit"),
    ("halfvec", 4_000, None),
    ("halfvec", 4_001, "bit"),
    ("bit", 5_000, None),
]
BY_INDEX = SearchOptions(access=Access.INDEX)
ITERATIVE = SearchOptions(access=Access.ITERATIVE)
EXACT = SearchOptions(access=Access.EXACT)
SMALL = {"m": 8, "ef_construction": 32}
RECALL = {None: 0.7, "halfvec": 0.7, "bit": 0.5}
"""Far below what is found."""


class Clusters(Corpus):
    """Rows around a few centres, as the embeddings of texts are."""

    def draw(self, rows, seed=1):
        if self.vector_type == "bit":
            return super().draw(rows, seed)
        centres = np.random.default_rng(0).normal(size=(12, self.dimensions))
        rng = np.random.default_rng(seed)
        drawn = centres[rng.integers(0, 12, rows)] + 0.7 * rng.normal(size=(rows, self.dimensions))
        held = np.float16 if self.vector_type == "halfvec" else np.float32
        return drawn.astype(held).astype(np.float32)


@pytest.fixture(scope="module", params=WIDE, ids=lambda wide: f"{wide[0]}({wide[1]})")
def wide(request, module_database):
    """Rows of many dimensions, and the collection that holds them, with the index that it has by itself."""
    vector_type, dimensions, quantized = request.param
    distance = "hamming" if vector_type == "bit" else "cosine"
    corpus = Clusters(rows=300, dimensions=dimensions, distance=distance, vector_type=vector_type)
    name = f"{vector_type}_{dimensions}"
    with Client(module_database.url) as client:
        config = CollectionConfig(name=name, dimensions=dimensions, vector_type=vector_type)
        docs = client.get_or_create_collection(config)
        docs.upsert(corpus.batch())
        built = docs.create_index()
        assert built.quantized == quantized
        yield corpus, docs, quantized


def test_any_number_of_dimensions_is_indexed(wide):
    _, docs, quantized = wide
    assert [(index.quantized, index.valid, index.condition) for index in docs.stats().indexes] == [
        (quantized, True, None)
    ]
    again = docs.create_index()
    assert [index.name for index in docs.stats().indexes] == [again.name]


def test_searches_use_an_index_of_any_number_of_dimensions(wide):
    corpus, docs, quantized = wide
    (index,) = docs.stats().indexes
    for access in (Access.INDEX, Access.ITERATIVE):
        plan = docs.explain(corpus.query(), options=SearchOptions(access=access))
        assert (plan.access, plan.index, plan.quantized) == (access, index.name, quantized)


def test_answers_of_an_index_of_any_number_of_dimensions_are_ordered_by_the_embeddings(wide):
    corpus, docs, quantized = wide
    query = corpus.query()
    for options in (BY_INDEX, ITERATIVE):
        for k in (1, 10, 40, 250, 400):
            recall = RECALL[quantized] if k > 1 else 0
            corpus.check(docs.search(query, k, options=options), query, k, recall=recall)
            matches = docs.search(query, k, filter={"half": 1}, options=options)
            corpus.check(matches, query, k, keep=lambda m: m["half"], recall=recall)
    corpus.check(docs.search(query, 20, options=EXACT), query, 20)


def test_rows_themselves_are_found_first(wide):
    corpus, docs, _ = wide
    for n in (0, 17, 299):
        (match,) = docs.search(corpus.matrix[n], 1, options=BY_INDEX, include=["embedding"])
        assert match.id == corpus.ids[n]
        assert np.array_equal(match.embedding, corpus.matrix[n])


def test_a_large_table_of_many_dimensions_is_searched_by_its_index(module_database):
    corpus = Clusters(rows=1_300, dimensions=2_001)
    with Client(module_database.url) as client:
        docs = client.get_or_create_collection(CollectionConfig(name="larger", dimensions=2_001))
        docs.upsert(corpus.batch())
        docs.create_index(HNSW(**SMALL))
        query = corpus.query()
        plan = docs.explain(query)
        assert (plan.access, plan.quantized) == (Access.INDEX, "halfvec")
        corpus.check(docs.search(query, 10), query, 10, recall=0.7)


async def test_the_index_that_is_built_by_itself_is_quantised_where_it_has_to_be(client):
    corpus = Clusters(rows=120, dimensions=2_500)
    config = CollectionConfig(name="docs", dimensions=2_500, index="auto", min_rows_for_index=100)
    docs = client.collection(config)
    await docs.upsert(corpus.batch())
    async with asyncio.timeout(60):
        while not (indexes := [i for i in (await docs.stats()).indexes if i.valid]):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
    assert [index.quantized for index in indexes] == ["halfvec"]


@pytest.mark.parametrize("distance", ["cosine", "l2", "inner_product", "l1"])
@pytest.mark.parametrize("vector_type", ["vector", "halfvec"])
@pytest.mark.parametrize("quantization", ["none", "halfvec", "bit"])
async def test_quantisation_serves_every_distance(client, distance, vector_type, quantization):
    corpus = Clusters(rows=1_200, dimensions=48, distance=distance, vector_type=vector_type)
    config = CollectionConfig(name="docs", dimensions=48, distance=distance, vector_type=vector_type)
    docs = await client.create_collection(config)
    await docs.upsert(corpus.batch())
    built = await docs.create_index(HNSW(**SMALL, quantization=quantization))
    held = None if quantization in ("none", vector_type) else quantization
    assert (built.quantized, built.distance) == (held, distance)
    query = corpus.query()
    plan = await docs.explain(query)
    assert (plan.access, plan.quantized) == (Access.INDEX, held)
    for k in (1, 10, 200):
        # Signs say little of the inner product, to which the length counts too.
        recall = 0 if k == 1 or (held == "bit" and distance == "inner_product") else RECALL[held]
        for options in (None, BY_INDEX, ITERATIVE):
            corpus.check(await docs.search(query, k, options=options), query, k, recall=recall)
            matches = await docs.search(query, k, filter={"tenth": 3}, options=options)
            corpus.check(matches, query, k, keep=lambda m: m["tenth"] == 3, recall=recall)


async def test_more_candidates_find_more_by_signs(client):
    corpus = Clusters(rows=2_000, dimensions=64)
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=64))
    await docs.upsert(corpus.batch())
    await docs.create_index(HNSW(quantization="bit"))
    recalls = []
    for overfetch in (1, 15):
        options = SearchOptions(access=Access.INDEX, overfetch=overfetch)
        recalls.append((await docs.recall(10, queries=corpus.draw(30, seed=4), options=options)).recall)
    assert recalls[0] < recalls[1]
    assert recalls[1] > 0.8


@pytest.mark.parametrize("quantization", ["halfvec", "bit"])
async def test_a_threshold_cuts_by_the_embeddings(client, quantization):
    corpus = Clusters(rows=1_200, dimensions=48)
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=48))
    await docs.upsert(corpus.batch())
    await docs.create_index(HNSW(**SMALL, quantization=quantization))
    query = corpus.query()
    every = await docs.search(query, 30, options=BY_INDEX)
    found = await docs.search(query, 30, options=BY_INDEX, score_threshold=every[12].score)
    assert [match.id for match in found] == [match.id for match in every[:13]]


@pytest.mark.parametrize("quantization", ["halfvec", "bit"])
async def test_quantised_indexes_follow_what_is_written(client, connection, quantization):
    corpus = Clusters(rows=1_200, dimensions=48)
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=48))
    await docs.upsert(corpus.batch())
    await docs.create_index(HNSW(**SMALL, quantization=quantization))
    there = -corpus.matrix[7]
    for handle in (docs, docs.using(connection)):
        await handle.upsert([Record(id="new", embedding=there)])
        assert (await handle.search(there, 1, options=BY_INDEX))[0].id == "new"
        await handle.update(["new"], embeddings=[corpus.matrix[7] * 2])
        assert (await handle.search(there, 1, options=BY_INDEX))[0].id != "new"
        nearest = await handle.search(corpus.matrix[7], 2, options=ITERATIVE)
        assert {match.id for match in nearest} == {"new", corpus.ids[7]}
        await handle.delete(["new"])
        assert "new" not in {match.id for match in await handle.search(corpus.matrix[7], 50, options=BY_INDEX)}


# --- with fields -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dimensions", "quantized", "has_code"),
    [(3_072, "halfvec", True), (4_001, "bit", True), (5_000, "bit", False)],
)
async def test_fields_of_embeddings_of_many_dimensions(client, database, dimensions, quantized, has_code):
    corpus = Clusters(rows=400, dimensions=dimensions)
    config = CollectionConfig(name="docs", dimensions=dimensions, fields={"colour": str, "half": int})
    docs = await client.create_collection(config)
    await docs.upsert(corpus.batch())
    await docs.create_index(HNSW(**SMALL))
    expression = "(embedding::halfvec({d}))" if quantized == "halfvec" else "(binary_quantize(embedding)::bit({d}))"
    opclass = "halfvec_cosine_ops" if quantized == "halfvec" else "bit_hamming_ops"
    database.execute(
        f"CREATE INDEX ON docs USING hnsw ({expression.format(d=dimensions)} {opclass}) WHERE colour = 'red'"
    )
    database.execute("VACUUM (ANALYZE) docs")
    query = corpus.query()
    async with AsyncClient(database.url) as other:
        docs = other.collection("docs")
        partial = await docs.explain(query, filter={"colour": "red"}, options=SearchOptions(access=Access.PARTIAL))
        assert (partial.quantized, partial.condition.json) == (quantized, b'"red"')
        for access in (None, *Access):
            options = SearchOptions(access=access)
            if access is Access.COVERING and not has_code:
                with pytest.raises(ConfigError, match="'covering' was asked for"):
                    await docs.search(query, filter={"colour": "red"}, options=options)
                continue
            for k in (1, 10, 200):
                matches = await docs.search(query, k, filter={"colour": "red"}, options=options)
                recall = RECALL[quantized] if k > 1 else 0
                corpus.check(matches, query, k, keep=lambda m: m["colour"] == "red", recall=recall)


async def test_large_values_of_a_field_get_quantised_indexes_by_themselves(client, monkeypatch):
    """Of each colour there is one cluster, so that a filter and the embeddings are about the same thing."""
    monkeypatch.setattr("pgrecall.collection.indexes.field_indexes._WORTH_AN_INDEX", 400)
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(4, 32))
    corpus = Corpus(rows=2_400, dimensions=32)
    corpus.matrix = (centres[np.arange(2_400) % 4] + 0.5 * rng.normal(size=(2_400, 32))).astype(np.float32)
    config = CollectionConfig(name="docs", dimensions=32, fields={"colour": str, "tenth": int})
    docs = await client.create_collection(config)
    await docs.upsert(corpus.batch())
    for quantization, held in (("none", None), ("halfvec", "halfvec"), ("bit", "bit")):
        await docs.create_index(HNSW(**SMALL, quantization=quantization), replace=True)
        indexes = (await docs.stats()).indexes
        assert [index.quantized for index in indexes] == [held] * 5
        values = {index.condition.json.decode() for index in indexes if index.condition is not None}
        assert values == {f'"{colour}"' for colour in COLOURS}
        for colour in COLOURS:
            query, filter = -corpus.matrix[1], {"colour": colour}
            options = SearchOptions(access=Access.PARTIAL)
            matches = await docs.search(query, 20, filter=filter, options=options)
            corpus.check(matches, query, 20, keep=lambda m, c=colour: m["colour"] == c, recall=0.4)
    assert len(await docs.drop_index()) == 5
    assert (await docs.stats()).indexes == ()
    assert len(await docs.search(corpus.query(), 700, filter={"colour": "red"})) == 600


# --- changing one's mind -----------------------------------------------------------------------------


async def test_an_index_is_replaced_by_a_coarser_one_and_back(client):
    corpus = Clusters(rows=1_200, dimensions=48)
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=48))
    await docs.upsert(corpus.batch())
    names, query = set(), corpus.query()
    for quantization, held in (
        ("none", None),
        ("halfvec", "halfvec"),
        ("bit", "bit"),
        ("halfvec", "halfvec"),
        (None, None),
    ):
        if names:
            with pytest.raises(SchemaError, match="replace=True"):
                await docs.create_index(HNSW(**SMALL, quantization=quantization))
        built = await docs.create_index(HNSW(**SMALL, quantization=quantization), replace=True)
        assert built.quantized == held
        assert built.name not in names
        assert await docs.create_index(HNSW(**SMALL, quantization=quantization)) == built
        assert [index.name for index in (await docs.stats()).indexes] == [built.name]
        plan = await docs.explain(query)
        assert (plan.access, plan.index, plan.quantized) == (Access.INDEX, built.name, held)
        corpus.check(await docs.search(query, 10), query, 10, recall=RECALL[held])
        names = {built.name}
    assert await docs.drop_index() == tuple(names)


async def test_an_index_takes_the_place_of_one_of_another_kind(client):
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=48))
    await docs.upsert(Clusters(rows=300, dimensions=48).batch())
    for index, method, held in (
        (IVFFlat(lists=3), "ivfflat", None),
        (HNSW(**SMALL, quantization="bit"), "hnsw", "bit"),
        (IVFFlat(lists=3), "ivfflat", None),
    ):
        await docs.create_index(index, replace=True)
        assert [(i.method, i.quantized) for i in (await docs.stats()).indexes] == [(method, held)]


@pytest.mark.parametrize("dimensions", [2_001, 3_072, 5_000])
async def test_as_they_are_is_an_error_where_there_are_too_many_dimensions(client, dimensions):
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=dimensions))
    message = f"up to 2000 dimensions of vector.*has {dimensions}.*coarser"
    with pytest.raises(ConfigError, match=message):
        await docs.create_index(HNSW(quantization="none"))
    with pytest.raises(ConfigError, match=r"up to 2000 dimensions of vector.*HNSW"):
        await docs.create_index(IVFFlat())
    assert (await docs.stats()).indexes == ()


async def test_half_precision_is_an_error_where_there_are_too_many_dimensions(client):
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=4_001))
    with pytest.raises(ConfigError, match=r"up to 4000 dimensions of halfvec.*has 4001.*coarser"):
        await docs.create_index(HNSW(quantization="halfvec"))
    assert (await docs.create_index(HNSW(quantization="bit"))).quantized == "bit"


async def test_drop_index_drops_indexes_of_all_sorts_and_no_other(client, database):
    config = CollectionConfig(name="docs", dimensions=48, fields={"colour": str, "rare": bool, "tenth": float})
    docs = await client.create_collection(config)
    await docs.upsert(Clusters(rows=300, dimensions=48).batch())
    built = await docs.create_index(HNSW(**SMALL, quantization="halfvec"))
    for statement in (
        "CREATE INDEX one ON docs USING hnsw (embedding vector_cosine_ops)",
        "CREATE INDEX two ON docs USING hnsw ((binary_quantize(embedding)::bit(48)) bit_hamming_ops)",
        "CREATE INDEX three ON docs USING hnsw (embedding vector_cosine_ops) WHERE colour = 'red'",
        "CREATE INDEX four ON docs USING hnsw ((embedding::halfvec(48)) halfvec_cosine_ops) WHERE NOT rare",
        "CREATE INDEX five ON docs USING ivfflat ((embedding::halfvec(48)) halfvec_cosine_ops) WITH (lists = 3)",
        "CREATE INDEX six ON docs USING hnsw (embedding vector_cosine_ops) WHERE tenth = 2.5",
        "CREATE INDEX theirs ON docs USING hnsw (embedding vector_l2_ops)",
    ):
        database.execute(statement)
    others = await names(database, "btree", "gin")
    assert {*await docs.drop_index()} == {built.name, "one", "two", "three", "four", "five", "six"}
    assert await names(database, "hnsw", "ivfflat") == {"theirs"}
    assert await names(database, "btree", "gin") == others


async def names(database, *methods):
    rows = database.rows(
        "SELECT c.relname, m.amname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "JOIN pg_am m ON m.oid = c.relam WHERE i.indrelid = 'docs'::regclass"
    )
    return {row[0] for row in rows if row[1] in methods}


# --- what others made --------------------------------------------------------------------------------

MADE = {
    "halfvec": ("hnsw ((embedding::halfvec(48)) halfvec_cosine_ops)", "halfvec"),
    "signs": ("hnsw ((binary_quantize(embedding)::bit(48)) bit_hamming_ops)", "bit"),
    "cells": ("ivfflat ((embedding::halfvec(48)) halfvec_cosine_ops) WITH (lists = 5)", "halfvec"),
    "written out": ("hnsw (CAST(embedding AS public.halfvec(48)) public.halfvec_cosine_ops)", "halfvec"),
}
UNLIKE = {
    "another distance": "hnsw ((embedding::halfvec(48)) halfvec_l2_ops)",
    "signs by another distance": "hnsw ((binary_quantize(embedding)::bit(48)) bit_jaccard_ops)",
    "the first half": "hnsw ((subvector(embedding, 1, 24)::vector(24)) vector_cosine_ops)",
    "normalised": "hnsw ((l2_normalize(embedding)::halfvec(48)) halfvec_cosine_ops)",
    "a part of the rows": "hnsw ((embedding::halfvec(48)) halfvec_cosine_ops) WHERE content IS NOT NULL",
    "a range of a field": "hnsw (embedding vector_cosine_ops) WHERE half > 0",
    "two values": "hnsw (embedding vector_cosine_ops) WHERE colour = 'red' AND half = 1",
    "one of two values": "hnsw (embedding vector_cosine_ops) WHERE colour IN ('red', 'blue')",
}


@pytest.fixture
async def theirs(client, database):
    corpus = Clusters(rows=1_500, dimensions=48)
    config = CollectionConfig(name="docs", dimensions=48, fields={"colour": str, "half": int})
    docs = await client.create_collection(config)
    await docs.upsert(corpus.batch())
    return corpus, docs


@pytest.mark.parametrize("made", MADE)
async def test_quantised_indexes_of_others_are_used(theirs, database, made):
    corpus, docs = theirs
    definition, held = MADE[made]
    database.execute(f"CREATE INDEX theirs ON docs USING {definition}")
    database.execute("VACUUM (ANALYZE) docs")
    assert [(index.name, index.quantized) for index in (await docs.stats()).indexes] == [("theirs", held)]
    query = corpus.query()
    for options in (None, BY_INDEX, ITERATIVE):
        plan = await docs.explain(query, options=options, postgres=True)
        assert (plan.index, plan.quantized) == ("theirs", held)
        assert any("Index Scan using theirs" in line for line in plan.postgres)
        corpus.check(await docs.search(query, 10, options=options), query, 10, recall=0.3)


@pytest.mark.parametrize("definition", UNLIKE.values(), ids=UNLIKE)
async def test_indexes_of_something_else_are_not_taken_for_ours(theirs, database, definition):
    corpus, docs = theirs
    database.execute(f"CREATE INDEX theirs ON docs USING {definition}")
    database.execute("VACUUM (ANALYZE) docs")
    await docs.stats()
    query = corpus.query()
    assert (await docs.explain(query)).index is None
    for access in (Access.INDEX, Access.ITERATIVE, Access.PARTIAL):
        with pytest.raises(ConfigError, match="was asked for, but nothing here can serve"):
            await docs.search(query, filter={"colour": "red"}, options=SearchOptions(access=access))
    corpus.check(await docs.search(query, 10), query, 10)
    built = await docs.create_index(HNSW(**SMALL))
    assert built.name != "theirs"
    assert "theirs" in await names(database, "hnsw")


@pytest.mark.parametrize("quantization", ["halfvec", "bit"])
async def test_the_extension_may_be_in_a_schema_of_its_own(bare_database, quantization):
    bare_database.execute("CREATE SCHEMA ext; CREATE EXTENSION vector SCHEMA ext")
    corpus = Clusters(rows=1_200, dimensions=48)
    async with AsyncClient(bare_database.url) as client:
        docs = await client.create_collection(CollectionConfig(name="docs", dimensions=48, fields={"colour": str}))
        await docs.upsert(corpus.batch())
        built = await docs.create_index(HNSW(**SMALL, quantization=quantization))
        assert built.quantized == quantization
        query = corpus.query()
        plan = await docs.explain(query, postgres=True)
        assert any(f"Index Scan using {built.name}" in line for line in plan.postgres)
        connection = await asyncpg.connect(bare_database.url)
        for handle in (docs, docs.using(connection)):
            corpus.check(await handle.search(query, 10), query, 10, recall=RECALL[quantization])
        await connection.close()
        assert await docs.create_index(HNSW(**SMALL, quantization=quantization)) == built


@pytest.mark.parametrize("name", ["vec", "Vec", 'the "vec"', "order", "vec (v2)", "halfvec", "a::bit(3)", "é"])
@pytest.mark.parametrize("quantization", ["none", "halfvec", "bit"])
async def test_quantised_columns_may_have_any_name(client, connection, name, quantization):
    quoted = '"' + name.replace('"', '""') + '"'
    await connection.execute(f"CREATE TABLE theirs (id text PRIMARY KEY, {quoted} vector(8))")
    docs = await client.get_collection(CollectionConfig(name="theirs", columns=Columns(embedding=name)))
    corpus = Clusters(rows=1_200, dimensions=8)
    await docs.upsert(RecordBatch(embeddings=corpus.matrix, ids=corpus.ids))
    built = await docs.create_index(HNSW(**SMALL, quantization=quantization))
    held = None if quantization == "none" else quantization
    assert [index.name for index in (await docs.stats()).indexes] == [built.name]
    plan = await docs.explain(corpus.query(), postgres=True)
    assert (plan.access, plan.quantized) == (Access.INDEX, held)
    scanned = built.name.replace('"', '""')
    assert any(
        line.strip("-> ").replace(f'"{scanned}"', scanned).startswith(f"Index Scan using {scanned}")
        for line in plan.postgres
    )
    assert await docs.create_index(HNSW(**SMALL, quantization=quantization)) == built


# --- what the coarser type cannot hold ---------------------------------------------------------------


async def test_under_cosine_a_query_of_any_length_is_answered(client):
    corpus = Clusters(rows=1_200, dimensions=48)
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=48))
    await docs.upsert(corpus.batch())
    await docs.create_index(HNSW(**SMALL, quantization="halfvec"))
    query = corpus.query()
    expected = [match.id for match in await docs.search(query, 10, options=EXACT)]
    for scale in (1e-12, 1e-6, 1e6, 1e12):
        found = [match.id for match in await docs.search(query * np.float32(scale), 10)]
        assert len({*found} & {*expected}) >= 7, scale


@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.L2])
async def test_embeddings_that_half_precision_cannot_hold_are_refused_by_that_index_and_by_no_other(client, distance):
    docs = await client.create_collection(CollectionConfig(name="docs", dimensions=48, distance=distance))
    corpus = Clusters(rows=200, dimensions=48)
    await docs.upsert(corpus.batch())
    large = corpus.matrix[3] * np.float32(1e6)
    for quantization in ("none", "bit"):
        await docs.create_index(HNSW(**SMALL, quantization=quantization), replace=True)
        await docs.upsert([Record(id="large", embedding=large)])
        assert "large" in {match.id for match in await docs.search(large, 5, options=BY_INDEX)}
        await docs.delete(["large"])
    await docs.create_index(HNSW(**SMALL, quantization="halfvec"), replace=True)
    with pytest.raises(PGRecallError, match="out of range for type halfvec"):
        await docs.upsert([Record(id="large", embedding=large)])
    assert await docs.count() == 200
