"""Measures, methods and their arguments, and what each is to the engine."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from pgrecall.config import HNSW, Index, IVFFlat
from pgrecall.distance import Distance
from pgrecall.vecs.exc import ArgError, translated

_MILLION = 1_000_000
_LEAST_LISTS = 30


class IndexMethod(enum.StrEnum):
    """Kinds of indexes; ``auto`` is HNSW."""

    auto = "auto"
    ivfflat = "ivfflat"
    hnsw = "hnsw"


class IndexMeasure(enum.StrEnum):
    """How far apart two vectors are, for indexes and for queries."""

    cosine_distance = "cosine_distance"
    l2_distance = "l2_distance"
    max_inner_product = "max_inner_product"
    l1_distance = "l1_distance"

    @classmethod
    def of(cls, measure: IndexMeasure | str) -> IndexMeasure:
        """Return the measure of this name.

        Raises:
            ArgError: There is none.
        """
        try:
            return cls(measure)
        except ValueError:
            msg = f"measure must be one of {[member.value for member in cls]}, not {measure!r}"
            raise ArgError(msg) from None

    @property
    def distance(self) -> Distance:
        """The same, as the engine calls it."""
        return Distance.parse(self.value)


@dataclass
class IndexArgsIVFFlat:
    """Arguments of an IVFFlat index.

    Attributes:
        n_lists: Number of cells.
    """

    n_lists: int


@dataclass
class IndexArgsHNSW:
    """Arguments of an HNSW index; `None` is the default.

    Attributes:
        m: Links of a node.
        ef_construction: Candidates looked at for a new node.
    """

    m: int | None = 16
    ef_construction: int | None = 64


IndexArguments = IndexArgsIVFFlat | IndexArgsHNSW


def checked_method(method: IndexMethod | str, arguments: IndexArguments | None) -> IndexMethod:
    """Return the method, if the arguments are of its kind.

    Raises:
        ArgError: They are not, or there is no such method.
    """
    try:
        chosen = IndexMethod(method)
    except ValueError:
        msg = f"method must be one of {[member.value for member in IndexMethod]}, not {method!r}"
        raise ArgError(msg) from None
    wanted = {IndexMethod.hnsw: IndexArgsHNSW, IndexMethod.ivfflat: IndexArgsIVFFlat}
    if arguments is not None and not isinstance(arguments, wanted.get(chosen, ())):
        fitting = {IndexArgsHNSW: "hnsw", IndexArgsIVFFlat: "ivfflat"}.get(type(arguments))
        hint = "" if fitting is None else f"; pass method={fitting!r}"
        msg = f"index_arguments of type {type(arguments).__name__} do not go with method={chosen.value!r}{hint}"
        raise ArgError(msg)
    return chosen


def as_index(method: IndexMethod, arguments: IndexArguments | None, rows: int) -> Index:
    """Return the index as the engine knows it.

    Without arguments an IVFFlat index of n rows has max(n / 1000, 30) lists, and the square root of n from a
    million on.

    Raises:
        ArgError: An argument is out of range.
    """
    with translated():
        if isinstance(arguments, IndexArgsIVFFlat):
            return IVFFlat(lists=arguments.n_lists)
        if method is IndexMethod.ivfflat:
            return IVFFlat(lists=max(rows // 1_000, _LEAST_LISTS) if rows < _MILLION else math.isqrt(rows))
        given = arguments or IndexArgsHNSW()
        return HNSW(m=given.m or 16, ef_construction=given.ef_construction or 64)
