"""What exists on the server, as values: a table, its indexes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from uuid import UUID

from pgrecall.distance import VectorType
from pgrecall.errors import PermissionDenied, SchemaError
from pgrecall.scope import DEFAULT_DOMAIN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgrecall.columns import Columns
    from pgrecall.distance import Distance
    from pgrecall.filters import Equals, Field
    from pgrecall.layout import Layout
    from pgrecall.promoted import PromotedField
    from pgrecall.scope import Scope
    from pgrecall.table_columns import MetadataColumn, TextColumn


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorIndex:
    """A vector index on the embedding's column.

    Attributes:
        name: Name of the index, in the schema of its table.
        method: Access method: ``hnsw`` or ``ivfflat``.
        distance: The distance that its operator class serves; `None` for one that is not known here. An
            index of bits has the collection's own, by which what it finds is ordered anew.
        valid: Whether queries can use it; one that is being built, or whose build died, is not valid.
        options: Storage parameters such as m and lists.
        size: Bytes on disk.
        rows: Rows in it when it was built or last vacuumed, by PostgreSQL's own estimate.
        quantized: What the index holds where that is coarser than the column: halfvec, or bit.
        condition: What the rows in it have in common; `None` where it holds all of them.
    """

    name: str
    method: str
    distance: Distance | None
    valid: bool
    options: tuple[tuple[str, str], ...] = ()
    size: int = 0
    rows: float = 0
    quantized: VectorType | None = None
    condition: Equals | None = None

    @property
    def lists(self) -> int:
        """Cells of an IVFFlat index."""
        return int(dict(self.options).get("lists", "100"))


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldIndex:
    """An index on a promoted field.

    Attributes:
        name: Name of the index, in the schema of its table.
        column: The field's column.
        valid: Whether queries can use it.
        covering: Whether it holds all that a covering scan needs: code, key and all other fields.
    """

    name: str
    column: str
    valid: bool
    covering: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseColumn:
    """The column with the sparse embeddings.

    Attributes:
        column: Its name.
        dimensions: Indices in it are below this.
        index: The index that searches by inner product use; `None` where there is none.
        limited: Whether some HNSW index is on it, finished or not, which takes no more than 1,000 weights.
    """

    column: str
    dimensions: int
    index: VectorIndex | None = None
    limited: bool = False


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
        fields: The promoted fields whose columns hold the value of every row.
        code: Column of the embeddings' codes; `None` where there is none.
        field_indexes: The indexes on promoted fields.
        content_wanted: Whether the content is to be indexed by its trigrams, once there are rows to search.
        content_indexed: Whether an index finds what the content holds, by its trigrams.
        pages: Pages of the table when it was last analysed.
        all_visible: Share of the pages that an index-only scan need not look into.
        partitioned: Whether rows are in partitions, or in tables that inherit from this one.
        layout: The partitions by domain that it has, if it has such.
        tuned: ``ef_search`` or ``probes`` that `tune` has stored, by access method.
        domain_type: SQL type of the domain's column: text, character varying or uuid.
        metadata_type: SQL type of the metadata's column: jsonb or json.
        metadata_made: Whether the metadata's column was made here, and is always an object. In a table of others it can
            be any JSON value: there are programs that write the null of JSON where they have none.
        metadata_columns: Keys of the metadata that have a column of their own.
        sized: Whether the embedding's column says how many dimensions there are.
        text: The column with the content's lexemes; `None` where there is none.
        sparse: The column with the sparse embeddings; `None` where there is none.
        secured: Whether row-level security decides which rows this role sees: it is on, and the role does not
            bypass it.
        policed: Whether the policies are in force that let each role see only the domains that it names.
        owner: The role that owns the table.
        owned: Whether this role is the owner, or a member of it.
        lookup: The view that finds rows by their metadata under row-level security; `None` where this role has none.
        word_lookup: The view that finds them by the words of *text*, likewise.
        number_lookups: Columns of promoted fields of numbers, each with the view that finds rows by them, likewise.
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
    fields: tuple[PromotedField, ...] = ()
    code: str | None = None
    field_indexes: tuple[FieldIndex, ...] = ()
    content_wanted: bool = False
    content_indexed: bool = False
    pages: int = 0
    all_visible: float = 0.0
    partitioned: bool = False
    layout: Layout | None = None
    tuned: tuple[tuple[str, int], ...] = ()
    domain_type: str = "text"
    metadata_type: str = "jsonb"
    metadata_made: bool = True
    metadata_columns: tuple[MetadataColumn, ...] = ()
    sized: bool = True
    text: TextColumn | None = None
    sparse: SparseColumn | None = None
    secured: bool = False
    policed: bool = False
    owner: str = ""
    owned: bool = True
    lookup: str | None = None
    word_lookup: str | None = None
    number_lookups: tuple[tuple[str, str], ...] = ()

    @property
    def qualified_name(self) -> str:
        """The name for messages."""
        return f"{self.schema}.{self.name}"

    @property
    def lookups(self) -> tuple[str, ...]:
        """The names of all views that find rows under row-level security."""
        others = (view for _, view in self.number_lookups)
        return tuple(name for name in (self.lookup, self.word_lookup, *others) if name is not None)

    @property
    def kept_text(self) -> TextColumn | None:
        """The column with the content's lexemes, where our trigger keeps it."""
        return self.text if self.text is not None and self.text.kept else None

    @property
    def has_whole_ids(self) -> bool:
        """Whether ids are whole numbers."""
        return self.id_type in _WHOLE

    @property
    def is_plain(self) -> bool:
        """Whether all metadata there is, is in one column of type jsonb."""
        return self.metadata_type == "jsonb" and not self.metadata_columns

    @property
    def knows_documents(self) -> bool:
        """Whether each row says which document it is a part of."""
        return self.columns.document_id is not None or self.columns.document_key is not None

    @property
    def newest_by(self) -> str | None:
        """The column that tells which of several rows with one id is the newest; `None` where ids are unique."""
        return None if self.key else self.columns.newest_by

    def check_scope(self, scope: Scope) -> None:
        """Raise an error where this table cannot keep *scope*, or does not show all of it.

        The rows of a table without a column for domains are the default domain's, and no other's.

        Raises:
            SchemaError: No domain of its rows is called so.
            PermissionDenied: Row-level security shows all domains only to the table's owner.
        """
        if self.secured and scope.is_everything and not self.owned:
            msg = (
                f"row-level security shows all domains of {self.qualified_name} at once only to its owner "
                f"{self.owner!r}; name the domains, with domain() or in_domains(), or work as the owner"
            )
            raise PermissionDenied(msg)
        if self.columns.domain_id is None and scope.domains not in (None, (DEFAULT_DOMAIN,)):
            msg = f"{self.qualified_name} has no column for domains, so it cannot keep {scope} apart"
            raise SchemaError(msg)
        if self.domain_type == "uuid" and not all(map(_is_uuid, scope.domains or ())):
            msg = f"domains of {self.qualified_name} are UUIDs, so it has no {scope}"
            raise SchemaError(msg)

    def stored_domain(self, domain: str) -> str:
        """Return the name of a domain, which `check_scope` has let pass, just as the table has it."""
        return str(UUID(domain)) if self.domain_type == "uuid" else domain

    def metadata_column(self, key: str) -> MetadataColumn | None:
        """Return the column that holds *key* of the metadata, if it has one of its own."""
        return next((column for column in self.metadata_columns if column.name == key), None)

    def takes_the_same_rows(self, other: Table) -> bool:
        """Whether rows that were checked and encoded for this table fit *other* too."""
        return all(
            getattr(self, name) == getattr(other, name)
            for name in ("columns", "id_type", "vector_type", "dimensions", "distance", "code", "sparse")
        ) and (self.domain_type, self.metadata_columns) == (other.domain_type, other.metadata_columns)

    def field(self, field: Field) -> PromotedField | None:
        """Return the promoted field with the key *field*, if there is one."""
        return next((promoted for promoted in self.fields if promoted.key == field), None)

    @property
    def serving_indexes(self) -> tuple[VectorIndex, ...]:
        """The indexes that a search by this table's distance can use."""
        return tuple(index for index in self.indexes if index.valid and index.distance is self.distance)

    @property
    def sparse_indexes(self) -> tuple[VectorIndex, ...]:
        """The index on the sparse embeddings that a search can use, if there is one."""
        return () if self.sparse is None or self.sparse.index is None else (self.sparse.index,)

    def usable_index(self) -> VectorIndex | None:
        """Return the index of all rows that a search can use: HNSW before IVFFlat, finer before coarser."""
        fitting = [index for index in self.serving_indexes if index.condition is None]
        return min(fitting, key=lambda index: (index.method != "hnsw", _COARSENESS[index.quantized]), default=None)

    def partial_indexes(self) -> tuple[VectorIndex, ...]:
        """Return the indexes of a part of the rows that a search can use."""
        return tuple(index for index in self.serving_indexes if index.condition is not None)


def _is_uuid(text: str) -> bool:
    try:
        return bool(UUID(text))
    except ValueError:
        return False


_WHOLE: Final = frozenset({"smallint", "integer", "bigint"})
_COARSENESS: Final[Mapping[VectorType | None, int]] = {
    None: 0,
    VectorType.VECTOR: 0,
    VectorType.HALFVEC: 1,
    VectorType.BIT: 2,
}
