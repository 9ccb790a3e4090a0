"""BM25 with what PostgreSQL has built in: the formula, and where its parts come from.

The score of a text *d* for the lexemes *q* of a query (Robertson and Zaragoza, The Probabilistic Relevance
Framework: BM25 and Beyond, 2009) is the sum over them of

    idf(q) · tf · (k1 + 1) / (tf + k1 · (1 - b + b · |d| / mean |d|))

* **tf**, how often the lexeme occurs in the text, no function tells. But ``ts_rank(tsv, q)`` of one lexeme is
  ``0.1 · (6 / π²) · Σ 1/j²`` for j from 1 to tf, where 0.1 is the weight of a position without a label. The rest
  of that series, ``π²/6 - Σ 1/j²``, is the sum of 1/j² from tf + 1 on, which is close to ``1 / (tf + 1/2)``, so
  ``tf ≈ 1 / (π²/6 - (π²/6) · 10 · ts_rank) - c``; with c = 6/π² = 0.607927, not 1/2, a lexeme that does not occur has
  tf = 0, and one that occurs once 0.94, twice 1.92.
* **idf** is ``ln(1 + (N - n + ½) / (n + ½))`` for n of N rows; n is in the statistics that ANALYZE keeps of the
  column, or counted.
* **|d|** is the size of the content in bytes, which PostgreSQL knows without reading a text that is stored apart;
  where there is no content, the number of different lexemes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

SERIES: Final = math.pi**2 / 6
"""Σ 1/j² over all j."""


def inverse_document_frequency(rows: float, total: float) -> float:
    """Return how much a lexeme says that *rows* of *total* rows have; never negative."""
    rows = min(max(rows, 0.0), total)
    return math.log(1 + (total - rows + 0.5) / (rows + 0.5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """What weighing matches needs to know about all texts of a table.

    Attributes:
        rows: How many there are.
        mean_length: Their mean length, in bytes or lexemes.
        frequencies: Lexeme to the share of the rows that have it, of the common lexemes.
        least: The share of the rarest among those.
        background: Mean score of two embeddings picked at random.
        own: Mean score of an embedding with itself, the best that there is.
        known: Whether there are statistics of lexemes at all.
        part: Of the table's rows those whose texts these are, from 0 to 1.
        counted: Lexeme to the rows that have it, of those that were counted since nothing was known of them; only where
            the corpus is of one scope.
    """

    rows: int
    mean_length: float = 1.0
    frequencies: Mapping[str, float] = field(default_factory=dict[str, float])
    least: float = 0.0
    background: float = 0.0
    own: float = 1.0
    known: bool = False
    part: float = 1.0
    counted: dict[str, float] = field(default_factory=dict[str, float])

    def rows_with(self, lexeme: str) -> float:
        """Return about how many rows have *lexeme*; those that ANALYZE does not list are rarer than all it does."""
        if (counted := self.counted.get(lexeme)) is not None:
            return max(1.0, counted)
        share = self.frequencies.get(lexeme)
        return max(1.0, self.rows * (self.least / 2 if share is None else share))

    def prefixed(self, prefix: str) -> float:
        """Return about how many rows have lexemes that begin with *prefix*."""
        shares = [share for lexeme, share in self.frequencies.items() if lexeme.startswith(prefix)]
        return max(1.0, self.rows * min(1.0, sum(shares) or self.least / 2))

    @property
    def half(self) -> float:
        """The BM25 score that is worth one half.

        It is what a text of mean length has that contains, once, one word that no other text contains.
        """
        return math.log1p(max(self.rows, 1))

    def keyword_score(self, bm25: float) -> float:
        """Return a BM25 score as a number from 0 up to, not including, 1, which can be compared across queries."""
        return bm25 / (bm25 + self.half) if bm25 > 0 else 0.0

    def dense_score(self, score: float) -> float:
        """Return a distance's score as a number from 0 to 1: 0 for what is no nearer than a text picked at random.

        Models differ in how similar unlike texts are: by cosine 0.1 with one, 0.7 with another.
        """
        span = self.own - self.background
        if span <= 0 or not math.isfinite(span):
            return min(1.0, max(0.0, score))
        return min(1.0, max(0.0, (score - self.background) / span))
