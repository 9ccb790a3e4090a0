"""Decisions only: values in, a `Plan` out."""

from __future__ import annotations

from pgrecall.planner.choose import ALWAYS_EXACT, NOTICEABLE, Situation, choose, exact_limit
from pgrecall.planner.experience import Experience

__all__ = ["ALWAYS_EXACT", "NOTICEABLE", "Experience", "Situation", "choose", "exact_limit"]
