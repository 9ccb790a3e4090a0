"""The engine: what can be done with a collection, whichever framework asks."""

from __future__ import annotations

from pgrecall.collection.blocking import Client, Collection
from pgrecall.collection.blocking_namespaces import KeyValues, Ledger
from pgrecall.collection.client import AsyncClient
from pgrecall.collection.collection import AsyncCollection
from pgrecall.collection.comparing import Comparison
from pgrecall.collection.copying import CopyProgress, CopyReport
from pgrecall.collection.definition import Rights, collection_sql
from pgrecall.collection.documents import ReplaceResult, SourceDocument, SourceDocumentPage
from pgrecall.collection.embedding_calls import EmbeddingRetry
from pgrecall.collection.ingestion import IngestOptions, IngestReport
from pgrecall.collection.isolation_report import IsolationProgress, IsolationReport
from pgrecall.collection.key_values import AsyncKeyValues
from pgrecall.collection.ledger import AsyncLedger
from pgrecall.collection.loading_progress import IngestProgress
from pgrecall.collection.maintenance import MaintenanceReport
from pgrecall.collection.model_columns import EmbeddingModel
from pgrecall.collection.recall import RecallReport
from pgrecall.collection.reembed_report import ReembedOptions, ReembedProgress, ReembedReport
from pgrecall.collection.runs import IngestFailure
from pgrecall.collection.stats import CollectionStats
from pgrecall.collection.tenancy import DomainInfo
from pgrecall.collection.tuning import TuningPoint, TuningReport

__all__ = [
    "AsyncClient",
    "AsyncCollection",
    "AsyncKeyValues",
    "AsyncLedger",
    "Client",
    "Collection",
    "CollectionStats",
    "Comparison",
    "CopyProgress",
    "CopyReport",
    "DomainInfo",
    "EmbeddingModel",
    "EmbeddingRetry",
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
    "Rights",
    "SourceDocument",
    "SourceDocumentPage",
    "TuningPoint",
    "TuningReport",
    "collection_sql",
]
