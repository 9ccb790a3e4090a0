"""`PGRecordManager`: LangChain's indexing API, whose records cannot come apart from the documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.indexing import RecordManager

from pgrecall.checks import check_list
from pgrecall.collection.lifetime import Closing
from pgrecall.collection.opening import DEFAULT_COLLECTION, open_collection
from pgrecall.errors import ConfigError
from pgrecall.langchain.announcing import announce, forget
from pgrecall.scope import UNSET, Unset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.collection.opening import ClientLike, CollectionLike
    from pgrecall.langchain.vectorstore import PGRecallVectorStore


class PGRecordManager(RecordManager, Closing):
    """Keeps track, for ``index()`` and ``aindex()``, of the documents that are in a `PGRecallVectorStore`.

    With a store in the same database, schema and domain (best made with the *store* itself), its records are
    written in the same transactions as the documents. So a run that is killed at any point leaves documents
    and records that agree, and running it again finishes it. With a store elsewhere it is a record manager
    like others.

    Until a run has said which source a document belongs to, its record is found under each source that a
    text or number at the top of its metadata names. Where sources are told otherwise, by a function as
    ``source_id_key``, only ``cleanup="full"`` finds what a killed run has left of documents that are gone.

    Records of one namespace are shared by all managers of the same database, schema and domain.

    Args:
        namespace: Which records: usually one namespace for each collection.
        store: The store whose documents it keeps track of.
        collection: Name of the table, a `CollectionConfig`, or an open collection, instead of a store.
        url: Where the database is; see `AsyncClient`.
        client: A client that is open already, instead of *url*.
        domain: The domain (tenant) whose records these are; ``"default"`` unless given.

    Raises:
        ConfigError: The arguments contradict each other.

    Example:
        >>> manager = PGRecordManager("handbook", store=store)
        >>> index(loader, manager, store, cleanup="incremental", source_id_key="source")
    """

    def __init__(
        self,
        namespace: str,
        *,
        store: PGRecallVectorStore | None = None,
        collection: CollectionLike | None = None,
        url: str | None = None,
        client: ClientLike | None = None,
        domain: str | Unset = UNSET,
    ) -> None:
        super().__init__(namespace)
        if store is not None:
            if domain is not UNSET or any(value is not None for value in (collection, url, client)):
                msg = "a store brings its own collection, client and domain: pass it alone"
                raise ConfigError(msg)
            collection = store.collection
        opened, self._client = open_collection(
            DEFAULT_COLLECTION if collection is None else collection, url=url, client=client, domain=domain
        )
        self._ledger = opened.ledger(namespace)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} over {self._ledger!r}>"

    def create_schema(self) -> None:
        """Make the table of records, which otherwise the first write does.

        Raises:
            PermissionDenied: The role may not make it, or not write to it.
        """
        self._ledger.prepare()

    async def acreate_schema(self) -> None:
        """Make the table of records; see `create_schema`."""
        await self._ledger.asynchronous.prepare()

    def get_time(self) -> float:
        """Return the server's time, in seconds since 1970."""
        return self._ledger.time()

    async def aget_time(self) -> float:
        """Return the server's time, in seconds since 1970."""
        return await self._ledger.asynchronous.time()

    def update(
        self,
        keys: Sequence[str],
        *,
        group_ids: Sequence[str | None] | None = None,
        time_at_least: float | None = None,
    ) -> None:
        """Note that these documents are there, now.

        Args:
            keys: Their keys.
            group_ids: The source of each; without it, what is known of their sources stays.
            time_at_least: When the run began.

        Raises:
            ConfigError: There are more or fewer sources than keys, or the server's clock is behind
                *time_at_least*.
        """
        groups = _groups(keys, group_ids)
        if keys:
            now = self.get_time()
            _check_time(now, time_at_least)
            self._ledger.mark(keys, group_ids=groups, at=now)
        _finish(group_ids)

    async def aupdate(
        self,
        keys: Sequence[str],
        *,
        group_ids: Sequence[str | None] | None = None,
        time_at_least: float | None = None,
    ) -> None:
        """Note that these documents are there, now; see `update`."""
        groups = _groups(keys, group_ids)
        if keys:
            now = await self.aget_time()
            _check_time(now, time_at_least)
            await self._ledger.asynchronous.mark(keys, group_ids=groups, at=now)
        _finish(group_ids)

    def exists(self, keys: Sequence[str]) -> list[bool]:
        """Return, in the order of *keys*, whether each is recorded."""
        found = self._ledger.marked(keys)
        announce(self._ledger.asynchronous, keys)
        return found

    async def aexists(self, keys: Sequence[str]) -> list[bool]:
        """Return, in the order of *keys*, whether each is recorded."""
        found = await self._ledger.asynchronous.marked(keys)
        announce(self._ledger.asynchronous, keys)
        return found

    def list_keys(
        self,
        *,
        before: float | None = None,
        after: float | None = None,
        group_ids: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> list[str]:
        """Return the keys that meet all of the conditions given.

        Args:
            before: Recorded earlier than this.
            after: Recorded later than this.
            group_ids: Of one of these sources; an empty sequence asks for all.
            limit: At most so many.
        """
        groups = _listed(group_ids)
        keys = self._ledger.keys(before=before, after=after, group_ids=groups, limit=limit or None)
        announce(self._ledger.asynchronous, keys)
        return keys

    async def alist_keys(
        self,
        *,
        before: float | None = None,
        after: float | None = None,
        group_ids: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> list[str]:
        """Return the keys that meet all of the conditions given; see `list_keys`."""
        groups = _listed(group_ids)
        ledger = self._ledger.asynchronous
        keys = await ledger.keys(before=before, after=after, group_ids=groups, limit=limit or None)
        announce(self._ledger.asynchronous, keys)
        return keys

    def delete_keys(self, keys: Sequence[str]) -> None:
        """Forget these keys."""
        self._ledger.unmark(keys)
        forget()

    async def adelete_keys(self, keys: Sequence[str]) -> None:
        """Forget these keys."""
        await self._ledger.asynchronous.unmark(keys)
        forget()


def _finish(group_ids: Sequence[str | None] | None) -> None:
    """Expect no more documents of a batch whose sources were told, which is the last that is done with it."""
    if group_ids is not None:
        forget()


def _groups(keys: Sequence[str], group_ids: Sequence[Any] | None) -> list[str | None] | None:
    if group_ids is None:
        return None
    group_ids = check_list(group_ids, "group_ids", "sources")
    if len(keys) != len(group_ids):
        msg = f"there are {len(keys)} keys, but {len(group_ids)} group_ids"
        raise ConfigError(msg)
    # The metadata that a source is read from may say it as a number.
    return [None if group is None else str(group) for group in group_ids]


def _listed(group_ids: Sequence[Any] | None) -> list[str] | None:
    listed = [] if group_ids is None else check_list(group_ids, "group_ids", "sources")
    return [str(group) for group in listed] or None


def _check_time(now: float, time_at_least: float | None) -> None:
    if time_at_least and time_at_least > now:
        msg = (
            f"time_at_least is {time_at_least:f}, but on the server it is {now:f}: with a clock that was set back, "
            "documents of this run would be taken for old ones and deleted; begin it again"
        )
        raise ConfigError(msg)
