"""What searches by words know about all texts of a table, read now and then."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pgrecall.bm25 import Corpus
from pgrecall.collection.finding.estimating import estimate, estimate_rows
from pgrecall.planner import ALWAYS_EXACT
from pgrecall.scope import Scope
from pgrecall.sql import dml, lexemes

if TYPE_CHECKING:
    from pgrecall.collection.handle import Handle
    from pgrecall.postgres import Session
    from pgrecall.sql.selection import Selection
    from pgrecall.table import Table
    from pgrecall.table_columns import TextColumn

# Frequencies change slowly; autovacuum analyses a table of ours when a twentieth of it has changed.
_SECONDS: Final = 120.0
_UNKNOWN_SECONDS: Final = 10.0
_MOST_COUNTED: Final = 100_000
_MOST_CORPORA: Final = 256
# Pages of a sample are read whole: so many rows give the mean length within a few per cent.
_SAMPLED_ROWS: Final = 2_000
# Fewer embeddings than that say little about how similar two of them are.
_LEAST_EMBEDDINGS: Final = 8
# Behind the shares of the lexemes PostgreSQL keeps the smallest and the largest of them.
_BEHIND: Final = 2


async def corpus_of(handle: Handle, session: Session, table: Table, text: TextColumn) -> Corpus:
    """Return what is known about the texts, not much older than two minutes."""
    # Under row-level security only the handle's own texts can be looked at.
    whose = handle.scope if table.secured else None
    known = handle.knowledge.corpora.get(whose)
    now = time.monotonic()
    if known is not None and now - known[1] < (_SECONDS if known[0].known else _UNKNOWN_SECONDS):
        return known[0]
    corpus = await _read(handle, session, table, text)
    if len(handle.knowledge.corpora) >= _MOST_CORPORA:
        handle.knowledge.corpora.clear()
    handle.knowledge.corpora[whose] = corpus, now
    return corpus


async def _read(handle: Handle, session: Session, table: Table, text: TextColumn) -> Corpus:
    own = handle.selection(session, table)
    seen = own if table.secured else replace(own, scope=Scope.everything())
    frequencies, least, known = await _frequencies(session, table, text)
    if known:
        rows = await estimate_rows(handle, session, seen)
    else:
        # Of a table that was never analysed PostgreSQL does not know the rows either.
        rows = await session.fetch_value(dml.count_up_to(seen, _MOST_COUNTED))
    percent = min(100.0, 100.0 * _SAMPLED_ROWS / max(rows, 1))
    length = await session.fetch_value(lexemes.mean_length(seen, text, percent))
    background, same = await _similarities(handle, session, table, percent)
    return Corpus(
        rows=max(rows, 1),
        mean_length=max(float(length or 1.0), 1.0),
        frequencies=frequencies,
        least=least,
        background=background,
        own=same,
        known=known,
        part=await _part(handle, session, own, rows) if table.secured else 1.0,
    )


async def _part(handle: Handle, session: Session, own: Selection, rows: int) -> float:
    """Return which part of the table's rows is the handle's own, of which so many were counted."""
    if rows >= _MOST_COUNTED:
        rows = max(rows, await estimate(handle, session, own, ALWAYS_EXACT))
    return min(1.0, rows / max(own.table.rows, 1))


async def _frequencies(session: Session, table: Table, text: TextColumn) -> tuple[dict[str, float], float, bool]:
    """Return the shares of the common lexemes, the smallest share, and whether there are any figures at all."""
    if text.index is not None:
        return {}, 0.0, True  # the extension keeps its own
    found = await session.fetch(lexemes.lexeme_statistics(table, text))
    if not found:
        return {}, 0.0, False
    listed, shares, nulls = found[0]
    filled = 1.0 - (nulls or 0.0)
    # Another version of PostgreSQL may keep more behind them.
    least = shares[len(listed)] if len(shares) >= len(listed) + _BEHIND else min(shares, default=0.0)
    return {lexeme: share * filled for lexeme, share in zip(listed, shares, strict=False)}, least * filled, True


async def _similarities(handle: Handle, session: Session, table: Table, percent: float) -> tuple[float, float]:
    """Return the score of two embeddings picked at random, and that of one with itself."""
    statement = lexemes.mean_distances(handle.selection(session, table), percent)
    (apart, own, sampled) = (await session.fetch(statement))[0]
    if apart is None or sampled < _LEAST_EMBEDDINGS or not math.isfinite(apart) or not math.isfinite(own):
        return 0.0, 1.0
    score = table.distance.score
    return score(apart), score(own)
