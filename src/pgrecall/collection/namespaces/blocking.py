"""`Ledger` and `KeyValues`: the same verbs as their asynchronous twins, for callers without an event loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pgrecall import portal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pgrecall.collection.namespaces.key_values import AsyncKeyValues
    from pgrecall.collection.namespaces.ledger import AsyncLedger


class Ledger:
    """`AsyncLedger` for blocking callers; made by `Collection.ledger`."""

    def __init__(self, ledger: AsyncLedger) -> None:
        self.asynchronous = ledger
        """The ledger that does the work; it may be used beside this one."""

    def __repr__(self) -> str:
        return repr(self.asynchronous).replace("AsyncLedger", "Ledger", 1)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ledger) and self.asynchronous == other.asynchronous

    def __hash__(self) -> int:
        return hash(self.asynchronous)

    @property
    def namespace(self) -> str:
        """See `AsyncLedger.namespace`."""
        return self.asynchronous.namespace

    def prepare(self) -> None:
        """See `AsyncLedger.prepare`."""
        portal.call(self.asynchronous.prepare())

    def time(self) -> float:
        """See `AsyncLedger.time`."""
        return portal.call(self.asynchronous.time())

    def mark(
        self, keys: Sequence[str], *, group_ids: Sequence[str | None] | None = None, at: float | None = None
    ) -> None:
        """See `AsyncLedger.mark`."""
        portal.call(self.asynchronous.mark(keys, group_ids=group_ids, at=at))

    def marked(self, keys: Sequence[str]) -> list[bool]:
        """See `AsyncLedger.marked`."""
        return portal.call(self.asynchronous.marked(keys))

    def keys(
        self,
        *,
        before: float | None = None,
        after: float | None = None,
        group_ids: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> list[str]:
        """See `AsyncLedger.keys`."""
        return portal.call(self.asynchronous.keys(before=before, after=after, group_ids=group_ids, limit=limit))

    def unmark(self, keys: Sequence[str]) -> int:
        """See `AsyncLedger.unmark`."""
        return portal.call(self.asynchronous.unmark(keys))


class KeyValues:
    """`AsyncKeyValues` for blocking callers; made by `Client.key_values`."""

    def __init__(self, key_values: AsyncKeyValues) -> None:
        self.asynchronous = key_values
        """The storage that does the work; it may be used beside this one."""

    def __repr__(self) -> str:
        return repr(self.asynchronous).replace("AsyncKeyValues", "KeyValues", 1)

    @property
    def namespace(self) -> str:
        """See `AsyncKeyValues.namespace`."""
        return self.asynchronous.namespace

    def prepare(self) -> None:
        """See `AsyncKeyValues.prepare`."""
        portal.call(self.asynchronous.prepare())

    def get(self, keys: Sequence[str]) -> list[bytes | None]:
        """See `AsyncKeyValues.get`."""
        return portal.call(self.asynchronous.get(keys))

    def set(self, items: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> None:
        """See `AsyncKeyValues.set`; a generator is run in the caller's own thread."""
        portal.call(self.asynchronous.set(items if isinstance(items, Mapping) else list(items)))

    def delete(self, keys: Sequence[str]) -> int:
        """See `AsyncKeyValues.delete`."""
        return portal.call(self.asynchronous.delete(keys))

    def keys(self, prefix: str | None = None) -> Iterator[str]:
        """See `AsyncKeyValues.keys`."""
        after: str | None = None
        while page := self.page(prefix, after):
            yield from page
            after = page[-1]

    def page(self, prefix: str | None = None, after: str | None = None) -> list[str]:
        """See `AsyncKeyValues.page`."""
        return portal.call(self.asynchronous.page(prefix, after))
