"""The verbs of `Collection` for domains with partitions of their own; see `partitioning`, which they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pgrecall import portal
from pgrecall.collection.blocking.mirror import Mirror

if TYPE_CHECKING:
    from pgrecall.collection.tenancy.isolation_report import IsolationProgressLike, IsolationReport


class Partitioning(Mirror):
    """What `Collection` does with the partitions of a table with `ListPartitions`."""

    def create_domain(self, name: str) -> Self:
        """See `AsyncCollection.create_domain`."""
        return type(self)(portal.call(self.asynchronous.create_domain(name)))

    def isolate_domain(self, name: str, *, on_progress: IsolationProgressLike = None) -> IsolationReport:
        """See `AsyncCollection.isolate_domain`; *on_progress* is called in pgrecall's own thread."""
        return portal.call(self.asynchronous.isolate_domain(name, on_progress=on_progress))
