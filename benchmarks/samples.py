"""The rows that filtered search is measured with: in random order, with random attributes, more of them, wider."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks import corpus
from benchmarks.corpus import Corpus

BASE_ROWS: Final = 50_000
COPY_NOISE: Final = 0.5
WIDE_NOISE: Final = 0.3
ATTRIBUTES: Final = {"half": 2, "tenth": 10, "hundredth": 100, "thousandth": 1_000}
"""Random attributes, and how many values each has: whole numbers from 0, or a truth value where there are two."""

_SEED: Final = 20_260_102
_MORE_QUERIES: Final = 500


def prepare(data: Path | None, sizes: Sequence[int], queries: int) -> Corpus:
    """Return the rows of the greatest size; those of a smaller one are the first of them.

    Args:
        data: Where to read rows from; `None` makes them up.
        sizes: All sizes that are wanted.
        queries: Most queries to keep.
    """
    base = min(BASE_ROWS, *sizes)
    if data is None:
        found = corpus.make(base, queries=max(queries, _MORE_QUERIES))
    else:
        found = shuffled(corpus.read(data, sys.maxsize))
    found = replace(found.part(0, base), queries=found.queries[:queries])
    return attributed(enlarged(found, max(sizes)))


def shuffled(rows: Corpus) -> Corpus:
    """Return *rows* and their queries in random order: files are sorted by what filters ask for."""
    numbers = np.random.default_rng(_SEED)
    order: list[int] = numbers.permutation(len(rows)).tolist()
    return replace(
        rows,
        ids=[rows.ids[position] for position in order],
        contents=[rows.contents[position] for position in order],
        metadatas=[rows.metadatas[position] for position in order],
        vectors=rows.vectors[order],
        queries=numbers.permutation(rows.queries),
    )


def enlarged(rows: Corpus, size: int) -> Corpus:
    """Return *rows* followed by copies of them, up to *size* rows.

    A copy has the text and the metadata of its original, an id of its own, and its embedding after adding
    Gaussian noise of the length `COPY_NOISE`, at unit length again.
    """
    numbers = np.random.default_rng(_SEED + 1)
    origins = np.arange(size) % len(rows)
    vectors = rows.vectors[origins]
    for start in range(len(rows), size, len(rows)):
        vectors[start : start + len(rows)] = noisy(vectors[start : start + len(rows)], COPY_NOISE, numbers)
    return replace(
        rows,
        ids=[
            rows.ids[origin] if position < len(rows) else f"{rows.ids[origin]}~{position // len(rows)}"
            for position, origin in enumerate(origins.tolist())
        ],
        contents=[rows.contents[origin] for origin in origins.tolist()],
        metadatas=[rows.metadatas[origin] for origin in origins.tolist()],
        vectors=vectors,
    )


def attributed(rows: Corpus) -> Corpus:
    """Return *rows* with the random attributes, which have nothing to do with the embeddings."""
    columns: dict[str, list[Any]] = {}
    for number, (name, values) in enumerate(ATTRIBUTES.items()):
        drawn = np.random.default_rng(_SEED + 2 + number).integers(values, size=len(rows))
        columns[name] = (drawn.astype(bool) if values == 2 else drawn).tolist()
    return replace(
        rows,
        metadatas=[
            {**metadata, **{name: column[position] for name, column in columns.items()}}
            for position, metadata in enumerate(rows.metadatas)
        ],
    )


def widened(rows: Corpus, dimensions: int) -> Corpus:
    """Return *rows* with longer embeddings whose distances are nearly those of the given ones.

    They are the given ones in another, random basis of more dimensions, with Gaussian noise of the length
    `WIDE_NOISE` in all of them, at unit length again; so are the queries.
    """
    numbers = np.random.default_rng(_SEED + 10)
    random = numbers.standard_normal((dimensions, rows.dimensions), dtype=np.float32)
    basis = np.linalg.qr(random).Q.T

    def widen(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        return noisy(vectors @ basis, WIDE_NOISE, numbers)

    return replace(rows, vectors=widen(rows.vectors), queries=widen(rows.queries))


def noisy(vectors: NDArray[np.float32], length: float, numbers: np.random.Generator) -> NDArray[np.float32]:
    """Return *vectors* with Gaussian noise of about that length added, at unit length."""
    noise = numbers.standard_normal(vectors.shape, dtype=np.float32)
    return corpus.unit(vectors + noise * np.float32(length / np.sqrt(vectors.shape[1])))
