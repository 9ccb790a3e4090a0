"""LlamaIndex's contract, and its traps."""

from __future__ import annotations

import asyncio
import json
import pickle

import pytest
from llama_index.core import Document, MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.schema import (
    ImageNode,
    IndexNode,
    MediaResource,
    Node,
    NodeRelationship,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores.types import (
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

from pgrecall.errors import ConfigError, FilterError, RecordError
from pgrecall.llama_index import PGRecallVectorStore


def node(node_id, embedding, document=None, **metadata):
    made = TextNode(id_=node_id, text=f"text of {node_id}", embedding=embedding, metadata=metadata)
    if document is not None:
        made.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=document)
    return made


NODES = [
    node("a", [1.0, 0.0], "doc1", kind="x", n=1),
    node("b", [0.0, 1.0], "doc1", kind="y", n=2),
    node("c", [1.0, 1.0], "doc2", kind="x", n=3),
]


def filters(*pairs, **others):
    return MetadataFilters(filters=[MetadataFilter(key=key, value=value) for key, value in pairs], **others)


def query(embedding=(1.0, 0.125), k=10, **others):
    return VectorStoreQuery(
        query_embedding=None if embedding is None else list(embedding), similarity_top_k=k, **others
    )


@pytest.fixture
def store(url):
    store = PGRecallVectorStore(url=url)
    assert store.add(NODES) == ["a", "b", "c"]
    yield store
    store.close()


def test_query_gives_nodes_best_first(store):
    result = store.query(query())
    assert result.ids == ["a", "c", "b"]
    assert [n.text for n in result.nodes] == ["text of a", "text of c", "text of b"]
    assert result.similarities == sorted(result.similarities, reverse=True)


def test_query_honours_filters_nodes_and_documents(store):
    assert store.query(query(filters=filters(("kind", "x")))).ids == ["a", "c"]
    assert store.query(query(filters=filters(("kind", "x"), ("n", 3)))).ids == ["c"]
    assert store.query(query(filters=filters(("ref_doc_id", "doc2")))).ids == ["c"]
    assert store.query(query(node_ids=["b", "c"])).ids == ["c", "b"]
    assert store.query(query(doc_ids=["doc1"], filters=filters(("kind", "y")))).ids == ["b"]


def test_query_with_no_node_ids_is_unrestricted_and_with_no_doc_ids_is_empty(store):
    assert len(store.query(query(node_ids=[])).ids) == 3
    assert store.query(query(doc_ids=[])).ids == []
    assert len(store.query(query(filters=filters())).ids) == 3


def test_query_without_embedding_lists_what_passes(store):
    result = store.query(query(embedding=None, filters=filters(("kind", "x"))))
    assert result.ids == ["a", "c"]
    assert result.similarities is None


def test_query_of_none_matches_nothing(store):
    assert store.query(query(filters=filters(("kind", None)))).ids == []


def test_unsupported_mode_and_keyword_are_errors(store):
    with pytest.raises(ConfigError, match="mode"):
        store.query(query(mode=VectorStoreQueryMode.SPARSE))
    with pytest.raises(ConfigError, match="did you mean 'ef_search'"):
        store.query(query(), ef_serch=3)
    assert store.query(query(), hnsw_ef_search=50, mmr_threshold=0.5).ids[0] == "a"


def test_value_that_does_not_fit_its_operator_is_an_error(store):
    bad = MetadataFilters(filters=[MetadataFilter(key="n", value="x", operator=FilterOperator.IN)])
    with pytest.raises(FilterError, match="'n'"):
        store.query(query(filters=bad))


def test_add_replaces_by_node_id_and_gives_an_id_for_each(store):
    assert store.add([node("a", [0.0, 1.0]), node("a", [1.0, 1.0]), node("z", [1.0, 0.0])]) == ["a", "a", "z"]
    assert len(store.get_nodes()) == 4
    assert store.get_nodes(["a"])[0].embedding == [1.0, 1.0]
    assert store.add([]) == []
    assert store.add(node(name, [1.0, 0.0]) for name in "pq") == ["p", "q"]


def test_add_without_embedding_writes_nothing(store):
    with pytest.raises(RecordError, match="no embedding"):
        store.add([node("x", [1.0, 0.0]), node("y", None)])
    assert store.get_nodes(["x"]) == []


def test_delete_removes_a_documents_nodes_and_knows_no_missing_one(store):
    store.delete("doc1")
    store.delete("doc1")
    assert [n.node_id for n in store.get_nodes()] == ["c"]


def test_delete_nodes_needs_a_condition_that_restricts(store):
    store.delete_nodes()
    store.delete_nodes([])
    with pytest.raises(FilterError, match="empty"):
        store.delete_nodes(filters=filters())
    assert len(store.get_nodes()) == 3
    store.delete_nodes(["a", "b"], filters=filters(("kind", "x")))
    assert [n.node_id for n in store.get_nodes()] == ["b", "c"]


def test_clear_removes_everything_of_the_domain(store):
    other = PGRecallVectorStore(store.collection.domain("other"))
    other.add([node("a", [1.0, 0.0])])
    store.clear()
    assert store.get_nodes() == []
    assert len(other.get_nodes()) == 1


def test_get_nodes_limits_and_selects(store):
    assert [n.node_id for n in store.get_nodes(limit=2)] == ["a", "b"]
    assert store.get_nodes([]) == []
    assert [n.node_id for n in store.get_nodes(["c", "a", "nope"])] == ["a", "c"]
    assert [n.node_id for n in store.get_nodes(filters=filters(("n", 2)))] == ["b"]


def test_get_nodes_pages_through_many(store):
    store.add([node(f"n{number:04}", [1.0, number + 1.0]) for number in range(2300)])
    assert len(store.get_nodes()) == 2303


FULL = [
    TextNode(
        text="hello",
        metadata={"a": 1, "tags": ["x", "y"], "nested": {"b": None}},
        excluded_llm_metadata_keys=["tags"],
        excluded_embed_metadata_keys=["a"],
        metadata_template="{key}={value}",
        text_template="{content} {metadata_str}",
        start_char_idx=3,
        end_char_idx=8,
        mimetype="text/markdown",
        relationships={
            NodeRelationship.SOURCE: RelatedNodeInfo(node_id="doc", metadata={"m": 1}),
            NodeRelationship.NEXT: RelatedNodeInfo(node_id="next"),
            NodeRelationship.CHILD: [RelatedNodeInfo(node_id="c1"), RelatedNodeInfo(node_id="c2")],
        },
        embedding=[1.0, 0.5],
    ),
    IndexNode(text="index", index_id="i", obj=TextNode(id_="inner", text="inner"), embedding=[1.0, 0.5]),
    ImageNode(text="image", image_url="http://example.org/i.png", embedding=[1.0, 0.5]),
    Node(text_resource=MediaResource(text="node", mimetype="text/x"), embedding=[1.0, 0.5]),
    Document(text="document", metadata={"k": "v"}, embedding=[1.0, 0.5]),
]


@pytest.mark.parametrize("original", FULL, ids=lambda n: n.class_name())
def test_node_comes_back_as_it_was(store, original):
    store.add([original])
    (back,) = store.get_nodes([original.node_id])
    assert type(back) is type(original)
    assert back.model_dump() == original.model_dump()


def test_foreign_keywords_in_content_and_metadata_stay_data(store):
    hostile = "x' OR '1'='1"
    store.add([node("h", [1.0, 0.0], None, **{hostile: hostile})])
    assert store.query(query(filters=filters((hostile, hostile)))).ids == ["h"]
    assert store.query(query(filters=filters(("kind", hostile)))).ids == []


def test_index_inserts_retrieves_and_deletes(url):
    store = PGRecallVectorStore("indexed", url=url)
    context = StorageContext.from_defaults(vector_store=store)
    documents = [Document(id_=f"d{n}", text=f"document {n} " * 20, metadata={"n": n}) for n in range(5)]
    index = VectorStoreIndex.from_documents(documents, storage_context=context, embed_model=MockEmbedding(8))
    found = index.as_retriever(similarity_top_k=5).retrieve("document 1")
    assert {hit.node.ref_doc_id for hit in found} == {"d0", "d1", "d2", "d3", "d4"}
    narrowed = index.as_retriever(similarity_top_k=5, filters=filters(("n", 2))).retrieve("x")
    assert [hit.node.ref_doc_id for hit in narrowed] == ["d2"]
    index.delete_ref_doc("d2")
    assert len(store.get_nodes()) == 4
    again = VectorStoreIndex.from_vector_store(PGRecallVectorStore("indexed", url=url), embed_model=MockEmbedding(8))
    assert len(asyncio.run(again.as_retriever(similarity_top_k=9).aretrieve("x"))) == 4
    store.close()


async def test_asynchronous_methods_answer_as_blocking_ones(store):
    assert (await store.aquery(query())).ids == store.query(query()).ids
    assert await store.async_add([node("q", [1.0, 0.0], "doc9")]) == ["q"]
    assert [n.node_id for n in await store.aget_nodes(["q"])] == ["q"]
    assert (await store.aquery(query(embedding=None, k=2))).ids == ["a", "b"]
    await store.adelete("doc9")
    await store.adelete_nodes(["a"])
    assert [n.node_id for n in await store.aget_nodes()] == ["b", "c"]
    await store.aclear()
    assert await store.aget_nodes() == []
    await store.aclose()


def test_dictionary_and_pickle_carry_no_secret():
    store = PGRecallVectorStore("t", url="postgresql://me:hunter2@localhost/db", domain="acme")
    data = store.to_dict()
    assert "hunter2" not in json.dumps(data)
    assert "hunter2" not in repr(store)
    assert b"hunter2" not in pickle.dumps(store)
    again = PGRecallVectorStore.from_dict(data, url="postgresql://me:hunter2@localhost/db")
    assert again.to_dict() == data
    assert bool(store)


def test_rows_of_one_framework_are_documents_of_the_other(store):
    from langchain_core.embeddings import DeterministicFakeEmbedding

    from pgrecall.langchain import PGRecallVectorStore as LangChainStore

    langchain = LangChainStore(DeterministicFakeEmbedding(size=2), store.collection)
    (document,) = langchain.get_by_ids(["a"])
    assert (document.page_content, document.metadata) == ("text of a", {"kind": "x", "n": 1})
    langchain.add_texts(["from LangChain"], [{"kind": "z"}], ids=["lc"])
    (found,) = store.query(query(filters=filters(("kind", "z")))).nodes
    assert isinstance(found, TextNode)
    assert (found.node_id, found.text, found.metadata) == ("lc", "from LangChain", {"kind": "z"})
