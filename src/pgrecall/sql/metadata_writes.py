"""Writing metadata of which some keys have columns of their own: PostgreSQL converts each value to its column's type.

The rows are sent as for any other table, with all of their metadata in one JSON object, which is taken apart
on the way: ``typed`` has the keys with columns, and the rest goes to the metadata's own column, if there is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgrecall.sql.compose import SQL, Composable, Identifier, Param
from pgrecall.sql.metadata import column_definitions, merged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.table import Table


def source(table: Table, logical: Sequence[str], arrays: Sequence[Composable]) -> Composable:
    """Return the rows that are sent as ``new``, beside the typed values of their metadata."""
    form = SQL("unnest({arrays}) AS new({names})")
    if "metadata" in logical:
        form = SQL(
            "unnest({arrays}) AS new({names}) CROSS JOIN LATERAL jsonb_to_record(new.metadata) AS typed({types})"
        )
    return form.format(
        arrays=SQL(", ").join(arrays),
        names=SQL(", ").join(Identifier(name) for name in logical),
        types=column_definitions(table),
    )


def filled(table: Table, logical: Sequence[str]) -> dict[str, Composable]:
    """Return the names of the columns that these logical columns fill, and with what, as `source` has it."""
    found: dict[str, Composable] = {}
    for name in logical:
        value = SQL("new.{c}").format(c=Identifier(name))
        if name != "metadata":
            found[getattr(table.columns, name)] = value
            continue
        if table.columns.metadata is not None:
            found[table.columns.metadata] = _rest(table, value)
        found |= {column.name: _typed(column.name) for column in table.metadata_columns}
    return found


def changed(table: Table, logical: Sequence[str], *, merge: bool) -> dict[str, Composable]:
    """Return the columns that an update of the row ``stored`` sets, and to what.

    Args:
        table: The table.
        logical: What is sent.
        merge: Whether the keys of the metadata that are not sent stay as they are.
    """
    found = filled(table, [name for name in logical if name != "id"])
    if not merge or "metadata" not in logical:
        return found
    new = SQL("new.metadata")
    if table.columns.metadata is not None:
        found[table.columns.metadata] = _rest(table, SQL("({merged})").format(merged=merged(table, new)))
    for column in table.metadata_columns:
        found[column.name] = SQL("CASE WHEN jsonb_exists(new.metadata, {key}) THEN {new} ELSE {old} END").format(
            key=Param(column.name, "text"), new=_typed(column.name), old=Identifier("stored", column.name)
        )
    return found


def _rest(table: Table, metadata: Composable) -> Composable:
    names = Param([column.name for column in table.metadata_columns], "text[]")
    return SQL("{metadata} - {names}").format(metadata=metadata, names=names)


def _typed(name: str) -> Composable:
    return Identifier("typed", name)
