"""What every operation on a collection works with: whose rows, in which table, through what connections."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from asyncpg import exceptions as pg

from pgrecall.checks import check_instance
from pgrecall.collection.definition import new_table
from pgrecall.errors import CollectionNotFound, PerformanceWarning, SchemaError, SecurityWarning
from pgrecall.planner import Experience
from pgrecall.postgres import catalog
from pgrecall.sql.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

    from pgrecall.bm25 import Corpus
    from pgrecall.config import CollectionConfig
    from pgrecall.filters import Filter
    from pgrecall.plan import Plan
    from pgrecall.postgres import Database, Session
    from pgrecall.query_words import Reading, Words
    from pgrecall.scope import Scope
    from pgrecall.sql.search import Search
    from pgrecall.table import Table

T = TypeVar("T")
# Another process may build or drop an index at any time; a description older than this is read again.
_DESCRIPTION_SECONDS: Final = 30.0


@dataclass(slots=True)
class Knowledge:
    """What is known about a table, shared by all handles on it.

    Attributes:
        table: Its description, or `None` where it did not exist when it was looked for.
        read_at: When that was.
        estimates: Scope and filter to the rows that pass, and when that was estimated. By their hash, so that no long
            list is held for it: were two the same, a plan would be a worse one, and no answer wrong.
        held: Scope, by its hash too, to the rows of the partitions that its domains are in, and when that was
            estimated.
        searches: Plans and statements of searches that came before, by all that they depend on.
        experience: What those searches took.
        corpora: What searches by words know about all texts, and when that was read; under row-level security
            each scope knows only its own.
        lexemes: Queries that were made lexemes of before, by language and words.
        warned: What has been warned of, which is done once.
    """

    table: Table | None = None
    read_at: float = 0.0
    estimates: dict[int, tuple[int, float]] = field(default_factory=dict[int, tuple[int, float]])
    held: dict[int, tuple[int, float]] = field(default_factory=dict[int, tuple[int, float]])
    searches: dict[Hashable, tuple[Plan, Search]] = field(default_factory=dict["Hashable", "tuple[Plan, Search]"])
    experience: Experience = field(default_factory=Experience)
    corpora: dict[Scope | None, tuple[Corpus, float]] = field(
        default_factory=dict["Scope | None", "tuple[Corpus, float]"]
    )
    lexemes: dict[tuple[str, Words], Reading] = field(default_factory=dict["tuple[str, Words]", "Reading"])
    warned: set[str] = field(default_factory=set[str])

    def forget(self) -> None:
        """Have everything looked up again at the next use."""
        self.table = None
        self.experience = Experience()
        self.corpora.clear()
        self.forget_estimates()

    def forget_estimates(self) -> None:
        """Have rows counted and searches planned again: what there is has changed."""
        self.estimates.clear()
        self.held.clear()
        self.searches.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """One collection, seen in one scope.

    Attributes:
        database: Runs statements.
        config: What the collection should be.
        scope: Whose rows.
        make: Returns the table, which it makes where it is missing, given how many dimensions it is to have.
        knowledge: What is known about the table.
    """

    database: Database
    config: CollectionConfig
    scope: Scope
    make: Callable[[Database, CollectionConfig, int | None], Awaitable[Table]]
    knowledge: Knowledge = field(default_factory=Knowledge)

    async def run(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Return what *work* returns, given a session; see `Database.run`."""
        try:
            return await self.database.run(work)
        except SchemaError as error:
            self._doubt(error)
            raise

    async def transaction(self, work: Callable[[Session], Awaitable[T]], *, repeat: bool = True) -> T:
        """Return what *work* returns, run in one transaction, in scope; see `Database.transaction`."""

        async def scoped(session: Session) -> T:
            table = await self.table(session)
            if table is None or not table.secured:
                return await work(session)
            table.check_scope(self.scope)
            async with session.entered(self.scope):
                return await work(session)

        try:
            return await self.database.transaction(scoped, repeat=repeat)
        except SchemaError as error:
            self._doubt(error)
            raise

    def _doubt(self, error: SchemaError) -> None:
        """Have the table looked at again where a statement did not find it, or a column of it."""
        if isinstance(error, CollectionNotFound) or isinstance(error.__cause__, pg.UndefinedColumnError):
            self.knowledge.forget()

    async def table(self, session: Session) -> Table | None:
        """Return the table as it is now, or `None` where nothing has been written yet.

        Raises:
            CollectionNotFound: It is missing, and ``setup="validate"`` says that it must be there.
        """
        known = self.knowledge
        now = time.monotonic()
        # Kept at hand, since a handle in another thread may have all of it forgotten at any point.
        table = known.table
        if table is not None and now - known.read_at < _DESCRIPTION_SECONDS:
            return table
        known.table = table = await catalog.read_table(session, self.config)
        known.read_at = now
        known.searches.clear()
        if table is None and self.config.setup == "validate":
            msg = f"there is no table {self.config.schema}.{self.config.name}"
            raise CollectionNotFound(msg)
        if table is not None:
            self._warn_of_fields(table)
            self._warn_of_bypass(session, table)
        return table

    def _warn_of_fields(self, table: Table) -> None:
        """Warn, once, that filters on configured fields are slow because the table does not have them."""
        missing = [field.column for field in self.config.promoted if table.field(field.key) is None]
        if missing and "fields" not in self.knowledge.warned:
            self.knowledge.warned.add("fields")
            msg = (
                f"{table.qualified_name} does not have the configured fields {missing}, so filters on them read the "
                "metadata; add them with add_fields()"
            )
            warnings.warn(msg, PerformanceWarning, stacklevel=2)

    def _warn_of_bypass(self, session: Session, table: Table) -> None:
        """Warn, once, that the policies that were asked for bind everybody but this role."""
        if self.config.row_level_security and not table.secured and "bypass" not in self.knowledge.warned:
            self.knowledge.warned.add("bypass")
            msg = (
                f"row-level security of {table.qualified_name} does not bind role {session.server.user!r}, which is a "
                "superuser or has BYPASSRLS; work as a role that it binds: grant() makes one"
            )
            warnings.warn(msg, SecurityWarning, stacklevel=2)

    def selection(self, session: Session, table: Table, filter: Filter | None = None) -> Selection:
        """Return the rows in scope that pass *filter*, as *session* reads and writes them."""
        return Selection(table, self.scope, session.dialect, filter)

    async def planned_table(self, dimensions: int) -> Table:
        """Return the table, or, where it does not exist, what it would be if it were made now."""

        async def work(session: Session) -> Table:
            table = await self.table(session)
            return table or new_table(self.config, dimensions, session.dialect.vector_schema)

        return await self.run(work)

    async def made_table(self, dimensions: int | None) -> Table:
        """Return the table, made if it is missing."""
        known = self.knowledge
        table = known.table
        if table is None:
            known.table = table = await self.make(self.database, self.config, dimensions)
            known.read_at = time.monotonic()
        return table


class Bound:
    """What works on the collection that a handle names, in its scope."""

    def __init__(self, handle: Handle) -> None:
        check_instance(handle, "what a collection is made of", Handle, "a handle; a client's collection() makes it")
        self._handle = handle
