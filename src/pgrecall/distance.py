"""Distances: the operator, the operator class and the score of each, in one place.

An index serves a query only where operator and operator class belong together, and a score is right
only where it is made from the distance that ordered the rows. All three come from the same member here.
"""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING, Final, LiteralString

from pgrecall.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


class VectorType(enum.StrEnum):
    """Column types that hold an embedding."""

    VECTOR = "vector"
    HALFVEC = "halfvec"
    BIT = "bit"

    @classmethod
    def parse(cls, name: str | VectorType) -> VectorType:
        """Return the member for *name*.

        Raises:
            ConfigError: The name is not known.
        """
        try:
            return cls(name)
        except ValueError:
            known = ", ".join(member.value for member in cls)
            msg = f"vector type {name!r} is not known; use one of {known}"
            raise ConfigError(msg) from None

    @property
    def max_dimensions(self) -> int:
        """Most dimensions that a column of this type can have."""
        return 64_000 if self is VectorType.BIT else 16_000

    @property
    def max_indexed_dimensions(self) -> int:
        """Most dimensions that pgvector's HNSW and IVFFlat index (limits of pgvector 0.8)."""
        return {VectorType.VECTOR: 2_000, VectorType.HALFVEC: 4_000, VectorType.BIT: 64_000}[self]


class Distance(enum.StrEnum):
    """How far apart two embeddings are.

    `score` turns a distance into a number of which higher is better: cosine ``1 - d`` (in [-1, 1]),
    L2, L1 and Hamming ``1 / (1 + d)`` (in (0, 1]), inner product its raw value, Jaccard ``1 - d``.
    """

    COSINE = "cosine"
    L2 = "l2"
    INNER_PRODUCT = "inner_product"
    L1 = "l1"
    HAMMING = "hamming"
    JACCARD = "jaccard"

    @classmethod
    def parse(cls, name: str | Distance) -> Distance:
        """Return the member for *name*, which may be one of the field's usual synonyms.

        Raises:
            ConfigError: The name is not known.
        """
        key = str(name).lower().replace("-", "_").replace(" ", "_")
        try:
            return cls(_SYNONYMS.get(key, key))
        except ValueError:
            known = ", ".join(member.value for member in cls)
            msg = f"distance {name!r} is not known; use one of {known}"
            raise ConfigError(msg) from None

    @property
    def operator(self) -> LiteralString:
        """The operator between two embeddings, without its schema."""
        return _OPERATOR[self]

    def operator_class(self, vector_type: VectorType) -> LiteralString:
        """The operator class with which an index serves `operator` on *vector_type*.

        Raises:
            ConfigError: This distance is not defined on that type.
        """
        self.check_type(vector_type)
        return _OPERATOR_CLASS[vector_type, self]

    def is_defined_on(self, vector_type: VectorType) -> bool:
        """Whether pgvector has this distance on *vector_type*."""
        return (vector_type, self) in _OPERATOR_CLASS

    def check_type(self, vector_type: VectorType) -> None:
        """Raise `ConfigError` where this distance is not defined on *vector_type*."""
        if not self.is_defined_on(vector_type):
            fitting = ", ".join(distance.value for distance in Distance if distance.is_defined_on(vector_type))
            msg = f"distance {self.value!r} is not defined on {vector_type.value} columns; use one of {fitting}"
            raise ConfigError(msg)

    def score(self, distance: float) -> float:
        """Return the score of *distance*; higher is better."""
        if self in (Distance.COSINE, Distance.JACCARD):
            return 1.0 - distance
        if self is Distance.INNER_PRODUCT:
            # pgvector's <#> is the negative inner product, so that ascending order is best first.
            return -distance
        return 1.0 / (1.0 + distance)

    def distance_of(self, score: float) -> float:
        """Return a distance that nothing with at least this *score* exceeds: the inverse of `score`.

        It is a little larger than the inverse, whose rounding would leave out what lies on the border.
        """
        if self in (Distance.COSINE, Distance.JACCARD):
            distance = 1.0 - score
        elif self is Distance.INNER_PRODUCT:
            distance = -score
        else:
            distance = math.inf if score <= 0 else 1.0 / score - 1.0
        return distance + 1e-12 * (1.0 + abs(distance))


_SYNONYMS: Final[Mapping[str, str]] = {
    "cosine_distance": "cosine",
    "cos": "cosine",
    "euclidean": "l2",
    "euclid": "l2",
    "l2_distance": "l2",
    "ip": "inner_product",
    "dot": "inner_product",
    "dotproduct": "inner_product",
    "dot_product": "inner_product",
    "max_inner_product": "inner_product",
    "manhattan": "l1",
    "l1_distance": "l1",
}

_OPERATOR: Final[Mapping[Distance, LiteralString]] = {
    Distance.COSINE: "<=>",
    Distance.L2: "<->",
    Distance.INNER_PRODUCT: "<#>",
    Distance.L1: "<+>",
    Distance.HAMMING: "<~>",
    Distance.JACCARD: "<%>",
}

_OPERATOR_CLASS: Final[Mapping[tuple[VectorType, Distance], LiteralString]] = {
    (VectorType.VECTOR, Distance.COSINE): "vector_cosine_ops",
    (VectorType.VECTOR, Distance.L2): "vector_l2_ops",
    (VectorType.VECTOR, Distance.INNER_PRODUCT): "vector_ip_ops",
    (VectorType.VECTOR, Distance.L1): "vector_l1_ops",
    (VectorType.HALFVEC, Distance.COSINE): "halfvec_cosine_ops",
    (VectorType.HALFVEC, Distance.L2): "halfvec_l2_ops",
    (VectorType.HALFVEC, Distance.INNER_PRODUCT): "halfvec_ip_ops",
    (VectorType.HALFVEC, Distance.L1): "halfvec_l1_ops",
    (VectorType.BIT, Distance.HAMMING): "bit_hamming_ops",
    (VectorType.BIT, Distance.JACCARD): "bit_jaccard_ops",
}
