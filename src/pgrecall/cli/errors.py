"""What ends a command, and with which exit code.

====  ==================================================================================
code  means
====  ==================================================================================
0     all is well
1     it failed, or something was found that should be seen to
2     what was asked for makes no sense; nothing was done
3     the database could not be reached; trying again later may help
130   it was interrupted (Ctrl-C)
====  ==================================================================================
"""

from __future__ import annotations

import re
import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

import orjson

from pgrecall.errors import (
    ConfigError,
    ConnectionFailed,
    PerformanceWarning,
    PGRecallError,
    RecordError,
    SecurityWarning,
)

if TYPE_CHECKING:
    from collections.abc import Generator

FAILED: Final = 1
BAD_USAGE: Final = 2
UNREACHABLE: Final = 3
INTERRUPTED: Final = 130

# A password may hold nearly anything: all of a word from the scheme to its last "@" may be one.
_LOGIN: Final = re.compile(r"(?<=://)[^\s'\"]*@")
_WORD: Final = re.compile(r"(?i)\b((?:ssl)?password|passwd|pwd)=[^\s'\"&]*")


class CommandError(Exception):
    """The command cannot do its work; the message is all that the user needs."""

    exit_code = FAILED


class BadUsage(CommandError):
    """What was asked for makes no sense; nothing was done."""

    exit_code = BAD_USAGE


class Found(CommandError):
    """The command did its work, and has shown something that should be seen to; nothing more is printed."""

    def __init__(self) -> None:
        super().__init__("")


@contextmanager
def one_line_errors(*, debug: bool, json: bool = False) -> Generator[None]:
    """End the program with one line on standard error where what is within fails.

    Args:
        debug: Let the exception through instead, for its traceback.
        json: Print the error on standard output too, as the JSON document that whoever reads that waits for.

    Raises:
        SystemExit: It failed; see this room for the codes.
    """
    try:
        yield
    except Found:
        sys.exit(FAILED)
    except BrokenPipeError:
        # Whoever read our output has seen enough; typer ends the program quietly.
        raise
    except (Exception, KeyboardInterrupt) as error:
        code, message = _ending(error)
        if json:
            print(error_document(error, str(error) or message))
        if debug and isinstance(error, Exception):
            raise
        _say(message)
        sys.exit(code)


def _ending(error: BaseException) -> tuple[int, str]:
    """Return with which code *error* ends the program, and what is said of it."""
    match error:
        case KeyboardInterrupt():
            return INTERRUPTED, "interrupted"
        case CommandError() | PGRecallError():
            return exit_code(error), str(error)
        case _:
            # What an embedding model of the user's raises, or a mistake of ours.
            return FAILED, f"{type(error).__name__}: {error} (--debug shows where)"


def error_document(error: BaseException, message: str) -> str:
    """Return what ``--json`` says of an error: its class and a message, without passwords."""
    # A lone surrogate, which a message may quote, is no JSON.
    said = without_secrets(message).encode(errors="backslashreplace").decode()
    document = {"error": {"type": type(error).__name__, "message": said}}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def interrupted() -> NoReturn:
    """End the program as one that was interrupted.

    Raises:
        SystemExit: Always.
    """
    _say("interrupted")
    sys.exit(INTERRUPTED)


def _say(message: str) -> None:
    """Print *message* on standard error in one line."""
    print(f"pgrecall: {' '.join(without_secrets(message).split())}", file=sys.stderr)


@contextmanager
def one_line_warnings() -> Generator[None]:
    """Say what the engine warns of in one line on standard error, without where in our code it was said."""

    def show(message: Warning | str, *_where: object) -> None:
        _say(f"warning: {message}")

    with warnings.catch_warnings():
        for kind in (PerformanceWarning, SecurityWarning):
            warnings.simplefilter("always", kind)
        warnings.showwarning = show
        yield


def exit_code(error: CommandError | PGRecallError) -> int:
    """Return with which code *error* ends a command."""
    match error:
        case CommandError():
            return error.exit_code
        case ConnectionFailed():
            return UNREACHABLE
        case RecordError():
            # It is about data, which are right or wrong at any time, and not about what was typed.
            return FAILED
        case ConfigError():
            return BAD_USAGE
        case _:
            return FAILED


def without_secrets(text: str) -> str:
    """Return *text* without the user names and passwords of the URLs in it."""
    return _WORD.sub(r"\1=…", _LOGIN.sub("…@", text))
