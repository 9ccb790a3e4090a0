"""The metadata of adopted tables, which need not be one column of type jsonb.

It can be of type json, and some of its keys can have columns of their own. Such a key is what its column
says, whatever the JSON has under the same name, and missing where the column is NULL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pgrecall.sql.compose import SQL, Composable, Identifier, Literal, Param

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.filters import Key
    from pgrecall.table import Table
    from pgrecall.table_columns import MetadataColumn

_EMPTY: Final = SQL("'{}'::jsonb")
# Behind an even number of backslashes: the escape of NUL, of a high surrogate before anything but a low one, and of a
# low surrogate behind anything but a high one.
_REFUSED: Final = (
    r"(?<!\\)((?:\\\\)*)\\u(?:0000|[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    r"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u)[dD][c-fC-F][0-9a-fA-F]{2})"
)
# A function takes a hundred arguments, and each key needs two.
_KEYS_AT_ONCE: Final = 40
# What is NULL in a column of these types, and nothing inside of them, is null in the JSON that is made of it.
_SCALAR: Final = frozenset(
    {
        "smallint",
        "integer",
        "bigint",
        "numeric",
        "real",
        "double precision",
        "boolean",
        "text",
        "character varying",
        "character",
        "uuid",
        "date",
        "timestamp without time zone",
        "timestamp with time zone",
        "time without time zone",
    }
)


def metadata_object(table: Table) -> Composable | None:
    """Return the metadata of a row as it is read; `None` where the table has none.

    Numbers of type numeric, which may have more digits than a JSON reader keeps, are strings in it.
    """
    stored = _stored(table)
    if not table.metadata_columns:
        return stored
    parts: list[Composable] = []
    if stored is not None:
        names = Param([column.name for column in table.metadata_columns], "text[]")
        parts.append(SQL("({object} - {names})").format(object=_as_object(stored), names=names))
    scalar = [column for column in table.metadata_columns if column.type in _SCALAR]
    starts = range(0, len(scalar), _KEYS_AT_ONCE)
    parts += [_without_nulls(scalar[start : start + _KEYS_AT_ONCE]) for start in starts]
    parts += [_if_there(column) for column in table.metadata_columns if column.type not in _SCALAR]
    return SQL("({all})").format(all=SQL(" || ").join(parts))


def place_of(table: Table, key: Key) -> tuple[Composable, tuple[str, ...]] | None:
    """Return where *key* is: an expression of type jsonb, and the path inside of it; `None` for nowhere."""
    column = table.metadata_column(key.path[0])
    if column is not None:
        return SQL("to_jsonb({value})").format(value=_value(column)), key.path[1:]
    stored = _stored(table)
    if stored is not None:
        return stored, key.path
    return (SQL("NULL::jsonb"), key.path) if table.metadata_columns else None


def merged(table: Table, new: Composable) -> Composable:
    """Return what is stored in the metadata's column of the row ``stored``, with the keys of *new* set."""
    if table.columns.metadata is None:
        return new
    if table.is_plain and table.metadata_made:
        form = SQL("COALESCE(stored.{c}, '{empty}') || {new}")
        return form.format(c=Identifier(table.columns.metadata), empty=SQL("{}"), new=new)
    stored = _stored(table, "stored")
    return new if stored is None else SQL("{stored} || {new}").format(stored=_as_object(stored), new=new)


def column_definitions(table: Table) -> Composable:
    """Return the columns of the metadata with their types, as ``jsonb_to_record`` wants to know them."""
    return SQL(", ").join(
        SQL("{name} {type}").format(name=Identifier(column.name), type=Identifier(*column.type_name))
        for column in table.metadata_columns
    )


def _stored(table: Table, row: str | None = None) -> Composable | None:
    """Return the metadata's column as jsonb, of the row that is called *row*."""
    name = table.columns.metadata
    if name is None:
        return None
    column = Identifier(name) if row is None else Identifier(row, name)
    return column if table.metadata_type == "jsonb" else _from_json(column)


def _from_json(column: Composable) -> Composable:
    # What json keeps and jsonb refuses would make one row fail every query: the escapes of NUL and of lone surrogates.
    # Only a text that may have one is looked through, which takes several times as long as reading it.
    return SQL(
        "CASE WHEN strpos({c}::text, {escape}) > 0 AND {c}::text ~ {doubtful} "
        "THEN regexp_replace({c}::text, {refused}, {instead}, 'g')::jsonb ELSE {c}::text::jsonb END"
    ).format(
        c=column,
        escape=Literal("\\u"),
        doubtful=Literal(r"\\u(0000|[dD][89a-fA-F])"),
        refused=Literal(_REFUSED),
        instead=Literal(r"\1\\ufffd"),
    )


def _as_object(stored: Composable) -> Composable:
    return SQL("CASE WHEN jsonb_typeof({stored}) = 'object' THEN {stored} ELSE {empty} END").format(
        stored=stored, empty=_EMPTY
    )


def _value(column: MetadataColumn) -> Composable:
    name = Identifier(column.name)
    return _from_json(name) if column.type == "json" else name


def _without_nulls(columns: Sequence[MetadataColumn]) -> Composable:
    pairs: list[Composable] = []
    for column in columns:
        value = SQL("{c}::text") if column.type == "numeric" else SQL("{c}")
        pairs += [Param(column.name, "text"), value.format(c=Identifier(column.name))]
    return SQL("jsonb_strip_nulls(jsonb_build_object({pairs}))").format(pairs=SQL(", ").join(pairs))


def _if_there(column: MetadataColumn) -> Composable:
    return SQL("CASE WHEN {c} IS NULL THEN {empty} ELSE jsonb_build_object({key}, {value}) END").format(
        c=Identifier(column.name), empty=_EMPTY, key=Param(column.name, "text"), value=_value(column)
    )
