"""What ends a command, and with which exit code."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pgrecall.errors import PGRecallError

if TYPE_CHECKING:
    from collections.abc import Generator

FAILED = 1
BAD_USAGE = 2


class CommandError(Exception):
    """The command cannot do its work; the message is all that the user needs."""

    exit_code = FAILED


class BadUsage(CommandError):
    """What was asked for makes no sense; nothing was done."""

    exit_code = BAD_USAGE


@contextmanager
def one_line_errors(*, debug: bool) -> Generator[None]:
    """End the program with one line on standard error where what is within fails as foreseen.

    Args:
        debug: Let the exception through instead, for its traceback.

    Raises:
        SystemExit: It failed; the code is 2 for bad usage, 1 for anything else.
    """
    try:
        yield
    except (CommandError, PGRecallError) as error:
        if debug:
            raise
        message = " ".join(str(error).split())
        print(f"pgrecall: {message}", file=sys.stderr)
        sys.exit(error.exit_code if isinstance(error, CommandError) else FAILED)
