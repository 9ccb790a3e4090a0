"""LangChain's `VectorStore` over pgrecall's collections."""

from __future__ import annotations

try:
    import langchain_core as _langchain_core
except ModuleNotFoundError as error:  # the reader of the message has to know which extra is meant
    msg = "pgrecall.langchain needs langchain-core: pip install 'pgrecall[langchain]'"
    raise ModuleNotFoundError(msg, name=error.name) from error

from pgrecall.langchain.vectorstore import PGRecallVectorStore

__all__ = ["PGRecallVectorStore"]

del _langchain_core
