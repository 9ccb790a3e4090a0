"""Which rows a keyword search looks at: those with the query's rare lexemes, and those with all of its common ones.

Every row that has any of the lexemes could be ranked, but a common word is in half of the rows, and reading
those takes longer than everything else. What they would add is little: a row that has only common lexemes
scores less than nearly every row with a rare one (the idea of WAND: Broder et al., Efficient query evaluation
using a two-level retrieval process, 2003).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pgrecall.keyword_plan import Candidates, Lexeme

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LEXEMES: Final = 128
"""Lexemes of a query that are searched for, the rarest first."""

# What reading and weighing a row costs: one share for the row, and one for each lexeme. So many shares take about
# 10 ms (58,000 rows of 600 bytes of lexemes, two cores).
_EFFORT: Final = 24_000
_ROW: Final = 2
# A row whose lexemes are looked at takes as long as so many that an index finds, of whichever domain.
_COMPARED: Final = 2
# So large a part of the rows is taken to have a lexeme of which nothing is known yet.
_COMMON: Final = 0.1
# Where the rarest lexeme is more common than that, more rows are read, but not all of them.
_MOST: Final = 3


def choose_candidates(lexemes: Sequence[Lexeme], share: float, *, required: float | None = None) -> Candidates:
    """Return which rows to rank.

    Args:
        lexemes: The query's lexemes, the rarest first; at least one.
        share: Of the table's rows those that pass filter and scope.
        required: Where there are phrases: about how many rows can have them.
    """
    budget = _EFFORT / (_ROW + len(lexemes))
    limit = round(_MOST * budget)
    if required is not None and required * share <= budget:
        reason = f"at most about {required * share:.0f} rows can have the phrases, so all that do are ranked"
        return Candidates((), (), limit, reason)
    rare: list[Lexeme] = []
    expected = 0.0
    for lexeme in lexemes:
        expected += lexeme.rows * share
        if expected > budget:
            break
        rare.append(lexeme)
    common = tuple(lexemes[len(rare) :])
    if not common:
        return Candidates(
            tuple(rare), (), limit, f"about {expected:.0f} rows have any of the lexemes, so all are ranked"
        )
    if len(lexemes) == 1:
        reason = f"about {expected:.0f} rows have the only lexeme, of which {limit} at most are ranked"
        return Candidates(tuple(lexemes), (), limit, reason)
    if not rare:
        reason = f"{lexemes[0].text!r}, the rarest lexeme, is common, so rows must have all {len(common)} lexemes"
    else:
        reason = f"rows that have one of the {len(rare)} rarest of {len(lexemes)} lexemes are ranked"
        if len(common) == 1:
            # Without it no row is lost that has a rare lexeme too, and with it most of the table is read.
            return Candidates(tuple(rare), (), limit, reason, complete=False)
        reason += f", and those that have all {len(common)} common ones"
    return Candidates(tuple(rare), common, limit, reason, complete=False)


def every_row(lexemes: Sequence[Lexeme]) -> Candidates:
    """Return all rows that have any of the lexemes, for when those first chosen were too few."""
    limit = round(_MOST * _EFFORT / (_ROW + len(lexemes)))
    return Candidates(
        tuple(lexemes), (), limit, "too few rows were found otherwise, so those with any lexeme are ranked"
    )


def finds_faster(part: float, matching: float = _COMMON) -> bool:
    """Whether the index on the lexemes finds rows of some domains faster than all rows of these are looked at.

    It finds those of all other domains as well.

    Args:
        part: Of the table's rows about how many the domains have, from 0 to 1.
        matching: Of the rows about how many match, likewise.
    """
    return matching <= _COMPARED * part


def expected_share(candidates: Candidates, rows: float) -> float:
    """Return about which part of *rows* is among *candidates*, if the filter lets all pass."""
    if not candidates.rare and not candidates.common:
        return _COMMON  # rows that have a phrase
    either = sum(lexeme.rows for lexeme in candidates.rare)
    together = min((lexeme.rows for lexeme in candidates.common), default=0.0)
    return min((either + together) / rows, 1.0)
