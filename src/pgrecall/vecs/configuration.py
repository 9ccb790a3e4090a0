"""What a collection of vecs is to the engine."""

from __future__ import annotations

from pgrecall.config import CollectionConfig
from pgrecall.distance import Distance
from pgrecall.moving.tables import VECS_COLUMNS, VECS_SCHEMA
from pgrecall.vecs.exc import translated


def configuration(name: str, dimension: int | None, distance: Distance = Distance.COSINE) -> CollectionConfig:
    """Return a collection as the engine knows it, compared by *distance*."""
    with translated():
        return CollectionConfig(
            name=name,
            schema=VECS_SCHEMA,
            dimensions=dimension,
            distance=distance,
            any_distance=True,
            columns=VECS_COLUMNS,
        )
