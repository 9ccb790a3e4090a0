"""What exists on the server, as values: the server itself, a table, its indexes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pgrecall.errors import SchemaError
from pgrecall.scope import DEFAULT_DOMAIN

if TYPE_CHECKING:
    from pgrecall.config import Columns
    from pgrecall.distance import Distance, VectorType
    from pgrecall.scope import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What one probe of a connection found out.

    Attributes:
        version: PostgreSQL's ``server_version_num``, e.g. 180006.
        vector_version: Version of pgvector, e.g. (0, 8, 6), or `None` where the extension is missing.
        vector_schema: Schema that the extension is in.
        read_only: A standby, or a session that may only read.
        can_create_schema: The role may create schemas in this database.
        user: The role.
        database: The database.
        pooled: A pooler such as PgBouncer stands between us and the server.
        random_page_cost: The planner's price of a random page: above 2, PostgreSQL avoids vector indexes.
    """

    version: int
    vector_version: tuple[int, ...] | None
    vector_schema: str
    read_only: bool
    can_create_schema: bool
    user: str
    database: str
    pooled: bool
    random_page_cost: float

    @property
    def has_iterative_scan(self) -> bool:
        """Whether pgvector can go on scanning an index until enough rows pass (0.8 and later)."""
        return self.vector_version is not None and self.vector_version >= (0, 8)

    @property
    def has_halfvec(self) -> bool:
        """Whether pgvector knows halfvec, and operators on bit (0.7 and later)."""
        return self.vector_version is not None and self.vector_version >= (0, 7)


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorIndex:
    """A vector index on the embedding's column.

    Attributes:
        name: Name of the index, in the schema of its table.
        method: Access method: ``hnsw`` or ``ivfflat``.
        distance: The distance that its operator class serves; `None` for one that is not known here.
        valid: Whether queries can use it; one that is being built, or whose build died, is not valid.
        options: Storage parameters such as m and lists.
        size: Bytes on disk.
    """

    name: str
    method: str
    distance: Distance | None
    valid: bool
    options: tuple[tuple[str, str], ...] = ()
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """A table that holds a collection.

    Attributes:
        schema: Schema of the table.
        name: Name of the table.
        columns: The columns there are; names that the table lacks are `None`.
        id_type: SQL type of the id, as PostgreSQL names it.
        vector_type: Type of the embedding's column.
        dimensions: Length of the embeddings; `None` where the column does not say.
        distance: How this collection compares embeddings.
        embedding_nullable: Whether rows without an embedding can exist.
        key: Columns of the unique key that upserts use; empty where there is none.
        unfilled: Columns that take no NULL, have no default, and that we do not write.
        indexes: The vector indexes on the embedding.
        rows: PostgreSQL's own estimate; negative before the first ANALYZE.
        writable: Whether the role may insert, update and delete here.
        vector_schema: Schema of the types and operators of pgvector.
    """

    schema: str
    name: str
    columns: Columns
    id_type: str
    vector_type: VectorType
    dimensions: int | None
    distance: Distance
    embedding_nullable: bool
    key: tuple[str, ...]
    vector_schema: str
    unfilled: tuple[str, ...] = ()
    indexes: tuple[VectorIndex, ...] = field(default=())
    rows: float = -1
    writable: bool = True

    @property
    def qualified_name(self) -> str:
        """The name for messages."""
        return f"{self.schema}.{self.name}"

    def check_scope(self, scope: Scope) -> None:
        """Raise `SchemaError` where this table cannot keep *scope*: it has no column for domains.

        The rows of such a table are the default domain's, and no other's.
        """
        if self.columns.domain_id is None and scope.domain not in (None, DEFAULT_DOMAIN):
            msg = f"{self.qualified_name} has no column for domains, so it cannot keep {scope} apart"
            raise SchemaError(msg)

    def takes_the_same_rows(self, other: Table) -> bool:
        """Whether rows that were checked and encoded for this table fit *other* too."""
        mine = (self.columns, self.id_type, self.vector_type, self.dimensions, self.distance)
        return mine == (other.columns, other.id_type, other.vector_type, other.dimensions, other.distance)

    def usable_index(self) -> VectorIndex | None:
        """Return the index that a search by this table's distance can use, HNSW before IVFFlat."""
        fitting = [i for i in self.indexes if i.valid and i.distance is self.distance]
        return min(fitting, key=lambda index: index.method != "hnsw", default=None)
