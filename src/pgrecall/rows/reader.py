"""The columns of one batch, read and encoded; every error names the record."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pgrecall import jsonb
from pgrecall.errors import ConfigError, RecordError, SchemaError
from pgrecall.metadata_types import describe
from pgrecall.rows.metadata import check_keys
from pgrecall.rows.values import all_plain, are_indexable, are_plain_ids, check_id, content, json_object, text, time
from pgrecall.scope import Scope
from pgrecall.sparse import MAX_INDEXED_WEIGHTS, MAX_WEIGHTS, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pgrecall.records import SparseEmbedding
    from pgrecall.table import Table


# What a column can be taken as, without a look at each of its values.
_PLAIN: Final[Mapping[Callable[[Any], Any], Callable[[Sequence[Any]], bool]]] = {
    content: all_plain,
    text: are_indexable,
}
_MADE_TYPES: Final = frozenset({"text", "character varying", "uuid"})


class Reader:
    """Reads the columns of one batch, and names the record in every error."""

    def __init__(
        self, table: Table, ids: Sequence[str | None] | None, count: int, optional: frozenset[str] = frozenset()
    ) -> None:
        self._table = table
        self._ids = ids
        self._count = count
        self._optional = optional

    def describe(self, position: int) -> str:
        """Return how a message names the record at *position*."""
        given = None if self._ids is None else self._ids[position]
        return f"record {position}" if given is None else f"record {position} (id {given!r})"

    def ids(self) -> list[str]:
        """Return the ids, with one made for each record that brings none."""
        table = self._table
        if self._ids is None:
            self._check_made()
            return [str(uuid.uuid4()) for _ in range(self._count)]
        if are_plain_ids(self._ids, table):
            return list(self._ids)  # pyright: ignore[reportReturnType] - none of them is None

        def one(value: object) -> str:
            if value is not None:
                return check_id(value, table)
            self._check_made()
            return str(uuid.uuid4())

        return self._read("id", self._ids, one)

    def _check_made(self) -> None:
        if self._table.id_type not in _MADE_TYPES:
            kind = self._table.id_type
            msg = f"ids are made as UUIDs, which a column of type {kind} does not take: give each record an id"
            raise RecordError(msg)

    def domains(self, scope: Scope, given: Sequence[str | None] | None) -> dict[str, list[str]]:
        """Return the domain of each record: the scope's own, whatever a record says, or an error."""

        def domain(value: object) -> str:
            if scope.domain is not None:
                if value is not None and value != scope.domain:
                    msg = f"belongs to domain {value!r}, but this collection is bound to {scope}"
                    raise ValueError(msg)
                return own
            if value is None:
                msg = f"is missing: through a handle of {scope} each record needs one of its own"
                raise ValueError(msg)
            try:
                one = Scope.of(value)  # pyright: ignore[reportArgumentType] - checked there
                self._table.check_scope(one)
            except (ConfigError, SchemaError) as error:
                raise ValueError(str(error)) from None
            if not scope.covers(one):
                msg = f"belongs to {one}, but this collection is bound to {scope}"
                raise ValueError(msg)
            return self._table.stored_domain(str(one.domain))

        self._table.check_scope(scope)
        own = "" if scope.domain is None else self._table.stored_domain(scope.domain)
        if given is None and scope.domain is not None:
            found = [own] * self._count
        else:
            found = self._read("domain_id", given or [None] * self._count, domain)
        return {} if self._table.columns.domain_id is None else {"domain_id": found}

    def column(
        self, name: str, values: Sequence[Any] | None, encode: Callable[[Any], Any], absent: object = None
    ) -> dict[str, list[Any]]:
        """Return the encoded column, or nothing where neither the table nor a record has it."""
        if getattr(self._table.columns, name) is None:
            for position, value in enumerate(values or ()):
                if value is not None and value != {} and name not in self._optional:
                    msg = (
                        f"{self.describe(position)} has {name}, but {self._table.qualified_name} has no column for it; "
                        "add one or map it with Columns"
                    )
                    raise RecordError(msg)
            return {}
        if values is None or all(value is None for value in values):
            return {name: [absent] * self._count}
        as_they_are = _PLAIN.get(encode)
        if as_they_are is not None and as_they_are(values):
            return {name: list(values)}
        return {name: self._read(name, values, lambda value: absent if value is None else encode(value))}

    def documents(self, given: Sequence[str | None] | None) -> dict[str, list[Any]]:
        """Return the documents' ids, checked, where the table has a column for them."""
        if self._table.columns.document_key is None:
            return self.column("document_id", given, text)
        none = self._table.columns.no_document

        def one(value: object) -> None:
            if value is not None and text(value) == none:
                msg = f"{none!r} says in {self._table.qualified_name} that there is no document; choose another id"
                raise ValueError(msg)

        self._read("document_id", given or (), one)
        return {}

    def with_documents(
        self, metadatas: Sequence[Mapping[str, Any] | None] | None, given: Sequence[str | None] | None
    ) -> Sequence[Mapping[str, Any] | None] | None:
        """Return the metadata as it is stored: with the document's id, in a table that keeps that there."""
        key, none = self._table.columns.document_key, self._table.columns.no_document
        if key is None:
            return metadatas

        def one(metadata: Any, document: str | None) -> Any:
            if document is None and (none is None or key in (metadata or ())):
                return metadata
            named = none if document is None else document
            # What is no mapping is found out, and said with the record's name, where it is encoded.
            return {**metadata, key: named} if isinstance(metadata, Mapping) else metadata or {key: named}

        whole = metadatas or [None] * self._count
        return [one(*pair) for pair in zip(whole, given or [None] * self._count, strict=True)]

    def metadata(
        self, metadatas: Sequence[Mapping[str, Any] | None] | None, *, merged: bool = False
    ) -> dict[str, list[Any]]:
        """Return the metadata as JSON, its keys checked against the columns that the table has for them.

        Args:
            metadatas: The metadata.
            merged: Whether it is merged into what is there, so that it need not be complete.
        """
        table = self._table
        if not table.metadata_columns:
            return self.column("metadata", metadatas, json_object, absent=b"{}")

        def one(value: object) -> bytes:
            encoded = json_object({} if value is None else value)
            check_keys(value or {}, table, complete=not merged)  # pyright: ignore[reportArgumentType] - a mapping, by now
            return encoded

        return {"metadata": self._read("metadata", metadatas or [None] * self._count, one)}

    def types(
        self, metadatas: Sequence[Mapping[str, Any] | None] | None, *, merged: bool = False
    ) -> dict[str, list[bytes | None]]:
        """Return the notes on the types of the metadata, where the table keeps them.

        Args:
            metadatas: The metadata, checked already.
            merged: Whether it is merged into what is there, so that each of its keys needs a note, if only
                a null that takes the place of an old one.
        """
        if self._table.columns.metadata_types is None:
            return {}
        notes: list[bytes | None] = []
        for metadata in metadatas or [None] * self._count:
            noted = None if metadata is None else describe(metadata)
            if merged and metadata is not None:
                noted = dict.fromkeys(metadata) | (noted or {})
            notes.append(None if noted is None else jsonb.dumps(noted))
        return {"metadata_types": notes}

    def sparse(self, embeddings: Sequence[SparseEmbedding | None] | None) -> dict[str, list[bytes | None]]:
        """Return the sparse embeddings encoded, where the table has a column for them."""
        table = self._table
        if table.sparse is None:
            for position, embedding in enumerate(embeddings or ()):
                if embedding is not None:
                    msg = (
                        f"{self.describe(position)} has a sparse embedding, but {table.qualified_name} has no column "
                        "for it; add_sparse_embeddings() adds one"
                    )
                    raise RecordError(msg)
            return {}
        dimensions, most = table.sparse.dimensions, MAX_INDEXED_WEIGHTS if table.sparse.limited else MAX_WEIGHTS
        return self.column("sparse_embedding", embeddings, lambda one: encode(one, dimensions, most))

    def created(self, given: Sequence[datetime | None] | None) -> dict[str, list[datetime]]:
        """Return the times of creation where records bring their own; the server's default otherwise."""
        if given is None or all(value is None for value in given):
            return {}
        now = datetime.now().astimezone()
        return self.column("created_at", [now if value is None else value for value in given], time)

    def _read(self, name: str, values: Sequence[Any], encode: Callable[[Any], Any]) -> list[Any]:
        encoded: list[Any] = []
        for value in values:
            try:
                encoded.append(encode(value))
            except ValueError as error:
                msg = f"{self.describe(len(encoded))}: {name} {error}"
                raise RecordError(msg) from None
        return encoded
