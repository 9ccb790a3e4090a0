"""Decisions only: values in, a `Plan` out."""

from __future__ import annotations

from pgrecall.planner.choose import NOTICEABLE, Situation, choose, exact_limit
from pgrecall.planner.experience import Experience

__all__ = ["NOTICEABLE", "Experience", "Situation", "choose", "exact_limit"]
