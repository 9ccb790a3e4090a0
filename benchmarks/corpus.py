"""The rows that are measured with: read from a directory, or made up."""

from __future__ import annotations

import gzip
import random
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

_SEED = 20_260_101
_CLUSTERS = 200
_LANGUAGES = ("en", "de", "es", "ko", "fr", "pt", "zh", "it")
_PLATFORMS = ("common", "linux", "osx")


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Rows with their embeddings, and queries of the same kind that are not among them.

    Attributes:
        name: Where it comes from.
        ids: n ids.
        contents: n texts.
        metadatas: n JSON objects.
        vectors: Shape ``(n, d)``, float32, unit length.
        queries: Shape ``(q, d)``, likewise.
    """

    name: str
    ids: list[str]
    contents: list[str]
    metadatas: list[dict[str, Any]]
    vectors: NDArray[np.float32]
    queries: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dimensions(self) -> int:
        """Length of the embeddings."""
        return self.vectors.shape[1]

    def part(self, start: int, stop: int) -> Corpus:
        """Return the rows from *start* up to, not including, *stop*, with all queries."""
        return replace(
            self,
            ids=self.ids[start:stop],
            contents=self.contents[start:stop],
            metadatas=self.metadatas[start:stop],
            vectors=self.vectors[start:stop],
        )

    def revised(self, revision: int) -> Corpus:
        """Return the same ids with another text, other metadata and another embedding in every row."""
        return replace(
            self,
            contents=[f"{text} (revision {revision})" for text in self.contents],
            metadatas=[{**metadata, "revision": revision} for metadata in self.metadatas],
            vectors=np.roll(self.vectors, revision, axis=1),
        )

    @cached_property
    def lists(self) -> list[list[float]]:
        """The embeddings as the frameworks' embedding models return them."""
        return self.vectors.tolist()

    def nearest(self, k: int) -> list[frozenset[str]]:
        """Return, for each query, the ids of the k nearest rows by cosine, computed exactly."""
        found: list[frozenset[str]] = []
        for query in self.queries:
            best = np.argpartition(self.vectors @ query, -k)[-k:]
            found.append(frozenset(self.ids[position] for position in best))
        return found


def recall(truth: list[frozenset[str]], answers: list[list[str]]) -> float:
    """Return the share of the true nearest rows that *answers* hold, over all queries."""
    hits = sum(len(true.intersection(answer)) for true, answer in zip(truth, answers, strict=True))
    return hits / sum(map(len, truth))


def read(directory: Path, rows: int) -> Corpus:
    """Return the first *rows* rows of a directory.

    It holds ``corpus.jsonl.gz`` (id, content, metadata; one JSON object a line), ``vectors.f16.npy`` in
    the same order, and ``queries.f16.npy``.
    """
    with gzip.open(directory / "corpus.jsonl.gz", "rb") as lines:
        entries = [orjson.loads(line) for _, line in zip(range(rows), lines, strict=False)]
    vectors = np.load(directory / "vectors.f16.npy", mmap_mode="r")[: len(entries)]
    return Corpus(
        name=directory.name,
        ids=[entry["id"] for entry in entries],
        contents=[entry["content"] for entry in entries],
        metadatas=[entry["metadata"] for entry in entries],
        vectors=unit(vectors),
        queries=unit(np.load(directory / "queries.f16.npy")),
    )


def make(rows: int, dimensions: int = 384, queries: int = 500) -> Corpus:
    """Return rows whose embeddings are Gaussian around cluster centres, the same at every call."""
    numbers = np.random.default_rng(_SEED)
    words = random.Random(_SEED)
    vocabulary = ["".join(words.choices("abcdefghijklmnoprstuvwz", k=words.randint(2, 9))) for _ in range(4000)]
    centres = numbers.standard_normal((_CLUSTERS, dimensions))
    clusters = numbers.integers(_CLUSTERS, size=rows + queries)
    points = unit(centres[clusters] + 0.9 * numbers.standard_normal((rows + queries, dimensions)))
    return Corpus(
        name="synthetic",
        ids=[f"doc:{position // 8}:{position % 8}" for position in range(rows)],
        contents=[" ".join(words.choices(vocabulary, k=words.randint(40, 120))) for _ in range(rows)],
        metadatas=[
            {
                "source": f"source-{cluster % 5}",
                "language": _LANGUAGES[cluster % len(_LANGUAGES)],
                "platform": _PLATFORMS[cluster // 8 % len(_PLATFORMS)],
                "title": f"{vocabulary[position % 4000]} {position}",
                "year": 1990 + position % 35,
                "chunk": position % 8,
            }
            for position, cluster in enumerate(clusters[:rows].tolist())
        ],
        vectors=points[:rows],
        queries=points[rows:],
    )


def unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Return *vectors* as float32 of unit length, which half precision has lost a little of."""
    full = np.asarray(vectors, np.float32)
    return full / np.linalg.norm(full, axis=1, keepdims=True)
