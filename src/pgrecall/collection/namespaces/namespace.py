"""One namespace of one domain in a table of ours beside the collections, which is made when it is first written to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeVar
from weakref import WeakKeyDictionary

from asyncpg import exceptions as pg

from pgrecall.checks import check_list
from pgrecall.errors import CollectionNotFound, ConfigError, PermissionDenied, RecordError, SchemaError
from pgrecall.postgres import catalog
from pgrecall.rows.values import all_plain, content
from pgrecall.scope import MAX_DOMAIN_BYTES, Scope
from pgrecall.sql import ddl, side_tables

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pgrecall.postgres import Database, Session
    from pgrecall.server import Server
    from pgrecall.sql.side_tables import SideRows

T = TypeVar("T")
# Domain, namespace and key together must fit a B-tree entry (2,704 bytes with what it holds beside them).
_MOST_BYTES: Final = 2_600
_MOST_NAMESPACE_BYTES: Final = MAX_DOMAIN_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """Rows in a table of ours, and the database that it is in.

    Attributes:
        database: Runs statements.
        rows: Which rows of which table.
        setup: Whether a missing table is made.
    """

    database: Database
    rows: SideRows
    setup: Literal["create", "validate"] = field(default="create", compare=False)
    _seen: dict[str, bool] = field(default_factory=dict[str, bool], init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        name = self.rows.namespace
        try:
            _check_fits(name, _MOST_NAMESPACE_BYTES)
        except ValueError as error:
            msg = f"namespace {name!r:.80} {error}"
            raise ConfigError(msg) from None
        if not name:
            msg = "namespace must not be empty"
            raise ConfigError(msg)

    def holds_what(self, other: Namespace) -> bool:
        """Whether *other* holds, through whatever connections, the same rows."""
        return self.rows == other.rows and self.database.leads_where(other.database)

    def checked(self, texts: Sequence[str], what: str = "keys") -> list[str]:
        """Return *texts* as a list.

        Raises:
            ConfigError: It is one string.
            RecordError: An entry cannot be a key: it is no text, cannot be stored, or is too long to be indexed.
        """
        found = check_list(texts, what, "texts")
        most = _MOST_BYTES - len(self.rows.domain.encode()) - len(self.rows.namespace.encode())
        if all_plain(found) and max(map(len, found), default=0) * 4 <= most:
            return found
        for position, text in enumerate(found):
            try:
                _check_fits(text, most)
            except ValueError as error:
                msg = f"{what}[{position}] ({text!r:.80}) {error}"
                raise RecordError(msg) from None
        return found

    async def read(self, work: Callable[[Session], Awaitable[T]], *, missing: T) -> T:
        """Return what *work* returns, given a session, or *missing* where there is no table yet.

        Raises:
            CollectionNotFound: There is none, and ``setup="validate"`` says that it must be there.
        """

        async def whole(session: Session) -> T:
            if not await self._exists(session):
                return missing
            if not self.secured:
                return await work(session)
            # What the transaction says of the domain is read by the statements behind it.
            async with session.transaction(), session.entered(Scope.of(self.rows.domain)):
                return await work(session)

        try:
            return await self.database.run(whole)
        except CollectionNotFound:
            self.forget()
            raise

    async def write(self, work: Callable[[Session], Awaitable[T]], *, whole: bool = False) -> T:
        """Return what *work* returns, given a session, once the table is there.

        Args:
            work: What to do; doing it twice must end in the same rows.
            whole: Whether it is several statements, which are then one transaction.
        """
        await self.prepare()
        try:
            if self.secured:
                return await self.database.transaction(self._scoped(work))
            return await (self.database.transaction(work) if whole else self.database.run(work))
        except CollectionNotFound:
            self.forget()
            raise

    async def prepare(self) -> None:
        """Make the table if it is missing, and see that it can be written to.

        Any number of processes may do this at once; one of them makes it.

        Raises:
            CollectionNotFound: It is missing, and ``setup="validate"`` forbids to make it.
            PermissionDenied: The role may not make it, or not write to it; or the server is read-only.
            SchemaError: A table of that name exists, and is another one.
        """
        if self._place in _usable.get(self.database, ()):
            return

        async def work(session: Session) -> None:
            if not await self._exists(session, written=True):
                await self._create(session)

        await self.database.transaction(work)
        self._remember()

    def forget(self) -> None:
        """Look at the table again at its next use."""
        _usable.get(self.database, {}).pop(self._place, None)

    @property
    def secured(self) -> bool:
        """Whether row-level security is known to decide which rows this role sees."""
        return self._seen.get("secured", False) or _usable.get(self.database, {}).get(self._place, False)

    def _scoped(self, work: Callable[[Session], Awaitable[T]]) -> Callable[[Session], Awaitable[T]]:
        async def scoped(session: Session) -> T:
            async with session.entered(Scope.of(self.rows.domain)):
                return await work(session)

        return scoped

    async def _exists(self, session: Session, *, written: bool = False) -> bool:
        """Whether there is the table; an error where it cannot be used as it is to be used."""
        if self._place in _usable.get(self.database, ()):
            return True
        facts = await session.fetch(side_tables.facts(*self._place))
        name = ".".join(self._place)
        if not facts:
            if self.setup == "validate":
                msg = f"there is no table {name}, and setup='validate' makes none"
                raise CollectionNotFound(msg)
            return False
        readable, writable, secured, _, _, columns = facts[0]
        self._seen["secured"] = secured
        if missing := sorted({"domain_id", "namespace", "key", *self.rows.table.columns} - set(columns)):
            msg = f"{name} is not pgrecall's: it lacks {', '.join(missing)}; rename it, or use another schema"
            raise SchemaError(msg)
        _check_rights(session.server, name, readable=readable, writable=writable or not written)
        if written:
            _check_server(session.server, name)
        if readable and writable:
            self._remember()
        return True

    async def _create(self, session: Session) -> None:
        schema, name = self._place
        if session.server.read_only:
            msg = f"there is no table {schema}.{name}, and the server is read-only"
            raise PermissionDenied(msg)
        await session.execute(ddl.setup_lock())
        # Somebody else may have made it while we waited for the lock.
        if await self._exists(session, written=True):
            return
        try:
            if not await catalog.schema_exists(session, schema):
                await session.execute(ddl.create_schema(schema))
            for statement in side_tables.create(self.rows.table, schema):
                await session.execute(statement)
        except pg.InsufficientPrivilegeError as error:
            msg = (
                f"role {session.server.user!r} may not create table {schema}.{name} ({error}); grant it CREATE on the "
                "schema, or have a role that may use this feature once, and then grant it SELECT, INSERT, UPDATE and "
                "DELETE on the table"
            )
            raise PermissionDenied(msg) from error

    @property
    def _place(self) -> tuple[str, str]:
        return self.rows.schema, self.rows.table.name

    def _remember(self) -> None:
        # On a lent connection a rollback of the caller's could take the table away again.
        known = _usable.setdefault(self.database, {}) if not self.database.lent else {}
        # Where another namespace was faster, it has looked, and we have not.
        known.setdefault(self._place, self._seen.get("secured", False))


def _check_fits(value: object, most: int) -> None:
    if len(content(value).encode()) > most:
        msg = f"is longer than {most} bytes, the most that can be indexed here"
        raise ValueError(msg)


def _check_rights(server: Server, name: str, *, readable: bool, writable: bool) -> None:
    if not (readable and writable):
        needed = "SELECT, INSERT, UPDATE, DELETE" if readable else "SELECT"
        msg = f"role {server.user!r} may not use {name}; it needs: GRANT {needed} ON {name} TO {server.user}"
        raise PermissionDenied(msg)


def _check_server(server: Server, name: str) -> None:
    if server.read_only:
        msg = f"nothing can be written to {name}: the server is read-only"
        raise PermissionDenied(msg)


# The tables, by schema and name, that have been seen to be there and in order, and whether they are secured.
_usable: Final[WeakKeyDictionary[Database, dict[tuple[str, str], bool]]] = WeakKeyDictionary()
