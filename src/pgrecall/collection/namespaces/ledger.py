"""The ledger: which keys have been written, when and for which group, kept in step with the rows of a collection.

Whoever indexes documents again and again needs to know which of them are there already. Kept anywhere else,
that knowledge and the rows come apart when a run is killed between the two; in the same transaction they cannot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from asyncpg import exceptions as pg

from pgrecall import jsonb
from pgrecall.checks import check_list, check_range, is_number
from pgrecall.collection.namespaces.namespace import Namespace
from pgrecall.errors import ConfigError
from pgrecall.scope import Scope
from pgrecall.sql import ledger as sql
from pgrecall.sql.security import enter
from pgrecall.sql.side_tables import SideRows, delete

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pgrecall.collection.handle import Handle
    from pgrecall.collection.namespaces.blocking import Ledger
    from pgrecall.collection.namespaces.companion import Companion
    from pgrecall.postgres import Session
    from pgrecall.rows import Rows
    from pgrecall.sql.compose import Statement

# What a document's group may be called is noted until somebody says it; a document has few such names.
_MOST_CANDIDATES: Final = 64
_MOST_CANDIDATE_LENGTH: Final = 2_000


class AsyncLedger:
    """Keys with the time at which they were last marked, and their groups; made by `AsyncCollection.ledger`.

    Passed to `AsyncCollection.upsert` or `AsyncCollection.delete`, it is changed in the same transactions
    as the rows. What is marked so is provisional until `mark` says its group; until then it is found under
    each group that is named by a text or number at the top of its metadata.

    Ledgers of one name are the same ledger, as far as they are in the same database, schema and domain.
    """

    def __init__(self, space: Namespace) -> None:
        self._space = space

    def __repr__(self) -> str:
        rows = self._space.rows
        return f"<{type(self).__name__} {rows.namespace!r} in {rows.schema}.{rows.table.name}, domain {rows.domain!r}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsyncLedger) and self._space == other._space

    def __hash__(self) -> int:
        return hash(self._space)

    @property
    def namespace(self) -> str:
        """Its name."""
        return self._space.rows.namespace

    def is_same_as(self, other: AsyncLedger) -> bool:
        """Return whether *other* is the same ledger, also where it was made through another client."""
        return self._space.holds_what(other._space)

    async def prepare(self) -> None:
        """Make the table of all ledgers, which otherwise the first write does.

        Raises:
            CollectionNotFound: It is missing, and ``setup="validate"`` forbids to make it.
            PermissionDenied: The role may not make it, or not write to it.
        """
        await self._space.prepare()

    async def time(self) -> float:
        """Return the server's time, in seconds since 1970: the only clock by which keys are marked."""

        async def work(session: Session) -> float:
            return await session.fetch_value(sql.time())

        return await self._space.database.run(work)

    async def mark(
        self, keys: Sequence[str], *, group_ids: Sequence[str | None] | None = None, at: float | None = None
    ) -> None:
        """Note that these keys are there, now, in one transaction.

        Args:
            keys: The keys; of equal ones the last counts.
            group_ids: The group of each, or `None` for a key that has none or keeps the one it has; what was
                provisional is so no longer. Without it groups, and what is provisional, stay.
            at: The time to note, in seconds since 1970, instead of the server's.

        Raises:
            ConfigError: There are more or fewer groups than keys.
            RecordError: A key or a group cannot be stored.
        """
        checked = self._space.checked(keys)
        groups = None if group_ids is None else self._groups(group_ids, len(checked))
        _check_time(at, "at")
        if not checked:
            return
        last: dict[str, str | None] = {}
        for key, group in zip(checked, groups or [None] * len(checked), strict=True):
            last[key] = last.get(key) if group is None else group
        distinct = sorted(last)
        ordered = None if groups is None else [last[key] for key in distinct]
        statement = sql.mark(self._space.rows, distinct, ordered, at)
        await self._space.write(lambda session: session.execute(statement))

    async def marked(self, keys: Sequence[str]) -> list[bool]:
        """Return, in the order of *keys*, whether each is there."""
        checked = self._space.checked(keys)
        if not checked:
            return []

        async def work(session: Session) -> set[str]:
            return {row[0] for row in await session.fetch(sql.marked(self._space.rows, checked))}

        found = await self._space.read(work, missing=set[str]())
        return [key in found for key in checked]

    async def keys(
        self,
        *,
        before: float | None = None,
        after: float | None = None,
        group_ids: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> list[str]:
        """Return the keys that meet all of the conditions given, sorted.

        Args:
            before: Last marked earlier than this, not at this time.
            after: Last marked later than this, not at this time.
            group_ids: Of one of these groups, or provisional and perhaps of one of them.
            limit: At most so many.
        """
        _check_time(before, "before")
        _check_time(after, "after")
        if limit is not None:
            check_range(limit, "limit", 1, 2**63 - 1)
        groups = None if group_ids is None else self._space.checked(group_ids, "group_ids")
        wanted = sql.Marks(before=before, after=after, groups=groups, limit=limit)

        async def work(session: Session) -> list[str]:
            return [row[0] for row in await session.fetch(sql.keys(self._space.rows, wanted))]

        return await self._space.read(work, missing=list[str]())

    async def unmark(self, keys: Sequence[str]) -> int:
        """Forget these keys, and return how many there were."""
        checked = self._space.checked(keys)
        if not checked:
            return 0
        statement = delete(self._space.rows, checked)

        async def work(session: Session) -> int:
            return await session.execute(statement)

        return await self._space.read(work, missing=0)

    def _groups(self, group_ids: Sequence[str | None], count: int) -> Sequence[str | None]:
        group_ids = check_list(group_ids, "group_ids", "texts")
        if len(group_ids) != count:
            msg = f"there are {count} keys, but {len(group_ids)} group_ids"
            raise ConfigError(msg)
        self._space.checked(["" if group is None else group for group in group_ids], "group_ids")
        return group_ids


def ledger_of(handle: Handle, namespace: str) -> AsyncLedger:
    """See `AsyncCollection.ledger`."""
    return AsyncLedger(_space_of(handle, namespace))


def _space_of(handle: Handle, namespace: str) -> Namespace:
    config, domain = handle.config, handle.scope.domain
    if domain is None:
        msg = "a ledger belongs to one domain: take it from a handle of that domain, not of all of them"
        raise ConfigError(msg)
    rows = SideRows(table=sql.LEDGER, schema=config.schema, domain=domain, namespace=namespace)
    return Namespace(database=handle.database, rows=rows, setup=config.setup)


def companion(ledger: AsyncLedger | Ledger | None, handle: Handle) -> Companion | None:
    """Return what keeps *ledger* in step with the rows of *handle*, or `None` without a ledger.

    Raises:
        ConfigError: It is no ledger, or one of another database, schema or domain.
    """
    if ledger is None:
        return None
    given: object = getattr(ledger, "asynchronous", ledger)
    if not isinstance(given, AsyncLedger):
        msg = f"ledger must be a ledger, as collection.ledger() returns it, not {type(ledger).__name__}"
        raise ConfigError(msg)
    space = _space_of(handle, given.namespace)
    if given != AsyncLedger(space):
        msg = (
            f"{given!r} belongs to another connection, schema or domain than the collection, so they cannot change in "
            f"one transaction; take it from the handle itself: collection.ledger({given.namespace!r})"
        )
        raise ConfigError(msg)
    return _Bookkeeper(space)


class _Bookkeeper:
    """Keeps a ledger in step with the rows of a collection."""

    def __init__(self, space: Namespace) -> None:
        self._space = space

    async def ready(self, keys: Sequence[str]) -> None:
        self._space.checked(keys, "ids")
        await self._space.prepare()

    async def written(self, session: Session, keys: Sequence[str], rows: Rows) -> None:
        metadatas: Sequence[bytes | None] = rows.columns.get("metadata") or [None] * len(keys)
        candidates = dict(zip(keys, map(_candidates, metadatas), strict=True))
        distinct = sorted(candidates)
        statement = sql.mark_provisionally(
            self._space.rows, distinct, [candidates[key] for key in distinct], session.dialect
        )
        await self._tell(session, statement)

    async def deleted(self, session: Session, keys: Sequence[str]) -> None:
        if keys:
            await self._tell(session, delete(self._space.rows, keys))

    async def _tell(self, session: Session, statement: Statement) -> None:
        try:
            if self._space.secured:
                await session.fetch(enter(Scope.of(self._space.rows.domain)))
            await session.execute(statement)
        except pg.UndefinedTableError:
            self._space.forget()
            raise


def _candidates(metadata: bytes | None) -> bytes:
    """Return what the group of a row may be called, as a JSON array: its texts and numbers, as text."""
    values: Mapping[str, Any] = {} if metadata is None else jsonb.loads(metadata)
    texts = dict.fromkeys(str(value) for value in values.values() if isinstance(value, str | int | float))
    return jsonb.dumps([text for text in texts if len(text) <= _MOST_CANDIDATE_LENGTH][:_MOST_CANDIDATES])


def _check_time(value: object, what: str) -> None:
    if value is not None and not is_number(value):
        msg = f"{what} must be a time in seconds since 1970, not {value!r}"
        raise ConfigError(msg)
