"""Looking at tables that somebody else has made, before one of them is adopted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgrecall.checks import check_identifier
from pgrecall.collection.server_checks import check_server
from pgrecall.postgres import catalog
from pgrecall.sql.domains import domain_names

if TYPE_CHECKING:
    from pgrecall.findings import Finding
    from pgrecall.postgres import Database, Session
    from pgrecall.table_columns import TableColumn


class Inspection:
    """What `AsyncClient` tells about tables of whatever kind."""

    _database: Database

    async def describe_table(self, name: str, *, schema: str = "public") -> list[TableColumn]:
        """Return the columns of a table, whoever made it, in their order; none where there is no such table."""
        check_identifier(name, "name")
        check_identifier(schema, "schema")

        async def work(session: Session) -> list[TableColumn]:
            return await catalog.columns(session, schema, name)

        return await self._database.run(work)

    async def list_vector_tables(self, *, schema: str = "public") -> list[str]:
        """Return the names of the tables in *schema* with a column of vector or halfvec, whoever made them, sorted."""
        check_identifier(schema, "schema")

        async def work(session: Session) -> list[str]:
            return await catalog.vector_tables(session, schema)

        return await self._database.run(work)

    async def check(self, *, schema: str = "public") -> tuple[Finding, ...]:
        """Look at the server, change nothing, and return what was found: what is well, and what to do about the rest.

        It looks at versions, the extension and its features, rights in *schema*, connections, memory for vector
        indexes and their builds, settings that make searches slow or lose data, and transactions that are open for
        long. `AsyncCollection.check` looks at a collection.

        Args:
            schema: Where collections are, or are to be made.
        """
        check_identifier(schema, "schema")

        async def work(session: Session) -> tuple[Finding, ...]:
            return await check_server(session, schema)

        return await self._database.run(work)

    async def domain_names(
        self, table: str, *, schema: str = "public", domain: str = "id", name: str = "name"
    ) -> list[tuple[str, str]]:
        """Return what a table of tenants calls the domains: pairs of name and domain, sorted.

        Args:
            table: The table, which has a row for each domain.
            schema: Its schema.
            domain: The column that the column of a collection's domains refers to.
            name: The column with the name.

        Raises:
            CollectionNotFound: There is no such table.
        """
        for what, identifier in {"table": table, "schema": schema, "domain": domain, "name": name}.items():
            check_identifier(identifier, what)
        statement = domain_names(schema, table, domain=domain, name=name)

        async def work(session: Session) -> list[tuple[str, str]]:
            return [(row[0], row[1]) for row in await session.fetch(statement)]

        return await self._database.run(work)
