import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pgrecall.cli.output import cell, shortened, size, to_json
from pgrecall.distance import Distance
from pgrecall.records import Match


@dataclass(frozen=True, slots=True)
class Inner:
    name: str


@dataclass(frozen=True, slots=True)
class Outer:
    parts: tuple[Inner, ...]
    by_name: dict[int, Inner]


def test_json_has_all_that_the_engine_returns():
    value = {
        "outer": Outer((Inner("a"),), {1: Inner("b")}),
        "distance": Distance.COSINE,
        "vector": np.array([0.5, 1.0], np.float32),
        "half": np.array([0.5], np.float16),
        "nan": float("nan"),
        "at": datetime(2026, 1, 2, tzinfo=UTC),
        "id": uuid.UUID(int=1),
        "set": {"b", "a"},
        "other": object,
        "long": [2**64, -(2**70)],
        "file": [Path("\udcff"), "\udcff"],
    }
    assert json.loads(to_json(value)) == {
        "outer": {"parts": [{"name": "a"}], "by_name": {"1": {"name": "b"}}},
        "distance": "cosine",
        "vector": [0.5, 1.0],
        "half": [0.5],
        "nan": None,
        "at": "2026-01-02T00:00:00+00:00",
        "id": "00000000-0000-0000-0000-000000000001",
        "set": ["a", "b"],
        "other": "<class 'object'>",
        "long": [2**64, -(2**70)],
        "file": ["\\udcff", "\\udcff"],
    }


def test_json_of_a_match_is_all_of_it():
    match = Match(id="a", score=1.0, distance=float("nan"), content=None, metadata={"n": 1})

    assert json.loads(to_json(match))["metadata"] == {"n": 1}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "yes"),
        (12_345, "12,345"),
        (0.123456, "0.1235"),
        (float("nan"), ""),
        ("text", "text"),
        ({"a": [1]}, '{"a":[1]}'),
        (Distance.L2, "l2"),
    ],
)
def test_cells_are_for_people(value, shown):
    assert cell(value) == shown


@pytest.mark.parametrize(
    ("text", "short"), [("a\n b", "a b"), ("abcdef", "abcdef"), ("abcdefg", "abcde…"), ("a" * 99, "aaaaa…")]
)
def test_a_long_text_is_shortened_to_one_line(text, short):
    assert shortened(text, 6) == short


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 kB"), (5 << 30, "5.0 GB"), (3 << 50, "3072.0 TB")]
)
def test_sizes_are_for_people(count, shown):
    assert size(count) == shown
