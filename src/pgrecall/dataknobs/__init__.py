"""`VectorStoreFactory` and `PgVectorStore`, with the interface of dataknobs-data, over the engine of everything here.

Code that was written for that package runs with another import. Neither it nor anything of its is needed.
"""

from __future__ import annotations

from pgrecall.dataknobs.errors import ExtensionNotInstalled, MissingDependency, TableMissing
from pgrecall.dataknobs.factory import VectorStoreFactory, vector_store_factory
from pgrecall.dataknobs.guide import recommend_index
from pgrecall.dataknobs.store import PgVectorStore

__all__ = [
    "ExtensionNotInstalled",
    "MissingDependency",
    "PgVectorStore",
    "TableMissing",
    "VectorStoreFactory",
    "recommend_index",
    "vector_store_factory",
]
