"""Columns that a trigger derives from the others: promoted fields, codes, and the content's lexemes.

A trigger rather than generated columns, because a generated column that is added later rewrites the table
while nobody may use it, and a trigger rather than the engine, so that rows that others write are right too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, LiteralString

from pgrecall import codes, jsonb
from pgrecall.config import CODE_COLUMN
from pgrecall.distance import Distance, VectorType
from pgrecall.promoted import MAX_NUMBER_DIGITS, MAX_TEXT_BYTES, FieldType, PromotedField
from pgrecall.sql.compose import SQL, Composable, Composed, Identifier, Integer, Literal, Statement
from pgrecall.sql.text_column import text_facts, text_is_missing, text_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pgrecall.sql.dialect import Dialect
    from pgrecall.table import Table
    from pgrecall.table_columns import TextColumn

COMMENT_PREFIX: Final = "pgrecall "
"""A column's comment begins so where it is derived by us; what it holds follows as JSON."""
TRIGGER: Final = "pgrecall_derive"

_COLUMN_TYPES: Final[Mapping[FieldType, LiteralString]] = {
    FieldType.NUMBER: "numeric",
    FieldType.TEXT: 'text COLLATE "C"',
    FieldType.TIME: 'text COLLATE "C"',
    FieldType.BOOLEAN: "boolean",
    FieldType.LIST: "jsonb",
}


def has_code(distance: Distance, vector_type: VectorType, dimensions: int, *, quantizes: bool) -> bool:
    """Whether embeddings of this kind have codes: codes compare directions, and bits are codes already."""
    fits = codes.bits_per_dimension(dimensions) > 0
    return quantizes and fits and distance is Distance.COSINE and vector_type is not VectorType.BIT


def code_type(dimensions: int) -> Composable:
    """Return the type of a code, which is the type of its column."""
    return SQL("bit({bits})").format(bits=Integer(dimensions * codes.bits_per_dimension(dimensions)))


def add_columns(table: Table, fields: Sequence[PromotedField], *, code: bool) -> list[Statement]:
    """Return the statements that add the columns of *fields*, and that of the code, empty."""
    wanted: list[tuple[str, Composable]] = [(field.column, SQL(_COLUMN_TYPES[field.type])) for field in fields]
    if code and table.dimensions is not None:
        wanted.append((CODE_COLUMN, code_type(table.dimensions)))
    form = SQL("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {name} {type}")
    return [form.format(table=_name(table), name=Identifier(name), type=kind).compile() for name, kind in wanted]


def keep_columns(
    table: Table,
    function: str,
    fields: Sequence[PromotedField],
    dialect: Dialect,
    *,
    code: bool,
    text: TextColumn | None,
) -> list[Statement]:
    """Return the statements that have a trigger keep the columns of *fields*, and those of code and lexemes.

    Args:
        table: The table.
        function: Name of the trigger's function, in the table's schema; replaced where it exists.
        fields: All promoted fields of the table.
        dialect: The server's names for pgvector's things.
        code: Whether there is a column for the code.
        text: The column for the content's lexemes that the trigger keeps, if there is one.
    """
    steps: list[Composable] = [
        SQL("{column} := {value};").format(
            column=Identifier("new", field.column), value=_value(field, Identifier("new", table.columns.metadata or ""))
        )
        for field in fields
    ]
    if text is not None:
        steps.append(
            SQL("{column} := {value};").format(
                column=Identifier("new", text.column), value=text_value(table, text, "new")
            )
        )
    if code and table.dimensions is not None:
        embedding = Identifier("new", table.columns.embedding)
        steps.append(
            SQL("unit := {value};").format(value=_unit(embedding, dialect)),
        )
        steps.append(
            SQL("{column} := {value};").format(
                column=Identifier("new", CODE_COLUMN), value=_code(SQL("unit"), table.dimensions, dialect)
            )
        )
    body = SQL("DECLARE unit {vector}; BEGIN {steps} RETURN NEW; END").format(
        vector=dialect.type(VectorType.VECTOR), steps=SQL(" ").join(steps)
    )
    name = Identifier(table.schema, function)
    return [
        SQL("CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS {body}")
        .format(name=name, body=Literal(body.compile().text))
        .compile(),
        SQL("DROP TRIGGER IF EXISTS {trigger} ON {table}")
        .format(trigger=Identifier(TRIGGER), table=_name(table))
        .compile(),
        SQL("CREATE TRIGGER {trigger} BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
        .format(trigger=Identifier(TRIGGER), table=_name(table), name=name)
        .compile(),
    ]


def drop_function(schema: str, function: str) -> Statement:
    """Return the statement that drops a trigger's function, whose trigger is gone."""
    return SQL("DROP FUNCTION IF EXISTS {name}()").format(name=Identifier(schema, function)).compile()


def fill(
    table: Table,
    fields: Sequence[PromotedField],
    first: int,
    last: int,
    *,
    code: bool = False,
    text: TextColumn | None = None,
) -> Statement:
    """Return the statement that has the trigger fill the columns of rows that it has not seen.

    Args:
        table: The table.
        fields: The fields to fill.
        first: First block of the table to look at.
        last: The block before which to stop.
        code: Whether codes are to be filled too.
        text: The column for lexemes that is to be filled too, if any.
    """
    missing: list[Composable] = [
        SQL("{column} IS DISTINCT FROM {value}").format(
            column=Identifier(field.column), value=_value(field, Identifier(table.columns.metadata or ""))
        )
        for field in fields
    ]
    if text is not None:
        missing.append(text_is_missing(table, text))
    if code:
        missing.append(
            SQL("({code} IS NULL AND {embedding} IS NOT NULL)").format(
                code=Identifier(CODE_COLUMN), embedding=Identifier(table.columns.embedding)
            )
        )
    return (
        SQL(
            "UPDATE {table} SET {embedding} = {embedding} "
            "WHERE ctid >= {first}::tid AND ctid < {last}::tid AND ({missing})"
        )
        .format(
            table=_name(table),
            embedding=Identifier(table.columns.embedding),
            first=Literal(f"({int(first)},0)"),
            last=Literal(f"({int(last)},0)"),
            missing=SQL(" OR ").join(missing),
        )
        .compile()
    )


def drop_columns(table: Table, columns: Sequence[str]) -> list[Statement]:
    """Return the statements that drop columns."""
    form = SQL("ALTER TABLE {table} DROP COLUMN {name}")
    return [form.format(table=_name(table), name=Identifier(name)).compile() for name in columns]


def note_field(table: Table, field: PromotedField, *, filling: bool = False) -> Statement:
    """Return the statement that notes what the column of *field* holds, which says that it can be used.

    Args:
        table: The table.
        field: The field.
        filling: Whether it cannot be used yet, since rows that were there before it are still being filled in.
    """
    facts: dict[str, object] = {"key": list(field.key.path), "type": field.type.value}
    if field.correlation is not None:
        facts["correlation"] = round(field.correlation, 3)
    if filling:
        facts["filling"] = True
    return _note(table, field.column, facts)


def note_code(table: Table, *, filling: bool = False) -> Statement:
    """Return the statement that notes what the column of the code holds; see `note_field`."""
    facts: dict[str, object] = {"code": codes.bits_per_dimension(table.dimensions or 1)}
    return _note(table, CODE_COLUMN, {**facts, "filling": True} if filling else facts)


def note_text(table: Table, text: TextColumn, *, filling: bool = False) -> Statement:
    """Return the statement that notes what the column of the lexemes holds; see `note_field`."""
    return _note(table, text.column, text_facts(text, filling=filling))


def noted(comment: str | None) -> dict[str, Any]:
    """Return what a column's comment says that the column holds; nothing where it is not ours."""
    if comment is None or not comment.startswith(COMMENT_PREFIX):
        return {}
    return jsonb.loads(comment.removeprefix(COMMENT_PREFIX))


def create_field_index(
    table: Table, field: PromotedField, fields: Sequence[PromotedField], *, code: bool, concurrently: bool
) -> Statement:
    """Return the statement that indexes *field*; PostgreSQL names the index.

    Where there are codes the index holds all that a covering scan needs: every scalar field, the code, and
    the key, by which the rows themselves are found.
    """
    domain = table.columns.domain_id
    keys = [name for name in (domain if field.is_scalar else None, field.column) if name is not None]
    rest: list[str] = []
    if code and field.is_scalar:
        covered = [other.column for other in fields if other.is_scalar] + [CODE_COLUMN, *table.key]
        rest = [name for name in covered if name not in keys]
    method: LiteralString = "btree" if field.is_scalar else "gin"
    listed = SQL(", ").join(Identifier(name) for name in keys)
    return (
        SQL("CREATE INDEX {concurrently} ON {table} USING {method} ({keys}{class}) {rest}")
        .format(
            **{"class": SQL("" if field.is_scalar else " jsonb_path_ops")},
            concurrently=SQL("CONCURRENTLY" if concurrently else ""),
            table=_name(table),
            method=SQL(method),
            keys=listed,
            rest=SQL("INCLUDE ({names})").format(names=SQL(", ").join(Identifier(name) for name in rest))
            if rest
            else SQL(""),
        )
        .compile()
    )


def _note(table: Table, column: str, facts: Mapping[str, object]) -> Statement:
    text = COMMENT_PREFIX + jsonb.dumps(facts).decode()
    return (
        SQL("COMMENT ON COLUMN {column} IS {text}")
        .format(column=Identifier(table.schema, table.name, column), text=Literal(text))
        .compile()
    )


def _value(field: PromotedField, metadata: Composable) -> Composable:
    """Return the field's value in *metadata*, NULL where it is of another type."""
    *steps, last = [Literal(name) for name in field.key.path]
    parent: Composable = metadata
    for step in steps:
        parent = SQL("{parent} -> {step}").format(parent=parent, step=step)
    value = SQL("({parent} -> {last})").format(parent=parent, last=last)
    text = SQL("({parent} ->> {last})").format(parent=parent, last=last)
    form: LiteralString
    match field.type:
        case FieldType.NUMBER:
            form = (
                "CASE WHEN jsonb_typeof({value}) = 'number' AND octet_length({text}) <= {most} "
                "THEN {value}::numeric END"
            )
        case FieldType.TEXT | FieldType.TIME:
            form = "CASE WHEN jsonb_typeof({value}) = 'string' AND octet_length({text}) <= {most} THEN {text} END"
        case FieldType.BOOLEAN:
            form = "CASE WHEN jsonb_typeof({value}) = 'boolean' THEN {value}::boolean END"
        case FieldType.LIST:
            form = "CASE WHEN jsonb_typeof({value}) = 'array' THEN {value} END"
    most = Integer(MAX_NUMBER_DIGITS if field.type is FieldType.NUMBER else MAX_TEXT_BYTES)
    return SQL(form).format(value=value, text=text, most=most)


def _unit(embedding: Composable, dialect: Dialect) -> Composable:
    return SQL("{normalize}({embedding}::{vector})").format(
        normalize=Identifier(dialect.vector_schema, "l2_normalize"),
        embedding=embedding,
        vector=dialect.type(VectorType.VECTOR),
    )


def _code(unit: Composable, dimensions: int, dialect: Dialect) -> Composable:
    """Return the code of *unit*, an embedding of unit length; see `codes`."""
    schema = dialect.vector_schema
    form = SQL("{quantize}({unit} OPERATOR({schema}.-) array_fill({limit}::real, ARRAY[{dimensions}])::{vector})")
    parts: list[Composable] = [
        form.format(
            quantize=Identifier(schema, "binary_quantize"),
            unit=unit,
            schema=Identifier(schema),
            limit=Literal(repr(limit)),
            dimensions=Integer(dimensions),
            vector=dialect.type(VectorType.VECTOR),
        )
        for limit in codes.thresholds(dimensions)
    ]
    return Composed([SQL("("), SQL(" || ").join(parts), SQL(")::"), code_type(dimensions)])


def _name(table: Table) -> Identifier:
    return Identifier(table.schema, table.name)


def longest_ids(table: Table) -> Statement:
    """Return the statement that finds how many bytes the longest id has."""
    return (
        SQL("SELECT max(octet_length({id}::text)) FROM {table}")
        .format(id=Identifier(table.columns.id), table=_name(table))
        .compile()
    )
