"""Documents and their embeddings in PostgreSQL with pgvector, found again by meaning.

`AsyncClient` and `Client` connect; `AsyncCollection` and `Collection` are tables with the same verbs.
`pgrecall.langchain` and `pgrecall.llama_index` put the same tables under those frameworks.
"""

from __future__ import annotations

from pgrecall.collection import AsyncClient, AsyncCollection, Client, Collection, CollectionStats
from pgrecall.config import HNSW, CollectionConfig, Columns, IVFFlat, PoolConfig, SearchOptions
from pgrecall.distance import Distance, VectorType
from pgrecall.errors import PGRecallError
from pgrecall.plan import Plan
from pgrecall.records import Match, Page, Record, RecordBatch, UpsertResult
from pgrecall.scope import Scope
from pgrecall.table import Server, VectorIndex

__version__ = "0.1.0"

__all__ = [
    "HNSW",
    "AsyncClient",
    "AsyncCollection",
    "Client",
    "Collection",
    "CollectionConfig",
    "CollectionStats",
    "Columns",
    "Distance",
    "IVFFlat",
    "Match",
    "PGRecallError",
    "Page",
    "Plan",
    "PoolConfig",
    "Record",
    "RecordBatch",
    "Scope",
    "SearchOptions",
    "Server",
    "UpsertResult",
    "VectorIndex",
    "VectorType",
]
