"""Searching by words: from a text to lexemes, to the rows that have them, to the best of those."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pgrecall.checks import check_instance, check_range, check_score
from pgrecall.collection.finding.corpus import corpus_of
from pgrecall.collection.finding.estimating import estimate
from pgrecall.collection.finding.query_lexemes import lexemes_of, read_words, with_similar
from pgrecall.collection.finding.reading import as_match
from pgrecall.config import MAX_K, SearchOptions
from pgrecall.errors import ConfigError, SchemaError
from pgrecall.filters import parse
from pgrecall.hybrid import KeywordOptions
from pgrecall.keyword_plan import Candidates, KeywordPlan, Lexeme
from pgrecall.planner import exact_limit
from pgrecall.planner.lexemes import MAX_LEXEMES, choose_candidates, every_row, expected_share, finds_faster
from pgrecall.query_words import Reading, Words, parse_words
from pgrecall.records import Scores
from pgrecall.sql import dml, text_search
from pgrecall.sql import lexemes as lexeme_sql
from pgrecall.sql.select import ROW
from pgrecall.text_search import TextSearch, configuration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgrecall.bm25 import Corpus
    from pgrecall.collection.handle import Handle
    from pgrecall.filters import Filter
    from pgrecall.postgres import Session
    from pgrecall.records import Match
    from pgrecall.sql.compose import Statement
    from pgrecall.sql.dialect import Encoded
    from pgrecall.sql.selection import Selection
    from pgrecall.sql.text_search import Ranking
    from pgrecall.table import Table
    from pgrecall.table_columns import TextColumn

# Behind the columns of a row and its distance.
_FIRST: Final = len(ROW) + 1
# As many rows as most searches want.
_TYPICAL: Final = 10
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
        score_threshold: Rows with a lower score are left out.
        extras: What to return too: ``embedding``, ``envelope``, ``highlights``.
    """

    text: str
    words: Words
    k: int
    filter: Filter | None
    options: KeywordOptions
    score_threshold: float | None = None
    extras: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        text: str,
        k: int,
        filter: Filter | Mapping[str, Any] | None,
        options: KeywordOptions | None,
        *,
        score_threshold: float | None = None,
        extras: frozenset[str] = frozenset(),
    ) -> WordQuery:
        """Return a search with its parts checked.

        Raises:
            ConfigError: k, the score or the text cannot be searched for.
            FilterError: The filter is malformed.
        """
        check_range(k, "k", 1, MAX_K)
        check_instance(options, "options", KeywordOptions | None, "KeywordOptions")
        options = options or NO_OPTIONS
        return cls(
            text=text,
            words=parse_words(text, plain=options.syntax == "plain"),
            k=k,
            filter=parse(filter),
            options=options,
            score_threshold=check_score(score_threshold),
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
            statement = _best(ready, ready.candidates, returned)
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
    asked = query.options.language
    language = text.language if asked is None else configuration(asked)
    reading = await read_words(handle, session, query.words, language)
    if not reading.lexemes and not reading.prefixes:
        return None
    corpus = await corpus_of(handle, session, table, text)
    selection = handle.selection(session, table, query.filter)
    if text.index is not None:
        return _by_extension(selection, text, query, reading, corpus)
    lexemes = await lexemes_of(session, selection, text, reading, corpus)
    if query.options.fuzzy:
        lexemes = await with_similar(session, table, text, lexemes, corpus)
    # The rarest say most; ties by name, so that the same query is always the same statement.
    lexemes = sorted(lexemes, key=lambda lexeme: (-lexeme.weight, lexeme.text))[:MAX_LEXEMES]
    share = await _share(handle, session, selection, corpus)
    required = reading.required
    if required and not await _is_anywhere(session, selection, text, required, corpus):
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


async def _is_anywhere(session: Session, selection: Selection, text: TextColumn, query: str, corpus: Corpus) -> bool:
    if finds_faster(corpus.part):
        selection = selection.by_words([query])
    return await session.fetch_value(lexeme_sql.any_row(selection, text, query))


def _by_extension(
    selection: Selection, text: TextColumn, query: WordQuery, reading: Reading, corpus: Corpus
) -> Prepared:
    """Return *query* for pg_textsearch, which reads and weighs the words itself.

    Raises:
        ConfigError: The query asks for what that extension does not know.
    """
    words, options = query.words, query.options
    if words.phrases or words.excluded or words.prefixes or options.fuzzy:
        msg = (
            "pg_textsearch knows words only, neither phrases nor exclusions, prefixes or misspelt words: pass "
            "KeywordOptions(syntax='plain'), or have the texts ranked by engine='builtin'"
        )
        raise ConfigError(msg)
    if options.k1 is not None or options.b is not None or options.language is not None:
        msg = "k1, b and language are those of the index of pg_textsearch, and cannot be another one's for one query"
        raise ConfigError(msg)
    lexemes = tuple(Lexeme(lexeme, 1.0, 1.0) for lexeme in reading.lexemes)
    return Prepared(
        selection=selection,
        corpus=corpus,
        ranking=text_search.Ranking(
            text=text, lexemes=lexemes, asked=words.any, k1=0.0, b=0.0, mean_length=corpus.mean_length
        ),
        candidates=Candidates((), (), query.k, "the index of pg_textsearch finds the best"),
        share=1.0,
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
        return await session.fetch(_best(ready, candidates, returned))

    # An index of pg_textsearch may fill up with rows that have none of the words, or no text.
    rows = [row for row in await fetch(ready.candidates) if row[_FIRST]]
    if len(rows) < query.k and not ready.candidates.complete:
        rows = await fetch(every_row(ready.ranking.lexemes))
    matches = [_as_match(row, selection, corpus, handle.scope.domain) for row in rows]
    if query.score_threshold is not None:
        matches = [match for match in matches if match.score >= query.score_threshold]
    return matches


def _best(ready: Prepared, candidates: Candidates, returned: text_search.Returned) -> Statement:
    """Return the statement that finds the best of *candidates*, by a lookup where the policies make one worth it."""
    selection, corpus = ready.selection, ready.corpus
    query = text_search.matching_query(ready.ranking, candidates)
    matching = expected_share(candidates, corpus.rows)
    fewer = selection.is_looked_up and ready.share < matching
    if query and not fewer and finds_faster(corpus.part, matching):
        selection = selection.by_words([query])
    return text_search.best(selection, ready.ranking, candidates, returned)


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


async def _share(handle: Handle, session: Session, selection: Selection, corpus: Corpus) -> float:
    """Return about which share of all rows passes scope and filter."""
    scoped = not selection.scope.is_everything and selection.table.columns.domain_id is not None
    if selection.filter is None and not scoped:
        return 1.0
    # As the search by embedding counts, which plans by the same figure.
    limit = exact_limit(_TYPICAL, corpus.rows, SearchOptions(), selection.table.dimensions or 1)
    passing = await estimate(handle, session, selection, limit)
    return min(1.0, max(passing, 1) / corpus.rows)
