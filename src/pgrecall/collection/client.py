"""`AsyncClient`: connects to a database and gives out its collections."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Self

from pgrecall.checks import check_flag, check_identifier, check_instance
from pgrecall.collection.aliases import Aliases
from pgrecall.collection.collection import AsyncCollection
from pgrecall.collection.handle import Handle
from pgrecall.collection.indexes import automatic
from pgrecall.collection.inspecting import Inspection
from pgrecall.collection.namespaces.key_values import AsyncKeyValues
from pgrecall.collection.namespaces.namespace import Namespace
from pgrecall.collection.namespaces.runs import forget_runs, rename_runs
from pgrecall.collection.schema import ensure_table
from pgrecall.config import CollectionConfig
from pgrecall.errors import CollectionExists, CollectionNotFound, ConfigError, PermissionDenied
from pgrecall.pooling import PoolConfig
from pgrecall.postgres import Database, LentSource, Pools, catalog, partitions, resolve
from pgrecall.promoted import CONTENT
from pgrecall.scope import DEFAULT_DOMAIN, Scope
from pgrecall.sql import ddl, models, promoted
from pgrecall.sql.key_values import KEY_VALUES
from pgrecall.sql.side_tables import SideRows

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    import asyncpg

    from pgrecall.postgres import Session
    from pgrecall.server import Server

# Each partition takes a lock for itself and one for each of its indexes.
_DROPPED_AT_ONCE: Final = 100


class AsyncClient(Inspection, Aliases):
    """A database, and the collections in it.

    Nothing is connected before it is needed. The client keeps a pool for each event loop that it is used
    on, survives a fork, and closes a loop's pool when the loop ends; `close` closes all of them.

    Args:
        url: ``postgresql://user:password@host:port/database``, or ``embedded:///directory`` for the server
            from the wheel. `None` takes ``PGRECALL_URL``, else ``DATABASE_URL``, else the embedded server
            in the user's data directory.
        pool: How connections are made and kept.
        connection: A connection, or a pool, of the caller's that is used instead of a URL. It stays the
            caller's: it is not closed, and within its transaction everything here is part of it.

    Raises:
        ConfigError: The URL is malformed, or none was given and there is no embedded server.

    Example:
        >>> async with AsyncClient("postgresql://localhost/app") as client:
        ...     docs = await client.get_or_create_collection("docs", dimensions=384)
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        pool: PoolConfig | None = None,
        connection: asyncpg.Connection | asyncpg.Pool | None = None,
    ) -> None:
        self._pools: Pools | None = None
        if connection is not None:
            if url is not None or pool is not None:
                msg = "pass either a URL (and a PoolConfig) or a connection of your own, not both"
                raise ConfigError(msg)
            self._database = Database(LentSource(connection))
        else:
            check_instance(pool, "pool", PoolConfig | None, "a PoolConfig")
            pool = pool or PoolConfig()
            self._pools = Pools(resolve(url), pool)
            self._database = Database(self._pools, pool.retry)

    def __repr__(self) -> str:
        where = "a connection of the caller's" if self._pools is None else str(self._pools.address)
        return f"<{type(self).__name__} {where}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections, and give up the embedded server; the next use opens them again.

        An index that is being built by itself is given up; `AsyncCollection.wait_for_index` waits for it.
        """
        await automatic.close(self._database)
        if self._pools is not None:
            await self._pools.close()

    async def server(self) -> Server:
        """Return what the database is: versions, rights, whether a pooler stands in between.

        Raises:
            ConnectionFailed: It cannot be reached.
        """
        return await self._database.server()

    def collection(self, config: CollectionConfig | str, *, domain: str = DEFAULT_DOMAIN) -> AsyncCollection:
        """Return a handle on a collection without asking the server anything.

        Args:
            config: What the collection is, or just its name; it is made at the first write.
            domain: The domain that the handle is bound to.

        Raises:
            ConfigError: The name or the domain is malformed.
        """
        return AsyncCollection(
            Handle(database=self._database, config=_config(config, None), scope=Scope.of(domain), make=ensure_table)
        )

    async def create_collection(
        self, config: CollectionConfig | str, *, dimensions: int | None = None, domain: str = DEFAULT_DOMAIN
    ) -> AsyncCollection:
        """Make a collection and return a handle on it.

        Raises:
            CollectionExists: There is a table of that name.
            ConfigError: Nobody has said how many dimensions it should have.
        """
        config = _config(config, dimensions)
        await ensure_table(self._database, config, config.dimensions, new=True)
        return self.collection(config, domain=domain)

    async def get_collection(self, config: CollectionConfig | str, *, domain: str = DEFAULT_DOMAIN) -> AsyncCollection:
        """Return a handle on a collection that exists: one of ours, or any table that fits the configuration.

        Raises:
            CollectionNotFound: There is no such table.
            SchemaError: The table does not fit; the message says all that is wrong.
        """
        config = _config(config, None)
        await ensure_table(self._database, replace(config, setup="validate"), None)
        return self.collection(config, domain=domain)

    async def get_or_create_collection(
        self, config: CollectionConfig | str, *, dimensions: int | None = None, domain: str = DEFAULT_DOMAIN
    ) -> AsyncCollection:
        """Return a handle on a collection, which is made if it does not exist; safe in many processes at once.

        Fields of the configuration that it does not have yet are added, and so is searching by words; see
        `AsyncCollection.add_fields` and `AsyncCollection.add_text_search`.

        Raises:
            ConfigError: It does not exist, and nobody has said how many dimensions it should have.
            DimensionMismatch: It exists with other dimensions.
            SchemaError: It exists and does not fit.
            PermissionDenied: It does not exist, and the role may not make it.
        """
        config = _config(config, dimensions)
        table = await ensure_table(self._database, config, config.dimensions)
        collection = self.collection(config, domain=domain)
        missing = any(table.field(field.key) is None for field in config.promoted)
        missing |= CONTENT in config.fields and not (table.content_indexed or table.content_wanted)
        if missing and config.setup == "create":
            await collection.add_fields(config.fields)
        if config.words is not None and table.text is None and config.setup == "create":
            await collection.add_text_search(config.words)
        return collection

    def key_values(self, namespace: str, *, domain: str = DEFAULT_DOMAIN, schema: str = "public") -> AsyncKeyValues:
        """Return a storage of bytes by key, beside the collections, without asking the server anything.

        Args:
            namespace: Its name; there may be any number of them.
            domain: The domain that it is bound to.
            schema: Schema of the table that all of them share; made where it is missing.

        Raises:
            ConfigError: A name cannot be stored.
        """
        bound = str(Scope.of(domain).domain)
        rows = SideRows(table=KEY_VALUES, schema=check_identifier(schema, "schema"), domain=bound, namespace=namespace)
        return AsyncKeyValues(Namespace(database=self._database, rows=rows))

    async def list_collections(self, *, schema: str = "public") -> list[str]:
        """Return the names of the collections in *schema* that pgrecall has made, sorted."""
        check_identifier(schema, "schema")

        async def work(session: Session) -> list[str]:
            return await catalog.list_collections(session, schema)

        return await self._database.run(work)

    async def rename_collection(self, name: str, new_name: str, *, schema: str = "public") -> None:
        """Rename a collection; handles on the old name find nothing afterwards.

        Raises:
            CollectionNotFound: There is no collection of the old name.
            CollectionExists: There is a table of the new name.
            PermissionDenied: The role does not own it.
        """
        check_identifier(new_name, "new name")
        if await self._table_exists(CollectionConfig(name=new_name, schema=schema)):
            msg = f"there is a table {schema}.{new_name} already"
            raise CollectionExists(msg)

        async def work(session: Session) -> None:
            await session.execute(ddl.rename_table(schema, name, new_name))
            await rename_runs(session, schema, name, new_name)

        await self._change(name, schema, work)

    async def delete_collection(self, name: str, *, schema: str = "public", adopted: bool = False) -> None:
        """Drop a collection with all its rows, of all domains, and what is known of the runs that ingested them.

        Only a table that pgrecall has made is dropped, unless *adopted* says otherwise. Hundreds of partitions go a
        hundred at a time, since the server's memory for locks may not hold all of them.

        Args:
            name: Name of the table.
            schema: Its schema.
            adopted: Whether any table with a column of embeddings may be dropped, also one that somebody else
                has made.

        Raises:
            CollectionNotFound: There is no such collection.
            PermissionDenied: The role does not own it.
        """
        check_identifier(name, "name")
        check_identifier(schema, "schema")
        check_flag(adopted, "adopted")
        more = True

        async def thin_out(session: Session) -> None:
            nonlocal more
            found = [part for part in await partitions.partitions_of(session, schema, name) if not part.others]
            more = len(found) > _DROPPED_AT_ONCE
            for part in found[:_DROPPED_AT_ONCE] if more else ():
                await session.execute(ddl.drop_table(part.schema, part.name))

        while more:
            await self._change(name, schema, thin_out, adopted=adopted)

        async def work(session: Session) -> None:
            triggers = (promoted.TRIGGER, models.TRIGGER)
            functions = [await catalog.trigger_function(session, schema, name, trigger) for trigger in triggers]
            functions += await partitions.checking_functions(session, schema, name)
            moves = await partitions.moves(session, schema, name)
            # A lookup need not be its owner's to drop, but goes with the table; what is others' must not.
            cascade = await catalog.only_lookups_depend(session, schema, name)
            await session.execute(ddl.drop_table(schema, name, cascade=cascade))
            for move in moves:
                # Their triggers went with the table.
                await session.execute(ddl.drop_table(move.schema, move.name))
                await session.execute(promoted.drop_function(move.schema, move.function))
            for function in functions:
                if function is not None:
                    await session.execute(promoted.drop_function(schema, function))
            await forget_runs(session, schema, name, Scope.everything())

        await self._change(name, schema, work, adopted=adopted)

    async def _change(
        self, name: str, schema: str, change: Callable[[Session], Awaitable[None]], *, adopted: bool = False
    ) -> None:
        """Run *change* on a table that is one of ours, or, with *adopted*, on one that could be adopted."""

        async def work(session: Session) -> None:
            if session.server.read_only:
                msg = "the server is read-only"
                raise PermissionDenied(msg)
            listing = catalog.vector_tables if adopted else catalog.list_collections
            if name not in await listing(session, schema):
                made = "with a column of embeddings" if adopted else "that pgrecall has made"
                msg = f"there is no collection {name!r} in schema {schema!r} {made}"
                raise CollectionNotFound(msg)
            await change(session)

        # Done a second time, after a connection that was lost during the commit, it would find nothing.
        await self._database.transaction(work, repeat=False)

    async def _table_exists(self, config: CollectionConfig) -> bool:
        async def work(session: Session) -> bool:
            return await catalog.table_exists(session, config.schema, config.name)

        return await self._database.run(work)


def _config(config: CollectionConfig | str, dimensions: int | None) -> CollectionConfig:
    if isinstance(config, str):
        return CollectionConfig(name=config, dimensions=dimensions)
    check_instance(config, "collection", CollectionConfig, "a name or a CollectionConfig")
    if dimensions is not None and config.dimensions not in (None, dimensions):
        msg = f"dimensions={dimensions} was given, but the configuration says {config.dimensions}"
        raise ConfigError(msg)
    return replace(config, dimensions=dimensions) if dimensions is not None else config
