"""How does everything compare, in one run? Writes RESULTS.md with its plots, and the figures as results.json.

Asks a selection of the other questions one after the other on one server, and makes tables and plots from what
they write. The page is made from results.json alone: ``--from`` makes it anew without measuring.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Final

from benchmarks import suite
from benchmarks.page import charts, side, text
from benchmarks.page.document import Document, read
from benchmarks.peers import environment

_HERE: Final = Path(__file__).parent
_ROWS: Final = 50_000
_LEAST_ROWS: Final = 2_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of this question."""
    parser.add_argument(
        "--data", type=_directory, metavar="DIR", help="rows to measure with; a corpus is made up without it"
    )
    parser.add_argument(
        "--judged", type=_directory, metavar="DIR", help="test collection with known answers; a small one is made up"
    )
    parser.add_argument(
        "--rows", type=_enough, default=_ROWS, help=f"how many rows are searched ({_ROWS:,}); all sizes follow it"
    )
    parser.add_argument("--repeats", type=int, default=3, help="repetitions of each measurement (3)")
    parser.add_argument("--only", nargs="+", choices=list(suite.QUESTIONS), help="questions to ask instead of all")
    parser.add_argument("--url", help="a server to use instead of an embedded one; databases are made on it")
    parser.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="FILE",
        help="a results.json to make the page from, measuring nothing",
    )
    parser.add_argument(
        "--to", type=Path, default=_HERE, metavar="DIR", help="where RESULTS.md and its plots go (benchmarks)"
    )
    environment.add_arguments(parser)


def main(options: argparse.Namespace) -> int:
    """Measure unless told not to, and write the page."""
    if options.source is not None:
        document = read(options.source)
    else:
        try:
            found = suite.run(options)
        except RuntimeError as error:
            print(f"{error}\nNothing was measured; --no-peers leaves the peers out.")
            return 1
        options.to.mkdir(parents=True, exist_ok=True)
        (options.to / "results.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        document = Document(found)
    write(document, options.to)
    print(f"\n{side.setting(document)}\n\n{side.overview(document)}\n")
    print(f"wrote {options.to / 'RESULTS.md'}, after {document.seconds / 60:.1f} minutes")
    return _complain(document)


def write(document: Document, directory: Path) -> None:
    """Write RESULTS.md and its plots into a directory."""
    plots = charts.draw(document, directory / "plots")
    (directory / "RESULTS.md").write_text(text.page(document, plots))


def _complain(document: Document) -> int:
    """Say what is missing; return 1 where something is."""
    failed = [f"{name} failed: {answer.failed}" for name, answer in document.answers.items() if answer.failed]
    failed += [
        f"{name}: {note}"
        for name, answer in document.answers.items()
        for note in answer.findings.notes
        if "could not be" in note or "NOT" in note
    ]
    for line in failed:
        print(f"MISSING: {line}")
    return 1 if failed else 0


def _directory(text: str) -> Path:
    path = Path(text).resolve()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"there is no directory {text!r}")
    return path


def _enough(text: str) -> int:
    rows = int(text)
    if rows < _LEAST_ROWS:
        raise argparse.ArgumentTypeError(f"{rows} rows are too few: {_LEAST_ROWS:,} or more have all filters in them")
    return rows
