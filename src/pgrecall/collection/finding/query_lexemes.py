"""From a query's words to the lexemes that are searched for, with how common each is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pgrecall.bm25 import inverse_document_frequency
from pgrecall.collection.indexes.text_columns import UNKNOWN_CONFIGURATION, unknown_configuration
from pgrecall.errors import ExtensionMissing
from pgrecall.keyword_plan import Lexeme
from pgrecall.planner.lexemes import finds_faster
from pgrecall.postgres import catalog
from pgrecall.query_words import Reading
from pgrecall.sql import lexemes as lexeme_sql

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pgrecall.bm25 import Corpus
    from pgrecall.collection.handle import Handle
    from pgrecall.postgres import Session
    from pgrecall.query_words import Words
    from pgrecall.sql.selection import Selection
    from pgrecall.table import Table
    from pgrecall.table_columns import TextColumn

_MAX_KNOWN: Final = 4_096
# Whole documents are asked for too, which fill memory, and hardly ever twice.
_MAX_KEPT_CHARACTERS: Final = 2_000
# Of lexemes that are counted, since nothing is known about them, so many rows at most.
_MOST_COUNTED: Final = 10_000


async def read_words(handle: Handle, session: Session, words: Words, language: str) -> Reading:
    """Return the lexemes of a query's words, as they were for the same words before."""
    known = handle.knowledge.lexemes
    if (reading := known.get((language, words))) is not None:
        return reading
    try:
        (row,) = await session.fetch(lexeme_sql.read_words(language, words))
    except UNKNOWN_CONFIGURATION as error:
        raise await unknown_configuration(session, language) from error
    lexemes, prefixes, required, excluded = row
    reading = Reading(tuple(lexemes or ()), tuple(prefixes or ()), required or "", excluded or "")
    if sum(map(len, (words.any, *words.prefixes, *words.excluded))) > _MAX_KEPT_CHARACTERS:
        return reading
    if len(known) >= _MAX_KNOWN:
        known.clear()
    known[language, words] = reading
    return reading


async def lexemes_of(
    session: Session, selection: Selection, text: TextColumn, reading: Reading, corpus: Corpus
) -> list[Lexeme]:
    """Return the lexemes of a query, with about how many rows have each, and how much each says."""
    if corpus.known:
        rows = [corpus.rows_with(lexeme) for lexeme in reading.lexemes]
    else:
        rows = await _count(session, replace(selection, filter=None), text, reading.lexemes, corpus)
    found = [
        Lexeme(lexeme, there, inverse_document_frequency(there, max(corpus.rows, there)))
        for lexeme, there in zip(reading.lexemes, rows, strict=True)
    ]
    for prefix in reading.prefixes:
        there = corpus.prefixed(prefix)
        found.append(Lexeme(prefix, there, inverse_document_frequency(there, corpus.rows), prefix=True))
    return found


async def _count(
    session: Session, selection: Selection, text: TextColumn, lexemes: Sequence[str], corpus: Corpus
) -> list[float]:
    """Return how many rows have each of *lexemes*, counted now, or since the corpus was looked at."""
    known = {lexeme: corpus.counted[lexeme] for lexeme in lexemes if lexeme in corpus.counted}
    missing = [lexeme for lexeme in lexemes if lexeme not in known]
    if missing:
        if finds_faster(corpus.part):
            selection = selection.by_words([lexeme_sql.as_query(lexeme) for lexeme in missing])
        statement = lexeme_sql.count_lexemes(selection, text, missing, _MOST_COUNTED)
        new = {lexeme: float(row[0]) for lexeme, row in zip(missing, await session.fetch(statement), strict=True)}
        known |= new
        if selection.table.secured:
            # Elsewhere one corpus is known to all scopes, and rows are counted in this one.
            _keep(corpus, new)
    return [known[lexeme] for lexeme in lexemes]


def _keep(corpus: Corpus, counted: Mapping[str, float]) -> None:
    if len(corpus.counted) >= _MAX_KNOWN:
        corpus.counted.clear()
    corpus.counted.update(counted)


async def with_similar(
    session: Session, table: Table, text: TextColumn, lexemes: Sequence[Lexeme], corpus: Corpus
) -> list[Lexeme]:
    """Return *lexemes*, with those that no row has replaced by lexemes that are spelt alike."""
    schema = await catalog.extension_schema(session, "pg_trgm")
    if schema is None:
        msg = "fuzzy=True needs the extension pg_trgm; have a role that may do so run: CREATE EXTENSION pg_trgm"
        raise ExtensionMissing(msg)
    doubtful = [lexeme for lexeme in lexemes if not lexeme.prefix and lexeme.text not in corpus.frequencies]
    if not doubtful:
        return list(lexemes)
    statement = lexeme_sql.similar_lexemes(table, text, [lexeme.text for lexeme in doubtful], schema)
    near: dict[str, list[Lexeme]] = {}
    for position, known, similarity in await session.fetch(statement):
        rows = corpus.rows_with(known)
        weight = similarity * inverse_document_frequency(rows, corpus.rows)
        near.setdefault(doubtful[position].text, []).append(Lexeme(known, rows, weight))
    found: dict[str, Lexeme] = {}
    for lexeme in lexemes:
        for one in near.get(lexeme.text, [lexeme]):
            if one.text not in found or found[one.text].weight < one.weight:
                found[one.text] = one
    return list(found.values())
