"""Making a collection's table where it is missing, and checking it where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncpg import exceptions as pg

from pgrecall.collection.definition import new_partitions, new_table, table_policies
from pgrecall.collection.indexes.looking_up import look_up
from pgrecall.collection.indexes.promoting import promote_new
from pgrecall.collection.indexes.sparse_columns import check_sparse
from pgrecall.collection.tenancy.securing import secure_side_tables
from pgrecall.columns import Columns
from pgrecall.config import ORIGINAL_MODEL
from pgrecall.errors import (
    CollectionExists,
    CollectionNotFound,
    ConfigError,
    ExtensionMissing,
    PermissionDenied,
    SchemaError,
)
from pgrecall.postgres import catalog
from pgrecall.postgres.failures import CANNOT_INSTALL
from pgrecall.sql import ddl

if TYPE_CHECKING:
    from pgrecall.config import CollectionConfig
    from pgrecall.postgres import Database, Session
    from pgrecall.server import Server
    from pgrecall.table import Table

_MIN_SERVER: Final = 140_000
_MIN_VECTOR: Final = (0, 6)


async def ensure_table(
    database: Database, config: CollectionConfig, dimensions: int | None, *, new: bool = False
) -> Table:
    """Return the table of *config*, made where it is missing and may be made.

    Any number of processes may do this at once; one of them makes it.

    Args:
        database: Where.
        config: What it should be.
        dimensions: Length of the embeddings, where the configuration leaves that open.
        new: Whether it must not exist yet.

    Raises:
        CollectionExists: *new* was asked for, and there is a table of that name.
        CollectionNotFound: It is missing, and ``setup="validate"`` forbids to make it.
        ConfigError: It is missing, and nobody has said how many dimensions it should have.
        ExtensionMissing: pgvector is not installed, and cannot be installed by us.
        PermissionDenied: The role may not make it, or the server is read-only.
        SchemaError: It exists and does not fit.
    """
    server = await _ensure_extension(database, config)
    _check_versions(server, config)

    async def work(session: Session) -> Table:
        if new:
            await session.execute(ddl.setup_lock())
            if await catalog.table_exists(session, config.schema, config.name):
                msg = f"there is a table {config.schema}.{config.name} already"
                raise CollectionExists(msg)
        table = await catalog.read_table(session, config)
        if table is not None:
            return table
        _may_create(config, session.server)
        _check_sparse_name(config)
        if dimensions is None:
            msg = f"collection {config.name!r} does not exist yet; to make it, say how many dimensions it should have"
            raise ConfigError(msg)
        return await _create(session, config, dimensions)

    return await database.transaction(work)


async def _create(session: Session, config: CollectionConfig, dimensions: int) -> Table:
    await session.execute(ddl.setup_lock())
    try:
        # Somebody else may have made it while we waited for the lock.
        table = await catalog.read_table(session, config)
        if table is None:
            if not await catalog.schema_exists(session, config.schema):
                await session.execute(ddl.create_schema(config.schema))
            for statement in ddl.create_table(config, dimensions, session.dialect):
                await session.execute(statement)
            for statement in new_partitions(config):
                await session.execute(statement)
            made = new_table(config, dimensions, session.dialect.vector_schema)
            await promote_new(session, made, config)
            if config.row_level_security:
                for statement in table_policies(made):
                    await session.execute(statement)
                await secure_side_tables(session, config.schema)
            table = await catalog.read_table(session, config)
            if config.row_level_security and table is not None and await look_up(session, table):
                table = await catalog.read_table(session, config)
    except pg.InsufficientPrivilegeError as error:
        msg = (
            f"role {session.server.user!r} may not create table {config.schema}.{config.name} ({error}); grant it "
            "CREATE on the schema, or have the table made by a role that may and use setup='validate'"
        )
        raise PermissionDenied(msg) from error
    if table is None:
        msg = f"table {config.schema}.{config.name} vanished while it was being made"
        raise SchemaError(msg)
    return table


async def _ensure_extension(database: Database, config: CollectionConfig) -> Server:
    server = await database.server()
    if server.vector_version is not None:
        return server
    if config.setup == "validate" or server.read_only:
        raise missing_extension(server)

    async def work(session: Session) -> None:
        await session.execute(ddl.setup_lock())
        try:
            await session.execute(ddl.create_extension())
        except CANNOT_INSTALL as error:
            raise missing_extension(server, str(error)) from error

    await database.transaction(work)
    # Connections that were opened before do not know the types of the extension.
    await database.refresh()
    return await database.server()


def missing_extension(server: Server, said: str = "") -> ExtensionMissing:
    """Return the error that says what to do about a missing extension."""
    reason = f" and could not be installed ({said})" if said else ""
    return ExtensionMissing(
        f"pgvector extension not installed in database {server.database!r}{reason}; have a role that may do so run: "
        "CREATE EXTENSION vector. Where the server does not know it, its package is needed first "
        "(postgresql-NN-pgvector on Debian)"
    )


def _check_versions(server: Server, config: CollectionConfig) -> None:
    if server.version < _MIN_SERVER:
        msg = f"PostgreSQL {server.version // 10_000} is too old; 14 or later is needed"
        raise SchemaError(msg)
    if server.vector_version is not None and server.vector_version < _MIN_VECTOR:
        found = ".".join(map(str, server.vector_version))
        msg = f"pgvector {found} is too old, 0.6 or later is needed: ALTER EXTENSION vector UPDATE"
        raise SchemaError(msg)
    server.check_distance(config.new_distance, config.new_vector_type, f"{config.schema}.{config.name}")
    if config.sparse_dimensions is not None:
        check_sparse(server)


def _check_sparse_name(config: CollectionConfig) -> None:
    """Raise `ConfigError` where a column for sparse embeddings was named, and nobody said how large to make it."""
    name = config.columns.sparse_embedding
    if name not in (None, Columns().sparse_embedding) and config.sparse_dimensions is None:
        msg = f"to make the column {name!r} for sparse embeddings, say how many dimensions it has: sparse_dimensions="
        raise ConfigError(msg)


def _may_create(config: CollectionConfig, server: Server) -> None:
    name = f"{config.schema}.{config.name}"
    if config.model not in (None, ORIGINAL_MODEL):
        msg = f"there is no table {name}, so it has no embeddings of model {config.model!r}; make it without model="
        raise CollectionNotFound(msg)
    if config.setup == "validate":
        msg = f"there is no table {name}; get_or_create_collection() makes one, unless setup='validate' is set"
        raise CollectionNotFound(msg)
    if server.read_only:
        msg = f"there is no table {name}, and the server is read-only"
        raise PermissionDenied(msg)
