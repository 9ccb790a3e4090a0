"""Every public verb of both frameworks' stores stays in its domain, blocking and asynchronous alike."""

import inspect

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters, VectorStoreQuery

from integration_tests.tenants import SECRET, config, everything_of, own, roles, shown, verbs
from pgrecall import AsyncClient, Client
from pgrecall.errors import CollectionNotFound, ConfigError
from pgrecall.langchain import PGRecallByteStore, PGRecallSemanticCache, PGRecallVectorStore, PGRecordManager
from pgrecall.llama_index import PGRecallVectorStore as LlamaStore

NEAR = [1.0, 2.0, 10.0]


class Words(Embeddings):
    def embed_documents(self, texts):
        return [NEAR for _ in texts]

    def embed_query(self, text):
        return NEAR


def document(row_id="a", text="new"):
    return Document(id=row_id, page_content=text, metadata={"n": 1})


def node(row_id="a", text="new"):
    made = TextNode(id_=row_id, text=text, embedding=NEAR, metadata={"n": 1})
    made.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id="d")
    return made


ONE = MetadataFilters(filters=[MetadataFilter(key="n", value=1)])
# Arguments of each verb, and how many documents of red come back where that says something.
LANGCHAIN = {
    "add_documents": ([[document(), document("c")]], {}, None),
    "add_embeddings": ([[("new", NEAR)]], {"ids": ["c"]}, None),
    "add_texts": ([["new"]], {"ids": ["a"]}, None),
    "as_retriever": ([], {}, None),
    "count": ([{"n": 1}], {}, 2),
    "delete": ([["a", "b", "c"]], {}, None),
    "get_by_ids": ([["a", "c"]], {}, 1),
    "hybrid_search": (["secret"], {}, 2),
    "hybrid_search_with_score": (["secret"], {}, 2),
    "ingest": ([[document(), document("c")]], {"run": "walk"}, None),
    "keyword_search": (["secret"], {}, 2),
    "keyword_search_with_score": (["secret"], {}, 2),
    "list_documents": ([{"n": 1}], {}, None),
    "max_marginal_relevance_search": (["secret"], {}, 2),
    "max_marginal_relevance_search_by_vector": ([NEAR], {}, 2),
    "max_marginal_relevance_search_with_score": (["secret"], {}, 2),
    "max_marginal_relevance_search_with_score_by_vector": ([NEAR], {}, 2),
    "search": (["secret", "similarity"], {}, 2),
    "similarity_search": (["secret"], {"filter": {"n": 1}}, 2),
    "similarity_search_by_vector": ([NEAR], {}, 2),
    "similarity_search_by_vector_with_relevance_scores": ([NEAR], {}, 2),
    "similarity_search_with_relevance_scores": (["secret"], {}, 2),
    "similarity_search_with_score": (["secret"], {}, 2),
    "similarity_search_with_score_by_vector": ([NEAR], {}, 2),
    "update_documents": ([[document(), document("c")]], {}, None),
    "update_metadata": ([{"a": {"k": 1}, "c": {"k": 1}}], {}, None),
}
MAKING = {"from_documents", "from_embeddings", "from_existing", "from_texts"}
ELSEWHERE = {"from_langchain_postgres", "copy_from_langchain_postgres"}  # read tables of other libraries
LLAMA_INDEX = {
    "add": ([[node(), node("c")]], {}, None),
    "clear": ([], {}, None),
    "count": ([ONE], {}, 2),
    "delete": (["d"], {}, None),
    "delete_nodes": ([["a", "b", "c"]], {}, None),
    "get_nodes": ([["a", "b", "c"]], {}, 2),
    "ingest": ([[node(), node("c")]], {"run": "walk"}, None),
    "list_ref_docs": ([], {}, None),
    "query": ([VectorStoreQuery(query_embedding=NEAR, similarity_top_k=9)], {}, None),
    "replace_ref_docs": ([[node(), node("c")]], {}, None),
}
THEIRS = {"from_llama_index_postgres", "copy_from_llama_index_postgres"}  # read tables of another library
PLAIN = {"class_name", "custom_model_dump", "from_dict", "from_json", "from_params", "persist", "to_dict", "to_json"}


@pytest.fixture(params=[False, True], ids=["statements", "policies"])
async def red(request, database):
    """The store's collection, bound to red, by a role that sees all rows and by one that policies bind."""
    settings = config(row_level_security=request.param)
    async with roles(database, settings) as (_, runtime), AsyncClient(database.url) as superuser:
        await superuser.collection(config()).domain("blue").upsert(own("blue", "abc"))
        url = runtime if request.param else database.url
        async with AsyncClient(url) as client:
            yield client.collection(config()).domain("red")


async def walk(store, red, database, cases):
    before = everything_of(database, "blue")
    for name, (given, more, count) in cases.items():
        for verb in (name, {"add": "async_add"}.get(name, f"a{name}")):
            if not hasattr(store, verb):
                assert verb == "aas_retriever"
                continue
            await red.clear()
            await red.upsert(own("red"))
            answer = getattr(store, verb)(*given, **more)
            if inspect.isawaitable(answer):
                answer = await answer
            assert SECRET not in shown(answer), verb
            if count is not None:
                assert (answer if isinstance(answer, int) else len(answer)) == count, verb
            assert everything_of(database, "blue") == before, verb


async def test_every_verb_of_langchains_store_stays_in_its_domain(red, database):
    store = PGRecallVectorStore(Words(), red)
    found = verbs(PGRecallVectorStore)
    blocking = {name for name in found if not (name.startswith("a") and name[1:] in found)}
    assert blocking == LANGCHAIN.keys() | MAKING | ELSEWHERE | {"close"}
    assert found >= verbs(VectorStore)
    await walk(store, red, database, LANGCHAIN)
    before = everything_of(database, "blue")
    for made in (
        PGRecallVectorStore.from_documents([document()], Words(), collection=red),
        PGRecallVectorStore.from_texts(["new"], Words(), ids=["a"], collection=red),
        PGRecallVectorStore.from_embeddings([("new", NEAR)], Words(), ids=["a"], collection=red),
        PGRecallVectorStore.from_existing(Words(), red),
        await PGRecallVectorStore.afrom_texts(["new"], Words(), ids=["a"], collection=red),
    ):
        assert made.collection.scope.domain == "red"
        assert SECRET not in shown(made.similarity_search("secret", k=10))
        # A call may name another domain: that is what its caller asked for.
        assert {one.page_content for one in made.similarity_search("secret", domain="blue")} == {"a secret of blue"}
    assert await store.as_retriever().ainvoke("secret")
    assert everything_of(database, "blue") == before


async def test_every_verb_of_llama_indexs_store_stays_in_its_domain(red, database):
    store = LlamaStore(red)
    from pydantic import BaseModel

    found = verbs(LlamaStore, beyond=[BaseModel])
    blocking = {name for name in found if not (name.startswith("a") and name[1:] in found)} - {"async_add"}
    assert blocking == LLAMA_INDEX.keys() | PLAIN | THEIRS | {"close"}
    await walk(store, red, database, LLAMA_INDEX)
    assert store.to_dict()["domain"] == "red"
    assert store.model_copy(update={"domain": "green"}).count() == 0


@pytest.mark.parametrize("nobody", [None, "", 0])
def test_a_tenant_that_is_missing_is_an_error_and_not_the_default(url, nobody):
    with Client(url) as client:
        for make in (
            lambda: PGRecallVectorStore(Words(), client=client, domain=nobody),
            lambda: PGRecallVectorStore.from_texts(["a"], Words(), client=client, domain=nobody),
            lambda: PGRecallVectorStore(Words(), client=client).count(domain=nobody),
            lambda: PGRecallVectorStore(Words(), client=client).add_texts(["a"], domain=nobody),
            lambda: PGRecallSemanticCache(Words(), client=client, domain=nobody),
            lambda: PGRecordManager("n", client=client, domain=nobody),
            lambda: PGRecallByteStore("n", client=client, domain=nobody),
            lambda: LlamaStore(client=client, domain=nobody),
            lambda: LlamaStore(client=client, domain="red").model_copy(update={"domain": nobody}),
        ):
            with pytest.raises(ConfigError, match="domain must be a non-empty string"):
                make()
        with pytest.raises(CollectionNotFound):
            PGRecallVectorStore.from_existing(Words(), client=client, domain="red")
