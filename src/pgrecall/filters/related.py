"""Filters that look into other tables of the same database: who may read what, what is in stock, what is published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pgrecall.errors import FilterError
from pgrecall.filters.nodes import InTable
from pgrecall.filters.parse import parse_field

_MAX_NAME_BYTES: Final = 63
_MAX_CONDITIONS: Final = 20


def in_table(
    field: str, table: str, column: str, *, where: Mapping[str, Any] | None = None, schema: str = "public"
) -> InTable:
    """Return the filter that a record passes where *field* is, as text, what *column* has in some row of *table*.

    It is part of the statement: what the table says at this moment counts, in the transaction of a connection that
    was lent too, and the role needs SELECT on it. A filter that comes from somebody else can never name a table, as a
    mapping cannot.

    Args:
        field: ``"$document_id"``, ``"$id"`` or a key of the metadata, as a mapping names it.
        table: The other table.
        column: Its column that says which records; it may be of any type.
        where: Which of its rows count: column to the value that it must have, of the type that asyncpg takes for
            it; `None` for NULL, a list for any of its values.
        schema: Its schema.

    Raises:
        FilterError: A name cannot be that of a table or column, *where* is no mapping or too long, or a value cannot
            be compared.

    Example:
        >>> readable = in_table("$document_id", "grants", "document", where={"user_id": 7})
        >>> docs.search(embedding, k=10, filter=readable & parse({"year": {"$gte": 2020}}))
    """
    if where is not None and not isinstance(where, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - of callers
        msg = f"where must be a mapping of columns to values, not {type(where).__name__}"
        raise FilterError(msg)
    conditions = dict(where or {})
    if len(conditions) > _MAX_CONDITIONS:
        msg = f"where has {len(conditions)} columns; at most {_MAX_CONDITIONS} are allowed"
        raise FilterError(msg)
    for name in (table, column, schema, *conditions):
        _check_name(name)
    return InTable(
        parse_field(field),
        schema=schema,
        table=table,
        column=column,
        where=tuple((name, *_value(name, value)) for name, value in sorted(conditions.items())),
    )


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name or "\x00" in name or len(name.encode(errors="replace")) > _MAX_NAME_BYTES:
        msg = f"{name!r:.80} cannot be the name of a table or a column"
        raise FilterError(msg)


def _value(name: str, value: object) -> tuple[str, Any]:
    """Return *value* such that it can be hashed, with its types, by which ``1``, ``1.0`` and ``True`` differ."""
    several = isinstance(value, list | tuple | set | frozenset)
    kept: Any = tuple(value) if several else value  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    try:
        hash(kept)
    except TypeError:
        msg = f"where[{name!r}] must be a single value or a list of them, not {type(value).__name__}"
        raise FilterError(msg) from None
    return (f"any of {[type(one).__qualname__ for one in kept]}" if several else type(value).__qualname__), kept
