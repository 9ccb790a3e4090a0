"""Rows of files to records, and back: which field of a file is which of ours.

A row of ours has the fields of a `Record`, those that are `None` left out: ``id``, ``domain_id``, ``document_id``,
``chunk_index``, ``content``, ``metadata``, ``metadata_types`` (what JSON does not keep of the metadata; see
`pgrecall.metadata_types`), ``created_at``, ``embedding``, ``sparse_embedding`` (``indices`` and ``values``) and
``envelope``. In the files of others, fields that are called differently are known by their usual names, or by what
the caller says, and all that are left are metadata.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import numpy as np

from pgrecall import jsonb
from pgrecall.errors import ConfigError, RecordError
from pgrecall.metadata_types import describe, restore
from pgrecall.records import Record

FIELDS: Final = (
    "id",
    "domain_id",
    "document_id",
    "chunk_index",
    "content",
    "metadata",
    "metadata_types",
    "created_at",
    "embedding",
    "sparse_embedding",
    "envelope",
)
_USUAL: Final[Mapping[str, tuple[str, ...]]] = {
    "id": ("_id",),
    "content": ("text", "document", "page_content", "body"),
    "embedding": ("vector", "vec", "emb", "values"),
}
# What fits into single precision.
_MOST: Final = 3e38
_OBJECTS: Final = ("metadata", "metadata_types", "sparse_embedding", "envelope")


@dataclass(frozen=True, slots=True)
class FileFields:
    """Which field of a file is which of ours.

    Attributes:
        taken: Field of ours to its name in the file.
    """

    taken: Mapping[str, str] = field(default_factory=lambda: {name: name for name in FIELDS})

    @classmethod
    def of(cls, names: Iterable[str], given: Mapping[str, str]) -> FileFields:
        """Return which of the *names* of a file is which field of ours.

        Args:
            names: The fields of the file.
            given: Field of ours to its name in the file, as far as the caller says it.

        Raises:
            ConfigError: *given* names a field that neither side has.
        """
        there = list(names)
        if unknown := sorted(set(given) - set(FIELDS)):
            msg = f"a record has no field {', '.join(unknown)}; its fields are {', '.join(FIELDS)}"
            raise ConfigError(msg)
        if absent := sorted(set(given.values()) - set(there)):
            msg = f"the file has no field {', '.join(absent)}; its fields are {', '.join(there)}"
            raise ConfigError(msg)
        taken = dict(given)
        for name in FIELDS:
            usual = [one for one in (name, *_USUAL.get(name, ())) if one in there and one not in taken.values()]
            # Lines need not all have the same fields: one of ours may come later than where was looked.
            if name not in taken and (usual or name not in taken.values()):
                taken[name] = usual[0] if usual else name
        return cls(taken)

    def ours(self, theirs: str) -> str:
        """Return what a field of the file becomes."""
        found = next((ours for ours, name in self.taken.items() if name == theirs), None)
        return found or f"metadata.{theirs}"

    def record(self, row: Mapping[str, Any]) -> Record:
        """Return a row as a record; a text where an object, a list or a time is expected is read as one.

        Raises:
            RecordError: A field holds something that it cannot be.
        """
        given = {ours: row.get(theirs) for ours, theirs in self.taken.items()}
        for name in _OBJECTS:
            given[name] = _object(given.get(name), name)
        metadata = {key: value for key, value in row.items() if key not in self.taken.values()}
        metadata |= restore(given["metadata"] or {}, given["metadata_types"] or {})
        return Record(
            id=_id(given.get("id")),
            embedding=_numbers(given.get("embedding")),
            content=given.get("content"),
            metadata=metadata,
            document_id=_id(given.get("document_id")),
            chunk_index=_whole(given.get("chunk_index")),
            created_at=_time(given.get("created_at")),
            envelope=given["envelope"],
            sparse_embedding=_sparse(given["sparse_embedding"]),
        )

    def domain(self, row: Mapping[str, Any]) -> str | None:
        """Return the domain that a row names, if it names one."""
        value = row.get(self.taken.get("domain_id", ""))
        return None if value is None or value == "" else str(value)


def row_of(record: Record, *, embeddings: bool) -> dict[str, Any]:
    """Return *record* as a row of ours, without what is `None`; arrays and times as they are."""
    found: dict[str, Any] = {name: getattr(record, name) for name in FIELDS if name != "metadata_types"}
    found["metadata_types"] = describe(record.metadata)
    if record.embedding is None or not embeddings:
        del found["embedding"]
    else:
        array = np.asarray(record.embedding)
        found["embedding"] = array.astype(np.float32 if array.dtype.kind == "f" else np.uint8)
    if record.sparse_embedding is None or not embeddings:
        del found["sparse_embedding"]
    elif isinstance(record.sparse_embedding, Mapping):
        weights = record.sparse_embedding
        found["sparse_embedding"] = {"indices": list(weights), "values": [*map(float, weights.values())]}
    return {name: found[name] for name in FIELDS if found.get(name) is not None}


def _object(value: Any, name: str) -> dict[str, Any] | None:
    if isinstance(value, str):
        value = _parsed(value, name) if value else None
    if value is None or isinstance(value, dict):
        return value
    msg = f"{name} must be an object, not {type(value).__name__}"
    raise RecordError(msg)


def _numbers(value: Any) -> Any:
    if isinstance(value, str):
        value = _parsed(value, "embedding") if value else None
    if value is None or isinstance(value, np.ndarray):
        return value
    if isinstance(value, list):
        try:
            array = np.array(value)
        except ValueError:
            return value  # not of one length: refused further on, with the record's name
        # An array takes a tenth of the memory that a list of numbers takes.
        return array.astype(np.float32) if array.dtype.kind == "f" and np.abs(array).max(initial=0) < _MOST else value
    msg = f"embedding must be a list of numbers, not {type(value).__name__}"
    raise RecordError(msg)


def _parsed(text: str, name: str) -> Any:
    try:
        return jsonb.loads(text)
    except ValueError as error:
        msg = f"{name} is not JSON: {error}"
        raise RecordError(msg) from None


def _sparse(value: Mapping[str, Any] | None) -> dict[int, float] | None:
    if value is None:
        return None
    indices, weights = value.get("indices"), value.get("values")
    if not isinstance(indices, Sequence) or not isinstance(weights, Sequence) or len(indices) != len(weights):
        msg = "sparse_embedding must have lists of the same length called indices and values"
        raise RecordError(msg)
    return dict(zip(indices, weights, strict=True))


def _id(value: Any) -> Any:
    """Return an id as a text; what is no text, number or UUID is refused further on, with its name."""
    return str(value) if isinstance(value, int | UUID) and not isinstance(value, bool) else value


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return int(value) if value else None
        except ValueError:
            msg = f"chunk_index must be a whole number, not {value!r:.80}"
            raise RecordError(msg) from None
    return value


def _time(value: Any) -> datetime | None:
    if isinstance(value, str) and value:
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            msg = f"created_at must be a time in ISO 8601, not {value!r:.80}"
            raise RecordError(msg) from None
    if not value:
        return None
    if not isinstance(value, datetime):
        msg = f"created_at must be a time, not {type(value).__name__}"
        raise RecordError(msg)
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
