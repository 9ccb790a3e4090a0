"""Which rows a statement is about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgrecall.sql import lookups
from pgrecall.sql.security import scoped

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        words: Texts of tsqueries by which a lookup finds these rows, of which each matches one; see `by_words`.
    """

    table: Table
    scope: Scope
    dialect: Dialect
    filter: Filter | None = None
    words: tuple[str, ...] = ()

    def by_words(self, queries: Sequence[str]) -> Selection:
        """Return those of these rows that match one of *queries*, texts of tsqueries, where a lookup finds them.

        Where there is none, or none is needed, these rows are returned as they are; the statement tells them apart.
        """
        text = self.table.text
        helps = self.table.secured and self.table.word_lookup is not None and text is not None and text.indexed
        return replace(self, words=tuple(queries)) if helps and not self.scope.is_everything else self

    def compile(self, query: Composable) -> Statement:
        """Return *query*, which reads these rows, as it is sent: under row-level security it says whose they are."""
        if not self.table.secured:
            return query.compile()
        if self.words:
            return scoped(query, self.scope, lookups.words_as_setting(self.words))
        wanted = self._wanted()
        more = None if wanted is None else lookups.as_setting(self.dialect.jsons(wanted))
        return scoped(query, self.scope, more)

    def places(self, limit: int | None = None) -> list[Composable]:
        """Return the condition that these rows are where a lookup finds them, where there is one that helps.

        It leads to the rows faster, and decides nothing; for statements that are sent as `compile` returns them.

        Args:
            limit: How many rows will do, if any that match the words are wanted.
        """
        if self.words:
            return [lookups.word_places(self.table, None if self.filter is not None else limit)]
        return [] if self._wanted() is None else [lookups.places(self.table)]

    @property
    def is_looked_up(self) -> bool:
        """Whether a lookup finds these rows by their metadata."""
        return self._wanted() is not None

    def _wanted(self) -> list[bytes] | None:
        # A lookup shows rows of domains that are named.
        return None if self.scope.is_everything else lookups.wanted(self.table, self.filter)
