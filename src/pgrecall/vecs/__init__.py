"""`create_client` and collections with the interface of vecs 0.4.5, over the engine of everything here.

``import pgrecall.vecs as vecs`` is the change; existing ``vecs.*`` tables are used where they are. Neither vecs
nor SQLAlchemy is needed.
"""

from __future__ import annotations

from pgrecall.vecs import adapter, exc
from pgrecall.vecs.client import Client, create_client
from pgrecall.vecs.collection import Collection
from pgrecall.vecs.indexes import IndexArgsHNSW, IndexArgsIVFFlat, IndexMeasure, IndexMethod

__all__ = [
    "Client",
    "Collection",
    "IndexArgsHNSW",
    "IndexArgsIVFFlat",
    "IndexMeasure",
    "IndexMethod",
    "adapter",
    "create_client",
    "exc",
]
