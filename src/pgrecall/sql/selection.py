"""Which rows a statement is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgrecall.sql import lookups
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
        if not self.table.secured:
            return query.compile()
        wanted = lookups.wanted(self.table, self.filter)
        more = None if wanted is None else lookups.as_setting(self.dialect.jsons(wanted))
        return scoped(query, self.scope, more)

    def places(self) -> list[Composable]:
        """Return the condition that these rows are where a lookup finds them, where there is one that helps.

        It leads to the rows faster, and decides nothing; for statements that are sent as `compile` returns them.
        """
        return [] if lookups.wanted(self.table, self.filter) is None else [lookups.places(self.table)]
