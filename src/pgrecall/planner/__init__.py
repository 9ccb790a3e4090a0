"""Decisions only: values in, a `Plan` out."""

from __future__ import annotations

from pgrecall.planner.choose import Situation, choose, exact_limit

__all__ = ["Situation", "choose", "exact_limit"]
