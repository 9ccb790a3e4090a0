"""Which rows a statement is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgrecall.sql.security import scoped

if TYPE_CHECKING:
    from pgrecall.filters import Filter
    from pgrecall.scope import Scope
    from pgrecall.sql.compose import Composable, Statement
    from pgrecall.sql.dialect import Dialect
    from pgrecall.table import Table


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows of one table, and how values travel to and from it.

    Attributes:
        table: The table.
        scope: Whose rows.
        dialect: The server's names for pgvector's things, and the form of values.
        filter: Which of those rows; `None` for all.
    """

    table: Table
    scope: Scope
    dialect: Dialect
    filter: Filter | None = None

    def compile(self, query: Composable) -> Statement:
        """Return *query*, which reads these rows, as it is sent: under row-level security it says whose they are."""
        return scoped(query, self.scope) if self.table.secured else query.compile()
