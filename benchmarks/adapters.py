"""The adapters of the frameworks, as far as they are installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from benchmarks.context import SEARCHED, Context
from benchmarks.corpus import Corpus
from benchmarks.timing import Search
from pgrecall import AsyncClient, Client

Load = Callable[[Client, str], Any]
"""Writes the corpus to the collection of that name."""

_LANGCHAIN = find_spec("langchain_core") is not None
_LLAMA_INDEX = find_spec("llama_index") is not None
_NODES = 5_000


def missing() -> list[str]:
    """Return the names of the adapters that cannot be measured here."""
    return [name for name, found in (("langchain", _LANGCHAIN), ("llama_index", _LLAMA_INDEX)) if not found]


def loads(corpus: Corpus) -> dict[str, Load]:
    """Return how each adapter loads *corpus*; its input is made here, so that only writing is measured."""
    found: dict[str, Load] = {}
    if _LANGCHAIN:
        from pgrecall.langchain import PGRecallVectorStore as LangChainStore

        pairs = list(zip(corpus.contents, corpus.lists, strict=True))

        def langchain(client: Client, name: str) -> Any:
            store = LangChainStore(_NoModel(), name, client=client)
            return store.add_embeddings(pairs, corpus.metadatas, ids=corpus.ids)

        found["langchain"] = langchain
    if _LLAMA_INDEX:
        from pgrecall.llama_index import PGRecallVectorStore as LlamaIndexStore

        nodes = _nodes(corpus)
        found["llama_index"] = lambda client, name: LlamaIndexStore(name, client=client).add(nodes)
    return found


def searches(client: AsyncClient, context: Context) -> Mapping[str, Search]:
    """Return how each adapter searches; embeddings are lists, as the frameworks' models return them."""
    queries: list[list[float]] = context.corpus.queries.tolist()
    found: dict[str, Search] = {}
    if _LANGCHAIN:
        from pgrecall.langchain import PGRecallVectorStore as LangChainStore

        documents = LangChainStore(_NoModel(), SEARCHED, client=client)
        found["langchain"] = lambda p: documents.asimilarity_search_by_vector(queries[p], k=context.k)
    if _LLAMA_INDEX:
        from llama_index.core.vector_stores.types import VectorStoreQuery

        from pgrecall.llama_index import PGRecallVectorStore as LlamaIndexStore

        nodes = LlamaIndexStore(SEARCHED, client=client)
        found["llama_index"] = lambda p: nodes.aquery(
            VectorStoreQuery(query_embedding=queries[p], similarity_top_k=context.k)
        )
    return found


async def fill(client: AsyncClient, name: str, corpus: Corpus) -> bool:
    """Load *corpus* as LlamaIndex's nodes, which fill more columns than others; false where it is missing."""
    if not _LLAMA_INDEX:
        return False
    from pgrecall.llama_index import PGRecallVectorStore as LlamaIndexStore

    store = LlamaIndexStore(name, client=client)
    for start in range(0, len(corpus), _NODES):
        await store.async_add(_nodes(corpus.part(start, start + _NODES)))
    return True


def _nodes(corpus: Corpus) -> Sequence[Any]:
    """Return *corpus* as nodes with a source document, as a node parser makes them."""
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

    rows = zip(corpus.ids, corpus.contents, corpus.metadatas, corpus.lists, strict=True)
    return [
        TextNode(
            id_=row_id,
            text=content,
            metadata=metadata,
            embedding=embedding,
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=row_id.rpartition(":")[0] or row_id)},
        )
        for row_id, content, metadata, embedding in rows
    ]


class _NoModel:
    """Stands in for an embedding model: everything here is embedded already."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise NotImplementedError

    def embed_query(self, text: str) -> list[float]:
        raise NotImplementedError
