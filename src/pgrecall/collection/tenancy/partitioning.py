"""The verbs for domains with partitions of their own: made ahead, or moved there once they have grown big."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Self

from pgrecall.collection.handle import Bound
from pgrecall.collection.tenancy import domain_partitions, isolating
from pgrecall.progress import own_errors
from pgrecall.scope import Scope

if TYPE_CHECKING:
    from pgrecall.collection.tenancy.isolation_report import IsolationProgressLike, IsolationReport


class Partitioning(Bound):
    """What `AsyncCollection` does with the partitions of a table with `ListPartitions`."""

    async def create_domain(self, name: str) -> Self:
        """Make a partition for a domain that has no rows yet, and return a handle that is bound to it.

        It has the indexes of the table, empty ones of its own, and is dropped by `delete_domain`. The whole table
        is locked for the moment that it takes; who cannot have it within half a second tries again later. A domain
        that has its own partition keeps it, so that any number of processes may ask for it.

        Args:
            name: The domain.

        Raises:
            ConfigError: The domain has rows among those of others (`isolate_domain` moves them), there are 1,000
                partitions already, or the connection was lent.
            PermissionDenied: The role does not own the table.
            SchemaError: The table was not made with `ListPartitions`.
        """
        scope = Scope.of(name)
        await domain_partitions.create_domain(self._handle, name)
        return type(self)(replace(self._handle, scope=scope))

    async def isolate_domain(self, name: str, *, on_progress: IsolationProgressLike = None) -> IsolationReport:
        """Move a domain, out of the partition of all others, into one of its own, while it is read and written.

        Its rows are copied, and its own indexes built, beside readers and writers; what is written meanwhile is
        written to the copy too. At the end the rows are deleted where they were: while that takes, a few
        microseconds for each row, who changes rows of this domain waits. Then the whole table is locked for some
        milliseconds. If the domain is changed so steadily that this cannot be had, the whole table is locked while
        the rows are deleted.

        Killed at any moment, everything is as it was, but that the domain is written twice until the next call,
        which goes on. It needs as much room again as the domain takes. A domain that has its own partition keeps it.

        Args:
            name: The domain.
            on_progress: Called with an `IsolationProgress` now and then; `True` shows a progress bar. What it
                raises ends the move, and is raised.

        Raises:
            ConfigError: The connection is not a direct one, or a progress bar was asked for and rich is not
                installed.
            DatabaseError: The copy is not like the rows, because somebody has changed it; nothing was moved.
            IndexBuildError: PostgreSQL gave up the build of an index.
            PermissionDenied: The role does not own the table.
            SchemaError: The table was not made with `ListPartitions`.
        """
        with own_errors():
            return await isolating.isolate_domain(self._handle, str(Scope.of(name).domain), on_progress)
