"""How the rows of a collection are laid out in PostgreSQL: in one table, or in partitions by domain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pgrecall.checks import check_range

# Planning a search over all domains takes longer with every partition.
MAX_PARTITIONS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HashPartitions:
    """Partitions among which the domains are dealt out by a hash of their names.

    A domain's rows are all in one partition, and a search inside it reads no other.

    Attributes:
        count: Number of partitions, 2 to 1,000; it stays what it was when the table was made.
    """

    count: int

    def __post_init__(self) -> None:
        check_range(self.count, "count", 2, MAX_PARTITIONS)


@dataclass(frozen=True, slots=True)
class ListPartitions:
    """A partition for each domain that is given one, and one more for the rows of all other domains.

    A search inside a domain that has its own reads that partition and its own vector index only.
    `AsyncCollection.create_domain` makes the partition of a new domain, `AsyncCollection.isolate_domain` moves one
    into its own that has grown big among the others. There can be 1,000 of them.
    """


Layout = HashPartitions | ListPartitions
"""How a table can be laid out in partitions by domain."""
