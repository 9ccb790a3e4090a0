"""The verbs of `Client` for looking at servers and tables; see `inspecting`, which they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgrecall import portal

if TYPE_CHECKING:
    from pgrecall.collection.client import AsyncClient
    from pgrecall.findings import Finding
    from pgrecall.table_columns import TableColumn


class Inspection:
    """What `Client` tells about servers and tables."""

    asynchronous: AsyncClient

    def check(self, *, schema: str = "public") -> tuple[Finding, ...]:
        """See `AsyncClient.check`."""
        return portal.call(self.asynchronous.check(schema=schema))

    def describe_table(self, name: str, *, schema: str = "public") -> list[TableColumn]:
        """See `AsyncClient.describe_table`."""
        return portal.call(self.asynchronous.describe_table(name, schema=schema))

    def list_vector_tables(self, *, schema: str = "public") -> list[str]:
        """See `AsyncClient.list_vector_tables`."""
        return portal.call(self.asynchronous.list_vector_tables(schema=schema))

    def domain_names(
        self, table: str, *, schema: str = "public", domain: str = "id", name: str = "name"
    ) -> list[tuple[str, str]]:
        """See `AsyncClient.domain_names`."""
        return portal.call(self.asynchronous.domain_names(table, schema=schema, domain=domain, name=name))
