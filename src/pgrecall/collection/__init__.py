"""The engine: what can be done with a collection, whichever framework asks."""

from __future__ import annotations

from pgrecall.collection.blocking import Client, Collection
from pgrecall.collection.client import AsyncClient
from pgrecall.collection.collection import AsyncCollection
from pgrecall.collection.stats import CollectionStats

__all__ = ["AsyncClient", "AsyncCollection", "Client", "Collection", "CollectionStats"]
