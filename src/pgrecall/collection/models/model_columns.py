"""The embeddings of several models in one table: which there are, which one is current, and dropping one."""

from __future__ import annotations

import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from pgrecall.collection.handle import Knowledge
from pgrecall.collection.indexes.building import Builder, alone, require_direct
from pgrecall.collection.indexes.indexing import index_fields
from pgrecall.config import CODE_COLUMN, ORIGINAL_MODEL, model_column
from pgrecall.errors import CollectionNotFound, ConfigError, ModelNotFound, ModelNotReady, PermissionDenied, SchemaError
from pgrecall.postgres import catalog
from pgrecall.scope import Scope
from pgrecall.sql import ddl, models, promoted
from pgrecall.sql.compose import Statement

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence

    from pgrecall.collection.handle import Handle
    from pgrecall.postgres import Session
    from pgrecall.table import Table

# Columns and triggers are changed under a lock that everybody else waits behind, so it is not waited for long.
_SHORT_LOCK: Final = "SET LOCAL lock_timeout = '500ms'"
_ATTEMPTS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingModel:
    """A model whose embeddings a collection has.

    Attributes:
        name: Its name; ``original`` for the one that the collection was made with.
        column: Column of its embeddings.
        ready: Whether it can be searched; otherwise its embeddings are still being made.
        current: Whether it is the one that was switched to last.
    """

    name: str
    column: str
    ready: bool
    current: bool


def of_model(handle: Handle, name: str) -> Handle:
    """Return a handle on the embeddings of a model."""
    config = replace(handle.config, model=None if name == ORIGINAL_MODEL else name)
    return handle if config == handle.config else replace(handle, config=config, knowledge=Knowledge())


def while_filling(handle: Handle, name: str) -> Handle:
    """Return a handle on the embeddings of a model that are still being made; only for those who make them."""
    if name == ORIGINAL_MODEL:
        return of_model(handle, name)
    columns = replace(handle.config.columns, embedding=model_column(name))
    config = replace(
        handle.config, columns=columns, model=None, dimensions=None, vector_type=None, index=None, setup="validate"
    )
    return replace(handle, config=config, knowledge=Knowledge())


def column_of(handle: Handle, name: str) -> str:
    """Return the column of a model's embeddings."""
    return handle.config.columns.embedding if name == ORIGINAL_MODEL else model_column(name)


async def any_table(handle: Handle, session: Session) -> Table:
    """Return the table as it is, by the embeddings of whichever model it has.

    Raises:
        CollectionNotFound: There is none.
    """
    try:
        table = await catalog.read_table(session, of_model(handle, ORIGINAL_MODEL).config)
    except ModelNotFound:
        name = next(iter(await _notes(handle, session)))
        table = await catalog.read_table(session, while_filling(handle, str(name)).config)
    if table is None:
        msg = f"there is no table {handle.config.schema}.{handle.config.name}"
        raise CollectionNotFound(msg)
    return table


async def _notes(handle: Handle, session: Session) -> dict[str, dict[str, Any]]:
    """Return what is noted of each model but the original one."""
    noted = await catalog.notes_of(session, handle.config.schema, handle.config.name)
    return {facts["model"]: facts for facts in noted.values() if facts is not None and "model" in facts}


async def listed(handle: Handle, session: Session) -> list[EmbeddingModel]:
    """Return the models whose embeddings there are."""
    notes = await _notes(handle, session)
    columns = await catalog.notes_of(session, handle.config.schema, handle.config.name)
    current = next((name for name, facts in notes.items() if facts.get("current")), ORIGINAL_MODEL)
    found = [
        EmbeddingModel(name=name, column=model_column(name), ready=not facts.get("filling"), current=name == current)
        for name, facts in sorted(notes.items())
    ]
    original = handle.config.columns.embedding
    if original in columns:
        found.insert(
            0, EmbeddingModel(name=ORIGINAL_MODEL, column=original, ready=True, current=current == ORIGINAL_MODEL)
        )
    return found


@asynccontextmanager
async def of_all_domains(session: Session, table: Table) -> AsyncGenerator[None]:
    """Let statements see the rows of all domains, since models are of the whole table.

    Raises:
        PermissionDenied: Row-level security shows them to the table's owner only.
    """
    if not table.secured:
        yield
        return
    table.check_scope(Scope.everything())
    async with session.transaction(), session.entered(Scope.everything()):
        yield


async def switch(handle: Handle, name: str, most: int) -> str:
    """See `Models.switch_model`."""

    async def work(session: Session) -> str:
        table = await any_table(handle, session)
        # One at a time; readers and writers do not notice.
        await session.execute(ddl.lock_settings(table.schema, table.name))
        found = {model.name: model for model in await listed(handle, session)}
        wanted = _wanted(handle, found, name)
        if not wanted.ready:
            msg = f"the embeddings of model {name!r} are still being made; finish reembed() first"
            raise ModelNotReady(msg)
        if most >= 0:
            async with of_all_domains(session, table):
                lacking = await session.fetch_value(models.count_missing(table, wanted.column))
            if lacking > most:
                msg = (
                    f"{lacking} records have no embedding of model {name!r} yet, and max_missing is {most}: run "
                    "reembed() once more, or keep_models(), and switch then"
                )
                raise ModelNotReady(msg)
        notes = await _notes(handle, session)
        for model, facts in notes.items():
            kept = {key: value for key, value in facts.items() if key != "current"}
            if model == name:
                kept["current"] = True
            await session.execute(models.note(table, model_column(model), kept))
        return next((model.name for model in found.values() if model.current), ORIGINAL_MODEL)

    return await _owning(handle, lambda: handle.database.transaction(work))


async def drop(handle: Handle, name: str) -> None:
    """See `Models.drop_model`."""

    async def work(session: Session) -> None:
        require_direct(session)
        table = await any_table(handle, session)
        async with alone(session, table):
            found = {model.name: model for model in await listed(handle, session)}
            wanted = _wanted(handle, found, name)
            if wanted.current:
                msg = (
                    f"model {name!r} is the current one of {table.qualified_name}; switch_model() to another one first"
                )
                raise ConfigError(msg)
            rest = [model for model in found.values() if model.name != name]
            await quickly(session, lambda: _dropping(handle, session, table, wanted, rest))
            if table.fields and wanted.name == ORIGINAL_MODEL:
                kept = await any_table(handle, session)
                await index_fields(Builder(handle=while_filling(handle, rest[0].name), session=session, table=kept))

    await _owning(handle, lambda: handle.run(work))
    handle.knowledge.forget()


async def _dropping(
    handle: Handle, session: Session, table: Table, gone: EmbeddingModel, rest: Sequence[EmbeddingModel]
) -> list[Statement]:
    statements = await fresh_statements(handle, session, table, [model.name for model in rest])
    derive = await catalog.deriving_function(session, table.schema, table.name)
    if gone.name == ORIGINAL_MODEL and derive is not None and table.code is not None:
        # The codes were those of the embeddings that go.
        statements += promoted.keep_columns(
            table, derive, table.fields, session.dialect, code=False, text=table.kept_text
        )
        statements.append(models.drop_column(table, CODE_COLUMN))
    return [*statements, models.drop_column(table, gone.column)]


async def fresh_statements(handle: Handle, session: Session, table: Table, names: Sequence[str]) -> list[Statement]:
    """Return the statements that have a trigger keep the embeddings of *names* from becoming stale."""
    function = await catalog.trigger_function(session, table.schema, table.name, models.TRIGGER)
    original = handle.config.columns.embedding if ORIGINAL_MODEL in names else None
    others = [model_column(name) for name in names if name != ORIGINAL_MODEL]
    # A name of its own, since a table can be renamed and another one take its name.
    function = function or f"pgrecall_age_{uuid.uuid4().hex[:16]}"
    return models.keep_fresh(table, function, original, others, session.dialect.vector_schema)


async def quickly(session: Session, statements: Callable[[], Awaitable[Sequence[Statement]]]) -> None:
    """Run statements that need the table for themselves, in one transaction, as soon as nobody is in the way."""
    from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

    async def work() -> None:
        async with session.transaction():
            await session.execute(Statement(_SHORT_LOCK))
            for statement in await statements():
                await session.execute(statement)

    retrying = AsyncRetrying(
        retry=retry_if_exception_type((asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.1, max=2.0),
        reraise=True,
    )
    await retrying(work)


async def _owning(handle: Handle, work: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await work()
    except PermissionDenied as error:
        name = f"{handle.config.schema}.{handle.config.name}"
        msg = f"only the owner of {name} may change which models it has embeddings of ({error})"
        raise PermissionDenied(msg) from error


def _wanted(handle: Handle, found: Mapping[str, EmbeddingModel], name: str) -> EmbeddingModel:
    if name not in found:
        there = ", ".join(map(repr, found))
        msg = f"{handle.config.schema}.{handle.config.name} has no embeddings of model {name!r}; it has {there}"
        raise ModelNotFound(msg)
    return found[name]


def check_able(table: Table) -> None:
    """Raise `SchemaError` where a table cannot have embeddings of a second model."""
    if table.columns.content is None:
        msg = f"{table.qualified_name} has no column for content, which another model could embed"
    elif not table.key:
        msg = f"{table.qualified_name} has no unique key by which its rows could be filled"
    elif table.partitioned:
        msg = f"{table.qualified_name} is partitioned, where rows cannot be gone through block by block"
    else:
        return
    raise SchemaError(msg)
