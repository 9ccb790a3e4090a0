"""Which vector index suits so many rows of so many dimensions, and why.

Sizes follow pgvector's page layout and agree with what was measured: 20,000 rows take 78 MB in an HNSW index
at 768 dimensions, 39 MB as halfvec, 8 MB as bits. Choices follow from sizes, and from recall and speed as
published and measured; see "Choose, build and tune an index" in the documentation.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from pgrecall.checks import check_number, check_range, is_number
from pgrecall.config import HNSW, Index, IVFFlat
from pgrecall.distance import VectorType
from pgrecall.errors import ConfigError
from pgrecall.planner import costs

if TYPE_CHECKING:
    from collections.abc import Mapping

Quantization = Literal["none", "halfvec", "bit"]

_MILLION: Final = 1_000_000
# Comparing all rows within so many microseconds needs no index.
_FAST: Final = 10_000.0
# The table, other indexes and the sessions need the rest of the memory.
_SHARE: Final = 0.5
# From here on an element of full precision fills half a page and more, and loses next to nothing as halfvec.
_LONG: Final = 1_024
_FINE: Final = 0.99
_DENSE: Final = HNSW(m=24, ef_construction=128)
# Sessions that insert at the same time.
_WRITERS: Final = 4

_PAGE: Final = 8_192
# Less its header, and what pgvector keeps at its end.
_ROOM: Final = _PAGE - 24 - 8
_LINE: Final = 4
_UNITS: Final[Mapping[str, int]] = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SIZE: Final = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?) *(?P<unit>[kmgt]?)(?:i?b)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRecommendation:
    """Which vector index suits, and why; printable.

    Attributes:
        index: What to pass to `create_index`; `None` where comparing all rows is fast enough.
        vector_type: Type of the embedding's column, for a table that is still to be made.
        quantization: What the index holds of each embedding: as the column has it, halfvec, or bits.
        index_bytes: What the index takes on disk, and in memory to be fast.
        build_memory: Bytes of ``maintenance_work_mem`` with which it is built in one go.
        reasons: Why, a sentence each.
    """

    index: Index | None
    vector_type: VectorType
    quantization: Quantization
    index_bytes: int
    build_memory: int
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"index   {_described(self.index)}", f"column  {self.vector_type.value}"]
        if self.index is not None:
            lines.append(f"size    {_size(self.index_bytes)}; built in one go with {_size(self.build_memory)}")
        return "\n".join([*lines, *(f"- {reason}" for reason in self.reasons)])


def recommend_index(
    rows: int,
    dimensions: int,
    *,
    memory: int | str | None = None,
    filtered: bool = False,
    writes: float = 0.0,
    recall: float = 0.95,
) -> IndexRecommendation:
    """Return which vector index suits a collection, with reasons.

    It says what to begin with; ``tune()`` and ``recall()`` then say what is so on your own data.

    Args:
        rows: Rows that the collection will have, in all domains.
        dimensions: Length of the embeddings.
        memory: Memory of the server, in bytes or as ``"8GB"``; `None` for plenty.
        filtered: Whether most searches have a filter.
        writes: Rows that are written each second, on average, once the collection has been loaded.
        recall: The share of the nearest rows that searches should find.

    Raises:
        ConfigError: A number is out of range, or *memory* is not a size.
    """
    check_range(rows, "rows", 0, 2**63 - 1)
    check_range(dimensions, "dimensions", 1, VectorType.VECTOR.max_dimensions)
    available = math.inf if memory is None else _bytes(memory)
    if not is_number(recall) or not 0 < recall <= 1:
        msg = f"recall must be above 0 and at most 1, not {recall!r}"
        raise ConfigError(msg)
    check_number(writes, "writes, in rows a second,", 0)
    duration = costs.STATEMENT + costs.exact(dimensions, rows)
    if duration <= _FAST:
        why = f"comparing all {rows:,} rows takes about {duration / 1_000:.1f} ms, and finds every one of the nearest"
        column = VectorType.VECTOR
        return IndexRecommendation(
            index=None, vector_type=column, quantization="none", index_bytes=0, build_memory=0, reasons=(why,)
        )
    chosen = _Choice(rows, dimensions, available * _SHARE, recall).choose(writes)
    return replace(chosen, reasons=(*chosen.reasons, *_hints(chosen, rows, filtered=filtered)))


class _Choice:
    """Chooses among the indexes for so many rows of so many dimensions."""

    def __init__(self, rows: int, dimensions: int, room: float, recall: float) -> None:
        self._rows = rows
        self._dimensions = dimensions
        self._room = room
        self._graph = _DENSE if rows > _MILLION or recall >= _FINE else HNSW()
        self._reasons: list[str] = []
        self._column = VectorType.HALFVEC if rows > _MILLION else VectorType.VECTOR
        if rows > _MILLION:
            self._note("above a million rows, a halfvec column halves what comparing and re-ranking read")

    def choose(self, writes: float) -> IndexRecommendation:
        """Return the first that fits: a graph of finer, then coarser elements; lists only where none does."""
        most = _WRITERS * _inserts_per_second(self._dimensions)
        indexable = self._dimensions <= VectorType.HALFVEC.max_indexed_dimensions
        if writes > most and indexable:
            self._note(
                f"IVFFlat, because a graph takes about {most:,.0f} rows a second through {_WRITERS} sessions, and "
                f"{writes:,.0f} are written"
            )
            return self._lists()
        quantization = self._finest()
        needed = self._graph_bytes(quantization)
        if needed > self._room and quantization == "none":
            self._note(f"at full precision it would take {_size(needed)}, more than half of the memory")
            quantization, needed = "halfvec", self._graph_bytes("halfvec")
        if needed > self._room and quantization == "halfvec" and self._dimensions >= _LONG:
            self._note(f"as halfvec it would take {_size(needed)}, more than half of the memory")
            quantization, needed = "bit", self._graph_bytes("bit")
        if needed > self._room and indexable:
            self._note(
                f"IVFFlat, because even a graph of {_held(quantization)} ({_size(needed)}) exceeds half of the memory"
            )
            return self._lists()
        if needed > self._room:
            self._note(f"it takes {_size(needed)}, more than half of the memory: searches will wait for the disk")
        return self._built(quantization)

    def _note(self, reason: str) -> None:
        self._reasons.append(reason)

    def _finest(self) -> Quantization:
        """Return the finest that an index can and should hold."""
        if self._dimensions > VectorType.HALFVEC.max_indexed_dimensions:
            self._note(f"bits, because pgvector indexes up to 4,000 dimensions, and these are {self._dimensions:,}")
            return "bit"
        if self._dimensions > VectorType.VECTOR.max_indexed_dimensions:
            self._note(f"halfvec, because pgvector indexes up to 2,000 of vector, and these are {self._dimensions:,}")
            return "halfvec"
        if self._column is VectorType.VECTOR and self._dimensions >= _LONG:
            self._note("halfvec, because it halves the index, and the rows it finds are ordered by full precision")
            return "halfvec"
        return "halfvec" if self._column is VectorType.HALFVEC else "none"

    def _graph_bytes(self, quantization: Quantization) -> int:
        return hnsw_bytes(self._rows, _embedding_bytes(self._dimensions, quantization), self._graph.m)

    def _built(self, quantization: Quantization) -> IndexRecommendation:
        graph = self._graph
        if graph is _DENSE:
            where = "above a million rows" if self._rows > _MILLION else "for a recall of 0.99 and more"
            self._note(f"m={graph.m} and ef_construction={graph.ef_construction}, because 16 and 64 find less {where}")
        else:
            self._note(
                f"m={graph.m} and ef_construction={graph.ef_construction} find about 97 of 100; tune() finds more"
            )
        if quantization == "bit":
            self._note(
                "bits are re-ranked by the embeddings; they suit models whose dimensions are spread about 0: "
                "measure with recall()"
            )
        # What the column holds already is not quantized.
        own = quantization == "halfvec" and self._column is VectorType.HALFVEC
        held: Quantization = "none" if own else quantization
        size = _embedding_bytes(self._dimensions, quantization)
        return IndexRecommendation(
            index=replace(graph, quantization=None if held == "none" else held),
            vector_type=self._column,
            quantization=held,
            index_bytes=hnsw_bytes(self._rows, size, graph.m),
            build_memory=hnsw_build_memory(self._rows, size, graph.m),
            reasons=tuple(self._reasons),
        )

    def _lists(self) -> IndexRecommendation:
        lists = min(32_768, max(1, round(self._rows / 1_000 if self._rows <= _MILLION else math.sqrt(self._rows))))
        size = _embedding_bytes(self._dimensions, "halfvec")
        self._note("a halfvec column, because IVFFlat holds what the column does, in half the size")
        self._note("build it once the rows are there, and again when the data has changed: its lists stay as they were")
        needed = ivfflat_bytes(self._rows, size, lists)
        if needed > self._room:
            self._note("that exceeds half of the memory too, but a list is read from end to end, which disks do well")
        return IndexRecommendation(
            index=IVFFlat(lists=lists),
            vector_type=VectorType.HALFVEC,
            quantization="none",
            index_bytes=needed,
            build_memory=ivfflat_build_memory(size, lists),
            reasons=tuple(self._reasons),
        )


def hnsw_bytes(rows: int, embedding_bytes: int, m: int) -> int:
    """Return the size of an HNSW index: ``HnswElementTupleData`` and ``HnswNeighborTupleData`` of pgvector 0.8.

    An element and its neighbours share a page where both fit; a row is in m / (m - 1) layers, and the lowest
    has twice as many links.
    """
    element = _aligned(72 + embedding_bytes) + _LINE
    neighbours = _aligned(math.ceil(4 + 6 * m * (2 + 1 / (m - 1)))) + _LINE
    together = element + neighbours
    return _PAGE * (math.ceil(rows / (_ROOM // together)) if together <= _ROOM else 2 * rows)


def hnsw_build_memory(rows: int, embedding_bytes: int, m: int) -> int:
    """Return the size of the graph while it is built: the embedding, an element, and 16 bytes for each link."""
    return rows * (embedding_bytes + 130 + 16 * 2 * m)


def ivfflat_bytes(rows: int, embedding_bytes: int, lists: int) -> int:
    """Return the size of an IVFFlat index: its entries, and for each list a page that is half full, and a centre."""
    entry = _aligned(8 + embedding_bytes) + _LINE
    return _PAGE * math.ceil(rows / (_ROOM // entry)) + lists * (_PAGE // 2 + embedding_bytes)


def ivfflat_build_memory(embedding_bytes: int, lists: int) -> int:
    """Return what k-means takes: 50 samples a list, bounds of each to each centre, and between the centres."""
    samples = max(50 * lists, 10_000)
    return samples * (embedding_bytes + 4 * lists) + 8 * lists * lists


def _inserts_per_second(dimensions: int) -> float:
    """Return how many rows one session inserts into a graph: 423 of 768 dimensions were measured."""
    return 1e6 / (1_200 + 1.5 * dimensions)


def _embedding_bytes(dimensions: int, quantization: Quantization) -> int:
    match quantization:
        case "none":
            return 4 * dimensions + 8
        case "halfvec":
            return 2 * dimensions + 8
        case "bit":
            return math.ceil(dimensions / 8) + 8


def _hints(chosen: IndexRecommendation, rows: int, *, filtered: bool) -> list[str]:
    hints: list[str] = []
    if filtered:
        hints.append("give the keys that filters name columns of their own (fields=), with indexes for such searches")
    if filtered and rows > _MILLION:
        hints.append(
            "a filter that keeps neither few rows nor most takes time that grows with the root of the rows: "
            "partition the table by the key that most filters name"
        )
    if chosen.index_bytes > 10 * 1024**3 or rows > 10 * _MILLION:
        hints.append(
            "partition the table, by domain where there are tenants: each partition's index is built, kept in memory "
            "and rebuilt by itself"
        )
    return hints


def _bytes(memory: int | str) -> int:
    """Return *memory* as bytes.

    Raises:
        ConfigError: It is not a size.
    """
    if isinstance(memory, str):
        found = _SIZE.fullmatch(memory.strip())
        size = 0 if found is None else int(float(found["number"]) * _UNITS[found["unit"].lower()])
    else:
        size = memory if isinstance(memory, int) and not isinstance(memory, bool) else 0
    if size <= 0:
        msg = f"memory must be a number of bytes, or a size such as '8GB', not {memory!r}"
        raise ConfigError(msg)
    return size


def _described(index: Index | None) -> str:
    match index:
        case None:
            return "none"
        case HNSW():
            held = "" if index.quantization is None else f", quantization={index.quantization!r}"
            return f"HNSW(m={index.m}, ef_construction={index.ef_construction}{held})"
        case IVFFlat():
            return f"IVFFlat(lists={index.lists})"


def _held(quantization: Quantization) -> str:
    return "bits" if quantization == "bit" else quantization


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1024:  # noqa: PLR2004 - of the next unit
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} TB"


def _aligned(size: int) -> int:
    return -(-size // 8) * 8
