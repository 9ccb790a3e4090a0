"""What a check of a server or a collection found, as values."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Verdict(enum.StrEnum):
    """How bad it is."""

    OK = "ok"
    """All is well."""

    WARN = "warn"
    """It works, and could be faster or safer."""

    FAIL = "fail"
    """Something does not work, or soon will not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: What was looked at, in a word or two.
        verdict: How bad it is.
        found: What was found.
        advice: What to do; empty where all is well.
    """

    check: str
    verdict: Verdict
    found: str
    advice: str = ""

    def __str__(self) -> str:
        advice = f": {self.advice}" if self.advice else ""
        return f"{self.verdict.value:<4}  {self.check}: {self.found}{advice}"


def ok(check: str, found: str) -> Finding:
    """Return that all is well."""
    return Finding(check=check, verdict=Verdict.OK, found=found)


def warn(check: str, found: str, advice: str) -> Finding:
    """Return that something could be faster or safer."""
    return Finding(check=check, verdict=Verdict.WARN, found=found, advice=advice)


def fail(check: str, found: str, advice: str) -> Finding:
    """Return that something does not work."""
    return Finding(check=check, verdict=Verdict.FAIL, found=found, advice=advice)
