"""Searching by words: from a text to lexemes, to the rows that have them, to the best of those."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pgrecall.bm25 import inverse_document_frequency
from pgrecall.collection.corpus import corpus_of
from pgrecall.collection.estimating import estimate
from pgrecall.collection.reading import as_match
from pgrecall.collection.searching import checked_score
from pgrecall.collection.text_columns import UNKNOWN_CONFIGURATION, unknown_configuration
from pgrecall.config import MAX_K, SearchOptions, check_range
from pgrecall.errors import ExtensionMissing, SchemaError
from pgrecall.filters import parse
from pgrecall.hybrid import KeywordOptions
from pgrecall.keyword_plan import Candidates, KeywordPlan, Lexeme
from pgrecall.planner import exact_limit
from pgrecall.planner.lexemes import MAX_LEXEMES, choose_candidates, every_row
from pgrecall.postgres import catalog
from pgrecall.query_words import Reading, Words, parse_words
from pgrecall.records import Scores
from pgrecall.sql import dml, text_search
from pgrecall.sql import lexemes as lexeme_sql
from pgrecall.text_search import TextSearch, configuration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pgrecall.bm25 import Corpus
    from pgrecall.collection.handle import Handle
    from pgrecall.filters import Filter
    from pgrecall.postgres import Session
    from pgrecall.records import Match
    from pgrecall.sql.dialect import Encoded
    from pgrecall.sql.selection import Selection
    from pgrecall.sql.text_search import Ranking
    from pgrecall.table import Table, TextColumn

_MAX_KNOWN: Final = 4_096
# Of lexemes that are counted, since nothing is known about them, so many rows at most.
_MOST_COUNTED: Final = 10_000
_FIRST: Final = 10
NO_OPTIONS: Final = KeywordOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class WordQuery:
    """One search by words, checked.

    Attributes:
        text: What the caller wrote.
        words: The same, taken apart.
        k: Rows wanted.
        filter: Which rows may be found.
        options: How it is done.
        min_score: Rows with a lower score are left out.
        extras: What to return too: ``embedding``, ``envelope``, ``highlights``.
    """

    text: str
    words: Words
    k: int
    filter: Filter | None
    options: KeywordOptions
    min_score: float | None = None
    extras: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        text: str,
        k: int,
        filter: Filter | Mapping[str, Any] | None,
        options: KeywordOptions | None,
        *,
        min_score: float | None = None,
        extras: frozenset[str] = frozenset(),
    ) -> WordQuery:
        """Return a search with its parts checked.

        Raises:
            ConfigError: k, the score or the text cannot be searched for.
            FilterError: The filter is malformed.
        """
        check_range(k, "k", 1, MAX_K)
        options = options or NO_OPTIONS
        return cls(
            text=text,
            words=parse_words(text, plain=options.syntax == "plain"),
            k=k,
            filter=parse(filter),
            options=options,
            min_score=checked_score(min_score),
            extras=extras,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A search by words that only has to be run.

    Attributes:
        selection: Which rows may be found.
        corpus: What is known about all texts.
        ranking: How rows are weighed.
        candidates: Which are.
        share: Of all rows those that may be found.
    """

    selection: Selection
    corpus: Corpus
    ranking: Ranking
    candidates: Candidates
    share: float

    def headline(self, extras: frozenset[str]) -> tuple[str, str] | None:
        """Return by which configuration and for which tsquery the content is highlighted, where that was asked for."""
        if "highlights" not in extras:
            return None
        return self.ranking.text.language, lexeme_sql.any_of(self.ranking.lexemes)


async def search_keyword(handle: Handle, query: WordQuery) -> list[Match]:
    """See `AsyncCollection.search_keyword`."""
    rerank = query.options.rerank
    wanted = query if rerank is None else replace(query, k=rerank.fetched(query.k))

    async def work(session: Session) -> list[Match]:
        ready = await prepare(handle, session, wanted)
        return [] if ready is None else await run(handle, session, ready, wanted)

    found = await handle.run(work)
    return found if rerank is None else await rerank.aapply(query.text, found, query.k)


async def explain_keyword(handle: Handle, query: WordQuery, *, postgres: bool = False) -> KeywordPlan:
    """See `AsyncCollection.explain_keyword`."""

    async def work(session: Session) -> KeywordPlan:
        ready = await prepare(handle, session, query)
        if ready is None:
            return KeywordPlan()
        lines: tuple[str, ...] = ()
        if postgres:
            returned = text_search.Returned(k=query.k)
            statement = text_search.best(ready.selection, ready.ranking, ready.candidates, returned)
            lines = tuple(line[0] for line in await session.fetch(dml.explain(statement)))
        return KeywordPlan(
            lexemes=ready.ranking.lexemes,
            reason=ready.candidates.reason,
            required=ready.ranking.required,
            excluded=ready.ranking.excluded,
            rows=ready.corpus.rows,
            share=ready.share,
            postgres=lines,
        )

    return await handle.run(work)


async def prepare(handle: Handle, session: Session, query: WordQuery) -> Prepared | None:
    """Return *query*, made ready to run, or `None` where nothing is searched for, or in.

    Raises:
        SchemaError: The content of this table cannot be searched by its words.
        ConfigError: The database does not know the language.
        ExtensionMissing: *fuzzy* was asked for, and there is no pg_trgm.
    """
    table = await handle.table(session)
    if table is None:
        return None
    text = text_of(table)
    reading = await _read(handle, session, query, text)
    if not reading.lexemes and not reading.prefixes:
        return None
    corpus = await corpus_of(handle, session, table, text)
    selection = handle.selection(session, table, query.filter)
    lexemes = await _lexemes(session, selection, text, reading, corpus)
    if query.options.fuzzy:
        lexemes = await _with_similar(session, table, text, lexemes, corpus)
    # The rarest say most; ties by name, so that the same query is always the same statement.
    lexemes = sorted(lexemes, key=lambda lexeme: (-lexeme.weight, lexeme.text))[:MAX_LEXEMES]
    share = await _share(handle, session, selection, corpus)
    required = reading.required
    if required and not await session.fetch_value(lexeme_sql.any_row(selection, text, required)):
        required = ""  # a phrase that no row has counts as its words
    having = min(map(corpus.rows_with, reading.required_lexemes), default=None) if required else None
    words = handle.config.words or TextSearch()
    ranking = text_search.Ranking(
        text=text,
        lexemes=tuple(lexemes),
        required=required,
        excluded=reading.excluded,
        k1=words.k1 if query.options.k1 is None else query.options.k1,
        b=words.b if query.options.b is None else query.options.b,
        mean_length=corpus.mean_length,
    )
    return Prepared(
        selection=selection,
        corpus=corpus,
        ranking=ranking,
        candidates=choose_candidates(lexemes, share, required=having),
        share=share,
    )


async def run(
    handle: Handle, session: Session, ready: Prepared, query: WordQuery, embedding: Encoded | None = None
) -> list[Match]:
    """Return what *query* finds, the best first; with distances to *embedding* where it is given."""
    selection, corpus = ready.selection, ready.corpus
    returned = text_search.Returned(
        k=query.k, extras=query.extras, embedding=embedding, headline=ready.headline(query.extras)
    )

    async def fetch(candidates: Candidates) -> list[Any]:
        return await session.fetch(text_search.best(selection, ready.ranking, candidates, returned))

    rows = await fetch(ready.candidates)
    if len(rows) < query.k and not ready.candidates.complete:
        rows = await fetch(every_row(ready.ranking.lexemes))
    matches = [_as_match(row, selection, corpus, handle.scope.domain) for row in rows]
    if query.min_score is not None:
        matches = [match for match in matches if match.score >= query.min_score]
    return matches


def text_of(table: Table) -> TextColumn:
    """Return the column that searches by words look into.

    Raises:
        SchemaError: There is none.
    """
    if table.text is None:
        msg = (
            f"the content of {table.qualified_name} cannot be searched by its words yet: call "
            "add_text_search('english'), or make the collection with CollectionConfig(text_search='english')"
        )
        raise SchemaError(msg)
    return table.text


def highlights(text: str | None) -> tuple[str, ...] | None:
    """Return the pieces that PostgreSQL has highlighted."""
    return None if text is None else tuple(text.split(text_search.BETWEEN_PIECES))


def _as_match(row: Any, selection: Selection, corpus: Corpus, domain: str | None) -> Match:
    bm25 = row[_FIRST]
    distance = row[_FIRST - 1]
    match = as_match(row[:_FIRST], corpus.keyword_score(bm25), selection.table, selection.dialect, domain)
    match.scores = Scores(keyword=bm25)
    if distance is None:
        match.distance = math.nan
    else:
        match.scores = Scores(dense=selection.table.distance.score(distance), keyword=bm25)
    match.highlights = highlights(row[_FIRST + 1])
    return match


async def _read(handle: Handle, session: Session, query: WordQuery, text: TextColumn) -> Reading:
    """Return the lexemes of the query's words, as they were for the same words before."""
    asked = query.options.language
    language = text.language if asked is None else configuration(asked)
    known = handle.knowledge.lexemes
    if (reading := known.get((language, query.words))) is not None:
        return reading
    try:
        (row,) = await session.fetch(lexeme_sql.read_words(language, query.words))
    except UNKNOWN_CONFIGURATION as error:
        raise await unknown_configuration(session, language) from error
    lexemes, prefixes, required, excluded = row
    reading = Reading(tuple(lexemes or ()), tuple(prefixes or ()), required or "", excluded or "")
    if len(known) >= _MAX_KNOWN:
        known.clear()
    known[language, query.words] = reading
    return reading


async def _lexemes(
    session: Session, selection: Selection, text: TextColumn, reading: Reading, corpus: Corpus
) -> list[Lexeme]:
    if corpus.known:
        rows = [corpus.rows_with(lexeme) for lexeme in reading.lexemes]
    else:
        statement = lexeme_sql.count_lexemes(replace(selection, filter=None), text, reading.lexemes, _MOST_COUNTED)
        rows = [float(row[0]) for row in await session.fetch(statement)]
    found = [
        Lexeme(lexeme, there, inverse_document_frequency(there, max(corpus.rows, there)))
        for lexeme, there in zip(reading.lexemes, rows, strict=True)
    ]
    for prefix in reading.prefixes:
        there = corpus.prefixed(prefix)
        found.append(Lexeme(prefix, there, inverse_document_frequency(there, corpus.rows), prefix=True))
    return found


async def _with_similar(
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


async def _share(handle: Handle, session: Session, selection: Selection, corpus: Corpus) -> float:
    """Return about which share of all rows passes scope and filter."""
    scoped = not selection.scope.is_everything and selection.table.columns.domain_id is not None
    if selection.filter is None and not scoped:
        return 1.0
    # As the search by embedding counts, which plans by the same figure.
    limit = exact_limit(_FIRST, corpus.rows, SearchOptions(), selection.table.dimensions or 1)
    passing = await estimate(handle, session, selection, limit)
    return min(1.0, max(passing, 1) / corpus.rows)
