"""The engine: what can be done with a collection, whichever framework asks."""

from __future__ import annotations

from pgrecall.collection.blocking.client import Client
from pgrecall.collection.blocking.collection import Collection
from pgrecall.collection.client import AsyncClient
from pgrecall.collection.collection import AsyncCollection
from pgrecall.collection.definition import Rights, collection_sql
from pgrecall.collection.indexes.maintenance import MaintenanceReport
from pgrecall.collection.ingesting.embedding_calls import EmbeddingRetry
from pgrecall.collection.ingesting.ingestion import IngestOptions, IngestReport
from pgrecall.collection.ingesting.loading_progress import IngestProgress
from pgrecall.collection.measuring.recall import RecallReport
from pgrecall.collection.measuring.tuning_report import TuningPoint, TuningReport
from pgrecall.collection.models.model_columns import EmbeddingModel
from pgrecall.collection.models.reembed_report import ReembedOptions, ReembedProgress, ReembedReport
from pgrecall.collection.namespaces.blocking import KeyValues, Ledger
from pgrecall.collection.namespaces.key_values import AsyncKeyValues
from pgrecall.collection.namespaces.ledger import AsyncLedger
from pgrecall.collection.namespaces.runs import IngestFailure
from pgrecall.collection.stats import CollectionStats
from pgrecall.collection.tenancy.isolation_report import IsolationProgress, IsolationReport
from pgrecall.collection.tenancy.verbs import DomainInfo
from pgrecall.collection.writing.copying import CopyProgress, CopyReport
from pgrecall.collection.writing.documents import ReplaceResult, SourceDocument, SourceDocumentPage

__all__ = [
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
