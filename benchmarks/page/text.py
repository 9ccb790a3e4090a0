"""RESULTS.md as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from benchmarks.page import markdown
from benchmarks.page.document import Answer, Document
from benchmarks.page.markdown import number, ratio
from benchmarks.page.sections import SECTIONS, SHOWN_WITH, everything
from benchmarks.page.side import overview, setting

_FIRST: Final = (
    "Made by `make bench`; do not edit. Every figure is the median over the repetitions, from one run, in which "
    "everything ran one after the other on one server. [How to read it, and what it does not "
    "say](../docs/explanation/benchmarks.md). The figures themselves, with every repetition, are in "
    "[results.json](results.json), from which `python -m benchmarks results --from benchmarks/results.json` makes this "
    "page and its plots anew."
)


def page(document: Document, plots: Sequence[str]) -> str:
    """Return the page.

    Args:
        document: What was found.
        plots: Names of the plots that there are, which are files in ``plots/``.
    """
    parts: list[str] = ["# What was measured", _FIRST, f"{setting(document)}."]
    if side_by_side := overview(document):
        parts += ["## Side by side", side_by_side]
    shown: set[str] = set()
    for heading, plot, question, section in SECTIONS:
        shown.add(question)
        if (answer := document.answered(question)) is not None and answer.figures:
            picture = [f"![{heading}](plots/{plot}.svg)"] if plot in plots else []
            parts += [f"## {heading}", *picture, *section(document, answer)]
    shown |= {question for question, with_ in SHOWN_WITH.items() if document.answered(with_) is not None}
    for question, answer in document.answers.items():
        if question not in shown and answer.failed is None:
            parts += [f"## {question.replace('_', ' ').capitalize()}", everything(answer)]
    parts += [*_wanted(document), *_how(document), *_notes(document.answers.values())]
    return "\n\n".join(parts) + "\n"


def _wanted(document: Document) -> list[str]:
    """Return how many of the wanted bounds hold, and which do not."""
    judged = [(*each, each[0].findings.met(*each[1:])) for each in document.targets()]
    missed = [each for each in judged if each[3] is False]
    met = sum(each[3] is True for each in judged)
    if not judged:
        return []
    found = f"{met} of {met + len(missed)} bounds that the figures are held against are met"
    if not missed:
        return ["## What was wanted", f"{found}."]
    rows: list[list[str]] = []
    for answer, figure, target, _ in missed:
        relative = answer.findings.ratio(figure, target.against)
        came = number(figure.median, figure.unit) if relative is None else ratio(relative["median"])
        other = answer.get(target.against or "")
        rows.append(
            [
                answer.question,
                figure.what.strip() if other is None else f"{figure.what.strip()}, relative to {other.what.strip()}",
                came,
                markdown.wanted(target, figure.unit),
            ]
        )
    return ["## What was wanted", f"{found}; these are not:", markdown.table(["", "", "is", "wanted"], rows, left=2)]


def _how(document: Document) -> list[str]:
    """Return where, with what and how everything was run."""
    machine, versions = document.machine, document.versions
    run = {
        "started": f"{document.started}, took {document.seconds / 60:.1f} minutes",
        "command": f"`{document.command}`",
        "machine": f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']} "
        f"{machine['architecture']}; load average {machine['load']:.1f} when it began",
        "commit": versions["git"] or "unknown",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items() if name != "git"),
        "the peers' environment": ", ".join(f"{name} {version}" for name, version in document.peers.items())
        or "left out",
        "server": ", ".join(f"{name} = {value}" for name, value in document.server_settings.items()),
    }
    rows: list[list[str]] = []
    for answer in document.answers.values():
        command = f"`{' '.join(['python -m benchmarks', answer.question, *answer.arguments])}`"
        rows.append([command, f"{answer.seconds:.0f} s" if answer.failed is None else "**failed**"])
    return [
        "## How it was run",
        markdown.table(["", ""], [[name, f"{text}"] for name, text in run.items()], left=2),
        markdown.table(["one after the other, each in a process and a database of its own", "took"], rows),
    ]


def _notes(answers: Iterable[Answer]) -> list[str]:
    parts: list[str] = []
    for answer in answers:
        lines = [f"- {note}" for note in dict.fromkeys(answer.findings.notes)]
        if answer.failed is not None:
            lines.append(f"- It **failed**: {answer.failed}")
        if lines:
            parts += [f"### {answer.question}", "\n".join(lines)]
    return ["## Notes", *parts] if parts else []
