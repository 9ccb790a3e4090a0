"""Documents and their embeddings in PostgreSQL with pgvector, found again by meaning.

`AsyncClient` and `Client` connect; `AsyncCollection` and `Collection` are tables with the same verbs.
`pgrecall.langchain` and `pgrecall.llama_index` put the same tables under those frameworks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgrecall.build import BuildOptions, IndexProgress
from pgrecall.columns import Columns
from pgrecall.config import HNSW, MMR, CollectionConfig, IVFFlat, SearchOptions
from pgrecall.distance import Distance, VectorType
from pgrecall.errors import PGRecallError
from pgrecall.findings import Finding, Verdict
from pgrecall.fusion import Convex, Fusion, ReciprocalRank, Union
from pgrecall.hybrid import HybridOptions, KeywordOptions
from pgrecall.keyword_plan import KeywordPlan
from pgrecall.layout import HashPartitions, ListPartitions
from pgrecall.plan import Access, Plan
from pgrecall.planner.recommend import IndexRecommendation, recommend_index
from pgrecall.pooling import PoolConfig, RetryConfig
from pgrecall.promoted import FieldType, PromotedField
from pgrecall.records import Facet, Group, Match, Page, Record, RecordBatch, RecordChange, UpsertResult
from pgrecall.reranking import Rerank
from pgrecall.scope import Scope
from pgrecall.server import Server
from pgrecall.table import SparseColumn, VectorIndex
from pgrecall.table_columns import TableColumn, TextColumn
from pgrecall.text_search import TextSearch

if TYPE_CHECKING:
    from pgrecall.collection import (
        AsyncClient,
        AsyncCollection,
        AsyncKeyValues,
        AsyncLedger,
        Client,
        Collection,
        CollectionStats,
        CopyProgress,
        CopyReport,
        DomainInfo,
        EmbeddingModel,
        EmbeddingRetry,
        IngestFailure,
        IngestOptions,
        IngestProgress,
        IngestReport,
        IsolationProgress,
        IsolationReport,
        KeyValues,
        Ledger,
        MaintenanceReport,
        RecallReport,
        ReembedOptions,
        ReembedProgress,
        ReembedReport,
        ReplaceResult,
        Rights,
        SourceDocument,
        SourceDocumentPage,
        TuningPoint,
        TuningReport,
        collection_sql,
    )

__version__ = "0.1.0"

__all__ = [
    "HNSW",
    "MMR",
    "Access",
    "AsyncClient",
    "AsyncCollection",
    "AsyncKeyValues",
    "AsyncLedger",
    "BuildOptions",
    "Client",
    "Collection",
    "CollectionConfig",
    "CollectionStats",
    "Columns",
    "Convex",
    "CopyProgress",
    "CopyReport",
    "Distance",
    "DomainInfo",
    "EmbeddingModel",
    "EmbeddingRetry",
    "Facet",
    "FieldType",
    "Finding",
    "Fusion",
    "Group",
    "HashPartitions",
    "HybridOptions",
    "IVFFlat",
    "IndexProgress",
    "IndexRecommendation",
    "IngestFailure",
    "IngestOptions",
    "IngestProgress",
    "IngestReport",
    "IsolationProgress",
    "IsolationReport",
    "KeyValues",
    "KeywordOptions",
    "KeywordPlan",
    "Ledger",
    "ListPartitions",
    "MaintenanceReport",
    "Match",
    "PGRecallError",
    "Page",
    "Plan",
    "PoolConfig",
    "PromotedField",
    "RecallReport",
    "ReciprocalRank",
    "Record",
    "RecordBatch",
    "RecordChange",
    "ReembedOptions",
    "ReembedProgress",
    "ReembedReport",
    "ReplaceResult",
    "Rerank",
    "RetryConfig",
    "Rights",
    "Scope",
    "SearchOptions",
    "Server",
    "SourceDocument",
    "SourceDocumentPage",
    "SparseColumn",
    "TableColumn",
    "TextColumn",
    "TextSearch",
    "TuningPoint",
    "TuningReport",
    "Union",
    "UpsertResult",
    "VectorIndex",
    "VectorType",
    "Verdict",
    "collection_sql",
    "recommend_index",
]

# What needs asyncpg and NumPy, most of what an import costs, is loaded when it is first asked for: settings,
# records and errors are used in places that never connect.
_ENGINE = frozenset(
    {
        "AsyncClient",
        "AsyncCollection",
        "AsyncKeyValues",
        "AsyncLedger",
        "Client",
        "Collection",
        "CollectionStats",
        "CopyProgress",
        "CopyReport",
        "DomainInfo",
        "EmbeddingModel",
        "IngestFailure",
        "IngestOptions",
        "IngestProgress",
        "IngestReport",
        "IsolationProgress",
        "IsolationReport",
        "KeyValues",
        "Ledger",
        "MaintenanceReport",
        "RecallReport",
        "ReembedOptions",
        "ReembedProgress",
        "ReembedReport",
        "ReplaceResult",
        "EmbeddingRetry",
        "Rights",
        "SourceDocument",
        "SourceDocumentPage",
        "TuningPoint",
        "TuningReport",
        "collection_sql",
    }
)


def __getattr__(name: str) -> Any:
    """Load the engine at its first use."""
    if name not in _ENGINE:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from pgrecall import collection

    globals()[name] = value = getattr(collection, name)
    return value


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return [*__all__, "__version__"]
