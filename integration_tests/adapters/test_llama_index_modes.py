"""LlamaIndex's modes that look for words."""

import asyncio
import json
import pickle

import pytest
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import (
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

from pgrecall import CollectionConfig, Rerank
from pgrecall.errors import ConfigError
from pgrecall.llama_index import PGRecallVectorStore

TEXTS = {
    "locks": "Row level locks are held until the transaction ends.",
    "table": "Table locks block the whole table.",
    "vacuum": "VACUUM frees what dead rows take up.",
    "wal": "The write-ahead log is flushed at commit.",
}
MODES = {mode.value: mode for mode in VectorStoreQueryMode}
BY_WORDS = ["text_search", "sparse", "hybrid", "semantic_hybrid"]


def query(mode, text="locks", embedding=(1.0, 0.0), k=10, **others):
    return VectorStoreQuery(
        query_embedding=None if embedding is None else list(embedding),
        similarity_top_k=k,
        query_str=text,
        mode=MODES[mode],
        **others,
    )


def shortest(query, texts):
    return [1 / len(text) for text in texts]


@pytest.fixture
async def store(url):
    config = CollectionConfig(name="words", dimensions=2, text_search="english")
    async with PGRecallVectorStore(config, url=url, reranker=shortest) as store:
        nodes = [
            TextNode(id_=name, text=text, embedding=[1.0, 0.3 * n], metadata={"n": n})
            for n, (name, text) in enumerate(TEXTS.items())
        ]
        store.add(nodes)
        yield store


async def both(store, asked, **keywords):
    result = store.query(asked, **keywords)
    assert await store.aquery(asked, **keywords) == result
    return result


@pytest.mark.parametrize("mode", ["text_search", "sparse"])
async def test_words_find_without_an_embedding(store, mode):
    result = await both(store, query(mode, "table locks", embedding=None))
    assert result.ids == ["table", "locks"]
    assert result.nodes[0].get_content() == TEXTS["table"]
    assert result.nodes[0].metadata == {"n": 1}
    assert 1 > result.similarities[0] > result.similarities[1] > 0


async def test_signs_of_a_question_are_no_syntax_unless_asked_for(store):
    assert set((await both(store, query("text_search", "locks -table"))).ids) == {"locks", "table"}
    assert (await both(store, query("text_search", "locks -table"), syntax="web")).ids == ["locks"]


async def test_each_top_k_counts(store):
    assert len((await both(store, query("text_search", "rows locks", k=1))).ids) == 1
    assert len((await both(store, query("sparse", "rows locks", k=1, sparse_top_k=2))).ids) == 2
    assert len((await both(store, query("hybrid", "rows locks", k=1, hybrid_top_k=3))).ids) == 3
    assert len((await both(store, query("hybrid", "rows locks", k=2))).ids) == 2


async def test_alpha_goes_from_words_to_embedding(store):
    words = await both(store, query("hybrid", "commit", alpha=0.0))
    near = await both(store, query("hybrid", "commit", alpha=1.0))
    assert words.ids[0] == "wal"
    assert near.ids == ["locks", "table", "vacuum", "wal"]
    assert (await both(store, query("hybrid", "commit", alpha=1.0), alpha=0.0)).ids == words.ids
    for result in (words, near):
        assert result.similarities == sorted(result.similarities, reverse=True)
        assert all(0 <= similarity <= 1 for similarity in result.similarities)


async def test_a_union_is_what_the_incumbent_gives(store):
    result = await both(
        store, query("hybrid", "commit", k=1, hybrid_top_k=2, sparse_top_k=1), fusion="union", dense_k=1, keyword_k=1
    )
    assert result.ids == ["locks", "table"], "two were asked for, and so each contributes two"
    assert "wal" in (await both(store, query("hybrid", "commit", k=4), fusion="union")).ids


async def test_a_model_orders_what_semantic_hybrid_finds(store):
    result = await both(store, query("semantic_hybrid", "locks", k=2))
    assert result.ids == ["table", "vacuum"]
    longest = Rerank(scorer=lambda query, texts: [len(text) for text in texts])
    assert (await both(store, query("semantic_hybrid", "locks", k=1), rerank=longest)).ids == ["locks"]


async def test_semantic_hybrid_without_a_model_says_what_to_pass(store, url):
    async with PGRecallVectorStore("words", url=url) as plain:
        with pytest.raises(ConfigError, match=r"reranker=|rerank="):
            plain.query(query("semantic_hybrid"))


@pytest.mark.parametrize("mode", BY_WORDS)
async def test_filters_and_ids_hold(store, mode):
    wanted = MetadataFilters(filters=[MetadataFilter(key="n", value=1)])
    assert (await both(store, query(mode, "locks", filters=wanted))).ids == ["table"]
    assert (await both(store, query(mode, "locks", node_ids=["locks"]))).ids == ["locks"]
    assert (await both(store, query(mode, "locks", doc_ids=[]))).ids == []


@pytest.mark.parametrize("mode", BY_WORDS)
async def test_a_query_without_words_says_so(store, mode):
    with pytest.raises(ConfigError, match="needs query_str"):
        store.query(query(mode, None))


@pytest.mark.parametrize("mode", ["hybrid", "semantic_hybrid"])
async def test_a_hybrid_query_without_an_embedding_says_so(store, mode):
    with pytest.raises(ConfigError, match="needs query_embedding"):
        store.query(query(mode, embedding=None))


async def test_keywords_are_checked(store):
    for keywords in ({"alphaa": 0.5}, {"alpha": 3}, {"fusion": "sum"}, {"alpha": 0.5, "fusion": "rrf"}):
        with pytest.raises(ConfigError):
            store.query(query("hybrid"), **keywords)


async def test_defaults_of_the_store_hold_and_are_serialised(url, store):
    config = CollectionConfig(name="words", dimensions=2, text_search="english")
    async with PGRecallVectorStore(config, url=url, search_kwargs={"alpha": 0.0}) as other:
        assert other.query(query("hybrid", "commit", k=1)).ids == ["wal"]
        data = json.loads(json.dumps(other.to_dict()))
        again = PGRecallVectorStore.from_dict(data, url=url)
        assert again.query(query("hybrid", "commit", k=1)).ids == ["wal"]
        assert again.config.words == config.words
        again.close()
    with pytest.raises(ConfigError, match="reranker="):
        PGRecallVectorStore(url=url, search_kwargs={"rerank": shortest})
    assert "shortest" not in json.dumps(store.to_dict())
    assert pickle.loads(pickle.dumps(store)).config == store.config
    assert store.model_copy().query(query("semantic_hybrid", "locks", k=1)).ids == ["table"]


async def test_the_words_of_the_incumbent_make_a_store_that_searches_by_words(url):
    async with PGRecallVectorStore.from_params(
        connection_string=url, table_name="theirs", embed_dim=2, hybrid_search=True, text_search_config="german"
    ) as store:
        store.add([TextNode(id_="h", text="Häuser und Gärten", embedding=[1.0, 0.0])])
        assert store.query(query("text_search", "Haus", embedding=None)).ids == ["h"]


@pytest.mark.parametrize("mode", ["text_search", "hybrid", "sparse"])
def test_retrievers_of_an_index_look_for_words(store, mode):
    index = VectorStoreIndex.from_vector_store(store, embed_model=MockEmbedding(2))
    retriever = index.as_retriever(vector_store_query_mode=mode, similarity_top_k=1, alpha=0.0, sparse_top_k=1)
    found = retriever.retrieve("commit")
    assert [node.node_id for node in found] == ["wal"]
    assert asyncio.run(retriever.aretrieve("commit"))[0].node_id == "wal"
