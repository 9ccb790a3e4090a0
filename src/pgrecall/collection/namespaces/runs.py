"""Named runs: how far an ingestion has come, noted in the same transaction as the rows that it wrote."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pgrecall import jsonb
from pgrecall.collection.namespaces.namespace import Namespace
from pgrecall.errors import ConfigError, RunTakenOver
from pgrecall.scope import Scope
from pgrecall.sql import runs as sql
from pgrecall.sql import side_tables
from pgrecall.sql.security import enter
from pgrecall.sql.side_tables import SideRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.collection.handle import Handle
    from pgrecall.postgres import Session
    from pgrecall.sql.compose import Statement

_LONGEST_REASON: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestFailure:
    """An item of a source that could not be stored.

    Attributes:
        position: Its place in the source, from 0.
        id: Its id, as far as it has one.
        reason: Why.
    """

    position: int
    id: str | None
    reason: str


class Run:
    """One run, taken over by this process; made by `begin`.

    Attributes:
        name: Its name.
        position: Items of the source that were done with when it was taken over.
        failures: What had been set aside until then.
    """

    def __init__(self, space: Namespace, name: str) -> None:
        self._space = space
        self._owner = str(uuid.uuid4())
        self.name = name
        self.position = 0
        self.failures: list[IngestFailure] = []

    @classmethod
    async def begin(cls, handle: Handle, name: str) -> Run:
        """Take over the run *name* of this collection, from its beginning if it is new or has finished.

        Raises:
            ConfigError: The handle is one of all domains.
            RecordError: The name cannot be stored.
        """
        config, domain = handle.config, handle.scope.domain
        if domain is None:
            msg = f"a run belongs to one domain, and this handle is of {handle.scope}: take it from domain(…)"
            raise ConfigError(msg)
        rows = SideRows(table=sql.RUNS, schema=config.schema, domain=domain, namespace=config.name)
        run = cls(Namespace(database=handle.database, rows=rows, setup=config.setup), name)
        run._space.checked([name], "run")
        # Where the table is gone, so are the rows that the run had written.
        anew = await handle.run(handle.table) is None

        async def work(session: Session) -> tuple[int, Any]:
            found = (await session.fetch(sql.begin(rows, name, run._owner, anew=anew)))[0]
            return found[0], jsonb.loads(found[1])

        run.position, noted = await run._space.write(work)
        run.failures = [IngestFailure(**fact) for fact in noted]
        return run

    async def advance(self, session: Session, position: int, failures: Sequence[IngestFailure]) -> None:
        """Note, in the session's transaction, that everything before *position* is done with.

        Raises:
            RunTakenOver: Another process has begun this run since.
        """
        facts = [_fact(failure) for failure in failures]
        noted = jsonb.dumps(facts).decode()
        statement = sql.advance(self._space.rows, self.name, self._owner, position, noted)
        if self._space.secured:
            # Also where row-level security binds this table, and not the collection's.
            await session.fetch(enter(Scope.of(self._space.rows.domain)))
        self._check(await session.execute(statement))

    async def finish(self) -> None:
        """Note that the source is done with: the next run of this name begins anew."""
        statement = sql.finish(self._space.rows, self.name, self._owner)
        self._check(await self._space.write(lambda session: session.execute(statement)))

    def _check(self, touched: int) -> None:
        if not touched:
            msg = f"run {self.name!r} was begun again, by another process or in this one, which goes on with it"
            raise RunTakenOver(msg)


async def forget_runs(session: Session, schema: str, collection: str, scope: Scope) -> None:
    """Forget how far the runs of a collection's domains have come: what they wrote is going in this transaction.

    Otherwise a run that goes on would leave out all that it believes to be there.
    """
    await _change(session, schema, scope, [sql.forget(schema, collection, scope)])


async def rename_runs(session: Session, schema: str, collection: str, new_name: str) -> None:
    """Take the runs of a collection along to its new name, under which others may have been left behind."""
    everything = Scope.everything()
    changes = [sql.forget(schema, new_name, everything), sql.rename(schema, collection, new_name)]
    await _change(session, schema, everything, changes)


async def _change(session: Session, schema: str, scope: Scope, changes: Sequence[Statement]) -> None:
    facts = await session.fetch(side_tables.facts(schema, sql.RUNS.name))
    # A role that may not write there has begun no runs; and a table that is not ours has none.
    if not facts or not facts[0][1] or not set(sql.RUNS.columns) <= set(facts[0][5]):
        return
    if not facts[0][2]:
        for change in changes:
            await session.execute(change)
        return
    async with session.entered(scope):
        for change in changes:
            await session.execute(change)


def _fact(failure: IngestFailure) -> dict[str, Any]:
    """Return *failure* as JSON; often it is the id, or what is quoted in the reason, that cannot be stored."""
    row_id = None if failure.id is None else jsonb.storable(str(failure.id))
    return {
        "position": failure.position,
        "id": row_id,
        "reason": jsonb.storable(failure.reason[:_LONGEST_REASON]),
    }
