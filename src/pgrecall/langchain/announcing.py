"""What a record manager and a store know of each other: of which documents the next write is.

``index()`` writes documents and records one after the other: a run that is killed in between leaves one
without the other. But it asks before it writes (``exists``, ``list_keys``), and so the store can know of
whom the documents are that it is given next, and write the records with them, in the same transaction.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.collection import AsyncLedger, Collection


@dataclass(frozen=True, slots=True)
class _Announced:
    """Keys that a manager was just asked about, of which documents are about to be written or deleted.

    Attributes:
        ledger: The manager's ledger.
        keys: The keys.
    """

    ledger: AsyncLedger
    keys: frozenset[str]


# Of this thread, or task: what another one indexes at the same time is no business of ours.
_announced: Final[ContextVar[_Announced | None]] = ContextVar("pgrecall_announced", default=None)


def announce(ledger: AsyncLedger, keys: Sequence[str]) -> None:
    """Expect documents with these keys, in the place of those that were expected before."""
    _announced.set(_Announced(ledger, frozenset(keys)) if keys else None)


def forget() -> None:
    """Expect no documents any more."""
    _announced.set(None)


def ledger_for(collection: Collection, ids: Sequence[str | None] | None) -> AsyncLedger | None:
    """Return the ledger that is to change with these documents, because its manager was just asked about them.

    `None` where no manager was asked about all of them, or where its ledger is elsewhere: in another database,
    schema or domain.
    """
    announced = _announced.get()
    if announced is None or not ids or not announced.keys.issuperset(ids) or collection.scope.domain is None:
        return None
    own = collection.asynchronous.ledger(announced.ledger.namespace)
    return own if own.is_same_as(announced.ledger) else None
