"""Finding the smallest ``ef_search`` or ``probes`` that finds enough, and keeping it with the collection."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from pgrecall.checks import is_number
from pgrecall.collection.finding import searching
from pgrecall.collection.measuring import plotting
from pgrecall.collection.measuring.trial import EXACT, Trial, check_sample, percentile
from pgrecall.collection.measuring.tuning_report import TuningPoint, TuningReport
from pgrecall.config import SearchOptions
from pgrecall.errors import ConfigError, PermissionDenied, SchemaError
from pgrecall.plan import Access
from pgrecall.postgres import catalog
from pgrecall.sql import ddl

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from pgrecall.collection.handle import Handle
    from pgrecall.collection.measuring.trial import Answer, Queries
    from pgrecall.plan import Plan
    from pgrecall.postgres import Session
    from pgrecall.table import VectorIndex

_EF_SEARCH: Final = (40, 60, 80, 100, 120, 160, 200, 300, 400, 600, 800, 1_000)
# A step that is larger than this share of where it ends is looked into once more.
_COARSE: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What to tune for.

    Attributes:
        target: The recall to reach.
        sample: How many stored embeddings to draw as queries.
        queries: The queries to ask instead.
        plot: Where to write a picture of the curve.
    """

    target: float
    sample: int
    queries: Queries | None
    plot: str | os.PathLike[str] | None

    def __post_init__(self) -> None:
        if not is_number(self.target) or not 0 < self.target <= 1:
            msg = f"target must be a recall above 0 and at most 1, not {self.target!r}"
            raise ConfigError(msg)
        check_sample(self.sample, self.queries)
        if self.plot is not None:
            plotting.check(Path(self.plot))


async def tune(handle: Handle, aim: Aim, k: int) -> TuningReport:
    """See `AsyncCollection.tune`."""
    query = searching.Query.of((), k, None, None)
    # Another process may just have built the index.
    handle.knowledge.forget()

    async def work(session: Session) -> TuningReport:
        index = await _tunable(handle, session)
        async with session.snapshot():
            trial = await Trial.begin(handle, session, query, sample=aim.sample, queries=aim.queries)
            return await _explore(trial, index, aim, k)

    report = await handle.run(work)
    if report.value is not None:
        await _keep(handle, report.knob, report.value)
    if aim.plot is not None:
        await asyncio.to_thread(plotting.plot, report, Path(aim.plot))
    return report


async def _tunable(handle: Handle, session: Session) -> VectorIndex:
    """Return the index to tune, once it is sure that what is found out can be kept."""
    table = await handle.table(session)
    name = f"{handle.config.schema}.{handle.config.name}"
    index = None if table is None else table.usable_index()
    if index is None:
        msg = f"{name} has no vector index that could be tuned; build one with create_index()"
        raise ConfigError(msg)
    try:
        await catalog.settings(session, handle.config.schema, handle.config.name)
    except (SchemaError, PermissionDenied) as error:
        msg = f"{error}; what recall() finds best can be passed to each search: SearchOptions(ef_search=…, probes=…)"
        raise type(error)(msg) from None
    return index


async def _explore(trial: Trial, index: VectorIndex, aim: Aim, k: int) -> TuningReport:
    plan = (await trial.ask_first(SearchOptions())).plan
    if plan.access is Access.EXACT:
        msg = f"searches here are answered exactly, whatever the index could do, so there is nothing to tune: {plan}"
        raise ConfigError(msg)
    curve = _Curve(trial, plan, await trial.ask(EXACT))
    await curve.follow(_EF_SEARCH if index.method == "hnsw" else _probes(index.lists), aim.target)
    return TuningReport(
        index=index.name,
        knob=curve.knob,
        target=aim.target,
        k=k,
        queries=len(trial),
        points=tuple(sorted(curve.points, key=lambda point: point.value)),
        value=min((point.value for point in curve.points if point.recall >= aim.target), default=None),
        before=plan.candidates or 0,
        exact_p50=percentile(curve.exact, 50),
    )


class _Curve:
    """Recall and latency over the values of a knob, as far as they were measured."""

    def __init__(self, trial: Trial, plan: Plan, exact: Sequence[Answer]) -> None:
        self.knob = "probes" if plan.method == "ivfflat" else "ef_search"
        self.exact = exact
        self.points: list[TuningPoint] = []
        self._trial = trial
        self._access = plan.access

    async def follow(self, values: Sequence[int], target: float) -> None:
        """Measure ascending values until one reaches the target, and the middle of the last step if that is long."""
        # The first values would pay for what is not in memory yet.
        await self._trial.ask(self._options(values[0]))
        for value in values:
            # A search looks at no fewer candidates than it wants rows.
            if self.points and value <= self.points[-1].value:
                continue
            await self._measure(value)
            if self.points[-1].recall >= target:
                break
        else:
            return
        low, high = (self.points[-2].value if len(self.points) > 1 else 0), self.points[-1].value
        middle = (low + high) // 2
        if low and high - low > _COARSE * high and middle > low:
            await self._measure(middle)

    async def _measure(self, value: int) -> None:
        answers = await self._trial.ask(self._options(value))
        self.points.append(
            TuningPoint(
                value=answers[0].plan.candidates or value,
                recall=float(np.mean(self._trial.judge(answers, self.exact))),
                p50=percentile(answers, 50),
                p95=percentile(answers, 95),
            )
        )

    def _options(self, value: int) -> SearchOptions:
        if self.knob == "probes":
            return SearchOptions(access=self._access, probes=value)
        return SearchOptions(access=self._access, ef_search=value)


def _probes(lists: int) -> list[int]:
    """Return the powers of two below *lists*, and *lists*."""
    return [*(1 << power for power in range((lists - 1).bit_length())), lists]


async def _keep(handle: Handle, knob: str, value: int) -> None:
    """Note *value* with the table, beside what is noted there, for all who read its description from now on."""
    schema, name = handle.config.schema, handle.config.name

    async def work(session: Session) -> None:
        # This lock first: it waits for index builds, for which nobody should have to wait at the other one.
        await session.execute(ddl.lock_settings(schema, name))
        await session.execute(ddl.setup_lock())
        noted = await catalog.settings(session, schema, name)
        await session.execute(ddl.comment(schema, name, {**noted, knob: value}).compile())

    try:
        await handle.transaction(work)
    finally:
        handle.knowledge.forget()
