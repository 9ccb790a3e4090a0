"""One process of a soak: tasks that read, write and delete, and remember what they were told.

``python -m benchmarks.soak_worker job.json`` works until its time is over, and writes down what must be there.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from pgrecall import HNSW, AsyncClient, AsyncCollection, CollectionConfig, PoolConfig, Record, RetryConfig
from pgrecall.errors import PGRecallError

DIMENSIONS = 32
COLLECTION = CollectionConfig(name="soaked", dimensions=DIMENSIONS)
CONNECTIONS = 4
"""Most connections of one process."""

_IDS = 1_500
_BATCH = 120
_MAINTENANCE_SECONDS = 2.0
# What is remembered of the past is bounded, so that memory which grows is the engine's.
_TIMES = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one process is to do.

    Attributes:
        url: The database.
        number: Which of the processes it is.
        tasks: How many tasks it has.
        seconds: How long.
        maintains: Whether one task more builds and maintains indexes.
        out: Where to write what came of it.
    """

    url: str
    number: int
    tasks: int
    seconds: float
    maintains: bool
    out: str


@dataclass(slots=True)
class Diary:
    """What one process did, and what must be there therefore.

    Attributes:
        possible: Id to the versions that its row may have; `None` means that it may be gone. Only where a call
            failed, so that nobody knows whether it was done, is there more than one.
        done: Calls that ended well, by what they are.
        failed: Calls that did not, by what they are and what was said.
        wrong: Answers that contradict what was acknowledged.
        times: Milliseconds of the latest calls, by what they are.
    """

    possible: dict[str, list[int | None]] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    times: dict[str, deque[float]] = field(default_factory=dict)

    def acknowledged(self, row_id: str, version: int | None) -> None:
        """Take note of what a row is now."""
        self.possible[row_id] = [version]

    def unknown(self, row_id: str, version: int | None) -> None:
        """Take note of what a row may be now."""
        before = self.possible.get(row_id, [None])
        self.possible[row_id] = before if version in before else [*before, version]


def record(row_id: str, version: int) -> Record:
    """Return the one record that a version of a row is."""
    rng = np.random.default_rng([version, *row_id.encode()])
    return Record(
        id=row_id,
        content=f"{row_id} {version}",
        embedding=rng.normal(size=DIMENSIONS).astype(np.float32),
        metadata={"version": version, "group": version % 10},
    )


def fault(found: Record, version: int | None) -> str | None:
    """Return in what a row that was found is not the version that it should be; `None` where it is."""
    if version is None:
        return f"{found.id} was deleted and is there: {found.content!r}"
    expected = record(str(found.id), version)
    for name in ("content", "metadata"):
        if getattr(found, name) != getattr(expected, name):
            return f"{found.id}: {name} is {getattr(found, name)!r}, not {getattr(expected, name)!r}"
    if found.embedding is not None and not np.array_equal(np.asarray(found.embedding), np.asarray(expected.embedding)):
        return f"{found.id}: the embedding is another one's"
    return None


class Worker:
    """One task: works on ids of its own, so that it knows what they must be."""

    def __init__(self, docs: AsyncCollection, diary: Diary, prefix: str) -> None:
        self._docs, self._diary = docs, diary
        self._ids = [f"{prefix}-{n:05}" for n in range(_IDS)]
        self._random = random.Random(prefix)
        self._version = 0

    async def run(self, until: float) -> None:
        """Do one thing after the other until the time is over."""
        actions = [(self._write, 30), (self._search, 30), (self._read, 15), (self._delete, 10), (self._update, 10)]
        kinds, weights = zip(*actions, strict=True)
        while time.monotonic() < until:
            (act,) = self._random.choices(kinds, weights)
            await act()

    async def _call(self, what: str, call: Callable[[], Awaitable[Any]]) -> tuple[bool, Any]:
        began = time.perf_counter()
        try:
            answer = await call()
        except PGRecallError as error:
            self._diary.failed[f"{what}: {type(error).__name__}: {str(error)[:80]}"] += 1
            return False, None
        self._diary.done[what] += 1
        self._diary.times.setdefault(what, deque(maxlen=_TIMES)).append(1000 * (time.perf_counter() - began))
        return True, answer

    def _some(self, most: int) -> list[str]:
        return self._random.sample(self._ids, self._random.randint(1, most))

    def _note(self, ids: list[str], version: int | None, *, well: bool) -> None:
        for row_id in ids:
            (self._diary.acknowledged if well else self._diary.unknown)(row_id, version)

    async def _write(self) -> None:
        self._version += 1
        version, ids = self._version, self._some(_BATCH if self._random.random() < 0.5 else 5)
        well, _ = await self._call("upsert", lambda: self._docs.upsert([record(one, version) for one in ids]))
        self._note(ids, version, well=well)

    async def _update(self) -> None:
        """Replace rows that are there; of the others nothing may come to be."""
        self._version += 1
        version, ids = self._version, self._some(20)
        there = [one for one in ids if self._diary.possible.get(one, [None])[0] is not None]
        sure = [one for one in there if len(self._diary.possible[one]) == 1]
        if sure:
            well, _ = await self._call("replace", lambda: self._docs.replace([record(one, version) for one in sure]))
            self._note(sure, version, well=well)

    async def _delete(self) -> None:
        ids = self._some(40)
        well, _ = await self._call("delete", lambda: self._docs.delete(ids))
        self._note(ids, None, well=well)

    async def _read(self) -> None:
        ids = self._some(30)
        _, found = await self._call("get", lambda: self._docs.get(ids, include=["embedding"]))
        for row_id, row in zip(ids, found or (), strict=False):
            self._judge(row_id, row)

    async def _search(self) -> None:
        row_id, filter = self._random.choice(self._ids), None
        if self._random.random() < 0.5:
            filter = {"group": self._random.randrange(10)}
        query = np.asarray(record(row_id, self._random.randint(1, 1 + self._version)).embedding)
        well, found = await self._call("search", lambda: self._docs.search(query, k=10, filter=filter))
        mine = set(self._ids)
        for match in found or ():
            version = (match.metadata or {}).get("version")
            if match.content != f"{match.id} {version}" or (filter and (version or 0) % 10 != filter["group"]):
                self._diary.wrong.append(f"search found {match.id} as {match.content!r} with {match.metadata!r}")
            if match.id in mine and version not in self._diary.possible.get(match.id, [None]):
                self._diary.wrong.append(f"search found {match.id} as version {version}")
        if well and len({match.id for match in found}) != len(found):
            self._diary.wrong.append(f"search found a row twice: {[match.id for match in found]}")

    def _judge(self, row_id: str, row: Record | None) -> None:
        """Hold a row that was read against what it may be."""
        allowed = self._diary.possible.get(row_id, [None])
        if row is None:
            if None not in allowed:
                self._diary.wrong.append(f"{row_id} was acknowledged as {allowed} and is not there")
            return
        faults = [fault(row, version) for version in allowed if version is not None]
        if all(faults):
            self._diary.wrong.append(faults[0] or f"{row_id} was deleted and is there: {row.content!r}")


async def maintain(docs: AsyncCollection, diary: Diary, until: float) -> None:
    """Build the index anew, and clean up, again and again."""
    for turn in itertools.count():
        if time.monotonic() >= until:
            return
        index = HNSW(m=8 + turn % 2, ef_construction=32)
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "create_index": lambda index=index: docs.create_index(index, replace=True),
            "maintain": docs.maintain,
            "stats": docs.stats,
        }
        for what, call in calls.items():
            try:
                await call()
                diary.done[what] += 1
            except PGRecallError as error:
                diary.failed[f"{what}: {type(error).__name__}: {str(error)[:80]}"] += 1
        await asyncio.sleep(_MAINTENANCE_SECONDS)


async def work(job: Job) -> Diary:
    """Work until the time is over, and return what was done."""
    diary, until = Diary(), time.monotonic() + job.seconds
    pool = PoolConfig(max_size=CONNECTIONS, retry=RetryConfig(attempts=25, max_delay=2))
    async with AsyncClient(job.url, pool=pool) as client:
        docs = await client.get_or_create_collection(COLLECTION)
        workers = [Worker(docs, diary, f"{job.number}-{task}").run(until) for task in range(job.tasks)]
        if job.maintains:
            workers.append(maintain(docs, diary, until))
        await asyncio.gather(*workers)
    return diary


def main(path: str) -> None:
    """Do the job that is written in *path*, and write down the answer."""
    job = Job(**json.loads(Path(path).read_text()))
    diary = asyncio.run(work(job))
    answer = {each.name: getattr(diary, each.name) for each in fields(diary)}
    Path(job.out).write_text(json.dumps(answer, default=list))


if __name__ == "__main__":
    main(sys.argv[1])
