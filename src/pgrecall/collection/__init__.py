"""The engine: what can be done with a collection, whichever framework asks."""

from __future__ import annotations

from pgrecall.collection.blocking import Client, Collection
from pgrecall.collection.client import AsyncClient
from pgrecall.collection.collection import AsyncCollection
from pgrecall.collection.maintenance import MaintenanceReport
from pgrecall.collection.recall import RecallReport
from pgrecall.collection.stats import CollectionStats
from pgrecall.collection.tuning import TuningPoint, TuningReport

__all__ = [
    "AsyncClient",
    "AsyncCollection",
    "Client",
    "Collection",
    "CollectionStats",
    "MaintenanceReport",
    "RecallReport",
    "TuningPoint",
    "TuningReport",
]
