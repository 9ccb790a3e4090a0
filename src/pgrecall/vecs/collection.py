"""`Collection`: records of id, vector and metadata in one table."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from pgrecall.checks import check_range
from pgrecall.config import SearchOptions
from pgrecall.distance import Distance
from pgrecall.errors import PerformanceWarning
from pgrecall.records import Record
from pgrecall.vecs.adapter import Adapter, AdapterContext, NoOp
from pgrecall.vecs.configuration import configuration
from pgrecall.vecs.exc import ArgError, MismatchedDimension, translated
from pgrecall.vecs.filters import as_filter
from pgrecall.vecs.indexes import IndexArguments, IndexMeasure, IndexMethod, as_index, checked_method

if TYPE_CHECKING:
    from pgrecall.collection import Collection as Engine
    from pgrecall.table import VectorIndex
    from pgrecall.vecs.client import Client

_MOST_RESULTS: Final = 1_000
# Records of one transaction; the engine sends them in smaller parts.
_AT_ONCE: Final = 100_000
# An index that was there is looked for again after so long, one that was not at every query.
_INDEXED_SECONDS: Final = 30.0


class Collection:
    """Records of id, vector and metadata; made by `Client`.

    Args:
        name: Name of the collection, and of its table in the schema ``vecs``.
        dimension: Length of the vectors.
        client: The client.
        adapter: What makes vectors of what is written and asked for; none unless given.

    Raises:
        MismatchedDimension: The adapter makes vectors of another length.
    """

    def __init__(self, name: str, dimension: int, client: Client, adapter: Adapter | None = None) -> None:
        self.name = name
        self.dimension = dimension
        self.client = client
        self.adapter = adapter or Adapter(steps=[NoOp(dimension=dimension)])
        exported = self.adapter.exported_dimension
        if exported is not None and exported != dimension:
            msg = f"collection {name!r} holds vectors of {dimension}, but its adapter makes vectors of {exported}"
            raise MismatchedDimension(msg)
        self._handles: dict[Distance, Engine] = {}
        self._indexed_until: dict[IndexMeasure, float] = {}

    def __repr__(self) -> str:
        return f'vecs.Collection(name="{self.name}", dimension={self.dimension})'

    def __len__(self) -> int:
        with translated():
            return self._by(Distance.COSINE).count()

    def __getitem__(self, item: str) -> tuple[str, Any, dict[str, Any]]:
        """Return the record with this id; see `fetch`.

        Raises:
            ArgError: The id is not a string.
            KeyError: There is none.
        """
        if not isinstance(item, str):
            msg = f"an id must be a string, not {type(item).__name__}"
            raise ArgError(msg)
        found = self.fetch([item])
        if not found:
            msg = f"there is no record with the id {item!r} in collection {self.name!r}"
            raise KeyError(msg)
        return found[0]

    def upsert(self, records: Iterable[tuple[str, Any, Any]], skip_adapter: bool = False) -> None:
        """Write records: those whose id is new are inserted, the others replaced.

        Up to 100,000 of them are one transaction; more are taken in turns. Of records with the same id the
        last one wins.

        Args:
            records: Tuples of id, vector (list, array, or what the adapter takes) and metadata.
            skip_adapter: Whether the vectors are vectors already.

        Raises:
            ArgError: A record is no such tuple, or cannot be stored; the message names it.
            MismatchedDimension: A vector has another length.
        """
        if isinstance(records, str | bytes | Mapping) or not isinstance(records, Iterable):
            msg = f"records must be tuples of id, vector and metadata, not {type(records).__name__}"
            raise ArgError(msg)
        taken = _taken(records)
        adapted = taken if skip_adapter else self.adapter(taken, AdapterContext.upsert)
        with translated():
            # By this distance a zero vector is as good as any.
            self._by(Distance.L2).upsert((_record(*one) for one in adapted), batch_size=_AT_ONCE)

    def fetch(self, ids: Iterable[str]) -> list[tuple[str, Any, dict[str, Any]]]:
        """Return the records with these ids that there are, in the order of *ids*, in one round trip.

        Returns:
            Tuples of id, vector of shape ``(d,) float32``, and metadata.

        Raises:
            ArgError: *ids* is one string, or an entry cannot be an id.
        """
        wanted = _ids(ids)
        with translated():
            found = self._by(Distance.COSINE).get(wanted, include=["embedding"])
        return [(str(one.id), one.embedding, dict(one.metadata)) for one in found if one is not None]

    def delete(self, ids: Iterable[str] | None = None, filters: Mapping[str, Any] | None = None) -> list[str]:
        """Delete records by their ids or by a filter, and return the ids of those that there were.

        An empty filter deletes nothing.

        Raises:
            ArgError: Neither was given, or both, or *ids* is one string.
            FilterError: The filter is malformed.
        """
        if (ids is None) == (filters is None):
            msg = "pass either ids or filters" + ("" if ids is None else ", not both")
            raise ArgError(msg)
        parsed = as_filter(filters)
        if ids is None and parsed is None:
            return []
        with translated():
            return self._by(Distance.COSINE).delete_returning(None if ids is None else _ids(ids), filter=parsed)

    def query(
        self,
        data: Any = None,
        limit: int = 10,
        filters: Mapping[str, Any] | None = None,
        measure: IndexMeasure | str = IndexMeasure.cosine_distance,
        include_value: bool = False,
        include_metadata: bool = False,
        *,
        include_vector: bool = False,
        probes: int | None = None,
        ef_search: int | None = None,
        skip_adapter: bool = False,
        query_vector: Any = None,
    ) -> list[Any]:
        """Return the records nearest to a vector, nearest first: as many as *limit* wherever so many pass.

        A query by a measure without an index warns, and compares all records.

        Args:
            data: The vector, or what the adapter makes one of.
            limit: Records wanted, 1 to 1,000.
            filters: Which metadata they must have, such as ``{"year": {"$eq": 2012}}``.
            measure: How they are compared.
            include_value: Whether to return the distance too: of *max_inner_product* the negative product.
            include_metadata: Whether to return the metadata too.
            include_vector: Whether to return the vector too.
            probes: IVFFlat cells that are looked at; chosen by the engine unless given.
            ef_search: HNSW candidates, 1 to 1,000; chosen by the engine, and never too few for *limit*, unless
                given.
            skip_adapter: Whether *data* is a vector already.
            query_vector: Another name of *data*.

        Returns:
            Ids; tuples of id, distance, metadata and vector, as far as they are included, where one is.

        Raises:
            ArgError: An argument is wrong, or the adapter makes of *data* more or less than one vector.
            FilterError: The filter is malformed.
            MismatchedDimension: The vector has another length.
        """
        chosen = IndexMeasure.of(measure)
        with translated():
            check_range(limit, "limit", 1, _MOST_RESULTS)
            options = SearchOptions(probes=probes, ef_search=ef_search)
        parsed = as_filter(filters)
        vector = self._vector(_one_of(data, query_vector), skip_adapter=skip_adapter)
        self._warn_if_unindexed(chosen)
        with translated():
            found = self._by(chosen.distance).search(
                vector, limit, filter=parsed, options=options, include=["embedding"] if include_vector else ()
            )
        if not (include_value or include_metadata or include_vector):
            return [match.id for match in found]
        wanted = (True, include_value, include_metadata, include_vector)
        rows = ((match.id, match.distance, match.metadata, match.embedding) for match in found)
        return [tuple(value for value, keep in zip(row, wanted, strict=True) if keep) for row in rows]

    @property
    def index(self) -> str | None:
        """Name of the vector index; `None` where there is none that works."""
        return next((index.name for index in self._indexes()), None)

    def is_indexed_for_measure(self, measure: IndexMeasure | str) -> bool:
        """Return whether an index serves queries by *measure*, whoever made it and whatever its name is."""
        chosen = IndexMeasure.of(measure)
        return any(index.distance is chosen.distance for index in self._indexes())

    def create_index(
        self,
        measure: IndexMeasure | str = IndexMeasure.cosine_distance,
        method: IndexMethod | str = IndexMethod.auto,
        index_arguments: IndexArguments | None = None,
        replace: bool = True,
    ) -> None:
        """Build the index of this collection, without blocking readers or writers.

        There is one index; what there was, for whatever measure, serves until the new one is built, and is
        dropped then.

        Args:
            measure: For which queries.
            method: Which kind; HNSW unless given.
            index_arguments: Arguments of that kind.
            replace: Whether it may take the place of another.

        Raises:
            ArgError: An argument is wrong, or there is an index and *replace* is false.
        """
        chosen = IndexMeasure.of(measure)
        kind = checked_method(method, index_arguments)
        present = self._indexes()
        if present and not replace:
            msg = f"collection {self.name!r} has the index {present[0].name}; pass replace=True to replace it"
            raise ArgError(msg)
        rows = len(self) if kind is IndexMethod.ivfflat else 0
        if kind is IndexMethod.ivfflat and not rows:
            msg = (
                f"collection {self.name!r} is empty, and an IVFFlat index of no records finds few of those that come "
                "later; create it once they are there"
            )
            warnings.warn(msg, PerformanceWarning, stacklevel=2)
        index = as_index(kind, index_arguments, rows)
        with translated():
            self._by(chosen.distance).create_index(index, replace=True)
            for other in {found.distance for found in present if found.distance not in (None, chosen.distance)}:
                self._by(other).drop_index()
        self._indexed_until.clear()

    def _by(self, distance: Distance) -> Engine:
        """Return the engine's handle that compares by *distance*."""
        handle = self._handles.get(distance)
        if handle is None:
            config = configuration(self.name, self.dimension, distance)
            handle = self._handles[distance] = self.client.engine.collection(config)
        return handle

    def _indexes(self) -> list[VectorIndex]:
        with translated():
            return [index for index in self._by(Distance.COSINE).indexes() if index.valid and index.condition is None]

    def _warn_if_unindexed(self, measure: IndexMeasure) -> None:
        now = time.monotonic()
        if now < self._indexed_until.get(measure, 0.0):
            return
        if self.is_indexed_for_measure(measure):
            self._indexed_until[measure] = now + _INDEXED_SECONDS
            return
        msg = (
            f"collection {self.name!r} has no index for {measure.value}, so this query compares all records; make one "
            f"with create_index(measure=IndexMeasure.{measure.name})"
        )
        warnings.warn(msg, PerformanceWarning, stacklevel=3)

    def _vector(self, data: Any, *, skip_adapter: bool) -> Any:
        if skip_adapter:
            return _sized(data)
        adapted = list(self.adapter([("", data, {})], AdapterContext.query))
        if len(adapted) != 1:
            msg = f"a query needs one vector, and the adapter has made {len(adapted)} of the data"
            raise ArgError(msg)
        return _sized(adapted[0][1])


def _one_of(data: Any, query_vector: Any) -> Any:
    if (data is None) == (query_vector is None):
        msg = "pass the query as data" + ("" if data is None else " or as query_vector, not both")
        raise ArgError(msg)
    return query_vector if data is None else data


def _taken(records: Iterable[Any]) -> Iterator[tuple[Any, Any, Any]]:
    """Return records, each of which is made sure to be one."""
    for position, record in enumerate(records):
        if isinstance(record, str | bytes | Mapping) or not isinstance(record, Sequence) or len(record) != 3:  # noqa: PLR2004 - id, vector, metadata
            msg = f"record {position} must be a tuple of id, vector and metadata, not {record!r:.80}"
            raise ArgError(msg)
        row_id, media, metadata = record
        yield row_id, media, metadata


def _check_id(row_id: object) -> None:
    if not isinstance(row_id, str):
        msg = f"an id must be a string, not {row_id!r:.80}"
        raise ArgError(msg)


def _record(row_id: Any, vector: Any, metadata: Any) -> Record:
    _check_id(row_id)
    return Record(id=row_id, embedding=_sized(vector), metadata={} if metadata is None else metadata)


def _sized(vector: Any) -> Any:
    """Return a vector that has a length."""
    sized = hasattr(vector, "__len__") or not isinstance(vector, Iterable)
    return vector if sized else list(cast("Iterable[Any]", vector))


def _ids(ids: Iterable[str]) -> list[str]:
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
        msg = f"ids must be a list of strings, not {ids!r:.80}"
        raise ArgError(msg)
    found = list(ids)
    for row_id in found:
        _check_id(row_id)
    return found
