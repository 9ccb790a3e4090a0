"""What the columns of a table are called, and which names can be columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Final

from pgrecall.checks import check_identifier, check_instance
from pgrecall.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Names of the columns. `None` says that the table has no such column.

    With another name than the default a column must exist in a table that is adopted; a default name
    that the table lacks is taken as "no such column".

    Attributes:
        id: The record's id.
        embedding: Its embedding, of type vector, halfvec or bit.
        domain_id: The domain (tenant) that it belongs to.
        document_id: The document that it is a part of.
        chunk_index: Its position in that.
        content: Its text.
        metadata: Its metadata, of type jsonb or json.
        metadata_types: The Python types of the metadata that JSON does not keep.
        created_at: When it was written first.
        content_hash: A hash of all of it, by which an upsert knows what has not changed.
        envelope: What a framework keeps with it beyond text and metadata.
        sparse_embedding: Its sparse embedding, of type sparsevec.
        metadata_columns: Columns of a table that is adopted which hold one key of the metadata each, under
            the key's own name. The keys that have none are in *metadata*, if there is such a column.
        document_key: Key of the metadata that names the document, in a table without a column for that. It is
            metadata: who replaces that by an update replaces it too.
        no_document: What the key says of records that are part of no document; `None` where it is missing then.
        newest_by: Column of an adopted table by whose greatest value the newest of several rows with one id is
            told: ids need no unique key there. An upsert puts one row in the place of all that have its id, in
            turn with other upserts made here; rows that others have added twice are found twice until then.
            Such a table has no domains.
    """

    id: str = "id"
    embedding: str = "embedding"
    domain_id: str | None = "domain_id"
    document_id: str | None = "document_id"
    chunk_index: str | None = "chunk_index"
    content: str | None = "content"
    metadata: str | None = "metadata"
    metadata_types: str | None = "metadata_types"
    created_at: str | None = "created_at"
    content_hash: str | None = "content_hash"
    envelope: str | None = "envelope"
    sparse_embedding: str | None = "sparse_embedding"
    metadata_columns: tuple[str, ...] = ()
    document_key: str | None = None
    no_document: str | None = None
    newest_by: str | None = None

    def __post_init__(self) -> None:
        names = self.mapping()
        for logical, name in {"id": self.id, "embedding": self.embedding, **names}.items():
            check_identifier(name, f"column {logical}")
        if isinstance(self.metadata_columns, str | bytes | Mapping) or not isinstance(self.metadata_columns, Iterable):
            msg = f"metadata_columns must be a sequence of names, not {self.metadata_columns!r}"
            raise ConfigError(msg)
        object.__setattr__(self, "metadata_columns", tuple(self.metadata_columns))
        taken = [
            *names.values(),
            *(check_identifier(name, "a name in metadata_columns") for name in self.metadata_columns),
        ]
        if len(set(taken)) != len(taken):
            msg = f"two columns have the same name: {sorted(taken)}"
            raise ConfigError(msg)
        if self.newest_by is not None:
            check_identifier(self.newest_by, "column newest_by")
            if self.domain_id is not None:
                msg = "newest_by tells apart rows of one id in a table without domains: pass domain_id=None with it"
                raise ConfigError(msg)
        self._check_document_key()

    def _check_document_key(self) -> None:
        if self.document_key is None:
            if self.no_document is not None:
                msg = "no_document says what document_key says of records without document; pass document_key too"
                raise ConfigError(msg)
            return
        check_instance(self.document_key, "document_key", str, "a metadata key")
        if self.no_document is not None:
            check_instance(self.no_document, "no_document", str, "a text, or None where the key is missing")
        if not self.document_key or self.document_id is not None or self.metadata is None:
            msg = (
                f"document_key={self.document_key!r} names the document in the metadata, instead of a column: it needs "
                "document_id=None and a column for the metadata"
            )
            raise ConfigError(msg)
        if self.document_key in self.metadata_columns:
            msg = f"{self.document_key!r} has a column: pass document_id={self.document_key!r}, not document_key"
            raise ConfigError(msg)

    def mapping(self) -> dict[str, str]:
        """Return logical name to column name, without the columns that there are not, nor the metadata's own."""
        return {name: column for name in LOGICAL_COLUMNS if (column := getattr(self, name)) is not None}


_OTHERS: Final = frozenset({"metadata_columns", "document_key", "no_document", "newest_by"})
LOGICAL_COLUMNS: Final = tuple(field.name for field in fields(Columns) if field.name not in _OTHERS)
"""What columns are called here, whatever they are called in the table."""
