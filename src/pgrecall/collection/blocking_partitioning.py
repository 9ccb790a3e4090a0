"""The verbs of `Collection` for domains with partitions of their own; see `partitioning`, which they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgrecall import portal

if TYPE_CHECKING:
    from pgrecall.collection.blocking import Collection
    from pgrecall.collection.collection import AsyncCollection
    from pgrecall.collection.isolation_report import IsolationProgressLike, IsolationReport


class Partitioning:
    """What `Collection` does with the partitions of a table with `ListPartitions`."""

    asynchronous: AsyncCollection

    def create_domain(self, name: str) -> Collection:
        """See `AsyncCollection.create_domain`."""
        from pgrecall.collection.blocking import Collection

        return Collection(portal.call(self.asynchronous.create_domain(name)))

    def isolate_domain(self, name: str, *, on_progress: IsolationProgressLike = None) -> IsolationReport:
        """See `AsyncCollection.isolate_domain`; *on_progress* is called in pgrecall's own thread."""
        return portal.call(self.asynchronous.isolate_domain(name, on_progress=on_progress))
