"""The server, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from pgrecall.distance import Distance, VectorType
from pgrecall.errors import SchemaError


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
        """Whether pgvector knows halfvec, sparsevec, and operators on bit (0.7 and later)."""
        return self.vector_version is not None and self.vector_version >= (0, 7)

    def check_distance(self, distance: Distance, vector_type: VectorType, of: str) -> None:
        """Raise `SchemaError` where pgvector lacks the column type, or the operator for a distance on it.

        Args:
            distance: The distance.
            vector_type: What holds the embeddings.
            of: The table, as the message names it.
        """
        if self.vector_version is None or self.has_halfvec:
            return
        if vector_type is not VectorType.VECTOR or distance is Distance.L1:
            found = ".".join(map(str, self.vector_version))
            msg = (
                f"{distance.value} distance on {vector_type.value}, as {of} has it, needs pgvector 0.7 or later, "
                f"and this is {found}: ALTER EXTENSION vector UPDATE, after a newer one was installed on the server"
            )
            raise SchemaError(msg)
