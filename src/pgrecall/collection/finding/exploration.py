"""More ways for `AsyncCollection` to find records by embedding, and to tell what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pgrecall.checks import check_flag, check_list, check_range, is_number
from pgrecall.collection.finding import grouping, similar
from pgrecall.collection.finding.retrieval import checked_extras
from pgrecall.collection.finding.searching import Query
from pgrecall.collection.handle import Bound
from pgrecall.config import MAX_K
from pgrecall.errors import ConfigError
from pgrecall.filters import parse_field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from pgrecall.config import SearchOptions
    from pgrecall.filters import Filter
    from pgrecall.records import Embedding, Example, Extra, Facet, Group, Match

MAX_QUERIES: Final = 1_000
MAX_ANSWERS: Final = 100_000
MAX_GROUP_SIZE: Final = 1_000
_NONE: Final = np.empty(0, np.float32)


class Exploration(Bound):
    """What `AsyncCollection` finds in other ways."""

    async def search_many(
        self,
        embeddings: NDArray[Any] | Sequence[Embedding],
        k: int = 10,
        *,
        filter: Filter | Mapping[str, Any] | None = None,
        score_threshold: float | None = None,
        include: Iterable[Extra] = (),
        options: SearchOptions | None = None,
    ) -> list[list[Match]]:
        """Return, for each of *embeddings*, the k records nearest to it.

        Each answer is what `search` would give. There is one round trip, or one on each of up to four connections
        at a time where there are eight or more queries.

        Args:
            embeddings: Shape ``(n, d)``, n up to 1,000.
            k: Records wanted for each, 1 to 10,000; for all together 100,000 at most.
            filter: Which metadata they must have.
            score_threshold: The lowest score to return.
            include: What to return too; see `search`.
            options: Overrides of the planner.

        Raises:
            DimensionMismatch: An embedding has another length than the collection's.
            RecordError: An embedding is not finite, or zero under cosine.
            FilterError: The filter is malformed.
        """
        if not isinstance(embeddings, np.ndarray) or not embeddings.ndim:
            embeddings = check_list(embeddings, "embeddings", "embeddings")
        check_range(len(embeddings), "the number of embeddings", 0, MAX_QUERIES)
        extras = checked_extras(include)
        query = Query.of(_NONE, k, filter, options, score_threshold=score_threshold, extras=extras)
        check_range(len(embeddings) * k, "the number of embeddings times k", 0, MAX_ANSWERS)
        return await similar.search_many(self._handle, embeddings, query)

    async def search_range(
        self,
        embedding: Embedding,
        *,
        max_distance: float | None = None,
        score_threshold: float | None = None,
        limit: int = MAX_K,
        filter: Filter | Mapping[str, Any] | None = None,
        include: Iterable[Extra] = (),
    ) -> list[Match]:
        """Return all records within a distance of *embedding*, or above a score, nearest first.

        All records that pass the filter are compared, so that none is missed.

        Args:
            embedding: Shape ``(d,)``.
            max_distance: The greatest distance; either this or *score_threshold* is given.
            score_threshold: The lowest score.
            limit: Most records, up to 10,000; where there are more the nearest come back.
            filter: Which metadata they must have.
            include: What to return too; see `search`.

        Raises:
            ConfigError: Neither bound was given, or both, or one that is not finite.
            DimensionMismatch: *embedding* has another length than the collection's.
            FilterError: The filter is malformed.
        """
        bound = score_threshold if max_distance is None else max_distance
        if (max_distance is None) == (score_threshold is None) or not is_number(bound):
            given = f"{max_distance!r} and {score_threshold!r}"
            msg = f"pass either max_distance or score_threshold, a finite number, not {given}"
            raise ConfigError(msg)
        query = Query.of(
            embedding, limit, filter, None, score_threshold=score_threshold, extras=checked_extras(include)
        )
        return await similar.search_range(self._handle, query, max_distance)

    async def search_by_id(
        self,
        id: str,
        k: int = 10,
        *,
        include_self: bool = False,
        filter: Filter | Mapping[str, Any] | None = None,
        include: Iterable[Extra] = (),
        options: SearchOptions | None = None,
    ) -> list[Match]:
        """Return the k records nearest to one that is stored.

        Args:
            id: Its id.
            k: Records wanted, 1 to 10,000.
            include_self: Whether the record itself may be among them.
            filter: Which metadata they must have.
            include: What to return too; see `search`.
            options: Overrides of the planner.

        Raises:
            RecordError: There is no such record, or it has no embedding.
            ConfigError: The handle is one of all domains.
            FilterError: The filter is malformed.
        """
        check_flag(include_self, "include_self")
        query = Query.of(_NONE, k, filter, options, extras=checked_extras(include))
        return await similar.search_by_id(self._handle, id, query, include_self=include_self)

    async def recommend(
        self,
        positive: Sequence[Example],
        k: int = 10,
        *,
        negative: Sequence[Example] = (),
        filter: Filter | Mapping[str, Any] | None = None,
        include: Iterable[Extra] = (),
        options: SearchOptions | None = None,
    ) -> list[Match]:
        """Return the k records that are most like some examples and, where given, least like others.

        They are those nearest to ``p + (p - n)``, with p the mean of the positive examples and n that of the
        negative ones, or to p alone (Rocchio, Relevance feedback in information retrieval, 1971, with both
        weights 1; the strategy *average vector* of other stores). Under cosine each example is first brought to
        unit length. Stored records that are examples are not among the results.

        Args:
            positive: Ids of stored records, or embeddings; at least one.
            k: Records wanted, 1 to 10,000.
            negative: Likewise; there need not be any.
            filter: Which metadata they must have.
            include: What to return too; see `search`.
            options: Overrides of the planner.

        Raises:
            ConfigError: There is no positive example, embeddings are bits, or the handle is one of all domains.
            RecordError: An example is not stored, or has no embedding.
            DimensionMismatch: An embedding has another length than the collection's.
            FilterError: The filter is malformed.
        """
        positive = similar.check_examples("positive", positive)
        negative = similar.check_examples("negative", negative)
        query = Query.of(_NONE, k, filter, options, extras=checked_extras(include))
        return await similar.recommend(self._handle, positive, negative, query)

    async def search_groups(
        self,
        embedding: Embedding,
        by: str = "$document_id",
        *,
        groups: int = 5,
        group_size: int = 3,
        filter: Filter | Mapping[str, Any] | None = None,
        include: Iterable[Extra] = (),
    ) -> list[Group]:
        """Return the groups that are nearest by their nearest record, and the nearest records of each.

        Fewer groups come back only if fewer pass the filter, and fewer records of a group only if it has no
        more. Records that have no value are of no group.

        Args:
            embedding: Shape ``(d,)``.
            by: What makes a group: ``"$document_id"``, or a key of the metadata as filters name it.
            groups: Groups wanted, 1 to 1,000.
            group_size: Records of each, 1 to 1,000.
            filter: Which metadata they must have.
            include: What to return too; see `search`.

        Raises:
            DimensionMismatch: *embedding* has another length than the collection's.
            FilterError: The filter is malformed, or *by* names nothing.
            SchemaError: The table has no such column.
        """
        check_range(groups, "groups", 1, grouping.MAX_GROUPS)
        check_range(group_size, "group_size", 1, MAX_GROUP_SIZE)
        query = Query.of(embedding, groups, filter, None, extras=checked_extras(include))
        return await grouping.search_groups(self._handle, query, parse_field(by), groups, group_size)

    async def facet(
        self, field: str, *, limit: int = 100, filter: Filter | Mapping[str, Any] | None = None
    ) -> list[Facet]:
        """Return which values a field has, and how many records have each, the most frequent first.

        Records in which the field is missing or null are not counted; of a list each element counts, once a
        record. Values of unlike JSON types are unlike: ``1`` and ``"1"`` are two.

        Args:
            field: A key of the metadata, or ``"$document_id"`` and the like, as filters name it.
            limit: Most values, 1 to 10,000.
            filter: Which records are counted.

        Raises:
            FilterError: The filter is malformed, or *field* names nothing.
            SchemaError: The table has no such column.
        """
        return await grouping.facet(self._handle, field, limit, filter)
