"""Brute force with NumPy: what every search is compared with."""

from itertools import pairwise

import numpy as np

from pgrecall import Distance, RecordBatch

COLOURS = ("red", "green", "blue", "black")


def distances(matrix, query, distance):
    """Return the distance of every row of *matrix* from *query*, as pgvector defines it."""
    rows, one = np.asarray(matrix, np.float64), np.asarray(query, np.float64)
    match distance:
        case Distance.COSINE:
            return 1 - rows @ one / (np.linalg.norm(rows, axis=1) * np.linalg.norm(one))
        case Distance.L2:
            return np.linalg.norm(rows - one, axis=1)
        case Distance.INNER_PRODUCT:
            return -(rows @ one)
        case Distance.L1:
            return np.abs(rows - one).sum(axis=1)
        case Distance.HAMMING:
            return (rows != one).sum(axis=1).astype(float)
        case Distance.JACCARD:
            both = (rows * one).sum(axis=1)
            return 1 - both / np.maximum(rows.sum(axis=1) + one.sum() - both, 1)


class Corpus:
    """Rows with metadata: what is written, and what is asked of it.

    Args:
        rows: How many.
        dimensions: Length of the embeddings.
        distance: How they are compared.
        vector_type: ``vector``, ``halfvec`` or ``bit``.
    """

    def __init__(self, rows=1_500, dimensions=16, distance=Distance.COSINE, vector_type="vector"):
        self.distance = Distance(distance)
        self.vector_type = vector_type
        self.dimensions = dimensions
        self.matrix = self.draw(rows, seed=20_240_229)
        self.ids = [f"r{number:05}" for number in range(rows)]
        self.metadatas = [
            {"number": n, "half": n % 2, "tenth": n % 10, "colour": COLOURS[n % 4], "rare": n % 500 == 0}
            for n in range(rows)
        ]

    def draw(self, rows, seed=1):
        """Return *rows* embeddings as the column will hold them, the same ones in whatever order tests run."""
        rng = np.random.default_rng(seed)
        if self.vector_type == "bit":
            return rng.integers(0, 2, (rows, self.dimensions)).astype(np.uint8)
        drawn = rng.normal(size=(rows, self.dimensions)).astype(np.float32)
        return drawn.astype(np.float16).astype(np.float32) if self.vector_type == "halfvec" else drawn

    def query(self):
        return self.draw(1)[0]

    def batch(self):
        return RecordBatch(
            embeddings=self.matrix, ids=self.ids, contents=[f"text {i}" for i in self.ids], metadatas=self.metadatas
        )

    def check(self, matches, query, k, *, keep=None, recall=1.0):
        """Hold *matches* against brute force.

        There must be min(k, passing rows) of them, distinct, in order, each with its own distance, score and
        metadata, each passing *keep*, and at least the share *recall* of them no farther than the true k-th.
        """
        every = distances(self.matrix, query, self.distance)
        passing = [n for n in range(len(self.ids)) if keep is None or keep(self.metadatas[n])]
        best = np.sort(every[passing])[:k]
        found = [int(match.id[1:]) for match in matches]
        tolerance = 1e-3 if self.vector_type == "halfvec" else 1e-5
        assert len(found) == len(set(found)) == min(k, len(passing))
        assert set(found) <= set(passing)
        assert [match.metadata for match in matches] == [self.metadatas[n] for n in found]
        assert np.allclose([match.distance for match in matches], every[found], atol=tolerance, rtol=tolerance)
        # An HNSW index under cosine orders by normalised vectors, which may round the other way.
        assert all(a.distance <= b.distance + 1e-6 for a, b in pairwise(matches))
        assert [match.score for match in matches] == [self.distance.score(match.distance) for match in matches]
        if found:
            near_enough = every[found] <= best[-1] + tolerance * max(1, abs(best[-1]))
            assert near_enough.mean() >= recall
