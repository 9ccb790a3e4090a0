"""The demo's own embeddings: hashed words and pieces of words; nothing is downloaded, nothing is learned.

They know spelling, not meaning: texts are near when they share words, or parts of words. That is enough to
try things out. For meaning, name a model with ``--embeddings``.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from langchain_core.embeddings import Embeddings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

DIMENSIONS: Final = 512

_WORD: Final = re.compile(r"[^\W\d_]+|\d+")
_HUMP: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_VOWEL: Final = re.compile(r"[aeiouy]")
_SUFFIXES: Final = ("ings", "ing", "ies", "ied", "ed", "es", "ly", "s", "e", "y")
_STOP_TEXT: Final = """
    a about after all also an and any are as at be been before being between both but by can could did do does
    doing done each either else for from get gets given had has have having he her here his how i if in into is
    it its itself just let like made make may me more most much must my need needed no non not now of off on one
    only onto or other our out over own same self shall should since so some such than that the their them then
    there these they this those through to too two under until up upon us use used uses using very via want was
    way we were what when where whether which while who whose why will with within without would yet you your
"""
_STOP_WORDS: Final = frozenset(_STOP_TEXT.split())
_STOP_WEIGHT: Final = 0.1
# Words that any documentation is full of, and numbers, tell little about what a text is about.
_COMMON_TEXT: Final = """
    argument arguments call called class default example false function given instance list method module name
    new none number object objects parameter parameters return returns set string true type value values
"""
_COMMON_WORDS: Final = frozenset(_COMMON_TEXT.split())
_COMMON_WEIGHT: Final = 0.4
_PAIR_WEIGHT: Final = 0.5
_PIECES_WEIGHT: Final = 0.5
_PIECE: Final = 4
_SPREAD: Final = 8
_SIGN_BIT: Final = 1 << 15
_SHORTEST_STEM: Final = 3


class LexicalEmbeddings(Embeddings):
    """Embeddings of 512 dimensions and length 1, the same for the same text in any process."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one embedding for each text."""
        return [_embed(text).tolist() for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Return the embedding of a question; the same as of a document."""
        return _embed(text).tolist()


def _embed(text: str) -> NDArray[np.float64]:
    words = list(_words(text))
    vector = np.zeros(DIMENSIONS)
    for word, times in Counter(words).items():
        places, weights = _features(word)
        np.add.at(vector, places, weights * (1 + math.log(times)))
    telling = [_stem(word) for word in words if word not in _STOP_WORDS]
    for pair, times in Counter(pairwise(telling)).items():
        places, signs = _spread(f"pair {pair[0]} {pair[1]}")
        np.add.at(vector, places, signs * (_PAIR_WEIGHT * (1 + math.log(times))))
    length = float(np.linalg.norm(vector))
    if length == 0:
        # Cosine distance knows no zero vector; a text without words gets a direction of its own instead.
        places, signs = _spread("no words")
        np.add.at(vector, places, signs)
        length = float(np.linalg.norm(vector))
    return vector / length


def _words(text: str) -> Iterator[str]:
    """Yield the words in lower case; snake_case and CamelCase are taken apart."""
    for run in _WORD.findall(text):
        for word in _HUMP.split(run):
            yield word.lower()


@lru_cache(maxsize=65_536)
def _features(word: str) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return where a word, by its stem and its pieces, goes in the vector, and with what weights."""
    if word in _STOP_WORDS:
        return _weighted(["word " + word], [_STOP_WEIGHT])
    if word in _COMMON_WORDS or word.isdecimal():
        return _weighted(["word " + _stem(word)], [_COMMON_WEIGHT])
    names, weights = ["word " + _stem(word)], [1.0]
    marked = f"<{word}>"
    pieces = [marked[start : start + _PIECE] for start in range(len(marked) - _PIECE + 1)]
    if len(pieces) > 1:
        names += ["piece " + piece for piece in pieces]
        weights += [_PIECES_WEIGHT / math.sqrt(len(pieces))] * len(pieces)
    return _weighted(names, weights)


def _weighted(names: Sequence[str], weights: Sequence[float]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    spread = [_spread(name) for name in names]
    signs = [signs * weight for (_, signs), weight in zip(spread, weights, strict=True)]
    return np.concatenate([places for places, _ in spread]), np.concatenate(signs)


@lru_cache(maxsize=65_536)
def _spread(feature: str) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the dimensions of a feature and its signs there; Python's own ``hash`` differs between processes.

    With one dimension each, two unlike words that fall on the same one would look the same. Spread over
    several, they mostly meet in one of these at most, and hardly resemble each other.
    """
    digest = blake2b(feature.encode("utf-8", "replace"), digest_size=2 * _SPREAD).digest()
    numbers = np.frombuffer(digest, "<u2").astype(np.intp)
    return numbers % DIMENSIONS, np.where(numbers >= _SIGN_BIT, 1.0, -1.0) / math.sqrt(_SPREAD)


def _stem(word: str) -> str:
    """Return *word* without the usual English endings, so that *captured* meets *capturing*."""
    for suffix in _SUFFIXES:
        stem = word.removesuffix(suffix)
        if stem != word and len(stem) >= _SHORTEST_STEM and _VOWEL.search(stem):
            if suffix in {"ing", "ings", "ed"} and stem[-1] == stem[-2] and stem[-1] not in "lsz":
                return stem[:-1]
            return stem
    return word
