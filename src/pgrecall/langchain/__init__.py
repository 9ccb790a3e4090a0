"""LangChain's `VectorStore` over pgrecall's collections."""

from __future__ import annotations

try:
    import langchain_core as _langchain_core
except ModuleNotFoundError as error:  # the reader of the message has to know which extra is meant
    msg = "pgrecall.langchain needs langchain-core: pip install 'pgrecall[langchain]'"
    raise ModuleNotFoundError(msg, name=error.name) from error

from pgrecall.langchain.cache import PGRecallSemanticCache
from pgrecall.langchain.documents import number_chunks
from pgrecall.langchain.listing import DocumentPage
from pgrecall.langchain.record_manager import PGRecordManager
from pgrecall.langchain.retriever import PGRecallRetriever
from pgrecall.langchain.stores import PGRecallByteStore, PGRecallDocumentStore
from pgrecall.langchain.translator import PGRecallTranslator
from pgrecall.langchain.vectorstore import PGRecallVectorStore

__all__ = [
    "DocumentPage",
    "PGRecallByteStore",
    "PGRecallDocumentStore",
    "PGRecallRetriever",
    "PGRecallSemanticCache",
    "PGRecallTranslator",
    "PGRecallVectorStore",
    "PGRecordManager",
    "number_chunks",
]

del _langchain_core
