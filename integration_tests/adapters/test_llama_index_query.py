"""Every field of LlamaIndex's queries, and its three traps."""

import asyncio
import threading

import numpy as np
import pytest
from llama_index.core import MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.indices.query.embedding_utils import get_top_k_mmr_embeddings
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import QueryFusionRetriever, VectorIndexRetriever
from llama_index.core.schema import ImageNode, IndexNode, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

from pgrecall import CollectionConfig
from pgrecall.errors import ConfigError, DimensionMismatch, RecordError
from pgrecall.llama_index import PGRecallVectorStore

MMR = VectorStoreQueryMode.MMR


def node(node_id, embedding, document=None, **metadata):
    made = TextNode(id_=node_id, text=f"text of {node_id}", embedding=embedding, metadata=metadata)
    if document is not None:
        made.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=document, metadata=metadata)
    return made


NODES = [
    node("a", [1.0, 0.0], "doc1", kind="x", n=1),
    node("b", [0.0, 1.0], "doc1", kind="y", n=2),
    node("c", [1.0, 1.0], "doc2", kind="x", n=3),
]


def query(embedding=(1.0, 0.125), k=10, **others):
    return VectorStoreQuery(
        query_embedding=None if embedding is None else list(embedding), similarity_top_k=k, **others
    )


def filters(**pairs):
    return MetadataFilters(filters=[MetadataFilter(key=key, value=value) for key, value in pairs.items()])


@pytest.fixture
async def store(url):
    async with PGRecallVectorStore(url=url) as store:
        store.add(NODES)
        yield store


@pytest.fixture
async def many(url):
    rng = np.random.default_rng(3)
    async with PGRecallVectorStore("many", url=url) as store:
        store.add([node(f"n{n:03}", row.tolist()) for n, row in enumerate(rng.normal(size=(60, 8)))])
        yield store


async def both(store, asked, **keywords):
    """Return the answer to a query, after making sure that both kinds of callers get the same."""
    result = store.query(asked, **keywords)
    other = await store.aquery(asked, **keywords)
    assert (other.ids, other.similarities) == (result.ids, result.similarities)
    assert [n.model_dump() for n in other.nodes] == [n.model_dump() for n in result.nodes]
    assert result.ids == [n.node_id for n in result.nodes]
    return result


# -- which nodes ------------------------------------------------------------------------------------


async def test_node_ids_that_are_empty_restrict_nothing(store):
    for node_ids in (None, []):
        assert (await both(store, query(node_ids=node_ids))).ids == ["a", "c", "b"]
    assert (await both(store, query(node_ids=["b", "c", "nope"]))).ids == ["c", "b"]


async def test_doc_ids_that_are_empty_leave_nothing(store):
    assert (await both(store, query(doc_ids=None))).ids == ["a", "c", "b"]
    assert (await both(store, query(doc_ids=[]))).ids == []
    assert (await both(store, query(doc_ids=["doc1"]))).ids == ["a", "b"]


async def test_node_ids_doc_ids_and_filters_all_count(store):
    assert (await both(store, query(node_ids=["a", "c"], doc_ids=["doc1"], filters=filters(kind="x")))).ids == ["a"]
    assert (await both(store, query(node_ids=["a"], doc_ids=["doc2"]))).ids == []
    assert (await both(store, query(embedding=None, node_ids=["a", "c"], doc_ids=["doc1"]))).ids == ["a"]


@pytest.mark.parametrize("embedding", [None, [0.0, 0.0], [0, 0]])
@pytest.mark.parametrize("mode", [VectorStoreQueryMode.DEFAULT, MMR])
async def test_query_without_direction_lists_what_passes(store, embedding, mode):
    result = await both(store, query(embedding, filters=filters(kind="x"), mode=mode))
    assert (result.ids, result.similarities) == (["a", "c"], None)
    assert (await both(store, query(embedding, k=1, mode=mode))).ids == ["a"]


async def test_output_fields_are_the_metadata_that_comes_back(store):
    first = (await both(store, query(k=1, output_fields=["n", "nope"]))).nodes[0]
    assert first.metadata == {"n": 1}
    assert first.source_node.metadata == {"n": 1}
    assert first.text == "text of a"
    assert (await both(store, query(k=1, output_fields=[]))).nodes[0].metadata == {}
    assert (await both(store, query(k=1))).nodes[0].metadata == {"kind": "x", "n": 1}
    assert (await both(store, query(None, k=1, output_fields=["n"]))).nodes[0].metadata == {"n": 1}


async def test_embedding_field_is_the_one_there_is(store):
    assert (await both(store, query(embedding_field="embedding"))).ids == ["a", "c", "b"]
    with pytest.raises(ConfigError, match="'title_vector'"):
        await store.aquery(query(embedding_field="title_vector"))


async def test_queried_nodes_come_without_embeddings(store):
    for mode in (VectorStoreQueryMode.DEFAULT, MMR):
        assert [n.embedding for n in (await both(store, query(mode=mode))).nodes] == [None] * 3


@pytest.mark.parametrize("mode", [VectorStoreQueryMode.DEFAULT, MMR])
async def test_query_may_be_an_array(store, mode):
    asked, zeros = (VectorStoreQuery(np.array(vector), similarity_top_k=2, mode=mode) for vector in ([0, 1.0], [0, 0]))
    assert (await both(store, asked)).ids == (await both(store, query([0, 1.0], k=2, mode=mode))).ids
    assert (await both(store, zeros)).ids == ["a", "b"]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (query([1.0, 2.0, 3.0]), DimensionMismatch),
        (query([]), DimensionMismatch),
        (query([float("nan"), 1.0]), RecordError),
        (query(k=0), ConfigError),
        (query(k=20_000), ConfigError),
    ],
)
async def test_query_that_cannot_be_is_an_error_of_ours(store, wrong, error):
    with pytest.raises(error):
        store.query(wrong)
    with pytest.raises(error):
        await store.aquery(wrong)


async def test_query_of_nothing_written_yet_is_empty(url):
    async with PGRecallVectorStore("nothing", url=url) as store:
        for asked in (query(), query(None), query(mode=MMR)):
            assert (await both(store, asked)).ids == []


# -- modes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["svm", "logistic_regression", "linear_regression", "nonsense"])
def test_mode_that_there_is_not_says_what_there_is(store, mode):
    with pytest.raises(ValueError, match=rf"'{mode}' is not supported; there are: default, mmr"):
        store.query(query(mode=mode))


@pytest.mark.parametrize("threshold", [None, 0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("k", [1, 5, 60, 100])
async def test_mmr_gives_the_frameworks_own_picks_and_scores(many, threshold, k):
    embedding = np.random.default_rng(4).normal(size=8).tolist()
    result = await both(many, query(embedding, k, mode=MMR, mmr_threshold=threshold), mmr_prefetch_k=60)
    nearest = {n.node_id: n.embedding for n in many.get_nodes()}
    ids = many.query(query(embedding, 60)).ids
    scores, wanted = get_top_k_mmr_embeddings(
        embedding, [nearest[i] for i in ids], similarity_top_k=k, embedding_ids=ids, mmr_threshold=threshold
    )
    assert result.ids == wanted
    assert result.similarities == pytest.approx(scores, abs=1e-6)


async def test_mmr_threshold_of_the_keyword_wins_even_if_none(many):
    def asked(threshold):
        return query([1.0] * 8, 10, mode=MMR, mmr_threshold=threshold)

    by_query = {value: (await both(many, asked(value))).ids for value in (0.1, 0.5, 1.0)}
    assert len({tuple(ids) for ids in by_query.values()}) == 3
    assert (await both(many, asked(1.0), mmr_threshold=0.1)).ids == by_query[0.1]
    assert (await both(many, asked(1.0), mmr_threshold=None)).ids == by_query[0.5]
    assert (await both(many, asked(None), mmr_threshold=1.0)).ids == by_query[1.0]


async def test_mmr_picks_from_as_many_as_asked_for(many):
    def asked(**keywords):
        return both(many, query([1.0] * 8, 5, mode=MMR, mmr_threshold=0.0), **keywords)

    nearest = many.query(query([1.0] * 8, 60)).ids
    assert set((await asked()).ids) <= set(nearest[:20])
    assert set((await asked(mmr_prefetch_factor=2)).ids) <= set(nearest[:10])
    assert sorted((await asked(mmr_prefetch_k=1)).ids) == sorted(nearest[:5])
    assert not set((await asked(mmr_prefetch_k=60)).ids) <= set(nearest[:20])


@pytest.mark.parametrize(
    ("keywords", "match"),
    [
        ({"mmr_threshold": 2}, "mmr_threshold"),
        ({"mmr_threshold": "x"}, "mmr_threshold"),
        ({"mmr_prefetch_k": 0}, "mmr_prefetch_k"),
        ({"mmr_prefetch_factor": 0}, "mmr_prefetch_factor"),
        ({"mmr_prefetch_k": 9, "mmr_prefetch_factor": 2}, "twice"),
    ],
)
def test_mmr_keyword_out_of_range_is_an_error(many, keywords, match):
    with pytest.raises(ConfigError, match=match):
        many.query(query([1.0] * 8, mode=MMR), **keywords)


# -- keywords ---------------------------------------------------------------------------------------


def test_keywords_of_the_retriever_reach_the_engine(store, monkeypatch):
    seen = []
    searched = type(store.collection).search
    monkeypatch.setattr(
        type(store.collection), "search", lambda *a, **kw: (seen.append(kw["options"]), searched(*a, **kw))[1]
    )
    index = VectorStoreIndex.from_vector_store(store, embed_model=MockEmbedding(2))
    for keywords in (
        {"exact": True},
        {"ef_search": 70},
        {"hnsw_ef_search": 80},
        {"ivfflat_probes": 9},
        {"probes": 3, "mmr_threshold": 0.2},
    ):
        index.as_retriever(vector_store_kwargs=keywords).retrieve("x")
    assert [(o.exact, o.ef_search, o.probes) for o in seen] == [
        (True, None, None),
        (False, 70, None),
        (False, 80, None),
        (False, None, 9),
        (False, None, 3),
    ]


def test_keyword_that_is_not_known_or_said_twice_is_an_error(store):
    with pytest.raises(ConfigError, match="did you mean 'ef_search'"):
        store.query(query(), ef_serch=3)
    with pytest.raises(ConfigError, match="twice"):
        store.query(query(), ef_search=3, hnsw_ef_search=3)
    with pytest.raises(ConfigError, match="ef_search"):
        store.query(query(), ef_search=0)


def test_search_kwargs_are_every_querys_unless_it_brings_its_own(store, monkeypatch):
    seen = []
    searched = type(store.collection).search
    monkeypatch.setattr(
        type(store.collection), "search", lambda *a, **kw: (seen.append(kw["options"].ef_search), searched(*a, **kw))[1]
    )
    tuned = PGRecallVectorStore(store.collection, search_kwargs={"hnsw_ef_search": 77})
    tuned.query(query())
    tuned.query(query(), ef_search=12)
    assert seen == [77, 12]
    with pytest.raises(ConfigError, match="ef_serch"):
        PGRecallVectorStore(store.collection, search_kwargs={"ef_serch": 1})


# -- index nodes that hide text nodes ---------------------------------------------------------------


def mixed(store):
    index = VectorStoreIndex(
        [], storage_context=StorageContext.from_defaults(vector_store=store), embed_model=MockEmbedding(2)
    )
    index.insert_nodes(
        [
            TextNode(id_="t", text="text"),
            IndexNode(id_="i", text="index", index_id="x"),
            ImageNode(id_="g", text="image", image="aGVsbG8="),
        ]
    )
    return index


def test_index_nodes_hide_text_nodes_from_the_retriever_of_the_same_index(url):
    # The retriever of an index passes the ids of its index and image nodes as node_ids: see the class.
    with PGRecallVectorStore("mixed", url=url) as store:
        found = mixed(store).as_retriever(similarity_top_k=9).retrieve("x")
        assert sorted(hit.node.node_id for hit in found) == ["g", "i"]
        later = VectorStoreIndex.from_vector_store(store, embed_model=MockEmbedding(2))
        found = later.as_retriever(similarity_top_k=9).retrieve("x")
        assert sorted(hit.node.node_id for hit in found) == ["g", "i", "t"]


def test_index_nodes_hide_nothing_where_node_ids_do_not_restrict(url):
    with PGRecallVectorStore("mixed", url=url, restrict_to_node_ids=False) as store:
        index = mixed(store)
        found = index.as_retriever(similarity_top_k=9).retrieve("x")
        assert sorted(hit.node.node_id for hit in found) == ["g", "i", "t"]
        found = VectorIndexRetriever(index, similarity_top_k=9, node_ids=["t"]).retrieve("x")
        assert len(found) == 3


def test_retriever_with_node_ids_finds_only_those(store):
    index = VectorStoreIndex.from_vector_store(store, embed_model=MockEmbedding(2))
    found = VectorIndexRetriever(index, similarity_top_k=9, node_ids=["b", "c"]).retrieve("x")
    assert sorted(hit.node.node_id for hit in found) == ["b", "c"]
    found = VectorIndexRetriever(index, similarity_top_k=9, doc_ids=["doc2"]).retrieve("x")
    assert [hit.node.node_id for hit in found] == ["c"]


# -- loops and threads ------------------------------------------------------------------------------


@pytest.mark.parametrize("use_async", [True, False])
async def test_fusion_of_retrievers_works_in_a_running_loop_and_without(store, use_async):
    index = VectorStoreIndex.from_vector_store(store, embed_model=MockEmbedding(2))

    def ask():
        fusion = QueryFusionRetriever(
            [index.as_retriever(similarity_top_k=2), index.as_retriever(similarity_top_k=3)],
            llm=MockLLM(),
            num_queries=1,
            similarity_top_k=3,
            mode="reciprocal_rerank",
            use_async=use_async,
        )
        return [hit.node.node_id for hit in fusion.retrieve("x")]

    within = ask()
    assert sorted(within) == ["a", "b", "c"]
    assert await asyncio.to_thread(ask) == within


def test_store_is_used_from_many_loops_and_threads(store):
    found = []

    def work():
        for _ in range(3):
            found.append(asyncio.run(store.aquery(query())).ids)
            found.append(store.query(query()).ids)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [["a", "c", "b"]] * 24


async def test_asynchronous_query_does_not_block_the_loop(store):
    blockbuster = pytest.importorskip("blockbuster")
    await store.aquery(query())
    with blockbuster.blockbuster_ctx():
        await store.aquery(query())
        await store.aquery(query(mode=MMR))
        await store.async_add(NODES)
        await store.aget_nodes(["a"])
        await store.adelete("doc1")


async def test_other_distances_have_scores_of_which_higher_is_better(url):
    for distance in ("l2", "ip", "l1"):
        async with PGRecallVectorStore(CollectionConfig(name=f"by_{distance}", distance=distance), url=url) as store:
            store.add(NODES)
            result = await both(store, query())
            assert result.similarities == sorted(result.similarities, reverse=True)
            varied = await both(store, query(mode=MMR, mmr_threshold=1.0))
            assert varied.ids == ["a", "c", "b"]
