"""Which rows a statement is about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgrecall.sql import lookups, number_lookups
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
        counted: Whether these rows are only counted.
        words: Texts of tsqueries by which a lookup finds these rows, of which each matches one; see `by_words`.
    """

    table: Table
    scope: Scope
    dialect: Dialect
    filter: Filter | None = None
    counted: bool = False
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
        found = self._lookup(None)
        return scoped(query, self.scope, None if found is None else found[0])

    def places(self, limit: int | None = None) -> list[Composable]:
        """Return the condition that these rows are where a lookup finds them, where there is one that helps.

        It leads to the rows faster, and decides nothing; for statements that are sent as `compile` returns them.

        Args:
            limit: How many rows will do, if any that match the words are wanted.
        """
        found = self._lookup(limit)
        return [] if found is None else [found[1]]

    @property
    def is_looked_up(self) -> bool:
        """Whether a lookup finds these rows, by their words or their metadata."""
        return self._lookup(None) is not None

    def _lookup(self, limit: int | None) -> tuple[Composable, Composable] | None:
        """Return what has the best lookup find these rows, and the condition that they are there."""
        if self.words:
            places = lookups.word_places(self.table, None if self.filter is not None else limit)
            return lookups.words_as_setting(self.words), places
        if self.scope.is_everything:
            return None  # a lookup shows rows of domains that are named
        numbers = number_lookups.wanted(self.table, self.filter, counted=self.counted)
        if numbers is not None:
            return number_lookups.as_setting(numbers), number_lookups.places(self.table, numbers)
        if (wanted := lookups.wanted(self.table, self.filter)) is not None:
            return lookups.as_setting(self.dialect.jsons(wanted)), lookups.places(self.table)
        return None
