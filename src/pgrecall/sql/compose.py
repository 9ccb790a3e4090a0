"""SQL as a type: the only place in the package that quotes anything.

Text comes from literals in this package's own source (`SQL` takes a `LiteralString`, which the type
checker holds), names go through `Identifier`, and values are always bound parameters.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, LiteralString

if TYPE_CHECKING:
    from collections.abc import Iterable

_HOLE: Final = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class Statement:
    """What is sent: the text with ``$1 … $n``, and the n arguments.

    Attributes:
        text: The text.
        args: The arguments.
        settings: Whether it sets parameters, which are to last no longer than itself.
    """

    text: str
    args: tuple[object, ...] = ()
    settings: bool = False


class _Renderer:
    """Collects text and arguments; one `Param` object takes one placeholder however often it occurs."""

    __slots__ = ("_numbers", "args", "parts")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.args: list[object] = []
        self._numbers: dict[int, int] = {}

    def number(self, param: Param) -> int:
        number = self._numbers.get(id(param))
        if number is None:
            self.args.append(param.value)
            number = self._numbers[id(param)] = len(self.args)
        return number


class Composable(ABC):
    """A piece of SQL."""

    __slots__ = ()

    @abstractmethod
    def render(self, out: _Renderer) -> None:
        """Append this piece to *out*."""

    def compile(self) -> Statement:
        """Return the text with numbered placeholders, and the arguments in their order."""
        out = _Renderer()
        self.render(out)
        return Statement("".join(out.parts), tuple(out.args))


class SQL(Composable):
    """Literal SQL of this package, with holes: ``SQL("SELECT {columns} FROM {table}").format(…)``."""

    __slots__ = ("text",)

    def __init__(self, text: LiteralString) -> None:
        self.text: str = text

    def render(self, out: _Renderer) -> None:
        out.parts.append(self.text)

    def format(self, **parts: Composable) -> Composed:
        """Return the text with every hole filled; a hole without a part is a `KeyError`."""
        pieces: list[Composable] = []
        for text, hole in _holes(self.text):
            if text:
                pieces.append(_Raw(text))
            if hole is not None:
                pieces.append(parts[hole])
        return Composed(pieces)

    def join(self, parts: Iterable[Composable]) -> Composed:
        """Return *parts* with this text between them."""
        pieces: list[Composable] = []
        for part in parts:
            if pieces:
                pieces.append(self)
            pieces.append(part)
        return Composed(pieces)


class _Raw(Composable):
    """A stretch of a `SQL` text between two holes."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def render(self, out: _Renderer) -> None:
        out.parts.append(self.text)


class Composed(Composable):
    """Several pieces, one after the other."""

    __slots__ = ("pieces",)

    def __init__(self, pieces: Iterable[Composable]) -> None:
        self.pieces = tuple(pieces)

    def render(self, out: _Renderer) -> None:
        for piece in self.pieces:
            piece.render(out)


class Identifier(Composable):
    """A name, quoted; several are joined with dots, as in ``"schema"."table"``."""

    __slots__ = ("text",)

    def __init__(self, *names: str) -> None:
        for name in names:
            if not name or "\x00" in name:
                msg = f"{name!r} cannot be an SQL identifier"
                raise ValueError(msg)
        self.text = ".".join('"' + name.replace('"', '""') + '"' for name in names)

    def render(self, out: _Renderer) -> None:
        out.parts.append(self.text)


class Integer(Composable):
    """A whole number written into the text.

    For what must be literal so that PostgreSQL's generic plan stays right, such as LIMIT.
    """

    __slots__ = ("value",)

    def __init__(self, value: int) -> None:
        self.value = int(value)

    def render(self, out: _Renderer) -> None:
        out.parts.append(str(self.value))


class Literal(Composable):
    """A string constant, for DDL and COMMENT, which take no parameters."""

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        if "\x00" in value:
            msg = "an SQL string constant cannot hold NUL"
            raise ValueError(msg)
        self.value = value

    def render(self, out: _Renderer) -> None:
        quoted = self.value.replace("'", "''")
        # E'' makes the meaning of a backslash independent of standard_conforming_strings.
        out.parts.append("E'" + quoted.replace("\\", "\\\\") + "'" if "\\" in quoted else "'" + quoted + "'")


class Param(Composable):
    """A value that is bound, with a cast to *type* where one is given."""

    __slots__ = ("type", "value")

    def __init__(self, value: object, type: LiteralString | Composable | None = None) -> None:
        self.value = value
        self.type = type if type is None or isinstance(type, Composable) else SQL(type)

    def render(self, out: _Renderer) -> None:
        out.parts.append(f"${out.number(self)}")
        if self.type is not None:
            out.parts.append("::")
            self.type.render(out)


@lru_cache(maxsize=512)
def _holes(text: str) -> tuple[tuple[str, str | None], ...]:
    """Return *text* as stretches, each followed by the name of a hole or, last, by none."""
    split = _HOLE.split(text)
    return tuple(zip(split[0::2], [*split[1::2], None], strict=True))
