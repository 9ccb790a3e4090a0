"""Promoting fields: columns, the trigger that keeps them, and their indexes, on a new table or beside its writers."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from pgrecall.collection.field_indexes import trigram_schema
from pgrecall.collection.indexing import index_fields
from pgrecall.config import CODE_COLUMN
from pgrecall.errors import ConfigError, PermissionDenied, SchemaError
from pgrecall.postgres import catalog
from pgrecall.promoted import CONTENT, MAX_FIELDS, PromotedField, parse_fields
from pgrecall.sql import ddl, promoted
from pgrecall.sql.compose import Statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pgrecall.collection.handle import Handle
    from pgrecall.config import CollectionConfig
    from pgrecall.postgres import Session
    from pgrecall.table import Server, Table

# Columns and triggers are added under a lock that everybody else waits behind, so it is not waited for long.
_SHORT_LOCK: Final = "SET LOCAL lock_timeout = '500ms'"
_ATTEMPTS: Final = 60
# A few megabytes: what is locked and rewritten at a time.
_BLOCKS: Final = 256


async def promote_new(session: Session, table: Table, config: CollectionConfig) -> None:
    """Give a table without rows, which nobody else uses yet, its promoted fields, within a transaction."""
    fields = config.promoted
    if CONTENT in config.fields:
        await session.execute(ddl.create_trigram_index(table, await trigram_schema(session, table), concurrently=False))
    if not fields:
        return
    code = _has_code(table, session.server, fields)
    for statement in _columns(table, fields, fields, session, code=code, function=_function()):
        await session.execute(statement)
    for statement in _notes(table, fields, code=code):
        await session.execute(statement)
    for field in fields:
        statement = promoted.create_field_index(table, field, fields, code=code, concurrently=False)
        await session.execute(statement)


async def add_fields(handle: Handle, fields: Mapping[str, Any]) -> tuple[PromotedField, ...]:
    """See `AsyncCollection.add_fields`."""
    wanted = parse_fields(fields)
    table = await handle.made_table(handle.config.dimensions)
    missing = [field for field in wanted if table.field(field.key) is None]
    _check(table, wanted)
    if missing:
        code = await _add_columns(handle, table, missing)
        await _fill(handle, table, missing, code=code)

        async def note(session: Session) -> None:
            for statement in _notes(table, missing, code=code):
                await session.execute(statement)

        await handle.transaction(note)
    handle.knowledge.forget()
    await index_fields(handle, content=CONTENT in fields)
    return (await handle.made_table(handle.config.dimensions)).fields


def _check(table: Table, wanted: Sequence[PromotedField]) -> None:
    if table.columns.metadata is None:
        msg = f"{table.qualified_name} has no metadata column that fields could be promoted from"
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


async def _add_columns(handle: Handle, table: Table, missing: Sequence[PromotedField]) -> bool:
    """Add the columns of *missing*, kept from now on; return whether there is a code."""
    from tenacity import AsyncRetrying, retry_if_exception_cause_type, stop_after_attempt, wait_random_exponential

    every = [*table.fields, *missing]

    async def work(session: Session) -> bool:
        code = _has_code(table, session.server, every)
        taken = await catalog.column_names(session, table) - {CODE_COLUMN}
        left_over = await catalog.deriving_function(session, table.schema, table.name)
        clash = taken & {field.column for field in missing}
        if clash and left_over is None:
            msg = f"{table.qualified_name} has columns {sorted(clash)} of its own, which fields cannot be called"
            raise SchemaError(msg)
        await session.execute(Statement(_SHORT_LOCK))
        function = left_over or _function()
        try:
            for statement in _columns(table, missing, every, session, code=code, function=function):
                await session.execute(statement)
        except asyncpg.InsufficientPrivilegeError as error:
            msg = f"role {session.server.user!r} may not add columns to {table.qualified_name}: only its owner may"
            raise PermissionDenied(msg) from error
        return code

    retrying = AsyncRetrying(
        retry=retry_if_exception_cause_type(asyncpg.LockNotAvailableError),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.1, max=2.0),
        reraise=True,
    )
    return await retrying(handle.transaction, work)


async def _fill(handle: Handle, table: Table, fields: Sequence[PromotedField], *, code: bool) -> None:
    """Have the trigger see every row that was there before it, a few at a time."""

    async def count(session: Session) -> int:
        return await catalog.blocks(session, table)

    blocks = await handle.run(count)
    for first in range(0, blocks, _BLOCKS):
        statement = promoted.fill(table, fields, first, first + _BLOCKS, code=code)

        async def work(session: Session, statement: Statement = statement) -> None:
            await session.execute(statement)

        await handle.transaction(work)


def _columns(
    table: Table,
    added: Sequence[PromotedField],
    every: Sequence[PromotedField],
    session: Session,
    *,
    code: bool,
    function: str,
) -> list[Statement]:
    return [
        *promoted.add_columns(table, added, code=code),
        *promoted.keep_columns(table, function, every, session.dialect, code=code),
    ]


def _notes(table: Table, fields: Sequence[PromotedField], *, code: bool) -> list[Statement]:
    notes = [promoted.note_field(table, field) for field in fields]
    return [*notes, promoted.note_code(table)] if code else notes


def _has_code(table: Table, server: Server, fields: Sequence[PromotedField]) -> bool:
    if not table.key or table.dimensions is None or not any(field.is_scalar for field in fields):
        return False
    return promoted.has_code(table.distance, table.vector_type, table.dimensions, quantizes=server.has_halfvec)


def _function() -> str:
    # A name of its own, since a table can be renamed and another one take its name.
    return f"pgrecall_derive_{uuid.uuid4().hex[:16]}"
