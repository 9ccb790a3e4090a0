"""Changing parts of records, not the same parts of each; deletions that tell; and what metadata there is."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from pgrecall.checks import check_flag, check_list
from pgrecall.collection.finding import reading
from pgrecall.collection.handle import Bound
from pgrecall.collection.writing import changes
from pgrecall.collection.writing.upserting import check_writable
from pgrecall.errors import ConfigError, FilterError, RecordError
from pgrecall.filters import parse
from pgrecall.records import RecordChange
from pgrecall.rows import prepare_changes
from pgrecall.sql import select

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pgrecall.collection.handle import Handle
    from pgrecall.filters import Filter
    from pgrecall.postgres import Session

_BLOCK: Final = 5_000
_PARTS: Final = tuple(field.name for field in fields(RecordChange) if field.name != "id")
_PLURAL: Final = {
    "embedding": "embeddings",
    "content": "contents",
    "metadata": "metadatas",
    "document_id": "document_ids",
    "chunk_index": "chunk_indexes",
    "sparse_embedding": "sparse_embeddings",
}


class Amending(Bound):
    """What `AsyncCollection` changes in part, and what it tells about that."""

    async def amend(self, changes: Iterable[RecordChange], *, merge: bool = True) -> int:
        """Change parts of records that exist, all in one transaction, and return how many there were.

        Ids that do not exist are passed over. Of changes with the same id the last one wins. Through a handle
        of all domains every record that has the id is changed.

        Args:
            changes: What to change, and about which records.
            merge: Whether keys are set in the metadata that is there; otherwise it is replaced.

        Raises:
            ConfigError: An entry is not a `RecordChange`, or changes nothing.
            RecordError: A value cannot be stored; the message names the record.
            DimensionMismatch: An embedding has another length than the collection's.
        """
        return await _amend(self._handle, check_list(changes, "changes", "RecordChanges"), merge=merge)

    async def update_where(
        self, filter: Filter | Mapping[str, Any], *, metadata: Mapping[str, Any], merge: bool = True
    ) -> int:
        """Change the metadata of all records that pass a filter, in one transaction, and return how many there were.

        `count` with the same filter tells before how many that would be.

        Args:
            filter: Which records; an empty one is an error.
            metadata: The new keys and values, the same for all of them.
            merge: Whether keys are set in the metadata that is there; otherwise it is replaced.

        Raises:
            ConfigError: The handle is one of all domains.
            FilterError: The filter is empty or malformed.
            RecordError: A value cannot be stored.
        """
        return await _update_where(self._handle, parse(filter), metadata, merge=merge)

    async def delete_returning(
        self,
        ids: Sequence[str] | None = None,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        document_ids: Sequence[str] | None = None,
    ) -> list[str]:
        """Delete the records that meet all of the conditions given, and return their ids, in no order.

        Args:
            ids: Ids of records; an empty sequence deletes none.
            filter: Which metadata they must have.
            document_ids: Documents whose chunks they must be.

        Raises:
            ConfigError: No condition was given.
            FilterError: The filter is empty or malformed.
        """
        return await changes.delete_returning(self._handle, ids, filter, document_ids)

    async def metadata_keys(self, filter: Filter | Mapping[str, Any] | None = None) -> list[str]:
        """Return the keys that the metadata of the records in this handle's scope has, sorted.

        All of that metadata is read.

        Args:
            filter: Which records to look at.
        """
        return await reading.metadata_keys(self._handle, filter)


async def _amend(handle: Handle, amended: list[RecordChange], *, merge: bool) -> int:
    check_flag(merge, "merge")
    for position, change in enumerate(amended):
        if not isinstance(change, RecordChange):
            msg = f"change {position} is a {type(change).__name__}, not a RecordChange"
            raise ConfigError(msg)
        if change.id is None:  # pyright: ignore[reportUnnecessaryComparison] - callers without types
            msg = f"the id of change {position} is None: say which record is to be changed"
            raise RecordError(msg)
        if not _parts(change):
            msg = f"change {position} (id {change.id!r}) changes nothing"
            raise ConfigError(msg)

    async def work(session: Session) -> int:
        table = await handle.table(session)
        if table is None or not amended:
            return 0
        check_writable(table, session.server)
        # As the table spells them: a number is the same id as its text, and a UUID can be written in many ways.
        last = dict(zip(reading.checked_ids([change.id for change in amended], table), amended, strict=True))
        groups: dict[tuple[str, ...], list[RecordChange]] = {}
        for change in last.values():
            groups.setdefault(_parts(change), []).append(change)
        selection = handle.selection(session, table)
        prepared = [
            prepare_changes(
                table,
                [change.id for change in group],
                {_PLURAL[name]: [getattr(change, name) for change in group] for name in names},
                merge=merge,
            )
            for names, group in sorted(groups.items())
        ]
        return sum([await changes.update_rows(session, selection, rows, merge=merge) for rows in prepared])

    changed = await handle.transaction(work)
    handle.knowledge.forget_estimates()
    return changed


async def _update_where(handle: Handle, filter: Filter | None, metadata: Mapping[str, Any], *, merge: bool) -> int:
    check_flag(merge, "merge")
    if filter is None:
        msg = "an empty filter would change everything; to do that, pass {'$id': {'$exists': True}}"
        raise FilterError(msg)

    async def work(session: Session) -> int:
        table = await handle.table(session)
        if table is None:
            return 0
        check_writable(table, session.server)
        reading.check_one_domain(handle.scope, table, "update_where")
        chosen, own = handle.selection(session, table, filter), handle.selection(session, table)
        changed, after = 0, None
        # In the order of the ids, so that no two writers can wait for each other, and none is met twice although
        # what is changed may decide what passes.
        while ids := [row[0] for row in await session.fetch(select.locked_ids(chosen, _BLOCK, after))]:
            rows = prepare_changes(table, ids, {"metadatas": [metadata] * len(ids)}, merge=merge)
            changed += await changes.update_rows(session, own, rows, merge=merge)
            after = ids[-1]
        return changed

    changed = await handle.transaction(work)
    handle.knowledge.forget_estimates()
    return changed


def _parts(change: RecordChange) -> tuple[str, ...]:
    return tuple(name for name in _PARTS if getattr(change, name) is not None)
