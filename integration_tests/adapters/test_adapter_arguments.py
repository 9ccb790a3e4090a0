"""Whatever is passed to a store of LangChain or LlamaIndex, it works, or an error of ours says what is wrong."""

from functools import partial
from types import SimpleNamespace

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery

from integration_tests.arguments import refuse, verbs
from pgrecall.langchain import PGRecallVectorStore as LangChainStore
from pgrecall.llama_index import PGRecallVectorStore as LlamaIndexStore

NEAR = [1.0, 2.0]
LANGCHAIN = {
    "documents": lambda: [Document("text", id="a")],
    "embedding": lambda: NEAR,
    "ids": lambda: ["a"],
    "metadata_by_id": lambda: {"a": {"m": 1}},
    "query": lambda: "text",
    "search_type": lambda: "similarity",
    "source": lambda: ["text"],
    "text_embeddings": lambda: [("text", NEAR)],
    "texts": lambda: ["text"],
}
LLAMA_INDEX = {
    "nodes": lambda: [TextNode(id_="a", text="text", embedding=NEAR)],
    "query": lambda: VectorStoreQuery(query_embedding=NEAR),
    "ref_doc_id": lambda: "d",
    "source": lambda: [TextNode(id_="a", text="text", embedding=NEAR)],
}
SEARCHED = ("filter", "domain", "options", "score_threshold")
MODEL = DeterministicFakeEmbedding(size=2)
OURS = [
    "add",
    "async_add",
    "aclear",
    "acount",
    "count",
    "adelete",
    "delete",
    "adelete_nodes",
    "delete_nodes",
    "aget_nodes",
    "get_nodes",
    "aingest",
    "ingest",
    "alist_ref_docs",
    "list_ref_docs",
    "aquery",
    "query",
    "areplace_ref_docs",
    "replace_ref_docs",
]


@pytest.fixture
def langchain(url):
    with LangChainStore.from_texts(["text"], MODEL, ids=["a"], collection="docs", url=url) as store:
        yield store


@pytest.fixture
def llama_index(url):
    with LlamaIndexStore("docs", url=url) as store:
        store.add([TextNode(id_="a", text="text", embedding=NEAR)])
        yield store


@pytest.mark.parametrize("verb", [name for name in verbs(LangChainStore, {"aclose", "close"}) if "from_" not in name])
async def test_langchain_refuses_what_it_cannot_use(langchain, verb):
    # What a search does not take, it names; whatever value that has.
    await refuse(langchain, verb, LANGCHAIN, SEARCHED if "search" in verb else ())


@pytest.mark.parametrize("verb", ["from_texts", "from_documents", "from_embeddings", "from_existing"])
async def test_langchain_is_not_made_of_what_it_cannot_use(url, verb):
    made = partial(getattr(LangChainStore, verb), url=url)
    await refuse(SimpleNamespace(make=made), "make", LANGCHAIN | {"embedding": lambda: MODEL}, ("collection", "domain"))


@pytest.mark.parametrize("verb", OURS)
async def test_llama_index_refuses_what_it_cannot_use(llama_index, verb):
    await refuse(llama_index, verb, LLAMA_INDEX)
