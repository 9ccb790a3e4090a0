"""Words and embedding together, held against a fusion of the two searches by hand."""

import asyncio

import asyncpg
import numpy as np
import pytest

from pgrecall import (
    AsyncClient,
    Client,
    CollectionConfig,
    Convex,
    HybridOptions,
    KeywordOptions,
    PoolConfig,
    ReciprocalRank,
    RecordBatch,
    Rerank,
    Union,
)
from pgrecall.errors import ConfigError, DimensionMismatch, RecordError, SchemaError

ROWS = 600
WORDS = [f"w{n}" for n in range(60)]
WEB = KeywordOptions(syntax="web")
QUERY = "w3 w20 w41"


@pytest.fixture(scope="module", params=["cosine", "l2", "inner_product"])
def filled(request, module_database):
    draw = np.random.default_rng(11)
    embeddings = draw.normal(size=(ROWS, 8)).astype(np.float32)
    contents = [" ".join(draw.choice(WORDS, size=draw.integers(3, 12))) for _ in range(ROWS)]
    metadatas = [{"half": n % 2} for n in range(ROWS)]
    config = CollectionConfig(name=request.param, dimensions=8, distance=request.param, text_search="simple")
    with Client(module_database.url) as client:
        docs = client.get_or_create_collection(config)
        batch = RecordBatch(
            embeddings=embeddings, ids=[str(n) for n in range(ROWS)], contents=contents, metadatas=metadatas
        )
        docs.upsert(batch)
        docs.domain("other").upsert(batch)
        docs.create_index()
    return module_database.url, request.param


@pytest.fixture
async def docs(filled):
    url, name = filled
    async with AsyncClient(url) as client:
        yield client.collection(name)


@pytest.fixture
def embedding():
    return np.random.default_rng(5).normal(size=8).astype(np.float32)


async def by_hand(docs, embedding, k, alpha=0.7, filter=None):
    """Return ids and scores of the mean of both scores, over everything that there is."""
    near = await docs.search(embedding, ROWS, filter=filter)
    worded = {match.id: match.scores.keyword for match in await docs.search_keyword(QUERY, ROWS, filter=filter)}
    corpus = docs._handle.knowledge.corpora[None][0]
    scores = {
        match.id: alpha * corpus.dense_score(match.score) + (1 - alpha) * corpus.keyword_score(worded.get(match.id, 0))
        for match in near
    }
    return sorted(scores.items(), key=lambda item: -item[1])[:k]


@pytest.mark.parametrize("filter", [None, {"half": 1}])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.7, 1.0])
async def test_scores_are_the_mean_of_both_parts(docs, embedding, alpha, filter):
    options = HybridOptions(fusion=Convex(alpha=alpha), dense_k=ROWS, keyword_k=ROWS)
    found = await docs.search_hybrid(QUERY, embedding, 20, filter=filter, options=options)
    expected = await by_hand(docs, embedding, 20, alpha, filter)
    assert [match.score for match in found] == pytest.approx([score for _, score in expected], abs=1e-6)
    assert {match.domain_id for match in found} == {"default"}
    assert all(0 <= match.score <= 1 for match in found)
    corpus = docs._handle.knowledge.corpora[None][0]
    for match in found:
        parts = corpus.dense_score(match.scores.dense), corpus.keyword_score(match.scores.keyword)
        assert match.score == pytest.approx(alpha * parts[0] + (1 - alpha) * parts[1])
        assert match.distance == pytest.approx(docs_distance(docs, match, embedding), rel=1e-4, abs=1e-5)


def docs_distance(docs, match, embedding):
    """The score of the embedding's part leads back to the distance."""
    return docs._handle.knowledge.table.distance.distance_of(match.scores.dense)


async def test_few_of_each_are_nearly_as_good(docs, embedding):
    found = await docs.search_hybrid(QUERY, embedding, 10)
    expected = dict(await by_hand(docs, embedding, 10))
    assert len({match.id for match in found} & expected.keys()) >= 8


async def test_k_records_come_back_if_there_are_so_many(docs, embedding):
    for k in (1, 100, 400, ROWS, ROWS + 50):
        found = await docs.search_hybrid(QUERY, embedding, k)
        assert len(found) == len({match.id for match in found}) == min(k, ROWS)


async def test_ranks_are_fused(docs, embedding):
    near = [match.id for match in await docs.search(embedding, 30)]
    worded = [match.id for match in await docs.search_keyword(QUERY, 30)]
    scores = {}
    for ranking in (near, worded):
        for rank, name in enumerate(ranking, start=1):
            scores[name] = scores.get(name, 0) + 1 / (60 + rank)
    found = await docs.search_hybrid(QUERY, embedding, 10, options=HybridOptions(fusion=ReciprocalRank()))
    best = sorted(scores.values(), reverse=True)[:10]
    assert [match.score for match in found] == pytest.approx([score / (2 / 61) for score in best])


async def test_a_union_is_dense_first(docs, embedding):
    options = HybridOptions(fusion=Union(), dense_k=4, keyword_k=4)
    found = [match.id for match in await docs.search_hybrid(QUERY, embedding, 4, options=options)]
    assert found == [match.id for match in await docs.search(embedding, 4)]
    more = [match.id for match in await docs.search_hybrid(QUERY, embedding, 8, options=options)]
    assert more[:8] == [match.id for match in await docs.search(embedding, 8)]


async def test_phrases_and_exclusions_hold_for_what_the_embedding_finds(docs, embedding):
    everything = HybridOptions(words=WEB, dense_k=ROWS)
    found = await docs.search_hybrid("w3 -w20", embedding, ROWS, options=everything)
    assert found
    assert all("w20" not in match.content.split() for match in found)
    phrase = " ".join(found[0].content.split()[:2])
    found = await docs.search_hybrid(f'"{phrase}"', embedding, ROWS, options=everything)
    assert found
    assert all(phrase in match.content for match in found)


async def test_without_words_the_embedding_decides(docs, embedding):
    found = await docs.search_hybrid("?!", embedding, 5)
    near = await docs.search(embedding, 5)
    assert [match.id for match in found] == [match.id for match in near]
    assert [match.score for match in found] == [match.relevance for match in near]


async def test_a_threshold_leaves_out_what_scores_lower(docs, embedding):
    third = (await docs.search_hybrid(QUERY, embedding, 10))[2].score
    found = await docs.search_hybrid(QUERY, embedding, 10, options=HybridOptions(score_threshold=third))
    assert len(found) == 3


async def test_all_domains_can_be_searched_at_once(docs, embedding):
    found = await docs.all_domains().search_hybrid(QUERY, embedding, 10)
    names = [(match.domain_id, match.id) for match in found]
    assert len(set(names)) == 10
    assert {domain for domain, _ in names} == {"default", "other"}


async def test_embeddings_and_highlights_come_where_asked(docs, embedding):
    found = await docs.search_hybrid(QUERY, embedding, 30, include=["embedding", "highlights"])
    assert all(match.embedding is not None and match.embedding.shape == (8,) for match in found)
    for match in found:
        marked = any("<b>" in piece for piece in match.highlights)
        assert marked == bool({"w3", "w20", "w41"} & set(match.content.split()))


async def test_a_model_orders_the_whole_anew(docs, embedding):
    def longest(query, texts):
        assert query == QUERY
        return [len(text) for text in texts]

    options = HybridOptions(rerank=Rerank(scorer=longest, top_n=40))
    found = await docs.search_hybrid(QUERY, embedding, 3, options=options)
    pool = await docs.search_hybrid(QUERY, embedding, 40)
    assert [len(match.content) for match in found] == sorted((len(m.content) for m in pool), reverse=True)[:3]


def test_blocking_callers_find_the_same(filled, embedding):
    url, name = filled
    with Client(url) as client:
        docs = client.collection(name)
        found = docs.search_hybrid(QUERY, embedding, 7)
        options = HybridOptions(rerank=Rerank(scorer=lambda query, texts: [0.0] * len(texts)))
        assert len(docs.search_hybrid(QUERY, embedding, 7, options=options)) == len(found) == 7


async def test_one_connection_is_enough(filled, embedding):
    url, name = filled
    async with AsyncClient(url, pool=PoolConfig(max_size=1)) as client:
        docs = client.collection(name)
        found = await asyncio.wait_for(asyncio.gather(*(docs.search_hybrid(QUERY, embedding) for _ in range(5))), 30)
        assert {len(matches) for matches in found} == {10}
    connection = await asyncpg.connect(url)
    async with AsyncClient(connection=connection) as client, connection.transaction():
        assert len(await client.collection(name).search_hybrid(QUERY, embedding)) == 10
    await connection.close()


async def test_what_is_forgotten_meanwhile_is_looked_up_again(docs, embedding):
    async def forget():
        # As after each index that is built.
        while True:
            docs._handle.knowledge.forget()
            await asyncio.sleep(0.001)

    forgetting = asyncio.create_task(forget())
    found = [await docs.search_hybrid(QUERY, embedding, 3) for _ in range(5)]
    forgetting.cancel()
    assert [len(matches) for matches in found] == [3] * 5


async def test_embeddings_of_other_domains_may_be_of_another_length(client, connection):
    await connection.execute(
        "CREATE TABLE mixed (domain_id text, id text, content text, embedding vector, PRIMARY KEY (domain_id, id))"
    )
    await connection.execute(
        "INSERT INTO mixed SELECT 'default', n::text, 'some locks', '[1,0]'::vector FROM generate_series(1, 20) n"
    )
    await connection.execute(
        "INSERT INTO mixed SELECT 'other', n::text, 'more locks', '[1,0,0]'::vector FROM generate_series(1, 20) n"
    )
    docs = await client.get_collection(CollectionConfig(name="mixed", dimensions=2))
    await docs.add_text_search("english")
    found = await docs.search_hybrid("locks", [1.0, 0.0], 30)
    assert len(found) == 20
    assert all(match.scores.dense == pytest.approx(1) for match in found)


async def test_bad_input_is_refused_before_anything_is_found(docs, embedding, client):
    with pytest.raises(DimensionMismatch):
        await docs.search_hybrid(QUERY, embedding[:3])
    with pytest.raises(RecordError):
        await docs.search_hybrid(QUERY, np.full(8, np.nan))
    with pytest.raises(ConfigError, match="query must be a text"):
        await docs.search_hybrid(None, embedding)
    with pytest.raises(ConfigError, match="k must be"):
        await docs.search_hybrid(QUERY, embedding, 0)
    with pytest.raises(ConfigError, match="score_threshold"):
        await docs.search_hybrid(QUERY, embedding, options=HybridOptions(score_threshold="high"))
    for options in ({"dense_k": 0}, {"keyword_k": 20_000}, {"fusion": "rrf"}):
        with pytest.raises(ConfigError):
            HybridOptions(**options)
    plain = await client.get_or_create_collection("plain", dimensions=8)
    with pytest.raises(SchemaError, match="add_text_search"):
        await plain.search_hybrid(QUERY, embedding)
