"""Records to rows: everything is checked and encoded here, before anything is sent."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from pgrecall import jsonb, vectors
from pgrecall.embeddings import as_matrix
from pgrecall.errors import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from pgrecall.records import Embedding, RecordBatch
    from pgrecall.scope import Scope
    from pgrecall.table import Table

# A B-tree entry must fit a third of a page (2,704 bytes), together with the domain.
MAX_ID_BYTES: Final = 2_000
_MAX_INT4: Final = 2**31 - 1
_INTEGER_TYPES: Final = frozenset({"smallint", "integer", "bigint"})


@dataclass(slots=True, kw_only=True, eq=False)
class Rows:
    """Rows ready to be sent: distinct by (domain, id), and in that order so that writers cannot deadlock.

    Attributes:
        columns: Logical column name to its values, one a row; only columns that the table has.
        made: All ids were made here, so that none of the rows can exist already.
    """

    columns: dict[str, list[Any]]
    made: bool

    def __len__(self) -> int:
        return len(self.columns["id"])

    def take(self, positions: Sequence[int]) -> Rows:
        """Return the rows at *positions*."""
        columns = {name: [values[p] for p in positions] for name, values in self.columns.items()}
        return Rows(columns=columns, made=self.made)


def prepare(batch: RecordBatch, table: Table, scope: Scope) -> tuple[Rows, list[str]]:
    """Return *batch* checked and encoded, and one id for each of its records, in their order.

    Of records with the same id only the last becomes a row.

    Raises:
        RecordError: A record cannot be stored; the message names it. Also where a record sets a field
            for which the table has no column, or names a domain outside of *scope*.
        DimensionMismatch: An embedding has another length than the table's column.
    """
    reader = _Reader(table, batch.ids, len(batch))
    columns: dict[str, list[Any]] = {"id": reader.ids()}
    columns |= reader.domains(scope, batch.domain_ids)
    columns |= reader.column("document_id", batch.document_ids, _text)
    columns |= reader.column("chunk_index", batch.chunk_indexes, _chunk_index)
    columns |= reader.column("content", batch.contents, _content)
    columns |= reader.column("metadata", batch.metadatas, _object, absent=b"{}")
    columns |= reader.column("envelope", batch.envelopes, _object)
    columns |= reader.created(batch.created_ats)
    matrix = as_matrix(batch.embeddings, table.dimensions, table.vector_type, table.distance, reader.describe)
    columns["embedding"] = list(vectors.encode(matrix, table.vector_type)) if len(batch) else []
    if table.columns.content_hash is not None:
        columns["content_hash"] = _hashes(columns)
    given = columns["id"]
    made = batch.ids is None or all(given_id is None for given_id in batch.ids)
    return _distinct(Rows(columns=columns, made=made)), given


def prepare_changes(
    table: Table,
    ids: Sequence[str],
    *,
    embeddings: NDArray[Any] | Sequence[Embedding] | None,
    contents: Sequence[str | None] | None,
    metadatas: Sequence[Mapping[str, Any]] | None,
) -> Rows:
    """Return what is to be changed, checked and encoded: the id and the columns that were given.

    Of equal ids only the last is kept.

    Raises:
        RecordError: A value cannot be stored, or a column has another length than *ids*.
        DimensionMismatch: An embedding has another length than the table's column.
    """
    for name, values in (("embeddings", embeddings), ("contents", contents), ("metadatas", metadatas)):
        if values is not None and len(values) != len(ids):
            msg = f"{name} has {len(values)} entries, but there are {len(ids)} ids"
            raise RecordError(msg)
    reader = _Reader(table, ids, len(ids))
    columns: dict[str, list[Any]] = {"id": reader.ids()}
    if contents is not None:
        columns |= reader.column("content", contents, _content)
    if metadatas is not None:
        columns |= reader.column("metadata", metadatas, _object, absent=b"{}")
    if embeddings is not None:
        matrix = as_matrix(embeddings, table.dimensions, table.vector_type, table.distance, reader.describe)
        columns["embedding"] = list(vectors.encode(matrix, table.vector_type)) if len(ids) else []
    return _distinct(Rows(columns=columns, made=False))


def check_id(value: object, table: Table) -> str:
    """Return *value* if it can be an id in *table*.

    Raises:
        ValueError: It cannot; the message says what an id must be.
    """
    text = _text(value)
    if not text:
        msg = "the id must not be empty"
        raise ValueError(msg)
    if table.id_type == "uuid":
        try:
            return str(uuid.UUID(text))
        except ValueError:
            msg = f"{text!r} is not a UUID, which this table's ids are; use id_type='text' for other ids"
            raise ValueError(msg) from None
    if table.id_type in _INTEGER_TYPES and not text.removeprefix("-").isdecimal():
        msg = f"{text!r} is not a whole number, which this table's ids are"
        raise ValueError(msg)
    return text


class _Reader:
    """Reads the columns of one batch, and names the record in every error."""

    def __init__(self, table: Table, ids: Sequence[str | None] | None, count: int) -> None:
        self._table = table
        self._ids = ids
        self._count = count

    def describe(self, position: int) -> str:
        given = None if self._ids is None else self._ids[position]
        return f"record {position}" if given is None else f"record {position} (id {given!r})"

    def ids(self) -> list[str]:
        if self._ids is None:
            return [str(uuid.uuid4()) for _ in range(self._count)]
        table = self._table
        return self._read("id", self._ids, lambda value: str(uuid.uuid4()) if value is None else check_id(value, table))

    def domains(self, scope: Scope, given: Sequence[str | None] | None) -> dict[str, list[str]]:
        """Return the domain of each record: the scope's own, whatever a record says, or an error."""

        def domain(value: object) -> str:
            if scope.domain is not None:
                if value is not None and value != scope.domain:
                    msg = f"belongs to domain {value!r}, but this collection is bound to {scope}"
                    raise ValueError(msg)
                return scope.domain
            if not isinstance(value, str) or not value or "\x00" in value:
                msg = f"needs a domain_id of its own, not {value!r}: this handle is of all domains"
                raise ValueError(msg)
            return value

        if given is None and scope.domain is not None:
            found = [scope.domain] * self._count
        else:
            found = self._read("domain_id", given or [None] * self._count, domain)
        return {} if self._table.columns.domain_id is None else {"domain_id": found}

    def column(
        self, name: str, values: Sequence[Any] | None, encode: Callable[[Any], Any], absent: object = None
    ) -> dict[str, list[Any]]:
        """Return the encoded column, or nothing where neither the table nor a record has it."""
        if getattr(self._table.columns, name) is None:
            for position, value in enumerate(values or ()):
                if value is not None and value != {}:
                    msg = (
                        f"{self.describe(position)} has {name}, but {self._table.qualified_name} has no column for it; "
                        "add one or map it with Columns"
                    )
                    raise RecordError(msg)
            return {}
        if values is None:
            return {name: [absent] * self._count}
        return {name: self._read(name, values, lambda value: absent if value is None else encode(value))}

    def created(self, given: Sequence[datetime | None] | None) -> dict[str, list[datetime]]:
        """Return the times of creation where records bring their own; the server's default otherwise."""
        if given is None or all(value is None for value in given):
            return {}
        now = datetime.now().astimezone()
        return self.column("created_at", [now if value is None else value for value in given], _time)

    def _read(self, name: str, values: Sequence[Any], encode: Callable[[Any], Any]) -> list[Any]:
        encoded: list[Any] = []
        for value in values:
            try:
                encoded.append(encode(value))
            except ValueError as error:
                msg = f"{self.describe(len(encoded))}: {name} {error}"
                raise RecordError(msg) from None
        return encoded


def _content(value: object) -> str:
    if not isinstance(value, str):
        msg = f"must be text, not {type(value).__name__}"
        raise ValueError(msg)  # noqa: TRY004 - gathered with the other faults of a record
    if "\x00" in value:
        msg = "holds the character NUL, which PostgreSQL cannot store; remove it, as in text.replace('\\x00', '')"
        raise ValueError(msg)
    if not value.isascii():
        value.encode()  # a lone surrogate is no valid Unicode, and a UnicodeEncodeError is a ValueError
    return value


def _text(value: object) -> str:
    text = _content(value)
    if len(text) > MAX_ID_BYTES // 4 and len(text.encode(errors="replace")) > MAX_ID_BYTES:
        msg = f"is longer than {MAX_ID_BYTES} bytes, the most that can be indexed"
        raise ValueError(msg)
    return text


def _chunk_index(value: object) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or not -_MAX_INT4 <= int(value) <= _MAX_INT4:  # pyright: ignore[reportArgumentType]
        msg = f"must be a whole number of 32 bits, not {value!r}"
        raise ValueError(msg)
    return int(value)  # pyright: ignore[reportArgumentType]


def _time(value: object) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        msg = f"must be a datetime with a time zone, not {value!r}"
        raise ValueError(msg)
    return value


def _object(value: object) -> bytes:
    if not isinstance(value, Mapping):
        msg = f"must be a mapping, not {type(value).__name__}"
        raise ValueError(msg)  # noqa: TRY004 - gathered with the other faults of a record
    return jsonb.dumps(value)


def _hashes(columns: dict[str, list[Any]]) -> list[bytes]:
    """Return a hash of everything in a row that an upsert would change."""
    hashed = [values for name, values in columns.items() if name not in ("id", "domain_id", "created_at")]
    digests: list[bytes] = []
    for row in zip(*hashed, strict=True):
        digest = blake2b(digest_size=16)
        for value in row:
            part = value if isinstance(value, bytes | memoryview) else b"\x00" if value is None else str(value).encode()
            # The length keeps ("ab", "c") apart from ("a", "bc").
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
        digests.append(digest.digest())
    return digests


def _distinct(rows: Rows) -> Rows:
    """Return *rows* sorted by (domain, id), and of equal ids only the last."""
    if rows.made:
        return rows
    domains = rows.columns.get("domain_id") or [""] * len(rows)
    last = {key: position for position, key in enumerate(zip(domains, rows.columns["id"], strict=True))}
    positions = [last[key] for key in sorted(last)]
    return rows if positions == list(range(len(rows))) else rows.take(positions)
