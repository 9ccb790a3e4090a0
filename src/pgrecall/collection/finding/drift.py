"""IVFFlat indexes that their tables have outgrown: cells are learned once, and what comes later fits them less well."""

from __future__ import annotations

import math
import time
import warnings
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from pgrecall.errors import PerformanceWarning
from pgrecall.postgres import statistics
from pgrecall.sql import upkeep

if TYPE_CHECKING:
    from pgrecall.collection.handle import Handle
    from pgrecall.postgres import Database, Session
    from pgrecall.table import Table

_GROWTH: Final = 2
# So few are found whatever the cells are.
_FEW_ROWS: Final = 1_000
_LOOK_SECONDS: Final = 300.0

# When to look at a table again; never where there was a warning.
_next: WeakKeyDictionary[Database, dict[tuple[str, str], float]] = WeakKeyDictionary()


async def ivfflat_outgrown(session: Session, table: Table) -> bool:
    """Whether *table* has twice the rows that the IVFFlat index which serves it was built for.

    How many these were is noted on the index by us; on an index that others have built it is not, and
    nothing can be said.
    """
    index = table.usable_index()
    if index is None or index.method != "ivfflat":
        return False
    built = upkeep.noted_rows(await statistics.index_note(session, table.schema, index.name))
    rows = None if built is None else await statistics.estimated_rows(session, table)
    return built is not None and rows is not None and rows >= max(_FEW_ROWS, _GROWTH * built)


async def warn_if_outgrown(handle: Handle, session: Session, table: Table) -> None:
    """Warn where *table* has outgrown its IVFFlat index: once, and at most a look every five minutes."""
    index = table.usable_index()
    if index is None or index.method != "ivfflat":
        return
    times = _next.setdefault(handle.database, {})
    now, key = time.monotonic(), (table.schema, table.name)
    if now < times.get(key, 0.0):
        return
    times[key] = now + _LOOK_SECONDS
    if await ivfflat_outgrown(session, table):
        times[key] = math.inf
        msg = (
            f"{table.qualified_name} has more than doubled since its IVFFlat index {index.name} was built, so that "
            "searches find less; build it anew: create_index(IVFFlat(), replace=True)"
        )
        warnings.warn(msg, PerformanceWarning, stacklevel=2)
