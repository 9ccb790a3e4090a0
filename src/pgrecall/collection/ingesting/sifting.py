"""Which records of a chunk cannot be stored, and which need not be: found out before they are embedded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pgrecall import jsonb
from pgrecall.collection.finding import reading
from pgrecall.collection.ingesting.entries import reason_of
from pgrecall.errors import DimensionMismatch, RecordError
from pgrecall.records import RecordBatch
from pgrecall.rows import prepare
from pgrecall.scope import DEFAULT_DOMAIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.collection.handle import Handle
    from pgrecall.records import Record
    from pgrecall.table import Table


async def faults(handle: Handle, records: Sequence[Record], dimensions: int) -> dict[int, str]:
    """Return the indexes of the records that cannot be stored, and why.

    Args:
        handle: Where they are to be stored.
        records: The records; those without embedding are looked at as if they had one.
        dimensions: Length of the embeddings, where there is no table yet that says it.
    """
    table = await handle.planned_table(dimensions)
    try:
        prepare(_embedded(records, table), table, handle.scope)
    except (RecordError, DimensionMismatch):
        pass
    else:
        return {}
    found: dict[int, str] = {}
    for index, record in enumerate(records):
        try:
            prepare(_embedded([record], table), table, handle.scope)
        except (RecordError, DimensionMismatch) as error:
            found[index] = reason_of(error).removeprefix("record 0").removeprefix(": ").strip()
    return found


def _embedded(records: Sequence[Record], table: Table) -> RecordBatch:
    any_embedding = np.ones(table.dimensions or 1, np.float32)
    return RecordBatch.from_records(
        [record if record.embedding is not None else replace(record, embedding=any_embedding) for record in records]
    )


async def unchanged(handle: Handle, records: Sequence[Record]) -> set[int]:
    """Return the indexes of the records that are stored just so, embedding aside, and have one.

    What is compared is what is stored: content, metadata, document, place in it and envelope. Of records with
    the same id, all but the last are taken for changed.
    """
    given = {record.id: index for index, record in enumerate(records) if record.id is not None}
    if not given:
        return set()

    async def nullable() -> bool:
        table = await handle.planned_table(handle.config.dimensions or 1)
        return table.embedding_nullable

    extras: set[Any] = {"envelope", "embedding"} if await nullable() else {"envelope"}
    ids = [str(row_id) for row_id in given]
    stored = await reading.get(handle, ids, frozenset(extras))
    return {
        index
        for (index, there) in zip(given.values(), stored, strict=True)
        if there is not None
        and (there.embedding is not None or "embedding" not in extras)
        and _same(records[index], there)
    }


def _same(record: Record, there: Record) -> bool:
    for name in ("content", "document_id", "chunk_index"):
        if getattr(record, name) != getattr(there, name):
            return False
    if (record.domain_id or there.domain_id or DEFAULT_DOMAIN) != (
        there.domain_id or record.domain_id or DEFAULT_DOMAIN
    ):
        return False
    # As JSON: a table that keeps no notes on types gives a date back as a text.
    return all(
        jsonb.loads(jsonb.dumps(getattr(record, name))) == jsonb.loads(jsonb.dumps(getattr(there, name)))
        for name in ("metadata", "envelope")
    )
