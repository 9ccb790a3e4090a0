"""Aliases: names that point to collections, and are pointed to another one in one moment."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pgrecall.checks import check_identifier
from pgrecall.collection.namespaces.namespace import Namespace
from pgrecall.config import CollectionConfig
from pgrecall.errors import CollectionExists, CollectionNotFound
from pgrecall.postgres import catalog
from pgrecall.scope import DEFAULT_DOMAIN
from pgrecall.sql import aliases as sql
from pgrecall.sql.side_tables import SideRows, delete

if TYPE_CHECKING:
    from pgrecall.collection.collection import AsyncCollection
    from pgrecall.postgres import Database, Session


class Aliases:
    """What `AsyncClient` does with aliases."""

    _database: Database

    if TYPE_CHECKING:

        def collection(self, config: CollectionConfig | str, *, domain: str = ...) -> AsyncCollection: ...  # noqa: D102

    async def create_alias(self, alias: str, collection: str, *, schema: str = "public") -> None:
        """Have a name point to a collection of the same schema.

        Raises:
            CollectionExists: There is such an alias, or a table of that name.
            CollectionNotFound: There is no table that is called *collection*.
        """
        space = self._aliases(schema)
        check_identifier(alias, "alias")
        check_identifier(collection, "collection")

        async def work(session: Session) -> None:
            await _check_target(session, schema, collection)
            if await catalog.table_exists(session, schema, alias):
                msg = f"there is a table {schema}.{alias}, and an alias of that name would hide it"
                raise CollectionExists(msg)
            await session.execute(sql.create(space.rows, alias, collection))
            there = await session.fetch_value(sql.target(space.rows, alias))
            # Where this very call has committed already, and the connection was lost behind it, that is no error.
            if there != collection:
                msg = f"alias {alias!r} exists and points to {there!r}; switch_alias() points it elsewhere"
                raise CollectionExists(msg)

        await space.write(work, whole=True)

    async def switch_alias(self, alias: str, collection: str, *, schema: str = "public") -> str:
        """Point an alias to another collection, in one moment for everybody, and return where it pointed before.

        Handles that were opened before stay with their collection until they are opened again. Switching back is
        the same call with what was returned.

        Raises:
            CollectionNotFound: There is no such alias, or no table that is called *collection*.
        """
        space = self._aliases(schema)
        check_identifier(alias, "alias")
        check_identifier(collection, "collection")

        async def work(session: Session) -> str:
            await _check_target(session, schema, collection)
            before = await session.fetch_value(sql.target(space.rows, alias, lock=True))
            if before is None:
                raise _unknown(alias, schema)
            await session.execute(sql.point(space.rows, alias, collection))
            return before

        return await space.write(work, whole=True)

    async def drop_alias(self, alias: str, *, schema: str = "public") -> None:
        """Forget an alias; the collection stays.

        Raises:
            CollectionNotFound: There is no such alias.
        """
        space = self._aliases(schema)
        statement = delete(space.rows, [check_identifier(alias, "alias")])

        async def work(session: Session) -> int:
            return await session.execute(statement)

        if not await space.read(work, missing=0):
            raise _unknown(alias, schema)

    async def list_aliases(self, *, schema: str = "public") -> dict[str, str]:
        """Return the aliases of a schema, and where each points to."""
        space = self._aliases(schema)

        async def work(session: Session) -> dict[str, str]:
            return {row[0]: row[1] for row in await session.fetch(sql.every(space.rows))}

        return await space.read(work, missing=dict[str, str]())

    async def open_alias(
        self,
        alias: str,
        *,
        config: CollectionConfig | None = None,
        domain: str = DEFAULT_DOMAIN,
        schema: str = "public",
    ) -> AsyncCollection:
        """Return a handle on the collection that an alias points to now.

        The handle stays with that collection, so that queries and embeddings go on fitting together when the alias
        is pointed to one of another model. Open it again, once a request or once in a while, to follow it.

        Args:
            alias: The alias.
            config: What the collection is, but for its name and schema.
            domain: The domain that the handle is bound to.
            schema: Schema of the alias and the collection.

        Raises:
            CollectionNotFound: There is no such alias, or its collection is gone.
        """
        check_identifier(alias, "alias")
        space = self._aliases(schema)

        async def work(session: Session) -> str | None:
            return await session.fetch_value(sql.target(space.rows, alias))

        name = await space.read(work, missing=None)
        if name is None:
            raise _unknown(alias, schema)
        wanted = replace(config or CollectionConfig(name=name), name=name, schema=schema, setup="validate")
        return self.collection(wanted, domain=domain)

    def _aliases(self, schema: str) -> Namespace:
        check_identifier(schema, "schema")
        rows = SideRows(table=sql.ALIASES, schema=schema, domain=DEFAULT_DOMAIN, namespace="collections")
        return Namespace(database=self._database, rows=rows)


async def _check_target(session: Session, schema: str, collection: str) -> None:
    check_identifier(collection, "collection")
    if not await catalog.table_exists(session, schema, collection):
        msg = f"there is no table {schema}.{collection} that an alias could point to"
        raise CollectionNotFound(msg)


def _unknown(alias: str, schema: str) -> CollectionNotFound:
    return CollectionNotFound(f"there is no alias {alias!r} in schema {schema!r}; create_alias() makes one")
