"""Which lookups a table has, among the views that depend on it; see `pgrecall.sql.lookups`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgrecall.sql.lookups import NOTE, NUMBERS_NOTE, WORDS_NOTE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pgrecall.columns import Columns
    from pgrecall.promoted import PromotedField
    from pgrecall.table_columns import TextColumn


def lookups(
    views: Sequence[Mapping[str, Any]] | None,
    columns: Columns,
    text: TextColumn | None,
    fields: Sequence[PromotedField],
) -> dict[str, Any]:
    """Return what a `Table` says of its lookups.

    Args:
        views: Name, comment and columns of each that is there, as the catalog gives them.
        columns: The table's columns.
        text: That of the lexemes.
        fields: The promoted fields.
    """

    def of(note: str, column: str | None) -> str | None:
        # One that looks at other columns is another mapping's of the same table.
        seen = {columns.domain_id, column}
        return next(
            (view["name"] for view in views or () if (view["note"], set(view["columns"])) == (note, seen)), None
        )

    numbers = {field.column: of(NUMBERS_NOTE, field.column) for field in fields}
    return {
        "lookup": of(NOTE, columns.metadata),
        "word_lookup": None if text is None else of(WORDS_NOTE, text.column),
        "number_lookups": tuple((column, name) for column, name in numbers.items() if name is not None),
    }
