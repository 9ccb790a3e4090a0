"""How far something has come, on standard error: a bar where somebody looks, a line now and then where nobody does."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from pgrecall.cli.output import Output
    from pgrecall.progress_bar import Showable

_LINE_SECONDS: Final = 10.0


class Step:
    """How far something has come, for what has no progress of its own.

    Args:
        title: What is done.
        phase: What is done at this moment.
        fraction: Share that is done, 0 to 1; `None` where it is not known.
    """

    __slots__ = ("fraction", "phase", "title")

    def __init__(self, title: str, phase: str = "", fraction: float | None = None) -> None:
        self.title, self.phase, self.fraction = title, phase, fraction


@contextmanager
def shown(output: Output) -> Generator[Callable[[Showable], None]]:
    """Give a function that shows how far something has come; pass it as ``progress=`` or ``on_progress=``.

    On a terminal it is a bar that leaves nothing behind; elsewhere a line every ten seconds.
    """
    if not output.remarks.is_terminal:
        yield _Lines(output)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[phase]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=output.remarks, transient=True) as bar:
        task = bar.add_task("", total=None, phase="")

        def show(step: Showable) -> None:
            done = step.fraction or 0.0
            total = None if step.fraction is None else 1.0
            bar.update(task, description=step.title, total=total, completed=done, phase=step.phase)

        yield show


class _Lines:
    """Says it in lines, for a log; what is done sooner is not mentioned."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._last = time.monotonic()

    def __call__(self, step: Showable) -> None:
        now = time.monotonic()
        if now - self._last < _LINE_SECONDS:
            return
        self._last = now
        share = "" if step.fraction is None else f"{step.fraction:.0%} "
        self._output.remark(f"{step.title}: {share}{step.phase}".rstrip())
