"""How a command says what it has to say: tables for people, or one JSON document.

Results go to standard output, everything else to standard error, so that a pipe gets results only.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import orjson
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pgrecall.cli.errors import BadUsage, CommandError, without_secrets

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
_MOST_BITS: Final = 63  # of an integer that orjson writes
_SHORT: Final = 4
_KILO: Final = 1024
_YES: Final = ("y", "yes")
_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


class Output:
    """Where a command's results and remarks go.

    Args:
        json: Whether results are one JSON document.

    Attributes:
        json: Whether they are.
        remarks: The console of standard error: progress, and what is not a result.
    """

    def __init__(self, *, json: bool = False) -> None:
        self.json = json
        # Made here and not for the module: who captures the streams, as tests do, sets others.
        self._results = Console(file=sys.stdout, highlight=False)
        self.remarks = Console(file=sys.stderr, highlight=False)

    def document(self, value: Any) -> None:
        """Print *value*, whatever it is made of, as one JSON document: what ``--json`` prints, and nothing else."""
        text = to_json(value)
        try:
            text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
        except UnicodeEncodeError:
            text = json.dumps(json.loads(text), indent=2)  # with what is not ASCII escaped
        print(text)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Iterable[str] = ()) -> None:
        """Print rows for people.

        Args:
            columns: Their headings.
            rows: The cells, of whatever type; see `cell`.
            right: Headings of columns whose cells are numbers.
        """
        numbers = frozenset(right)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
        for row in rows:
            table.add_row(*(value if isinstance(value, Text) else Text(cell(value)) for value in row))
        self._results.print(table)

    def pairs(self, items: Mapping[str, Any]) -> None:
        """Print names and values for people, one a line."""
        self.grid([(Text(name, "bold cyan"), Text(cell(value))) for name, value in items.items()])

    def grid(self, rows: Iterable[Sequence[Text]]) -> None:
        """Print rows without headings; only the last column is wrapped."""
        grid = Table.grid(padding=(0, 2))
        for row in rows:
            if not grid.columns:
                for _ in row[:-1]:
                    grid.add_column(no_wrap=True)
                grid.add_column(overflow="fold")
            grid.add_row(*row)
        self._results.print(grid)

    def text(self, text: str | Text) -> None:
        """Print a text for people, wrapped where the terminal ends."""
        self._results.print(Text(text) if isinstance(text, str) else text, overflow="fold")

    def remark(self, text: str) -> None:
        """Say something that is no result."""
        self.remarks.print(Text(without_secrets(text)), overflow="fold", soft_wrap=True)

    def waiting(self, text: str) -> AbstractContextManager[object]:
        """Return a context that shows, where somebody looks, that something takes its time."""
        return self.remarks.status(Text(text))

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask whether to go on, unless that was answered beforehand.

        Raises:
            BadUsage: Nobody is there to be asked.
            CommandError: The answer was not yes.
        """
        if yes:
            return
        if not sys.stdin.isatty():
            raise BadUsage(f"{question} Say --yes where nobody can be asked")
        # Not `input`, which would ask on standard output, where only results go.
        print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in _YES:
            raise CommandError("nothing was done")


def to_json(value: Any) -> str:
    """Return *value* as JSON: dataclasses as objects, arrays as lists, and what is no number as null.

    A value of another type is shown as its text.
    """
    return orjson.dumps(_plain(value), default=_text, option=_OPTIONS).decode()


def _plain(value: Any) -> Any:
    """Return *value* with what orjson does not know by itself taken apart, or written out."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {_text(key): _plain(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = cast("Iterable[Any]", value)
        return [_plain(item) for item in (sorted(items, key=str) if isinstance(value, set | frozenset) else items)]
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return orjson.Fragment(str(value))
    return _text(value) if isinstance(value, str) else value


def _text(value: Any) -> str:
    """Return *value* as a text that UTF-8 knows, which the name of a file need not be."""
    return str(value).encode(errors="backslashreplace").decode()


def cell(value: Any) -> str:
    """Return *value* for people: numbers with separators, nothing for `None`, yes and no."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return "" if math.isnan(value) else f"{value:.{_SHORT}f}"
        case str():
            return value
        case Mapping() | list() | tuple():
            return orjson.dumps(_plain(value), default=_text, option=orjson.OPT_NON_STR_KEYS).decode()
        case _:
            return str(value)


def shortened(text: str, length: int) -> str:
    """Return the beginning of *text* in one line of at most *length* characters."""
    line = " ".join(text[: 4 * length].split())
    return line if len(line) <= length and len(text) <= 4 * length else f"{line[: length - 1].rstrip()}…"


def size(count: int) -> str:
    """Return a number of bytes for people."""
    amount = float(count)
    for unit in _UNITS[:-1]:
        if amount < _KILO:
            return f"{amount:.0f} {unit}" if unit == _UNITS[0] else f"{amount:.1f} {unit}"
        amount /= _KILO
    return f"{amount:.1f} {_UNITS[-1]}"
