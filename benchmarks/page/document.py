"""What one run of all questions found, as it is written down in ``results.json``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import Figure, Findings, Target

FORMAT: Final = 1
"""Of the file; another number means that figures are called otherwise."""


class Answer:
    """What one question found.

    Attributes:
        question: Its name.
        arguments: What it was asked with.
        seconds: How long it took.
        failed: Why there is no answer; `None` where there is one.
        findings: Its figures, and what a reader must know about them.
        settings: What it was measured with.
    """

    def __init__(self, run: Mapping[str, Any]) -> None:
        self.question: str = run["question"]
        self.arguments: list[str] = run["arguments"]
        self.seconds: float = run["seconds"]
        self.failed: str | None = run["failed"]
        found: Mapping[str, Any] = run["answer"] or {}
        self.findings = Findings.of_json(found.get("figures", ()), found.get("notes", ()))
        self.settings: dict[str, Any] = found.get("settings", {})

    @property
    def figures(self) -> dict[str, Figure]:
        """Its figures by key, in the order in which they were found."""
        return self.findings.figures

    def get(self, key: str) -> Figure | None:
        """Return the figure of that key, `None` where it was not measured."""
        return self.figures.get(key)

    def median(self, key: str) -> float | None:
        """Return the median of the figure of that key, `None` where it was not measured."""
        return figure.median if (figure := self.figures.get(key)) is not None else None

    def starting(self, prefix: str) -> dict[str, Figure]:
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

    def targets(self) -> Iterator[tuple[Answer, Figure, Target]]:
        """Iterate over all targets."""
        for answer in self.answers.values():
            for figure in answer.figures.values():
                for target in figure.targets:
                    yield answer, figure, target


def read(path: Path) -> Document:
    """Return what is written in a file.

    Raises:
        ValueError: It was written by another version of the benchmarks.
    """
    return Document(json.loads(path.read_text()))
