"""LlamaIndex's `BasePydanticVectorStore` over pgrecall's collections."""

from __future__ import annotations

try:
    import llama_index.core as _llama_index
except ModuleNotFoundError as error:  # the reader of the message has to know which extra is meant
    msg = "pgrecall.llama_index needs llama-index-core: pip install 'pgrecall[llama-index]'"
    raise ModuleNotFoundError(msg, name=error.name) from error

from pgrecall.llama_index.ingesting import PGRecallIngestionStore
from pgrecall.llama_index.vectorstore import PGRecallVectorStore

__all__ = ["PGRecallIngestionStore", "PGRecallVectorStore"]

del _llama_index
