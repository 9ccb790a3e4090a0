"""How values travel: in binary through codecs of ours, or as text through any connection.

On the pool's own connections the codecs for vector, halfvec, sparsevec, bit and jsonb are registered, and
values travel in binary. A connection that a caller lends keeps whatever codecs it has: there everything that
has no codec in the driver is written and read as text, with casts, so that neither side notices the other.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgrecall import jsonb, sparse, vectors
from pgrecall.distance import VectorType
from pgrecall.sql.compose import SQL, Composable, Composed, Identifier, Param

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Wire(enum.Enum):
    """The form in which vectors and JSON cross the connection."""

    BINARY = enum.auto()
    TEXT = enum.auto()


Encoded = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Dialect:
    """The server's names for pgvector's things, and the form of values.

    Attributes:
        vector_schema: Schema that the extension is in.
        wire: Form of values on the connection that the statement is for.
    """

    vector_schema: str
    wire: Wire = Wire.BINARY

    def type(self, vector_type: VectorType) -> Composable:
        """Return the name of *vector_type*."""
        # "bit" without quotes would mean bit(1).
        schema = "pg_catalog" if vector_type is VectorType.BIT else self.vector_schema
        return Identifier(schema, vector_type.value)

    def embedding_type(self, vector_type: VectorType) -> Composable:
        """Return what a parameter that is one embedding is cast to."""
        name = self.type(vector_type)
        return name if self.wire is Wire.BINARY else self._from_text(name)

    def embeddings_type(self, vector_type: VectorType) -> Composable:
        """Return what a parameter that is a list of embeddings is cast to."""
        name = Composed([self.type(vector_type), SQL("[]")])
        return name if self.wire is Wire.BINARY else self._from_text(name, SQL("text[]"))

    def embedding(self, encoded: Encoded, vector_type: VectorType) -> Encoded | str:
        """Return one embedding, which is in pgvector's binary format, as the value of such a parameter."""
        return encoded if self.wire is Wire.BINARY else vectors.to_text(encoded, vector_type)

    def embeddings(self, encoded: Sequence[Encoded], vector_type: VectorType) -> Param:
        """Return several embeddings as one array parameter."""
        return Param([self.embedding(row, vector_type) for row in encoded], self.embeddings_type(vector_type))

    @property
    def sparse_type(self) -> Composable:
        """The name of the type of sparse embeddings."""
        return Identifier(self.vector_schema, "sparsevec")

    @property
    def sparse_embedding_type(self) -> Composable:
        """What a parameter that is one sparse embedding is cast to."""
        return self.sparse_type if self.wire is Wire.BINARY else self._from_text(self.sparse_type)

    def sparse_embedding(self, encoded: Encoded) -> Encoded | str:
        """Return one sparse embedding, which is in pgvector's binary format, as the value of such a parameter."""
        return encoded if self.wire is Wire.BINARY else sparse.to_text(encoded)

    def sparse_embeddings(self, encoded: Sequence[Encoded | None]) -> Param:
        """Return several sparse embeddings as one array parameter."""
        name = Composed([self.sparse_type, SQL("[]")])
        if self.wire is Wire.BINARY:
            return Param(list(encoded), name)
        texts = [None if row is None else sparse.to_text(row) for row in encoded]
        return Param(texts, self._from_text(name, SQL("text[]")))

    def json(self, encoded: bytes) -> Param:
        """Return JSON text as a jsonb parameter."""
        if self.wire is Wire.BINARY:
            return Param(encoded, "jsonb")
        return Param(encoded.decode(), "text::jsonb")

    def jsons(self, encoded: Sequence[bytes | None]) -> Param:
        """Return several JSON texts as one array parameter."""
        if self.wire is Wire.BINARY:
            return Param(list(encoded), "jsonb[]")
        return Param([None if row is None else row.decode() for row in encoded], "text[]::jsonb[]")

    def select(self, column: Composable) -> Composable:
        """Return *column*, of vectors of any kind or jsonb, as it is selected."""
        return column if self.wire is Wire.BINARY else Composed([column, SQL("::text")])

    def read_json(self, value: Any) -> Any:
        """Return the value of a selected jsonb column."""
        return value if self.wire is Wire.BINARY or value is None else jsonb.loads(value)

    def read_embedding(self, value: Any, vector_type: VectorType) -> NDArray[Any] | None:
        """Return the array of a selected vector column."""
        return value if self.wire is Wire.BINARY or value is None else vectors.from_text(value, vector_type)

    def read_sparse_embedding(self, value: Any) -> dict[int, float] | None:
        """Return the mapping of a selected column of sparse embeddings."""
        return value if self.wire is Wire.BINARY or value is None else sparse.from_text(value)

    @staticmethod
    def _from_text(name: Composable, text: SQL | None = None) -> Composed:
        return Composed([text or SQL("text"), SQL("::"), name])
