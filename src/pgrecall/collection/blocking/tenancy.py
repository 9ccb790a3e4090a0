"""The verbs of `Collection` for domains as wholes; see `tenancy`, which they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pgrecall import portal
from pgrecall.collection.blocking.mirror import Mirror

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pgrecall.collection.tenancy.verbs import DomainInfo


class Tenancy(Mirror):
    """What `Collection` does with domains as wholes."""

    def in_domains(self, domains: Iterable[str]) -> Self:
        """See `AsyncCollection.in_domains`."""
        return type(self)(self.asynchronous.in_domains(domains))

    def list_domains(self, *, limit: int = 1_000, after: str | None = None) -> list[str]:
        """See `AsyncCollection.list_domains`."""
        return portal.call(self.asynchronous.list_domains(limit=limit, after=after))

    def count_domains(self) -> int:
        """See `AsyncCollection.count_domains`."""
        return portal.call(self.asynchronous.count_domains())

    def describe_domains(self) -> list[DomainInfo]:
        """See `AsyncCollection.describe_domains`."""
        return portal.call(self.asynchronous.describe_domains())

    def copy_domain(self, to: str) -> int:
        """See `AsyncCollection.copy_domain`."""
        return portal.call(self.asynchronous.copy_domain(to))

    def rename_domain(self, to: str) -> int:
        """See `AsyncCollection.rename_domain`."""
        return portal.call(self.asynchronous.rename_domain(to))

    def delete_domain(self) -> int:
        """See `AsyncCollection.delete_domain`."""
        return portal.call(self.asynchronous.delete_domain())

    def secure(self) -> None:
        """See `AsyncCollection.secure`."""
        portal.call(self.asynchronous.secure())

    def grant(self, role: str, *, write: bool = True, create: bool = False) -> None:
        """See `AsyncCollection.grant`."""
        portal.call(self.asynchronous.grant(role, write=write, create=create))
