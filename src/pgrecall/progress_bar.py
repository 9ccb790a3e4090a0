"""A bar on the terminal that shows how far something has come, where that was asked for."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from pgrecall.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


class Showable(Protocol):
    """What a progress bar shows."""

    @property
    def title(self) -> str: ...  # noqa: D102
    @property
    def phase(self) -> str: ...  # noqa: D102
    @property
    def fraction(self) -> float | None: ...  # noqa: D102


@contextmanager
def bar() -> Generator[Callable[[Showable], object]]:
    """Give a function that shows how far something has come.

    Raises:
        ConfigError: rich is not installed.
    """
    try:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
    except ImportError as error:
        msg = "a progress bar needs rich: pip install 'pgrecall[cli]', or pass a function as progress"
        raise ConfigError(msg) from error
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[phase]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns) as shown:
        task = shown.add_task("", total=None, phase="")

        def show(progress: Showable) -> None:
            total = None if progress.fraction is None else 1.0
            shown.update(
                task,
                description=progress.title,
                total=total,
                completed=progress.fraction or 0.0,
                phase=progress.phase,
            )

        yield show
