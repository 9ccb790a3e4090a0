"""What one run of all questions found, as it is written down in ``results.json``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FORMAT: Final = 1
"""Of the file; another number means that figures are called otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What a figure, or its ratio to another, should be; see `benchmarks.figures.Target`.

    Attributes:
        bound: The bound.
        at_least: Whether more is better.
        against: Key of the other figure; `None` for the figure itself.
        ratio: Median ratio to the other figure; `None` where there is none.
        met: Whether it is met; `None` where the other figure is missing.
    """

    bound: float
    at_least: bool
    against: str | None
    ratio: float | None
    met: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One figure; see `benchmarks.figures.Figure`.

    Attributes:
        key: What other figures call it.
        what: What was measured, for a reader.
        unit: Of the values.
        median: Over the repetitions.
        least: The least of them.
        most: The greatest of them.
        against: Key of the figure that it is shown relative to.
        ratio: Median ratio to that; `None` where there is none.
        bounds: What it should be.
        note: How it was measured, where that is not the same for all.
    """

    key: str
    what: str
    unit: str
    median: float
    least: float
    most: float
    against: str | None
    ratio: float | None
    bounds: tuple[Bound, ...]
    note: str


class Answer:
    """What one question found.

    Attributes:
        question: Its name.
        arguments: What it was asked with.
        seconds: How long it took.
        failed: Why there is no answer; `None` where there is one.
        figures: By key, in the order in which they were found.
        notes: What a reader must know about them.
        settings: What it was measured with.
    """

    def __init__(self, run: Mapping[str, Any]) -> None:
        self.question: str = run["question"]
        self.arguments: list[str] = run["arguments"]
        self.seconds: float = run["seconds"]
        self.failed: str | None = run["failed"]
        found: Mapping[str, Any] = run["answer"] or {}
        self.figures = {each["key"]: _measured(each) for each in found.get("figures", ())}
        self.notes: list[str] = found.get("notes", [])
        self.settings: dict[str, Any] = found.get("settings", {})

    def get(self, key: str) -> Measured | None:
        """Return the figure of that key, `None` where it was not measured."""
        return self.figures.get(key)

    def median(self, key: str) -> float | None:
        """Return the median of the figure of that key, `None` where it was not measured."""
        return figure.median if (figure := self.figures.get(key)) is not None else None

    def starting(self, prefix: str) -> dict[str, Measured]:
        """Return the figures whose key begins with *prefix*, by what comes behind it."""
        return {key.removeprefix(prefix): each for key, each in self.figures.items() if key.startswith(prefix)}


class Document:
    """Everything that one run found.

    Attributes:
        command: What it was started with, without directories of the machine.
        started: When, in ISO 8601, UTC.
        seconds: How long it took.
        peers: Versions in the peers' environment; empty where they were left out.
        versions: Of what was measured, and what it stands on.
        machine: What it ran on.
        server_settings: PostgreSQL's.
        answers: By question.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        if content.get("format") != FORMAT:
            raise ValueError(
                f"format {content.get('format')!r} was found where {FORMAT} was expected: measure again with "
                "python -m benchmarks results"
            )
        self.command: str = content["command"]
        self.started: str = content["started"]
        self.seconds: float = content["seconds"]
        self.peers: dict[str, str] = content["peers"]
        self.versions: dict[str, str] = content["versions"]
        self.machine: dict[str, Any] = content["machine"]
        self.server_settings: dict[str, str] = content["server_settings"]
        self.answers = {run["question"]: Answer(run) for run in content["runs"]}

    def answered(self, question: str) -> Answer | None:
        """Return the answer to a question; `None` where it was not asked, or has none."""
        answer = self.answers.get(question)
        return answer if answer is not None and answer.failed is None else None

    def judged(self) -> Iterator[tuple[Answer, Measured, Bound]]:
        """Iterate over all bounds whose figures are there."""
        for answer in self.answers.values():
            for figure in answer.figures.values():
                for bound in figure.bounds:
                    if bound.met is not None:
                        yield answer, figure, bound


def read(path: Path) -> Document:
    """Return what is written in a file.

    Raises:
        ValueError: It was written by another version of the benchmarks.
    """
    return Document(json.loads(path.read_text()))


def _measured(each: Mapping[str, Any]) -> Measured:
    return Measured(
        key=each["key"],
        what=each["what"].strip(),
        unit=each["unit"],
        median=each["median"],
        least=each["min"],
        most=each["max"],
        against=each["against"],
        ratio=each["ratio"] and each["ratio"]["median"],
        bounds=tuple(
            Bound(
                bound=target["bound"],
                at_least=target["at_least"],
                against=target["against"],
                ratio=target["ratio"] and target["ratio"]["median"],
                met=target["met"],
            )
            for target in each["targets"]
        ),
        note=each["note"],
    )
