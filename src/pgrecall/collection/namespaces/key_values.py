"""Bytes by key, beside the collections: for whole documents, caches, and whatever else is no row with an embedding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, cast

from pgrecall.errors import ConfigError, RecordError
from pgrecall.sql import key_values as sql
from pgrecall.sql.side_tables import delete

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

    from pgrecall.collection.namespaces.namespace import Namespace
    from pgrecall.postgres import Session

_PAGE: Final = 1_000
# What is sent at a time, so that neither side holds much more than the values themselves.
_STATEMENT_BYTES: Final = 8_000_000
_STATEMENT_ROWS: Final = 1_000
_MOST_BYTES: Final = 256 * 2**20


class AsyncKeyValues:
    """Values under keys, in one namespace of one domain; made by `AsyncClient.key_values`.

    Any text is a key, up to about 2,000 bytes of it. The table is made at the first write; until then
    there is nothing in it.

    Example:
        >>> pages = client.key_values("pages")
        >>> await pages.set({"a/1": b"...", "a/2": b"..."})
        >>> await pages.get(["a/2", "b/1"])
        [b'...', None]
    """

    def __init__(self, space: Namespace) -> None:
        self._space = space

    def __repr__(self) -> str:
        rows = self._space.rows
        return f"<{type(self).__name__} {rows.namespace!r} in {rows.schema}.{rows.table.name}, domain {rows.domain!r}>"

    @property
    def namespace(self) -> str:
        """Its name."""
        return self._space.rows.namespace

    async def prepare(self) -> None:
        """Make the table of all key-value storages, which otherwise the first write does.

        Raises:
            PermissionDenied: The role may not make it, or not write to it.
        """
        await self._space.prepare()

    async def get(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the values of *keys*, in the same order; `None` where there is none."""
        checked = self._space.checked(keys)
        if not checked:
            return []

        async def work(session: Session) -> dict[str, bytes]:
            return {row[0]: row[1] for row in await session.fetch(sql.get(self._space.rows, checked))}

        found = await self._space.read(work, missing=dict[str, bytes]())
        return [found.get(key) for key in checked]

    async def set(self, items: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> None:
        """Set values, in one transaction; of equal keys the last counts.

        Raises:
            RecordError: A key or a value cannot be stored; the message names it. Nothing is then.
        """
        values = self._items(items)
        if not values:
            return

        async def work(session: Session) -> None:
            for keys in _parts(values):
                await session.execute(sql.put(self._space.rows, keys, [values[key] for key in keys]))

        await self._space.write(work, whole=True)

    async def delete(self, keys: Sequence[str]) -> int:
        """Delete *keys* with their values, and return how many there were."""
        checked = self._space.checked(keys)
        if not checked:
            return 0
        statement = delete(self._space.rows, checked)

        async def work(session: Session) -> int:
            return await session.execute(statement)

        return await self._space.read(work, missing=0)

    async def keys(self, prefix: str | None = None) -> AsyncIterator[str]:
        """Return the keys that begin with *prefix*, sorted by their characters' numbers, read as they are taken.

        No more than a page of them is held at a time. What is written meanwhile may or may not be among them.

        Args:
            prefix: What they begin with; no character of it means anything else.
        """
        after: str | None = None
        while page := await self.page(prefix, after):
            for key in page:
                yield key
            if len(page) < _PAGE:
                return
            after = page[-1]

    async def page(self, prefix: str | None = None, after: str | None = None) -> list[str]:
        """Return at most a thousand keys that begin with *prefix*, sorted; fewer only where there are no more.

        Args:
            prefix: What they begin with.
            after: The last key of the page before.
        """
        first = None if prefix is None else self._space.checked([prefix], "prefix")[0]
        start = None if after is None else self._space.checked([after], "after")[0]

        async def work(session: Session) -> list[str]:
            statement = sql.page(self._space.rows, first=first, after=start, limit=_PAGE)
            return [row[0] for row in await session.fetch(statement)]

        found = await self._space.read(work, missing=list[str]())
        # In this order they stand together: the first that does not begin so is behind all that do.
        return [key for key in found if key.startswith(prefix or "")]

    def _items(self, items: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> dict[str, bytes]:
        """Return the values by their keys, sorted, so that two writers cannot wait for each other."""
        entries = cast("Iterable[tuple[str, bytes]]", items.items() if isinstance(items, Mapping) else items)
        try:
            pairs = [(key, value) for key, value in entries]
        except (TypeError, ValueError):
            msg = "items must be a mapping, or pairs of a key and a value"
            raise ConfigError(msg) from None
        self._space.checked([key for key, _ in pairs])
        values = dict(pairs)
        for key, value in pairs:
            if not isinstance(value, bytes | bytearray | memoryview):
                msg = f"the value of {key!r:.80} must be bytes, not {type(value).__name__}"
                raise RecordError(msg)
            if len(value) > _MOST_BYTES:
                msg = f"the value of {key!r:.80} is larger than {_MOST_BYTES // 2**20} MB, the most that is stored"
                raise RecordError(msg)
        return {key: bytes(values[key]) for key in sorted(values)}


def _parts(values: Mapping[str, bytes]) -> Iterator[list[str]]:
    """Return the keys in parts that are sent together."""
    part: list[str] = []
    size = 0
    for key, value in values.items():
        if part and (len(part) == _STATEMENT_ROWS or size + len(value) > _STATEMENT_BYTES):
            yield part
            part, size = [], 0
        part.append(key)
        size += len(value)
    if part:
        yield part
