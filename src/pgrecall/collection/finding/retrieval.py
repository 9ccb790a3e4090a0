"""The verbs of `AsyncCollection` that find records by an embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

from pgrecall.checks import check_flag, check_instance, check_list, check_range
from pgrecall.collection.finding import searching
from pgrecall.collection.handle import Bound
from pgrecall.config import MAX_K, MMR, SearchOptions
from pgrecall.errors import ConfigError
from pgrecall.records import Extra

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pgrecall.filters import Filter
    from pgrecall.plan import Plan
    from pgrecall.records import Embedding, Match

NEAR_AND_VARIED: Final = MMR()
"""What `search_mmr` does unless told otherwise."""


class Retrieval(Bound):
    """What `AsyncCollection` finds."""

    async def search(
        self,
        embedding: Embedding,
        k: int = 10,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        score_threshold: float | None = None,
        include: Iterable[Extra] = (),
        options: SearchOptions | None = None,
    ) -> list[Match]:
        """Return the k records nearest to *embedding*, nearest first.

        Fewer come back only if fewer pass the filter and the threshold. `explain` tells how the search
        is run.

        Args:
            embedding: Shape ``(d,)``.
            k: Records wanted, 1 to 10,000.
            filter: Which metadata they must have.
            score_threshold: The lowest score to return; see `Distance` for what scores mean.
            include: What to return too: ``"embedding"``, as ``(d,) float32``, ``"sparse_embedding"`` or
                ``"envelope"``.
            options: Overrides of the planner.

        Raises:
            DimensionMismatch: *embedding* has another length than the collection's.
            RecordError: *embedding* is not finite, or zero under cosine.
            FilterError: The filter is malformed.
        """
        extras = checked_extras(include)
        query = searching.Query.of(embedding, k, filter, options, score_threshold=score_threshold, extras=extras)
        return await searching.search(self._handle, query)

    async def search_mmr(
        self,
        embedding: Embedding,
        k: int = 10,
        *,
        mmr: MMR = NEAR_AND_VARIED,
        filter: Filter | Mapping[str, Any] | None = None,
        include: Iterable[Extra] = (),
        options: SearchOptions | None = None,
    ) -> list[Match]:
        """Return k records that are near to *embedding* and unlike each other, in the order of picking.

        The ``fetch_k`` nearest are found as by `search`; of those the k are picked by maximal marginal
        relevance, with the cosine as similarity whatever the collection's distance is.

        Args:
            embedding: Shape ``(d,)``.
            k: Records wanted, 1 to 10,000.
            mmr: From how many to pick, and how much variety counts.
            filter: Which metadata they must have.
            include: What to return too; see `search`.
            options: Overrides of the planner.

        Raises:
            DimensionMismatch: *embedding* has another length than the collection's.
            RecordError: *embedding* is not finite, or zero under cosine.
            FilterError: The filter is malformed.
        """
        extras = checked_extras(include)
        check_range(k, "k", 1, MAX_K)
        check_instance(mmr, "mmr", MMR, "an MMR")
        fetched = extras | {"embedding"}
        query = searching.Query.of(embedding, max(k, mmr.fetch_k), filter, options, extras=fetched)
        return await searching.search_mmr(self._handle, query, k, mmr, keep_embedding="embedding" in extras)

    async def explain(
        self,
        embedding: Embedding,
        k: int = 10,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        options: SearchOptions | None = None,
        postgres: bool = False,
    ) -> Plan:
        """Return how `search` would run with these arguments, and why, without running it.

        Args:
            embedding: Shape ``(d,)``.
            k: Records wanted, 1 to 10,000.
            filter: Which metadata they must have.
            options: Overrides of the planner.
            postgres: Whether to ask PostgreSQL for its own plan too, ``Plan.postgres``.
        """
        check_flag(postgres, "postgres")
        query = searching.Query.of(embedding, k, filter, options)
        return await searching.explain(self._handle, query, postgres=postgres)


def checked_extras(include: Iterable[str], known: frozenset[str] | None = None) -> frozenset[str]:
    """Return *include* as a set.

    Args:
        include: What to return too.
        known: What that can be; unless given, what every way of reading knows.

    Raises:
        ConfigError: An entry is not known.
    """
    if not include:
        return _NO_EXTRAS
    extras = frozenset(map(str, [include] if isinstance(include, str) else check_list(include, "include", "names")))
    if unknown := extras - (known or _EXTRAS):
        msg = f"include knows {sorted(known or _EXTRAS)}, not {sorted(unknown)}"
        raise ConfigError(msg)
    return extras


_NO_EXTRAS: Final[frozenset[str]] = frozenset()
_EXTRAS: Final = frozenset(get_args(Extra))
