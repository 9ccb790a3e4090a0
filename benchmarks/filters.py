"""The filters that are asked for, with values chosen from the rows, and which rows pass them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.corpus import Corpus
from benchmarks.samples import ATTRIBUTES

Condition = dict[str, Any]
"""A filter in the engine's own language."""

Kind = Literal["none", "uncorrelated", "correlated"]

_FRESH: Final = 12
_WORD: Final = re.compile(r"\b[a-z]{5,12}\b")
_RARE: Final = 0.001


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A filter that is measured.

    Attributes:
        key: What its figures are called by.
        title: What it is, for a reader.
        kind: Whether passing it has to do with the embedding.
        filter: The filter.
        fresh: Other filters of the same shape, which nothing else asks for.
    """

    key: str
    title: str
    kind: Kind
    filter: Condition | None
    fresh: list[Condition] = field(default_factory=list[Condition])


def ask(rows: Corpus) -> list[Asked]:
    """Return the filters for *rows*."""
    none = Asked(key="none", title="none", kind="none", filter=None)
    return [none, *_random(), *_languages(rows), *_sources(rows), *_others(rows)]


def mask(filter: Condition | None, rows: Corpus) -> NDArray[np.bool_]:
    """Return which of *rows* pass *filter*, computed without any of the engine."""
    passing = np.ones(len(rows), bool)
    for key, condition in (filter or {}).items():
        values = rows.contents if key == "$content" else [metadata.get(key) for metadata in rows.metadatas]
        passing &= np.fromiter(map(_test(condition), values), bool, len(rows))
    return passing


def _test(condition: Any) -> Callable[[Any], bool]:
    if not isinstance(condition, Mapping):
        return lambda value: type(value) is type(condition) and value == condition
    if "$in" in condition:
        return lambda value: value in condition["$in"]
    if "$contains" in condition:
        return lambda value: condition["$contains"] in value
    low, high = condition["$gte"], condition["$lte"]
    return lambda value: value is not None and low <= value <= high


def _random() -> list[Asked]:
    """Return filters on the random attributes."""
    asked: list[Asked] = []
    for name, values in ATTRIBUTES.items():
        chosen, *others = (True, False) if values == 2 else (3, *(value for value in range(values) if value != 3))
        asked.append(
            Asked(
                key=name,
                title=f"{name} = {chosen}, {100 / values:g} % at random",
                kind="uncorrelated",
                filter={name: chosen},
                fresh=[{name: value} for value in others[:_FRESH]],
            )
        )
    return asked


def _languages(rows: Corpus) -> list[Asked]:
    counts = _counts(rows, "language")
    most, large, small = (_take(counts, len(rows), share) for share in (1.0, 0.11, 0.015))
    some = _take(counts, len(rows), 0.04)
    rest = [value for value, _ in counts.most_common()]
    near_large, near_small = rest[:3], rest[3 : 3 + _FRESH] or rest
    asked = [
        Asked(key=key, title=f"language = {value}", kind="correlated", filter={"language": value}, fresh=_each(fresh))
        for key, value, fresh in (
            ("language.small", small, near_small),
            ("language.large", large, near_large),
            ("language.most", most, []),
        )
    ]
    pairs = list(combinations(rest or [small, some], 2))[:_FRESH]
    asked.append(
        Asked(
            key="languages",
            title=f"language in {some}, {large}",
            kind="correlated",
            filter={"language": {"$in": [some, large]}},
            fresh=[{"language": {"$in": list(pair)}} for pair in pairs],
        )
    )
    return [*asked, _with_platform(rows, large)]


def _with_platform(rows: Corpus, language: Any) -> Asked:
    both = [(metadata.get("language"), metadata.get("platform")) for metadata in rows.metadatas]
    counts = Counter(pair for pair in both if pair[1] is not None)
    chosen = next(pair for pair, _ in counts.most_common() if pair[0] == language)
    others = [pair for pair, _ in counts.most_common() if pair != chosen]
    return Asked(
        key="language.platform",
        title=f"language = {chosen[0]}, platform = {chosen[1]}",
        kind="correlated",
        filter={"language": chosen[0], "platform": chosen[1]},
        fresh=[{"language": language, "platform": platform} for language, platform in others[:_FRESH]],
    )


def _sources(rows: Corpus) -> list[Asked]:
    """Return the hard middle: filters that keep a good part of the rows, which lie together."""
    counts = _counts(rows, "source")
    middle = _take(counts, len(rows), 0.36)
    most = _take(counts, len(rows), 0.64) if counts else middle
    of_middle = [metadata for metadata in rows.metadatas if metadata.get("source") == middle]
    if not any("year" in metadata for metadata in of_middle):
        of_middle = rows.metadatas
    (low, high), *others = _windows(of_middle, len(rows), 0.09)
    (early, late), *windows = _windows(rows.metadatas, len(rows), 0.12)
    return [
        *(
            Asked(key=f"source.{key}", title=f"source = {value}", kind="correlated", filter={"source": value})
            for key, value in (("middle", middle), ("most", most))
        ),
        Asked(
            key="source.year",
            title=f"source = {middle}, year {low} to {high}",
            kind="correlated",
            filter={"source": middle, "year": {"$gte": low, "$lte": high}},
            fresh=[{"source": middle, "year": {"$gte": a, "$lte": b}} for a, b in others],
        ),
        Asked(
            key="year",
            title=f"year {early} to {late}",
            kind="correlated",
            filter={"year": {"$gte": early, "$lte": late}},
            fresh=[{"year": {"$gte": a, "$lte": b}} for a, b in windows],
        ),
    ]


def _others(rows: Corpus) -> list[Asked]:
    common, rare = _words(rows, 0.02), _words(rows, _RARE / 2)
    return [
        Asked(
            key="nothing",
            title="language = none there is",
            kind="correlated",
            filter={"language": "none there is"},
            fresh=_each([f"none there is {number}" for number in range(_FRESH)]),
        ),
        *(
            Asked(
                key=f"content.{key}",
                title=f"content contains {words[0]!r}",
                kind="correlated",
                filter={"$content": {"$contains": words[0]}},
                fresh=[{"$content": {"$contains": word}} for word in words[1:]],
            )
            for key, words in (("common", common), ("rare", rare))
        ),
    ]


def _each(languages: list[Any]) -> list[Condition]:
    return [{"language": value} for value in languages]


def _counts(rows: Corpus, key: str) -> Counter[Any]:
    return Counter(metadata[key] for metadata in rows.metadatas if metadata.get(key) is not None)


def _take(counts: Counter[Any], rows: int, share: float) -> Any:
    """Take out, and return, the value which nearest to that share of the rows has."""
    chosen = min(counts, key=lambda value: abs(counts[value] / rows - share))
    del counts[chosen]
    return chosen


def _windows(metadatas: list[dict[str, Any]], rows: int, share: float) -> list[tuple[int, int]]:
    """Return ranges of years that about that share of the rows is in, the nearest to it first."""
    counts = Counter(metadata["year"] for metadata in metadatas if metadata.get("year") is not None)
    ranges = combinations(sorted(counts), 2)

    def miss(window: tuple[int, int]) -> float:
        return abs(sum(counts[year] for year in counts if window[0] <= year <= window[1]) / rows - share)

    return sorted(ranges, key=miss)[: _FRESH + 1]


def _words(rows: Corpus, share: float) -> list[str]:
    """Return words that about that share of the contents holds, also inside of other words; the nearest first."""
    counts: Counter[str] = Counter()
    for content in rows.contents:
        counts.update(set(_WORD.findall(content)))
    wanted = share * len(rows)
    candidates = sorted(counts, key=lambda word: (abs(counts[word] - wanted), word))[: 3 * _FRESH]
    holding = {word: sum(word in content for content in rows.contents) for word in candidates}
    most = _RARE * len(rows) if share < _RARE else len(rows)
    fitting = [word for word in candidates if holding[word] < most] or candidates
    return sorted(fitting, key=lambda word: (abs(holding[word] - wanted), word))[: _FRESH + 1]
