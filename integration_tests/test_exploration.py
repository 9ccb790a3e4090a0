"""More ways to find records, held against brute force."""

import collections

import numpy as np
import pytest

from integration_tests.oracle import Corpus, distances
from pgrecall import (
    AsyncClient,
    Client,
    CollectionConfig,
    Columns,
    Record,
    RecordBatch,
    SearchOptions,
)
from pgrecall.collection.finding import grouping
from pgrecall.errors import ConfigError, DimensionMismatch, FilterError, RecordError, SchemaError
from pgrecall.plan import Access

ROWS = 1_200
KINDS = ["cosine", "l2", "inner_product", "l1"]


class Books(Corpus):
    """A corpus whose rows are chunks of documents of uneven length."""

    def batch(self):
        plain = super().batch()
        return RecordBatch(
            embeddings=plain.embeddings,
            ids=plain.ids,
            contents=plain.contents,
            metadatas=self.metadatas,
            document_ids=[self.document(n) for n in range(len(self.ids))],
            chunk_indexes=list(range(len(self.ids))),
        )

    @staticmethod
    def document(n):
        # A few documents have hundreds of chunks, and most have a few; some rows belong to none.
        return None if n % 50 == 7 else f"doc{int(np.sqrt(n * 3))}"


@pytest.fixture(scope="module", params=KINDS)
def kind(request, module_database):
    corpus = Books(rows=ROWS, dimensions=16, distance=request.param)
    for n, metadata in enumerate(corpus.metadatas):
        metadata |= {"tags": ["even", "even"] if n % 2 == 0 else ["odd", n % 3], "deep": {"n": n % 4}}
        if n % 10 == 3:
            metadata["mixed"] = [1, "1", True, None][n // 10 % 4]
    name = request.param
    with Client(module_database.url) as client:
        docs = client.get_or_create_collection(
            CollectionConfig(name=name, dimensions=16, distance=request.param, fields={"colour": str})
        )
        docs.upsert(corpus.batch())
        docs.create_index()
        docs.domain("other").upsert([Record(id="r00000", embedding=[1.0] * 16, metadata={"colour": "theirs"})])
    module_database.execute(f"VACUUM ANALYZE {name}")
    return corpus, module_database.url, name


@pytest.fixture
async def docs(kind):
    async with AsyncClient(kind[1]) as client:
        yield client.collection(kind[2])


def queries(corpus, count=7):
    return np.random.default_rng(9).normal(size=(count, corpus.dimensions)).astype(np.float32)


# -- many at once -----------------------------------------------------------------------------------


@pytest.mark.parametrize("access", [None, Access.EXACT, Access.INDEX, Access.ITERATIVE])
@pytest.mark.parametrize("filter", [None, {"half": 1}, {"colour": "none"}])
async def test_many_answers_are_those_of_each(kind, docs, access, filter):
    asked = queries(kind[0])
    options = SearchOptions(access=access)
    many = await docs.search_many(asked, 5, filter=filter, options=options)
    each = [await docs.search(query, 5, filter=filter, options=options) for query in asked]
    assert [[(m.id, m.metadata) for m in found] for found in many] == [[(m.id, m.metadata) for m in f] for f in each]
    assert [[m.score for m in found] for found in many] == [pytest.approx([m.score for m in f]) for f in each]


async def test_many_by_codes_are_those_of_each(kind, docs):
    if kind[2] != "cosine":
        pytest.skip("codes compare directions")
    asked, options = queries(kind[0]), SearchOptions(access=Access.COVERING)
    many = await docs.search_many(asked, 5, filter={"colour": "green"}, options=options)
    for query, found in zip(asked, many, strict=True):
        alone = await docs.search(query, 5, filter={"colour": "green"}, options=options)
        assert [match.id for match in found] == [match.id for match in alone]


async def test_many_answers_have_k_records_where_an_index_gives_too_few(kind, docs):
    options = SearchOptions(access=Access.INDEX, ef_search=1)
    for found in await docs.search_many(queries(kind[0]), 400, filter={"half": 1}, options=options):
        assert len({match.id for match in found}) == 400


async def test_many_thresholds_extras_and_nothing(kind, docs):
    corpus = kind[0]
    asked = queries(corpus, 2)
    first = (await docs.search(asked[0], 3))[1].score
    found = await docs.search_many(asked, 3, score_threshold=first, include=["embedding"])
    assert all(match.score >= first and match.embedding.shape == (16,) for matches in found for match in matches)
    assert await docs.search_many([], 3) == []
    assert await docs.search_many(np.empty((0, 16)), 3) == []
    with pytest.raises(DimensionMismatch):
        await docs.search_many(asked[:, :3])
    with pytest.raises(RecordError, match="embedding 1"):
        await docs.search_many([asked[0], np.full(16, np.nan)])
    with pytest.raises(ConfigError, match="number of embeddings"):
        await docs.search_many(np.ones((1_001, 16)))


async def test_many_queries_over_several_connections_come_in_their_order(kind, docs):
    asked = queries(kind[0], 19)
    found = await docs.search_many(asked, 2)
    assert [[m.id for m in one] for one in found] == [[m.id for m in await docs.search(query, 2)] for query in asked]
    with pytest.raises(RecordError, match="embedding 13"):
        await docs.search_many([*asked[:13], np.full(16, np.nan), *asked[14:]])


async def test_many_on_a_lent_connection(kind, docs, server):
    import asyncpg

    connection = await asyncpg.connect(kind[1])
    asked = queries(kind[0], 3)
    lent = await docs.using(connection).search_many(asked, 4)
    assert [[m.id for m in found] for found in lent] == [[m.id for m in f] for f in await docs.search_many(asked, 4)]
    await connection.close()


# -- within a distance --------------------------------------------------------------------------------


@pytest.mark.parametrize("filter", [None, {"half": 1}])
async def test_all_within_a_distance_are_found(kind, docs, filter):
    corpus = kind[0]
    query = corpus.query()
    every = distances(corpus.matrix, query, corpus.distance)
    passing = [n for n, m in enumerate(corpus.metadatas) if filter is None or m["half"] == 1]
    radius = float(np.sort(every[passing])[137])
    found = await docs.search_range(query, max_distance=radius + 1e-5, filter=filter)
    assert len(found) == 138
    assert [match.distance for match in found] == sorted(match.distance for match in found)
    by_score = await docs.search_range(query, score_threshold=found[-1].score, filter=filter)
    assert {match.id for match in by_score} >= {match.id for match in found[:-1]}
    nearest = await docs.search_range(query, max_distance=radius + 1e-5, filter=filter, limit=5)
    assert [match.id for match in nearest] == [match.id for match in found[:5]]
    assert await docs.search_range(query, max_distance=float(every.min()) - 1, filter=filter) == []


@pytest.mark.parametrize(
    "bounds", [{}, {"max_distance": 1, "score_threshold": 1}, {"max_distance": float("nan")}, {"score_threshold": "x"}]
)
async def test_range_needs_one_bound(kind, docs, bounds):
    with pytest.raises(ConfigError, match="either max_distance or score_threshold"):
        await docs.search_range(kind[0].query(), **bounds)


# -- by what is stored --------------------------------------------------------------------------------


async def test_neighbours_of_a_stored_record_are_found(kind, docs):
    corpus = kind[0]
    row = corpus.ids[33]
    near = await docs.search(corpus.matrix[33], 11)
    found = await docs.search_by_id(row, 10)
    assert [match.id for match in found] == [match.id for match in near if match.id != row][:10]
    assert [m.id for m in await docs.search_by_id(row, 3, include_self=True)] == [m.id for m in near[:3]]
    green = await docs.search_by_id(row, 3, filter={"colour": "green"})
    assert {match.metadata["colour"] for match in green} == {"green"}


async def test_only_what_is_in_the_domain_is_an_example(kind, docs):
    with pytest.raises(RecordError, match="no record 'nope'"):
        await docs.search_by_id("nope")
    with pytest.raises(RecordError, match="no record 'r00001'"):
        await docs.domain("other").search_by_id("r00001")
    with pytest.raises(ConfigError, match="one domain"):
        await docs.all_domains().search_by_id("r00001")
    assert await docs.domain("other").search_by_id("r00000") == []


async def test_recommendations_follow_the_formula(kind, docs):
    corpus = kind[0]
    liked, disliked = [3, 4], [5]
    extra = queries(corpus, 1)[0]

    def direction(rows):
        rows = np.asarray(rows, np.float64)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True) if kind[2] == "cosine" else rows

    positive = direction([*corpus.matrix[liked], extra]).mean(axis=0)
    negative = direction(corpus.matrix[disliked]).mean(axis=0)
    names = {corpus.ids[n] for n in (*liked, *disliked)}
    for target, unlike in ((positive, []), (2 * positive - negative, [corpus.ids[5]])):
        every = distances(corpus.matrix, target.astype(np.float32), corpus.distance)
        given = names if unlike else names - {corpus.ids[5]}
        best = [corpus.ids[n] for n in np.argsort(every, kind="stable") if corpus.ids[n] not in given][:8]
        found = await docs.recommend(
            [corpus.ids[3], extra, corpus.ids[4]], 8, negative=unlike, options=SearchOptions(exact=True)
        )
        assert [match.id for match in found] == best


async def test_recommendations_need_examples(docs):
    for positive, message in (([], "at least one"), ("r00001", "not one string"), ([[1.0], [1.0, 2.0]], "same length")):
        with pytest.raises(ConfigError, match=message):
            await docs.recommend(positive)
    with pytest.raises(RecordError, match="'nope'"):
        await docs.recommend(["r00001"], negative=["nope"])


async def test_bits_have_no_mean(client):
    docs = await client.get_or_create_collection(CollectionConfig(name="bits", dimensions=8, vector_type="bit"))
    await docs.upsert([Record(id="a", embedding=[0, 1] * 4), Record(id="b", embedding=[1, 1] * 4)])
    assert [match.id for match in await docs.search_by_id("a")] == ["b"]
    with pytest.raises(ConfigError, match="bits"):
        await docs.recommend(["a"])


# -- groups --------------------------------------------------------------------------------------------


def grouped(corpus, query, value, keep=lambda metadata: True):
    """Return, for each group, its rows from near to far, the groups by their nearest row."""
    every = distances(corpus.matrix, query, corpus.distance)
    groups = collections.defaultdict(list)
    for n in np.argsort(every, kind="stable"):
        if value(n) is not None and keep(corpus.metadatas[n]):
            groups[value(n)].append(corpus.ids[n])
    return groups


@pytest.mark.parametrize(("groups", "size"), [(1, 1), (5, 3), (40, 2), (1_000, 1_000)])
@pytest.mark.parametrize("filter", [None, {"half": 1}])
async def test_groups_are_the_nearest_documents_with_their_nearest_chunks(kind, docs, groups, size, filter):
    corpus = kind[0]
    query = corpus.query()
    keep = (lambda m: True) if filter is None else (lambda m: m["half"] == 1)
    expected = grouped(corpus, query, corpus.document, keep)
    found = await docs.search_groups(query, groups=groups, group_size=size, filter=filter)
    assert len(found) == min(groups, len(expected))
    for group in found:
        assert [match.id for match in group.matches] == expected[group.value][:size]
        assert {match.document_id for match in group.matches} == {group.value}
    nearest = [group.matches[0].distance for group in found]
    assert nearest == sorted(nearest)
    # An index may miss a group now and then.
    assert len({g.value for g in found} & set(list(expected)[:groups])) >= 0.8 * len(found)


@pytest.mark.parametrize(
    ("by", "value"),
    [
        ("colour", lambda m: m.get("colour")),
        ("deep.n", lambda m: m["deep"]["n"]),
        ("tags", lambda m: tuple(m["tags"])),
    ],
)
async def test_groups_are_by_any_key(kind, docs, by, value):
    corpus = kind[0]
    query = corpus.query()
    expected = grouped(corpus, query, lambda n: value(corpus.metadatas[n]))
    for group in await docs.search_groups(query, by, groups=3, group_size=4):
        name = tuple(group.value) if isinstance(group.value, list) else group.value
        assert [match.id for match in group.matches] == expected[name][:4]


async def test_groups_are_found_by_comparing_all_where_nearly_all_rows_are_of_one(kind, docs, monkeypatch):
    monkeypatch.setattr(grouping, "MAX_K", 8)
    corpus = kind[0]
    expected = grouped(corpus, corpus.query(), corpus.document)
    found = await docs.search_groups(corpus.query(), groups=30, group_size=1)
    assert [group.value for group in found] == list(expected)[:30]


async def test_groups_need_a_field_that_there_is(kind, docs, client):
    for by, error in (("$nope", FilterError), ("", FilterError)):
        with pytest.raises(error):
            await docs.search_groups(kind[0].query(), by)
    for options in ({"groups": 0}, {"group_size": 0}, {"groups": 1_001}):
        with pytest.raises(ConfigError):
            await docs.search_groups(kind[0].query(), **options)
    bare = await client.get_or_create_collection(
        CollectionConfig(name="bare", dimensions=2, columns=Columns(document_id=None, metadata=None))
    )
    await bare.upsert([Record(id="a", embedding=[1.0, 0.0])])
    with pytest.raises(SchemaError, match="document_id"):
        await bare.search_groups([1.0, 0.0])
    with pytest.raises(SchemaError, match="no metadata"):
        await bare.facet("colour")


# -- facets --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("filter", [None, {"half": 1}])
@pytest.mark.parametrize("field", ["colour", "deep.n", "tags", "half", "missing"])
async def test_facets_count_what_there_is(kind, docs, field, filter):
    counts = collections.Counter()
    for metadata in kind[0].metadatas:
        if filter is not None and metadata["half"] != 1:
            continue
        value = metadata
        for part in field.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        counts.update(set(value) if isinstance(value, list) else [] if value is None else [value])
    found = await docs.facet(field, filter=filter)
    assert {facet.value: facet.count for facet in found} == dict(counts)
    assert [facet.count for facet in found] == sorted(counts.values(), reverse=True)
    assert [facet.count for facet in await docs.facet(field, limit=1, filter=filter)] == [
        facet.count for facet in found[:1]
    ]


async def test_facets_keep_types_apart_and_domains_too(kind, docs):
    found = {repr(facet.value): facet.count for facet in await docs.facet("mixed")}
    assert found == {"1": 30, "'1'": 30, "True": 30}
    assert [facet.value for facet in await docs.domain("other").facet("colour")] == ["theirs"]
    assert "theirs" in {facet.value for facet in await docs.all_domains().facet("colour")}
    documents = await docs.facet("$document_id", limit=3)
    counts = collections.Counter(filter(None, map(kind[0].document, range(ROWS))))
    assert [facet.count for facet in documents] == [count for _, count in counts.most_common(3)]
    with pytest.raises(FilterError):
        await docs.facet("$nope")
    with pytest.raises(ConfigError, match="limit"):
        await docs.facet("colour", limit=0)


async def test_equal_numbers_are_one_group_however_they_are_written(client):
    docs = await client.get_or_create_collection("years", dimensions=2)
    many = 12345678901234567890123
    years = [2020, 2020.0, 2021, many, [1, 2], [1.0, 2]]
    await docs.upsert(
        [Record(id=str(n), embedding=[1.0, n / 9], metadata={"year": year}) for n, year in enumerate(years)]
    )
    found = await docs.search_groups([1.0, 0.0], "year", groups=9, group_size=9)
    assert [[match.id for match in group.matches] for group in found][:3] == [["0", "1"], ["2"], ["3"]]
    assert sorted(match.id for group in found for match in group.matches) == ["0", "1", "2", "3", "4", "5"]
    assert [(f.value, f.count) for f in await docs.facet("year", limit=1, filter={"year": {"$lt": 2021}})] == [
        (2020, 2)
    ]


async def test_examples_are_left_out_however_their_ids_are_spelt(client):
    docs = await client.get_or_create_collection(CollectionConfig(name="uuids", dimensions=2, id_type="uuid"))
    names = [f"aaaaaaaa-0000-0000-0000-00000000000{n}" for n in range(4)]
    await docs.upsert([Record(id=name, embedding=[1.0, n / 9]) for n, name in enumerate(names)])
    assert [match.id for match in await docs.search_by_id(names[0].upper(), 9)] == names[1:]
    assert [match.id for match in await docs.recommend([names[0].upper()], 9, negative=[names[3].upper()])] == names[
        1:3
    ]


async def test_k_is_honoured_to_its_limit(client):
    docs = await client.get_or_create_collection("large", dimensions=2)
    count = 10_010
    await docs.upsert(
        RecordBatch(embeddings=np.linspace(1, 2, 2 * count).reshape(-1, 2), ids=[str(n) for n in range(count)])
    )
    assert len(await docs.search_by_id("5", 10_000)) == 10_000
    assert len(await docs.recommend(["5", "6"], 10_000, negative=["7"])) == 10_000
    with pytest.raises(ConfigError, match="times k"):
        await docs.search_many(np.ones((20, 2)), 10_000)


async def test_nothing_is_found_where_nothing_was_written(client):
    empty = client.collection("empty")
    assert await empty.search_many([[1.0], [2.0]]) == [[], []]
    assert await empty.search_range([1.0], max_distance=1) == []
    assert await empty.search_groups([1.0]) == []
    assert await empty.facet("colour") == []


def test_blocking_callers_find_the_same(kind):
    with Client(kind[1]) as client:
        docs = client.collection(kind[2])
        query = kind[0].query()
        assert [m.id for m in docs.search_many([query], 3)[0]] == [m.id for m in docs.search(query, 3)]
        assert len(docs.search_range(query, score_threshold=-(10**9), limit=7)) == 7
        assert len(docs.search_by_id("r00003", 4)) == len(docs.recommend(["r00003"], 4)) == 4
        assert len(docs.search_groups(query, groups=2)) == 2
        assert docs.facet("half")[0].value in (0, 1)
