"""Values that unit tests start from: a table as the catalog would describe it, an index, a server."""

from pgrecall.columns import Columns
from pgrecall.distance import Distance, VectorType
from pgrecall.server import Server
from pgrecall.sql.dialect import Dialect, Wire
from pgrecall.table import Table, VectorIndex

BINARY = Dialect("public")
TEXT = Dialect("public", Wire.TEXT)


def table(**changes):
    """Return a table of ours with three dimensions under cosine, but for *changes*."""
    facts = {
        "schema": "public",
        "name": "docs",
        "columns": Columns(),
        "id_type": "text",
        "vector_type": VectorType.VECTOR,
        "dimensions": 3,
        "distance": Distance.COSINE,
        "embedding_nullable": False,
        "key": ("domain_id", "id"),
        "vector_schema": "public",
    }
    return Table(**{**facts, **changes})


def index(**changes):
    facts = {"name": "docs_hnsw", "method": "hnsw", "distance": Distance.COSINE, "valid": True}
    return VectorIndex(**{**facts, **changes})


def server(**changes):
    facts = {
        "version": 180_000,
        "vector_version": (0, 8, 0),
        "vector_schema": "public",
        "read_only": False,
        "can_create_schema": True,
        "user": "me",
        "database": "db",
        "pooled": False,
        "random_page_cost": 1.1,
    }
    return Server(**{**facts, **changes})
