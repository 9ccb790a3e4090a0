"""How a search by words will run, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lexeme:
    """A lexeme of a query.

    Attributes:
        text: The lexeme.
        rows: About how many rows of the table have it.
        weight: Its inverse document frequency, times how well it fits what was written.
        prefix: Whether every lexeme that begins with it counts.
    """

    text: str
    rows: float
    weight: float
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Candidates:
    """Which rows are ranked: those that have any of *rare*, or all of *common*; where both are empty, all that may.

    Attributes:
        rare: Lexemes of which one is enough; all lexemes where few enough rows have any.
        common: Lexemes that must come together.
        limit: Most rows that are read.
        reason: Why, in words.
        complete: Whether every row that has any of the lexemes is among them, as far as *limit* goes.
    """

    rare: tuple[Lexeme, ...]
    common: tuple[Lexeme, ...]
    limit: int
    reason: str
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class KeywordPlan:
    """How a search by words will run, and why.

    Attributes:
        lexemes: What is searched for, the rarest first.
        reason: Which rows are ranked, and why those.
        required: What rows must match too, as a tsquery.
        excluded: What they must not match, as a tsquery.
        rows: About how many rows the table has.
        share: Of those about how many pass scope and filter, from 0 to 1.
        postgres: PostgreSQL's own plan, a line each, where it was asked for.
    """

    lexemes: tuple[Lexeme, ...] = ()
    reason: str = "nothing is searched for"
    required: str = ""
    excluded: str = ""
    rows: int = 0
    share: float = 1.0
    postgres: tuple[str, ...] = ()

    def __str__(self) -> str:
        listed = ", ".join(f"{lexeme.text!r} (in about {lexeme.rows:.0f} rows)" for lexeme in self.lexemes)
        return f"{listed or 'no lexemes'}: {self.reason}"
