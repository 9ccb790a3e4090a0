"""One call in another domain than the store's."""

from __future__ import annotations

import pytest
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery

from pgrecall.errors import ConfigError
from pgrecall.llama_index import PGRecallIngestionStore, PGRecallVectorStore

ASYNCHRONOUS = {
    "add": "async_add",
    **{
        name: f"a{name}"
        for name in (
            "clear",
            "count",
            "delete",
            "delete_nodes",
            "get_nodes",
            "list_ref_docs",
            "query",
            "replace_ref_docs",
        )
    },
}


def node(node_id, document="doc"):
    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document)}
    return TextNode(id_=node_id, text=node_id, embedding=[1.0, 0.0], relationships=source)


@pytest.fixture
def store(url):
    with PGRecallVectorStore(url=url, domain="own") as store:
        store.add([node("a"), node("b")])
        yield store


@pytest.fixture(params=["blocking", "asynchronous"])
def call(store, request):
    async def call(name, *args, **kwargs):
        if request.param == "blocking":
            return getattr(store, name)(*args, **kwargs)
        return await getattr(store, ASYNCHRONOUS[name])(*args, **kwargs)

    return call


async def test_each_method_works_in_the_domain_that_the_call_names(call):
    near = VectorStoreQuery(query_embedding=[1.0, 0.0], similarity_top_k=9)
    assert await call("add", [node("a", "other"), node("c")], domain="acme") == ["a", "c"]
    assert sorted((await call("query", near, domain="acme")).ids) == ["a", "c"]
    assert sorted((await call("query", near)).ids) == ["a", "b"]
    assert [one.node_id for one in await call("get_nodes", domain="acme")] == ["a", "c"]
    assert await call("count", domain="acme") == 2
    assert [one.id for one in (await call("list_ref_docs", domain="acme")).documents] == ["doc", "other"]
    replaced = await call("replace_ref_docs", [node("d")], domain="acme")
    assert (replaced.inserted, replaced.deleted) == (1, 1)
    await call("delete", "other", domain="acme")
    assert [one.node_id for one in await call("get_nodes", domain="acme")] == ["d"]
    await call("delete_nodes", ["d", "a"], domain="acme")
    assert await call("count", domain="acme") == 0
    await call("add", [node("e")], domain="acme")
    await call("clear", domain="acme")
    assert (await call("count", domain="acme"), await call("count")) == (0, 2)


@pytest.mark.parametrize("domain", [None, "", 7])
async def test_domain_that_is_none_is_never_everything(call, domain):
    with pytest.raises(ConfigError):
        await call("query", VectorStoreQuery(query_embedding=[1.0, 0.0]), domain=domain)
    with pytest.raises(ConfigError):
        await call("delete_nodes", domain=domain)
    with pytest.raises(ConfigError):
        await call("clear", domain=domain)
    assert await call("count") == 2


async def test_keyword_beside_the_domain_is_refused(call):
    with pytest.raises(ConfigError, match="did you mean 'domain'"):
        await call("get_nodes", domains="acme")


async def test_retriever_passes_the_domain_on(store):
    store.add([node("c")], domain="acme")
    index = VectorStoreIndex.from_vector_store(store, embed_model=MockEmbedding(2))
    retriever = index.as_retriever(similarity_top_k=9, vector_store_kwargs={"domain": "acme", "exact": True})
    assert [found.node_id for found in retriever.retrieve("x")] == ["c"]
    assert [found.node_id for found in await retriever.aretrieve("x")] == ["c"]


def test_ingestion_is_of_one_domain(url):
    with PGRecallIngestionStore(url=url) as store, pytest.raises(ConfigError, match="unknown keyword 'domain'"):
        store.delete("doc", domain="acme")
