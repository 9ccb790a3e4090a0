"""One question to both frameworks, over the same table."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from llama_index.core import VectorStoreIndex
from llama_index.core.vector_stores import MetadataFilter, MetadataFilters

from pgrecall.cli.demo.bridge import SharedEmbedding
from pgrecall.llama_index import PGRecallVectorStore as LlamaIndexStore

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import VectorStore

    from pgrecall.langchain import PGRecallVectorStore as LangChainStore
    from pgrecall.plan import Plan

K: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A row that a framework's retriever has returned.

    Attributes:
        id: Its id.
        text: Its text.
        metadata: Its metadata.
        score: Its similarity; LangChain's retrievers return none.
    """

    id: str
    text: str
    metadata: dict[str, Any]
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one framework found.

    Attributes:
        rows: The rows, best first.
        milliseconds: How long it took, embedding the question included.
    """

    rows: list[Found]
    milliseconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One question under one filter, answered by both frameworks.

    Attributes:
        filter: The metadata key and the value wanted, or `None`.
        langchain: LangChain's answer.
        llama_index: LlamaIndex's answer.
        plan: How the engine searches.
    """

    filter: tuple[str, str] | None
    langchain: Answer
    llama_index: Answer
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question with all its answers.

    Attributes:
        question: What was asked.
        rounds: The answers: without a filter, and under one.
    """

    question: str
    rounds: list[Round]


class Asker:
    """A LangChain store and a LlamaIndex index over one collection.

    Args:
        store: The LangChain store; the collection is the one that it uses.
        embeddings: What questions are embedded with.
    """

    def __init__(self, store: LangChainStore, embeddings: Embeddings) -> None:
        self._collection = store.collection
        self._embeddings = embeddings
        self._store: VectorStore = store
        self._index = VectorStoreIndex.from_vector_store(
            LlamaIndexStore(store.collection), embed_model=SharedEmbedding(embeddings)
        )

    def ask(self, question: str, filter: tuple[str, str] | None = None) -> Round:
        """Return what both find; the first question ever also pays for connections and caches."""
        wanted = None if filter is None else dict([filter])
        return Round(
            filter=filter,
            langchain=self._ask_langchain(question, wanted),
            llama_index=self._ask_llama_index(question, filter),
            plan=self._collection.explain(self._embeddings.embed_query(question), K, filter=wanted),
        )

    def _ask_langchain(self, question: str, filter: dict[str, str] | None) -> Answer:
        keywords = {"k": K} if filter is None else {"k": K, "filter": filter}
        retriever = self._store.as_retriever(search_kwargs=keywords)
        started = time.perf_counter()
        documents = retriever.invoke(question)
        took = time.perf_counter() - started
        rows = [
            Found(id=document.id or "", text=document.page_content, metadata=document.metadata)
            for document in documents
        ]
        return Answer(rows=rows, milliseconds=1000 * took)

    def _ask_llama_index(self, question: str, filter: tuple[str, str] | None) -> Answer:
        filters = filter and MetadataFilters(filters=[MetadataFilter(key=filter[0], value=filter[1])])
        retriever = self._index.as_retriever(similarity_top_k=K, filters=filters)
        started = time.perf_counter()
        nodes = retriever.retrieve(question)
        took = time.perf_counter() - started
        rows = [Found(id=node.node_id, text=node.text, metadata=node.metadata, score=node.score) for node in nodes]
        return Answer(rows=rows, milliseconds=1000 * took)
