"""Promoting fields: columns, the trigger that keeps them, and their indexes, on a new table or beside its writers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgrecall.collection.definition import field_notes, has_code, new_columns, trigger_function
from pgrecall.collection.indexes.building import Builder, alone, require_direct
from pgrecall.collection.indexes.deriving import alter_quickly, fill
from pgrecall.collection.indexes.field_indexes import trigram_schema
from pgrecall.collection.indexes.indexing import current, index_fields
from pgrecall.collection.indexes.looking_up import look_up_new
from pgrecall.collection.indexes.text_columns import new_text_column, require_ranking_extension
from pgrecall.config import CODE_COLUMN, ORIGINAL_MODEL
from pgrecall.errors import ConfigError, SchemaError
from pgrecall.postgres import catalog
from pgrecall.promoted import CONTENT, MAX_FIELDS, PromotedField, parse_fields
from pgrecall.rows import MAX_CODED_ID_BYTES
from pgrecall.sql import promoted, text_column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pgrecall.collection.handle import Handle
    from pgrecall.config import CollectionConfig
    from pgrecall.postgres import Session
    from pgrecall.table import Table


async def promote_new(session: Session, table: Table, config: CollectionConfig) -> None:
    """Give a table without rows, which nobody else uses yet, its promoted fields, within a transaction."""
    if CONTENT in config.fields:
        # Its index is built with the vector index: to keep it while rows are loaded takes ten times as long.
        await trigram_schema(session, table)
    words, text = config.words, None
    if words is not None and words.engine == "pg_textsearch":
        await require_ranking_extension(session)
        await session.execute(text_column.create_ranking_index(table, words, concurrently=False))
    elif words is not None:
        text = await new_text_column(session, words)
    quantizes = session.server.has_halfvec
    for statement in new_columns(table, config.promoted, text, session.dialect, quantizes=quantizes):
        await session.execute(statement)


async def add_fields(handle: Handle, fields: Mapping[str, Any]) -> tuple[PromotedField, ...]:
    """See `Administration.add_fields`."""
    wanted = parse_fields(fields)
    if handle.config.model not in (None, ORIGINAL_MODEL):
        msg = "fields are added through a handle of the original model, whose embeddings their codes are made of"
        raise ConfigError(msg)
    made = await handle.made_table(handle.config.dimensions)

    async def work(session: Session) -> tuple[PromotedField, ...]:
        require_direct(session)
        # Others may be doing the same, and what a trigger keeps is decided from all fields there are.
        async with alone(session, made):
            table = await current(handle, session)
            _check(table, wanted)
            missing = [field for field in wanted if table.field(field.key) is None]
            if missing:
                code = await _add_columns(session, table, missing)
                await fill(session, table, missing, code=code)
                async with session.transaction():
                    for statement in field_notes(table, missing, code=code):
                        await session.execute(statement)
            await index_fields(Builder(handle=handle, session=session, table=table), content=CONTENT in fields)
            await look_up_new(session, handle.config)
            return (await current(handle, session)).fields

    try:
        return await handle.run(work)
    finally:
        handle.knowledge.forget()


def _check(table: Table, wanted: Sequence[PromotedField]) -> None:
    if table.columns.metadata is None:
        msg = f"{table.qualified_name} has no metadata column that fields could be promoted from"
        raise SchemaError(msg)
    if not table.is_plain:
        msg = f"{table.qualified_name} does not have all metadata in a column of type jsonb, as promoted fields need it"
        raise SchemaError(msg)
    if table.partitioned:
        msg = f"{table.qualified_name} is partitioned: its fields can only be promoted when it is made"
        raise SchemaError(msg)
    for field in wanted:
        made = table.field(field.key)
        if made is not None and made.type is not field.type:
            msg = f"field {field.column!r} of {table.qualified_name} holds {made.type.value}, not {field.type.value}"
            raise SchemaError(msg)
        if field.column in {CODE_COLUMN, *table.columns.mapping().values()}:
            msg = f"a field cannot be called {field.column!r}: the table has a column of this name"
            raise ConfigError(msg)
    scalar = {field.key for field in (*table.fields, *wanted) if field.is_scalar}
    if len(scalar) > MAX_FIELDS:
        msg = f"at most {MAX_FIELDS} fields that are no lists can be promoted, and these would be {len(scalar)}"
        raise ConfigError(msg)


async def _add_columns(session: Session, table: Table, missing: Sequence[PromotedField]) -> bool:
    """Add the columns of *missing*, kept from now on; return whether there is a code."""
    every = [*table.fields, *missing]
    code = (
        has_code(table, every, quantizes=session.server.has_halfvec)
        and await catalog.longest_id(session, table) <= MAX_CODED_ID_BYTES
    )
    notes = await catalog.column_notes(session, table)
    stale = [field.column for field in missing if _is_stale(table, field, notes)]
    if code and CODE_COLUMN in notes and "code" not in (notes[CODE_COLUMN] or {}):
        raise _taken(table, CODE_COLUMN)
    function = await catalog.deriving_function(session, table.schema, table.name) or trigger_function()

    noted = [promoted.note_code(table, filling=True)] if code and CODE_COLUMN not in notes else []
    await alter_quickly(
        session,
        table,
        [
            *promoted.drop_columns(table, stale),
            *promoted.add_columns(table, missing, code=code),
            *promoted.keep_columns(table, function, every, session.dialect, code=code, text=table.kept_text),
            *(promoted.note_field(table, field, filling=True) for field in missing),
            *noted,
        ],
    )
    return code


def _is_stale(table: Table, field: PromotedField, notes: Mapping[str, Mapping[str, Any] | None]) -> bool:
    """Whether there is a column of that name which an interrupted call has left for another type.

    Raises:
        SchemaError: The column is somebody else's.
    """
    if field.column not in notes:
        return False
    note = notes[field.column] or {}
    if note.get("key") != list(field.key.path) or not note.get("filling"):
        raise _taken(table, field.column)
    return note["type"] != field.type.value


def _taken(table: Table, column: str) -> SchemaError:
    return SchemaError(f"{table.qualified_name} has a column {column!r} of its own, which a field cannot have")
