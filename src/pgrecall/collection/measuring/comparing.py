"""Two models' searches side by side: how many of the nearest each finds, and how far their answers agree."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pgrecall.collection.finding import reading, searching
from pgrecall.collection.finding.searching import Query
from pgrecall.collection.measuring.recall import RecallReport, recall
from pgrecall.scope import Scope
from pgrecall.sql import dml

if TYPE_CHECKING:
    from pgrecall.collection.handle import Handle
    from pgrecall.postgres import Session
    from pgrecall.records import Embedding


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Searches by two models, in the same scope.

    Attributes:
        before: Recall and times of searches by the model before.
        after: Those of searches by the new one.
        agreement: Mean share of the k nearest neighbours of a record that both models name. Models that are
            worth changing between disagree; next to nothing in common means that something is wrong.
        least: The same of the record for which it was least.
        sample: Records that were looked at.
    """

    before: RecallReport
    after: RecallReport
    agreement: float
    least: float
    sample: int

    def __str__(self) -> str:
        both = f"agreement of neighbours {self.agreement:.3f} (least {self.least:.3f}) of {self.sample} records"
        return f"before: {self.before}\nafter:  {self.after}\n{both}"


async def compare(before: Handle, after: Handle, k: int, sample: int) -> Comparison | None:
    """Return how searches by the embeddings of *after* compare with those of *before*; `None` without records."""

    async def draw(session: Session) -> list[tuple[str, str | None, Any]]:
        table = await after.table(session)
        if table is None:
            return []
        rows = await session.fetch(dml.sample_rows(after.selection(session, table), sample, None))
        read = session.dialect.read_embedding
        return [(row[0], row[1], read(row[2], table.vector_type)) for row in rows]

    drawn = await after.run(draw)
    shares: list[float] = []
    for row_id, domain, new in drawn:
        scope = before.scope if domain is None else Scope.of(domain)
        old_handle, new_handle = replace(before, scope=scope), replace(after, scope=scope)
        found = (await reading.get(old_handle, [row_id], frozenset({"embedding"})))[0]
        if found is None or found.embedding is None:
            continue
        old_ids = await _neighbours(old_handle, found.embedding, row_id, k)
        new_ids = await _neighbours(new_handle, new, row_id, k)
        if old_ids or new_ids:
            shares.append(len(old_ids & new_ids) / max(len(old_ids), len(new_ids)))
    if not shares:
        return None
    query = Query.of((), k, None, None)
    return Comparison(
        before=await recall(before, query, sample=sample, queries=None),
        after=await recall(after, query, sample=sample, queries=None),
        agreement=float(np.mean(shares)),
        least=min(shares),
        sample=len(shares),
    )


async def _neighbours(handle: Handle, embedding: Embedding, row_id: str, k: int) -> set[str]:
    matches = await searching.search(handle, Query.of(embedding, k + 1, None, None))
    return {match.id for match in [match for match in matches if match.id != row_id][:k]}
