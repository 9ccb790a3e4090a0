"""How many of the nearest rows searches find, on the user's own data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pgrecall.collection.measuring.trial import EXACT, Trial, check_sample, percentile, plans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.collection.finding.searching import Query
    from pgrecall.collection.handle import Handle
    from pgrecall.collection.measuring.trial import Answer, Queries
    from pgrecall.plan import Plan
    from pgrecall.postgres import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallReport:
    """Live answers held against exact ones; printable.

    Attributes:
        recall: The share of the k nearest rows that searches found, the mean over all queries.
        worst: The same of the query for which it was least.
        k: Rows wanted.
        queries: How many queries were asked.
        drawn: Whether they were stored embeddings, drawn at random.
        short: Answers with fewer rows than the exact ones.
        live_p50: Milliseconds that half of the searches did not exceed.
        live_p95: Milliseconds that 95 of 100 searches did not exceed.
        exact_p50: Milliseconds that half of the exact searches did not exceed.
        exact_p95: Milliseconds that 95 of 100 exact searches did not exceed.
        plans: How searches were run, and how many of them so. Where queries were drawn, one row more than k
            was asked for.
    """

    recall: float
    worst: float
    k: int
    queries: int
    drawn: bool
    short: int
    live_p50: float
    live_p95: float
    exact_p50: float
    exact_p95: float
    plans: tuple[tuple[Plan, int], ...]

    def __str__(self) -> str:
        kind = "stored embeddings as queries" if self.drawn else "queries"
        lines = [
            f"recall@{self.k} {self.recall:.3f} (worst {self.worst:.3f}) of {self.queries} {kind}, {self.short} short",
            f"live   p50 {self.live_p50:8.2f} ms   p95 {self.live_p95:8.2f} ms",
            f"exact  p50 {self.exact_p50:8.2f} ms   p95 {self.exact_p95:8.2f} ms",
            *(f"{count} x {plan}" for plan, count in self.plans),
        ]
        return "\n".join(lines)


async def recall(handle: Handle, query: Query, *, sample: int, queries: Queries | None) -> RecallReport:
    """See `AsyncCollection.recall`; the embedding of *query* plays no part."""
    check_sample(sample, queries)

    async def work(session: Session) -> RecallReport:
        async with session.snapshot():
            trial = await Trial.begin(handle, session, query, sample=sample, queries=queries)
            live = await trial.ask(query.options)
            exact = await trial.ask(EXACT)
        shares = trial.judge(live, exact)
        return RecallReport(
            recall=float(np.mean(shares)),
            worst=min(shares),
            k=query.k,
            queries=len(trial),
            drawn=queries is None,
            short=_short(live, exact),
            live_p50=percentile(live, 50),
            live_p95=percentile(live, 95),
            exact_p50=percentile(exact, 50),
            exact_p95=percentile(exact, 95),
            plans=plans(live),
        )

    return await handle.run(work)


def _short(live: Sequence[Answer], exact: Sequence[Answer]) -> int:
    return sum(len(answer.rows) < len(truth.rows) for answer, truth in zip(live, exact, strict=True))
