"""Having the content searched by its words: the column with its lexemes, on a new table or beside its writers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from asyncpg import exceptions as pg

from pgrecall.collection.definition import trigger_function
from pgrecall.collection.indexes.building import FOREVER, Builder, alone, require_direct
from pgrecall.collection.indexes.deriving import alter_quickly, fill
from pgrecall.collection.indexes.indexing import current
from pgrecall.collection.indexes.looking_up import look_up_new
from pgrecall.config import ORIGINAL_MODEL
from pgrecall.errors import ConfigError, ExtensionMissing, SchemaError
from pgrecall.postgres import catalog
from pgrecall.sql import ddl, promoted, text_column, upkeep
from pgrecall.table_columns import TextColumn

if TYPE_CHECKING:
    from pgrecall.build import ProgressLike
    from pgrecall.collection.handle import Handle
    from pgrecall.postgres import Session
    from pgrecall.table import Table
    from pgrecall.text_search import TextSearch

UNKNOWN_CONFIGURATION = (pg.UndefinedObjectError, pg.InvalidNameError, pg.PostgresSyntaxError)
"""How PostgreSQL says that it has no text search configuration of a name."""


async def new_text_column(session: Session, words: TextSearch) -> TextColumn:
    """Return the column for *words*, which nobody has added yet.

    Raises:
        ConfigError: The database has no such configuration.
    """
    return TextColumn(
        column=words.column,
        language=await _full_name(session, words.configuration),
        language_key=words.language_key,
        kept=True,
    )


async def _full_name(session: Session, configuration: str) -> str:
    try:
        async with session.transaction():
            return await session.fetch_value(text_column.resolve_configuration(configuration))
    except UNKNOWN_CONFIGURATION as error:
        raise await unknown_configuration(session, configuration) from error


async def unknown_configuration(session: Session, configuration: str) -> ConfigError:
    """Return the error that says which text search configurations there are."""
    there = ", ".join(row[0] for row in await session.fetch(text_column.configurations()))
    return ConfigError(f"the database has no text search configuration {configuration!r}; it has: {there}")


async def add_text_search(handle: Handle, words: TextSearch, *, progress: ProgressLike = None) -> TextColumn:
    """See `Administration.add_text_search`."""
    made = await handle.made_table(handle.config.dimensions)

    async def work(session: Session) -> TextColumn:
        require_direct(session)
        async with alone(session, made):
            table = await current(handle, session)
            await _check_model(handle, session)
            if words.engine == "pg_textsearch":
                return await _rank_by_extension(handle, session, table, words, progress)
            text = table.text if table.text is not None else await _add_column(session, table, words)
            _check_same(table, text, words)
            if not text.indexed:
                build = Builder(handle=handle, session=session, table=table, progress=progress)
                statement = text_column.create_text_index(table, text, concurrently=True)
                await build(statement, f"the index on the words of {table.qualified_name}")
                await session.execute(upkeep.vacuum(table), timeout=FOREVER)
                await session.execute(ddl.analyze(table), timeout=FOREVER)
            await look_up_new(session, handle.config)
            found = (await current(handle, session)).text
            if found is None:
                msg = f"the column {words.column!r} of {table.qualified_name} vanished while it was being filled"
                raise SchemaError(msg)
            return found

    try:
        return await handle.run(work)
    finally:
        handle.knowledge.forget()


async def _check_model(handle: Handle, session: Session) -> None:
    """Raise `ConfigError` for a handle of another model: the trigger of the words keeps codes of the first one's."""
    name, first = handle.config.model, handle.config.columns.embedding
    if name in (None, ORIGINAL_MODEL):
        return
    if first in await catalog.notes_of(session, handle.config.schema, handle.config.name):
        msg = (
            f"the content is made searchable through a handle of the original model, and this one is of {name!r}: "
            f"model({ORIGINAL_MODEL!r}) is one; all models search the same words"
        )
        raise ConfigError(msg)


async def _rank_by_extension(
    handle: Handle, session: Session, table: Table, words: TextSearch, progress: ProgressLike
) -> TextColumn:
    """Have the content indexed by pg_textsearch, and return it."""
    _check(table, words)
    if table.text is None or table.text.index is None:
        await require_ranking_extension(session)
        build = Builder(handle=handle, session=session, table=table, progress=progress)
        statement = text_column.create_ranking_index(table, words, concurrently=True)
        await build(statement, f"the index of pg_textsearch on {table.qualified_name}")
        config = replace(handle.config, text_search=words)
        table = await catalog.read_table(session, config) or table
    if table.text is None or table.text.index is None:
        msg = f"{table.qualified_name} has no index of pg_textsearch on its content although one was built"
        raise SchemaError(msg)
    return table.text


async def require_ranking_extension(session: Session) -> None:
    """Raise `ExtensionMissing` where pg_textsearch is not installed in the database."""
    if await catalog.extension_schema(session, "pg_textsearch") is None:
        msg = (
            "the extension pg_textsearch is not installed in the database; where the server has it, a role that may do "
            "so runs: CREATE EXTENSION pg_textsearch (it must be in shared_preload_libraries). TextSearch() without "
            "engine= needs no extension"
        )
        raise ExtensionMissing(msg)


async def _add_column(session: Session, table: Table, words: TextSearch) -> TextColumn:
    """Add the column, have the trigger keep it, and fill it; what a killed call has left is finished."""
    _check(table, words)
    notes = await catalog.column_notes(session, table)
    if words.column in notes and "text" not in (notes[words.column] or {}):
        msg = (
            f"{table.qualified_name} has a column {words.column!r} of its own; name another one in TextSearch(column=…)"
        )
        raise SchemaError(msg)
    text = await new_text_column(session, words)
    function = await catalog.deriving_function(session, table.schema, table.name) or trigger_function()
    kept = promoted.keep_columns(table, function, table.fields, session.dialect, code=table.code is not None, text=text)
    noted = promoted.note_text(table, text, filling=True)
    await alter_quickly(session, table, [*text_column.add_text_column(table, text), *kept, noted])
    await fill(session, table, text=text)
    await session.execute(promoted.note_text(table, text))
    return text


def _check(table: Table, words: TextSearch) -> None:
    if table.columns.content is None:
        msg = f"{table.qualified_name} has no column for content that could be searched by its words"
        raise SchemaError(msg)
    if words.language_key is not None and not table.is_plain:
        msg = f"{table.qualified_name} does not have all metadata in a column of type jsonb, as language_key needs it"
        raise SchemaError(msg)
    if table.partitioned:
        msg = f"{table.qualified_name} is partitioned: its content can only be made searchable when it is made"
        raise SchemaError(msg)


def _check_same(table: Table, text: TextColumn, words: TextSearch) -> None:
    """Raise `SchemaError` where the texts were read in another way than *words* says."""
    if not text.kept:
        return
    made = text.language.rpartition(".")[2].strip('"')
    asked = words.configuration.rpartition(".")[2].strip('"')
    if (made, text.language_key) != (asked, words.language_key):
        msg = (
            f"the content of {table.qualified_name} is searched in {made!r} with language_key={text.language_key!r}, "
            f"not in {asked!r} with language_key={words.language_key!r}"
        )
        raise SchemaError(msg)
