"""Searching the content by its words: from lexemes to the best rows.

Lexemes travel as parameters, in the form of a tsquery; the statement's text depends on how many there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, LiteralString

from pgrecall.bm25 import SERIES
from pgrecall.sql.compose import SQL, Composable, Identifier, Integer, Param, Statement
from pgrecall.sql.dml import ids_array
from pgrecall.sql.domains import domain_text
from pgrecall.sql.lexemes import any_of, as_query, text_length
from pgrecall.sql.select import projection
from pgrecall.sql.where import conditions, where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.keyword_plan import Candidates, Lexeme
    from pgrecall.sql.dialect import Encoded
    from pgrecall.sql.selection import Selection
    from pgrecall.table import Table
    from pgrecall.table_columns import TextColumn

# ts_rank gives a position without a label this weight.
_WEIGHT: Final = 0.1
# Keeps 0 / 0 away where k1 is 0.
_TINY: Final = 1e-9
BETWEEN_PIECES: Final = "\x1e"
"""What PostgreSQL puts between the pieces that it highlights: a record separator, which hardly any text contains."""
_HIGHLIGHTING: Final = f"MaxFragments=3, MaxWords=30, MinWords=10, FragmentDelimiter={BETWEEN_PIECES}"
# Names that no column of an adopted table has.
_PLACE: Final = Identifier("pgrecall place")
_LEXEMES: Final = Identifier("pgrecall lexemes")
_NORM: Final = Identifier("pgrecall norm")
_SCORE: Final = Identifier("pgrecall score")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """How rows are weighed.

    Attributes:
        text: The column with the rows' lexemes.
        lexemes: Those of the query.
        asked: The query as it was written, which pg_textsearch reads itself.
        required: What rows must match too, as the text of a tsquery; empty for nothing.
        excluded: What they must not match.
        k1: See `TextSearch`.
        b: See `TextSearch`.
        mean_length: Mean length of the texts.
    """

    text: TextColumn
    lexemes: tuple[Lexeme, ...]
    asked: str = ""
    required: str = ""
    excluded: str = ""
    k1: float
    b: float
    mean_length: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What comes back of the rows that are found.

    Attributes:
        k: How many rows.
        extras: Which of ``embedding`` and ``envelope`` to return too.
        embedding: Where it is given, each row comes with its distance to it.
        headline: Where it is given, each row comes with the places that match: the configuration by which the
            text was read, and the tsquery that is highlighted.
    """

    k: int
    extras: frozenset[str] = frozenset()
    embedding: Encoded | None = None
    headline: tuple[str, str] | None = None


def best(selection: Selection, ranking: Ranking, candidates: Candidates, returned: Returned) -> Statement:
    """Return the statement that finds the k rows with the highest BM25 score.

    Args:
        selection: Which rows.
        ranking: How they are weighed.
        candidates: Which of them are.
        returned: How many rows, and what of them.

    Returns:
        Rows of `select.ROW`, then distance, score and highlights, the best first.
    """
    if ranking.text.index is not None:
        return _best_by_index(selection, ranking, returned)
    table = selection.table
    column = Identifier(ranking.text.column)
    matching = [*conditions(selection), *selection.places(candidates.limit)]
    unpacked: list[Composable] = []
    if query := matching_query(ranking, candidates):
        # To unpack them takes longer: what a lookup has found is looked at once more when they are.
        parts, name = (unpacked, _LEXEMES) if selection.words else (matching, column)
        parts.append(SQL("{name} @@ {query}").format(name=name, query=Param(query, "text::tsquery")))
    tail = [distance_to(selection, returned.embedding), _SCORE, _headline(table, returned.headline)]
    holes: dict[str, Composable] = {
        "columns": SQL(", ").join([projection(selection, returned.extras), *tail]),
        "place": _PLACE,
        "lexemes": SQL("{lexemes} AS {name}").format(lexemes=_plain(column), name=_LEXEMES),
        "norm": SQL("{norm} AS {name}").format(norm=_norm(table, ranking), name=_NORM),
        "score": SQL("{score} AS {name}").format(score=_score(ranking), name=_SCORE),
        "best": SQL("{name} DESC").format(name=_SCORE),
        "table": Identifier(table.schema, table.name),
        "where": where(matching),
        "unpacked": where(unpacked),
        "limit": Integer(candidates.limit),
        "k": Integer(returned.k),
    }
    form: LiteralString
    if table.partitioned:
        # There a place alone does not say which row it is.
        form = (
            "SELECT {columns} FROM (SELECT *, {score} FROM (SELECT *, {lexemes}, {norm} FROM {table} {where} "
            "LIMIT {limit}) AS matched ORDER BY {best} LIMIT {k}) AS found ORDER BY {best}"
        )
    else:
        form = (
            "WITH matched AS MATERIALIZED (SELECT ctid AS {place}, {lexemes}, {norm} FROM {table} {where} "
            "LIMIT {limit}), best AS MATERIALIZED (SELECT {place}, {score} FROM matched {unpacked} "
            "ORDER BY {best}, {place} LIMIT {k}) SELECT {columns} FROM best JOIN {table} AS found "
            "ON found.ctid = {place} ORDER BY {best}, {place}"
        )
    return selection.compile(SQL(form).format(**holes))


def _best_by_index(selection: Selection, ranking: Ranking, returned: Returned) -> Statement:
    """Return the statement that has an index of pg_textsearch find the best; it scans on until enough rows pass."""
    table = selection.table
    negative = _negative_score(ranking)
    tail = [
        distance_to(selection, returned.embedding),
        SQL("- ({negative}) AS {name}").format(negative=negative, name=_SCORE),
        _headline(table, returned.headline),
    ]
    return selection.compile(
        SQL("SELECT {columns} FROM {table} {where} ORDER BY {negative} LIMIT {k}").format(
            columns=SQL(", ").join([projection(selection, returned.extras), *tail]),
            table=Identifier(table.schema, table.name),
            where=where(conditions(selection)),
            negative=negative,
            k=Integer(returned.k),
        )
    )


def _negative_score(ranking: Ranking) -> Composable:
    """Return what pg_textsearch orders by: the BM25 score with its sign changed."""
    schema, index = ranking.text.index_schema, ranking.text.index or ("", "")
    return SQL("{content} OPERATOR({schema}.<@>) {make}({asked}, {index})").format(
        content=Identifier(ranking.text.column),
        schema=Identifier(schema),
        make=Identifier(schema, "to_bm25query"),
        asked=Param(ranking.asked, "text"),
        index=Param(Identifier(*index).text, "text"),
    )


def scores(selection: Selection, ranking: Ranking, ids: Sequence[str], headline: tuple[str, str] | None) -> Statement:
    """Return the statement that weighs given rows, but not what must not be found: domain, id, score, highlights."""
    table = selection.table
    column = Identifier(ranking.text.column)
    wanted = SQL("{id} = ANY({ids})").format(id=Identifier(table.columns.id), ids=ids_array(ids, table))
    parts = [*conditions(selection), wanted]
    bound = " & ".join([*_required(ranking), *_not_excluded(ranking)])
    by_index = ranking.text.index is not None
    if bound:
        parts.append(SQL("{column} @@ {query}").format(column=column, query=Param(bound, "text::tsquery")))
    return selection.compile(
        SQL(
            "SELECT {domain}, {id}::text, coalesce({score}, 0), {headline} FROM (SELECT *, {lexemes} AS {l}, {norm} "
            "AS {n} FROM {table} {where}) AS found"
        ).format(
            domain=domain_text(table) if table.columns.domain_id is not None else SQL("NULL"),
            id=Identifier(table.columns.id),
            score=SQL("- ({negative})").format(negative=_negative_score(ranking)) if by_index else _score(ranking),
            headline=_headline(table, headline),
            lexemes=SQL("NULL") if by_index else _plain(column),
            l=_LEXEMES,
            norm=_norm(table, ranking),
            n=_NORM,
            table=Identifier(table.schema, table.name),
            where=where(parts),
        )
    )


def matching_query(ranking: Ranking, candidates: Candidates) -> str:
    """Return which rows are weighed, as the text of a tsquery; empty for all."""
    either = [any_of(candidates.rare)] if candidates.rare else []
    if candidates.common:
        together = " & ".join(as_query(lexeme.text, prefix=lexeme.prefix) for lexeme in candidates.common)
        either.append(f"({together})")
    parts = [f"({' | '.join(either)})"] if either else []
    return " & ".join([*parts, *_required(ranking), *_not_excluded(ranking)])


def _required(ranking: Ranking) -> list[str]:
    return [f"({ranking.required})"] if ranking.required else []


def _not_excluded(ranking: Ranking) -> list[str]:
    return [f"!({ranking.excluded})"] if ranking.excluded else []


def _score(ranking: Ranking) -> Composable:
    """Return the BM25 score of a row whose lexemes and norm were read; see `bm25`."""
    # tf · (k1 + 1) / (tf + norm), written so that the frequency has to be found only once.
    form = (
        "{weight} * (1 - {norm} / ({norm} + greatest(0, 1 / ({series} - {per_rank} * ts_rank({lexemes}, {query})) "
        "- {shift})))"
    )
    series, per_rank, shift = (Param(value, "float8") for value in (SERIES, SERIES / _WEIGHT, 1 / SERIES))
    return SQL(" + ").join(
        SQL(form).format(
            weight=Param(lexeme.weight * (ranking.k1 + 1), "float8"),
            norm=_NORM,
            series=series,
            per_rank=per_rank,
            lexemes=_LEXEMES,
            query=Param(as_query(lexeme.text, prefix=lexeme.prefix), "text::tsquery"),
            shift=shift,
        )
        for lexeme in ranking.lexemes
    )


def _norm(table: Table, ranking: Ranking) -> Composable:
    """Return what frequencies are held against: k1 for a text of mean length, less for a shorter one."""
    return SQL("({tiny} + {steep} * (1 - {b} + {b} * coalesce({length}, 0) / {mean}))").format(
        tiny=Param(_TINY, "float8"),
        steep=Param(ranking.k1, "float8"),
        b=Param(ranking.b, "float8"),
        length=text_length(table, ranking.text),
        mean=Param(ranking.mean_length, "float8"),
    )


def _plain(column: Composable) -> Composable:
    """Return a row's lexemes without labels, which have other weights, and unpacked once, not once for each lexeme."""
    return SQL("""setweight({column}, 'D')""").format(column=column)


def distance_to(selection: Selection, embedding: Encoded | None) -> Composable:
    """Return the distance of a row to *embedding*; NULL where there is none, or one of another length."""
    table, dialect = selection.table, selection.dialect
    if embedding is None:
        return SQL("NULL::float8")
    query = Param(dialect.embedding(embedding, table.vector_type), dialect.embedding_type(table.vector_type))
    form: LiteralString = "{embedding} OPERATOR({schema}.{operator}) {query}"
    if not table.sized:
        # Embeddings of another length cannot be compared, and words find their rows all the same.
        form = "CASE WHEN {dimensions}({embedding}) = {dimensions}({query}) THEN " + form + " END"
    return SQL(form).format(
        embedding=Identifier(table.columns.embedding),
        schema=Identifier(dialect.vector_schema),
        operator=SQL(table.distance.operator),
        query=query,
        dimensions=Identifier(dialect.vector_schema, "vector_dims"),
    )


def _headline(table: Table, headline: tuple[str, str] | None) -> Composable:
    if headline is None or table.columns.content is None:
        return SQL("NULL::text")
    config, query = headline
    return SQL("ts_headline({config}, {content}, {query}, {options})").format(
        config=Param(config, "text::regconfig"),
        content=Identifier(table.columns.content),
        query=Param(query, "text::tsquery"),
        options=Param(_HIGHLIGHTING, "text"),
    )
