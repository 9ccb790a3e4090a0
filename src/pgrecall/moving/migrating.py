"""Moving in: the records of a source, part by part, through named runs that are gone on with, and checked."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgrecall import jsonb
from pgrecall.collection.ingesting.ingestion import IngestOptions, IngestReport
from pgrecall.collection.namespaces.runs import IngestFailure
from pgrecall.moving.plan import MoveOptions, MovePlan, planned
from pgrecall.moving.verifying import Verification, Verifier
from pgrecall.progress import listener

if TYPE_CHECKING:
    from pgrecall.collection import AsyncClient, AsyncCollection, AsyncKeyValues
    from pgrecall.config import CollectionConfig
    from pgrecall.moving.plan import PartPlan
    from pgrecall.moving.source import Opened, Part, Source

_DEFAULT = MoveOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveProgress:
    """How far a move, or an export, has come.

    Attributes:
        title: What is moved, and where to.
        phase: ``moving``, ``indexing``, ``verifying``, ``writing`` for an export, and ``done`` at the end.
        done: Records of this phase that are done with.
        total: How many there are.
        seconds: Since the beginning.
        share: Share of the index that is built, 0 to 1, in ``indexing``.
    """

    title: str
    phase: str
    done: int
    total: int | None
    seconds: float
    share: float | None = None

    @property
    def fraction(self) -> float | None:
        """Share of the phase that is done, 0 to 1; `None` where that is not known."""
        if self.phase == "done":
            return 1.0
        if self.phase == "indexing":
            return self.share
        return min(1.0, self.done / self.total) if self.total else None

    def __str__(self) -> str:
        share = "" if self.fraction is None else f"{self.fraction:.0%}, "
        return f"{self.title}: {self.phase}, {share}{self.done} records, {self.seconds:.0f} s"


MoveProgressLike = Callable[[MoveProgress], object] | bool | None
"""Who is told how far it has come: a function, a progress bar (`True`), or nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedPart:
    """What was done with the records of one part.

    Attributes:
        theirs: What the source calls them.
        domain: The domain that they went to.
        count: How many there are in the source.
        report: What was done; see `IngestReport`.
    """

    theirs: str
    domain: str
    count: int
    report: IngestReport


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveReport:
    """What a move did.

    Attributes:
        source: What was moved in from.
        collection: The collection, with its schema.
        parts: What was done, by the domain that it went to.
        verification: What came of holding it against the source; `None` where that was not asked for.
        seconds: How long it took.
    """

    source: str
    collection: str
    parts: tuple[MovedPart, ...]
    verification: Verification | None
    seconds: float

    @property
    def written(self) -> int:
        """Rows that were inserted or replaced."""
        return sum(part.report.written for part in self.parts)

    @property
    def failed(self) -> int:
        """Records that were set aside."""
        return sum(len(part.report.failed) for part in self.parts)

    @property
    def ok(self) -> bool:
        """Whether nothing was found to differ from the source."""
        return self.verification is None or self.verification.ok

    def __str__(self) -> str:
        lines = [f"{self.source} to {self.collection}, {self.seconds:.1f} s"]
        for part in self.parts:
            gone_on = f" (gone on behind {part.report.resumed_at})" if part.report.resumed_at else ""
            lines.append(f"{part.theirs} to domain {part.domain!r}{gone_on}: {part.report}")
        return "\n".join([*lines, *([] if self.verification is None else [str(self.verification)])])


async def plan(
    source: Source, client: AsyncClient, collection: str | CollectionConfig, options: MoveOptions
) -> MovePlan:
    """See `pgrecall.moving.aplan`."""
    async with source.opened(client) as opened:
        return await planned(opened, client, collection, options)


async def migrate(
    source: Source,
    client: AsyncClient,
    collection: str | CollectionConfig,
    options: MoveOptions = _DEFAULT,
    progress: MoveProgressLike = None,
) -> MoveReport:
    """See `pgrecall.moving.amigrate`."""
    async with source.opened(client) as opened:
        found = await planned(opened, client, collection, options)
        with listener(progress) as told:
            return await _Move(opened, found, client, options, told).run()


class _Move:
    """One move.

    Args:
        opened: The source.
        plan: What goes where.
        client: The target's client.
        options: How.
        told: Whom to tell how far it has come.
    """

    def __init__(
        self,
        opened: Opened,
        plan: MovePlan,
        client: AsyncClient,
        options: MoveOptions,
        told: Callable[[MoveProgress], object] | None,
    ) -> None:
        self._opened = opened
        self._plan = plan
        self._options = options
        self._told = told
        self._began = time.monotonic()
        self._client = client
        self._pairs = list(zip(opened.parts, plan.parts, strict=True))
        # Of several parts it is noted which are done with, as a run that has finished would begin anew.
        self._noting = len(self._pairs) > 1
        self._target = client.collection(plan.collection)
        self._done = 0

    async def run(self) -> MoveReport:
        """Move all parts, build the index that is wanted, and verify."""
        moved: list[MovedPart] = []
        for part, goes in self._pairs:
            moved.append(await self._move(part, goes))
            self._done += part.count
        for part, goes in self._pairs if self._noting else ():
            await self._finished(goes).delete([self._opened.run(part)])
        if self._options.index is not None and await self._target.exists():
            await self._target.create_index(
                self._options.index, progress=lambda told: self._tell("indexing", self._done, told.fraction)
            )
        verification = await self._verify(moved) if self._options.verify else None
        self._tell("done", self._opened.count)
        config = self._plan.collection
        return MoveReport(
            source=self._opened.title,
            collection=f"{config.schema}.{config.name}",
            parts=tuple(moved),
            verification=verification,
            seconds=time.monotonic() - self._began,
        )

    async def _move(self, part: Part, goes: PartPlan) -> MovedPart:
        """Move one part, unless an earlier attempt has, which did not come to the end of all of them."""
        name, target = self._opened.run(part), self._target.domain(goes.domain)
        failed = await self._noted(goes, name, target) if self._noting else None
        if failed is None:
            report = await self._ingest(part, target, name)
            if self._noting:
                await self._note(goes, name, target, report)
        else:
            report = IngestReport(
                read=0,
                written=0,
                inserted=0,
                unchanged=0,
                failed=failed,
                resumed_at=part.count,
                embedding_calls=0,
                seconds=0.0,
            )
        return MovedPart(theirs=part.theirs, domain=goes.domain, count=part.count, report=report)

    async def _noted(self, goes: PartPlan, name: str, target: AsyncCollection) -> tuple[IngestFailure, ...] | None:
        """Return what was set aside of a part that is done with; `None` where it is not, or its rows are gone since."""
        (noted,) = await self._finished(goes).get([name])
        if noted is None:
            return None
        found = jsonb.loads(noted)
        if await target.count() < found["rows"]:
            return None
        return tuple(IngestFailure(**failure) for failure in found["failed"])

    async def _note(self, goes: PartPlan, name: str, target: AsyncCollection, report: IngestReport) -> None:
        failed = [
            {"position": one.position, "id": one.id and jsonb.storable(one.id), "reason": jsonb.storable(one.reason)}
            for one in report.failed
        ]
        value = jsonb.dumps({"rows": await target.count(), "failed": failed})
        await self._finished(goes).set({name: value})

    async def _ingest(self, part: Part, target: AsyncCollection, run: str) -> IngestReport:
        options = IngestOptions(
            write_batch=self._options.write_batch,
            max_failures=self._options.max_failures,
            hash_ids=True,
            convert=self._opened.convert,
            total=part.count,
        )
        return await target.ingest(
            part.rows.items,
            run=run,
            options=options,
            on_progress=lambda told: self._tell("moving", self._done + told["processed"]),
        )

    def _finished(self, goes: PartPlan) -> AsyncKeyValues:
        """Return where the parts that are done with are noted, until all of them are."""
        config = self._plan.collection
        return self._client.key_values(f"moves to {config.name}", domain=goes.domain, schema=config.schema)

    async def _verify(self, moved: list[MovedPart]) -> Verification:
        sum_of_all = Verification()
        vector_type = self._plan.collection.new_vector_type
        for part, done in zip(self._opened.parts, moved, strict=True):
            share = round(self._options.sample * part.count / max(1, self._opened.count)) or min(1, part.count)
            verifier = Verifier(
                opened=self._opened,
                part=part,
                target=self._target.domain(done.domain),
                vector_type=vector_type,
                sample=share if self._options.sample else 0,
            )
            read = sum_of_all.read
            found = await verifier.verify(done.report, lambda count, read=read: self._tell("verifying", read + count))
            sum_of_all = sum_of_all.plus(found)
        return sum_of_all

    def _tell(self, phase: str, done: int, share: float | None = None) -> None:
        if self._told is not None:
            seconds = time.monotonic() - self._began
            title = f"{self._opened.title} to {self._plan.collection.name}"
            total = self._opened.count
            self._told(MoveProgress(title=title, phase=phase, done=done, total=total, seconds=seconds, share=share))
