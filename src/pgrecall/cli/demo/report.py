"""What the demo shows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.status import Status

    from pgrecall.cli.demo.asking import Answer, Asked, Found, Round
    from pgrecall.cli.demo.corpus import Corpus
    from pgrecall.cli.demo.syncing import Difference

_SKIPPED_SHOWN: Final = 5
_LABEL: Final = 10
_NAME: Final = 30


class Report:
    """Prints the demo's steps and answers.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    def step(self, label: str, text: str) -> None:
        """Show one line of what was done."""
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=_LABEL, style="bold cyan", no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(label, Text(text))
        self._console.print(grid)

    def spinner(self, text: str) -> Status:
        """Return a context that shows that something takes its time."""
        return self._console.status(escape(text))

    def progress(self) -> Progress:
        """Return a bar for what is embedded and written; it leaves nothing behind."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        return Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)

    def corpus(self, corpus: Corpus) -> None:
        """Show what was read, and what could not be."""
        count = len(corpus.passages)
        self.step("texts", f"{count:,} passages of {corpus.files:,} files: {corpus.title}")
        for line in corpus.skipped[:_SKIPPED_SHOWN]:
            self.step("", f"not read: {line}")
        if (more := len(corpus.skipped) - _SKIPPED_SHOWN) > 0:
            self.step("", f"not read: {more:,} more")

    def written(self, difference: Difference, table: str, seconds: float) -> None:
        """Show what was written, through which framework."""
        new, gone = len(difference.new), len(difference.gone)
        how = f" (embedded and added through LangChain in {duration(seconds)})" if new else ""
        moved = f", {len(difference.moved):,} with new metadata" if difference.moved else ""
        self.step("table", table)
        self.step("rows", f"{new:,} new{how}, {difference.unchanged:,} unchanged{moved}, {gone:,} removed")

    def answers(self, asked: Sequence[Asked], name_key: str, table: str) -> None:
        """Show what both frameworks found for each question, and how far they agree."""
        for one in asked:
            self._question(one.question, one.rounds, name_key)
        self._closing([found for one in asked for found in one.rounds], table)

    def _question(self, text: str, rounds: list[Round], name_key: str) -> None:
        self._console.print()
        self._line(Text(text, "bold"))
        self._line(Text(f"{'score':>7} LangChain LlamaIndex  {name_key:<{_NAME}}  text", "dim"))
        for found in rounds:
            self._round(found, name_key)

    def _closing(self, rounds: list[Round], table: str) -> None:
        agreed = sum(_ids(found.langchain) == _ids(found.llama_index) for found in rounds)
        verdict = (
            "Both found the same rows in the same order, as their ranks show"
            if agreed == len(rounds)
            else f"They found the same rows in the same order {agreed} times of {len(rounds)}"
        )
        self._console.print(
            "\nLangChain wrote the rows, and both frameworks' retrievers read them from the one table "
            f"[cyan]{escape(table)}[/cyan]. {verdict}. Times include embedding the question."
        )

    def _round(self, found: Round, name_key: str) -> None:
        which = "all rows" if found.filter is None else f"only {found.filter[0]} = {found.filter[1]}"
        first, second = found.langchain.milliseconds, found.llama_index.milliseconds
        took = f"LangChain {first:.1f} ms, LlamaIndex {second:.1f} ms"
        self._line(Text.assemble("  ", (which, "green"), (f": {took}", "dim")))
        # The index's full name would take the line.
        plan = found.plan if found.plan.index is None else replace(found.plan, index="the vector index")
        self._line(Text(f"  {plan}", "dim"))
        for score, first_rank, second_rank, row in _rows(found):
            name = Text(str(row.metadata.get(name_key, row.id)), "cyan")
            name.truncate(_NAME, overflow="ellipsis", pad=True)
            ranks = f"{score:>7} {first_rank:>9} {second_rank:>10}  "
            self._line(Text.assemble(ranks, name, "  ", _summary(row)))
        if not found.langchain.rows and not found.llama_index.rows:
            self._line(Text("  nothing found", "dim"))

    def _line(self, text: Text) -> None:
        self._console.print(text, no_wrap=True, overflow="ellipsis")


def duration(seconds: float) -> str:
    """Return a time for people."""
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _rows(found: Round) -> list[tuple[str, str, str, Found]]:
    """Return each row once, with its score and its rank in both answers."""
    first, second = _ids(found.langchain), _ids(found.llama_index)
    known = {row.id: row for row in (*found.langchain.rows, *found.llama_index.rows)}
    return [
        ("" if row.score is None else f"{row.score:.3f}", _rank(row.id, first), _rank(row.id, second), row)
        for row in known.values()
    ]


def _ids(answer: Answer) -> list[str]:
    return [row.id for row in answer.rows]


def _rank(row_id: str, ids: list[str]) -> str:
    return str(ids.index(row_id) + 1) if row_id in ids else "-"


def _summary(row: Found) -> str:
    """Return the first line of the text that does not only repeat its title."""
    lines = [line.strip() for line in row.text.splitlines() if line.strip()]
    return lines[min(1, len(lines) - 1)] if lines else ""
