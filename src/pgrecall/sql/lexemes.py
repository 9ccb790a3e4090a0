"""From a query's words to lexemes, and what is known about lexemes: how common they are, and what is spelt alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pgrecall.sql.compose import SQL, Composable, Identifier, Integer, Param, Statement
from pgrecall.sql.lookups import word_view
from pgrecall.sql.where import conditions, where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.keyword_plan import Lexeme
    from pgrecall.query_words import Words
    from pgrecall.sql.selection import Selection
    from pgrecall.table import Table
    from pgrecall.table_columns import TextColumn

SAMPLED_EMBEDDINGS: Final = 64
# A name that no table has, for what is named where the rows of a table are read.
_ASKED: Final = Identifier("pgrecall asked")
_SIMILAR: Final = 0.4
_MAX_SIMILAR: Final = 3


def read_words(language: str, words: Words) -> Statement:
    """Return the statement that makes lexemes of a query's words.

    Its row is: the lexemes of the words, those of the prefixes, and what is required and what is excluded, each
    as the text of a tsquery or NULL; a phrase of one word requires nothing. The configuration is a parameter
    too; one that the database has not is an error of PostgreSQL's.
    """
    config = Param(language, "text::regconfig")
    phrases = (
        "(SELECT string_agg('(' || q::text || ')', {glue}) FROM unnest({phrases}) AS p, "
        "LATERAL phraseto_tsquery({config}, p) AS q WHERE numnode(q) > {least})"
    )
    return (
        SQL(
            "SELECT tsvector_to_array(to_tsvector({config}, {words})), ARRAY(SELECT DISTINCT l FROM unnest({prefixes}) "
            "AS p, LATERAL unnest(tsvector_to_array(to_tsvector('simple', p))) AS l), {required}, {excluded}"
        )
        .format(
            config=config,
            words=Param(words.any, "text"),
            prefixes=Param(list(words.prefixes), "text[]"),
            required=SQL(phrases).format(
                glue=SQL("' & '"), least=SQL("1"), phrases=Param(list(words.phrases), "text[]"), config=config
            ),
            excluded=SQL(phrases).format(
                glue=SQL("' | '"), least=SQL("0"), phrases=Param(list(words.excluded), "text[]"), config=config
            ),
        )
        .compile()
    )


def lexeme_statistics(table: Table, text: TextColumn) -> Statement:
    """Return the statement that reads what ANALYZE knows of the column: common lexemes, their shares, and NULLs.

    Behind the shares of the lexemes come the smallest and the largest of them. A role that may not know, and a
    table that was never analysed, get no row.
    """
    return Statement(
        "SELECT most_common_elems::text::text[], most_common_elem_freqs, null_frac FROM pg_stats "
        "WHERE schemaname = $1 AND tablename = $2 AND attname = $3 AND most_common_elems IS NOT NULL "
        "ORDER BY inherited DESC LIMIT 1",
        (table.schema, table.name, text.column),
    )


def mean_length(selection: Selection, text: TextColumn, percent: float) -> Statement:
    """Return the statement that finds the mean length of the texts in a random part of the table's pages."""
    table = selection.table
    return selection.compile(
        SQL("SELECT avg({length}) FROM {table} TABLESAMPLE SYSTEM ({percent}) REPEATABLE (0)").format(
            length=text_length(table, text), table=Identifier(table.schema, table.name), percent=Param(percent, "real")
        )
    )


def mean_distances(selection: Selection, percent: float) -> Statement:
    """Return the statement that compares some embeddings: mean distance of two, mean of one to itself, and how many."""
    table = selection.table
    embedding = Identifier(table.columns.embedding)
    comparable = SQL("{embedding} IS NOT NULL").format(embedding=embedding)
    if not table.sized:
        # Another domain's may be of another length.
        comparable = SQL("{dimensions}({embedding}) = {d}").format(
            dimensions=Identifier(selection.dialect.vector_schema, "vector_dims"),
            embedding=embedding,
            d=Integer(table.dimensions or 0),
        )
    return selection.compile(
        SQL(
            "WITH sample AS MATERIALIZED (SELECT row_number() OVER () AS n, e FROM (SELECT {embedding} AS e "
            "FROM {table} TABLESAMPLE SYSTEM ({percent}) REPEATABLE (0) WHERE {comparable} ORDER BY md5({id}::text) "
            "LIMIT {most}) AS drawn) "
            "SELECT avg(one.e OPERATOR({schema}.{operator}) other.e) FILTER (WHERE one.n < other.n), "
            "avg(one.e OPERATOR({schema}.{operator}) other.e) FILTER (WHERE one.n = other.n), "
            "count(*) FILTER (WHERE one.n = other.n) FROM sample AS one JOIN sample AS other ON one.n <= other.n"
        ).format(
            embedding=embedding,
            comparable=comparable,
            id=Identifier(table.columns.id),
            table=Identifier(table.schema, table.name),
            percent=Param(percent, "real"),
            most=Integer(SAMPLED_EMBEDDINGS),
            schema=Identifier(selection.dialect.vector_schema),
            operator=SQL(table.distance.operator),
        )
    )


def count_lexemes(selection: Selection, text: TextColumn, lexemes: Sequence[str], most: int) -> Statement:
    """Return the statement that counts, for each of *lexemes*, the selected rows that have it, up to *most* each."""
    if selection.words:
        # The lookup has numbered them, and shows rows of the scope.
        return selection.compile(
            SQL(
                "SELECT (SELECT count(*) FROM (SELECT FROM {view} WHERE number = n LIMIT {most}) AS counted) "
                "FROM generate_series(1, {lexemes}) AS n ORDER BY n"
            ).format(view=word_view(selection.table), most=Integer(most), lexemes=Integer(len(lexemes)))
        )
    queries = Param([as_query(lexeme) for lexeme in lexemes], "text[]")
    matches = SQL("{column} @@ {asked}.q::tsquery").format(column=Identifier(text.column), asked=_ASKED)
    return selection.compile(
        SQL(
            "SELECT (SELECT count(*) FROM (SELECT FROM {table} {where} LIMIT {most}) AS counted) "
            "FROM unnest({queries}) WITH ORDINALITY AS {asked}(q, n) ORDER BY n"
        ).format(
            asked=_ASKED,
            table=Identifier(selection.table.schema, selection.table.name),
            where=where([*conditions(selection), matches]),
            most=Integer(most),
            queries=queries,
        )
    )


def any_row(selection: Selection, text: TextColumn, query: str) -> Statement:
    """Return the statement that says whether any of the selected rows matches *query*, the text of a tsquery."""
    matches = SQL("{column} @@ {query}").format(column=Identifier(text.column), query=Param(query, "text::tsquery"))
    table = selection.table
    parts = [*conditions(selection), matches, *selection.places()]
    return selection.compile(
        SQL("SELECT EXISTS (SELECT FROM {table} {where})").format(
            table=Identifier(table.schema, table.name), where=where(parts)
        )
    )


def similar_lexemes(table: Table, text: TextColumn, lexemes: Sequence[str], trigram_schema: str) -> Statement:
    """Return the statement that finds lexemes that are spelt like those of *lexemes* which no row has.

    Its rows are: position in *lexemes*, the similar lexeme, and how similar it is, from 0 to 1.
    """
    return (
        SQL(
            "WITH vocabulary AS MATERIALIZED (SELECT unnest(most_common_elems::text::text[]) AS known FROM pg_stats "
            "WHERE schemaname = {schema} AND tablename = {name} AND attname = {column}) "
            "SELECT ({asked}.n - 1)::int, near.known, near.similarity FROM unnest({lexemes}) WITH ORDINALITY "
            "AS {asked}(word, n), LATERAL (SELECT known, {similarity}(known, {asked}.word) AS similarity "
            "FROM vocabulary WHERE {similarity}(known, {asked}.word) >= {least} "
            "ORDER BY similarity DESC, known LIMIT {most}) AS near "
            "WHERE NOT EXISTS (SELECT FROM {table} WHERE {tsv} @@ ({queries})[{asked}.n]::tsquery)"
        )
        .format(
            asked=_ASKED,
            schema=Param(table.schema, "text"),
            name=Param(table.name, "text"),
            column=Param(text.column, "text"),
            lexemes=Param(list(lexemes), "text[]"),
            similarity=Identifier(trigram_schema, "similarity"),
            least=Param(_SIMILAR, "real"),
            most=Integer(_MAX_SIMILAR),
            table=Identifier(table.schema, table.name),
            tsv=Identifier(text.column),
            queries=Param([as_query(lexeme) for lexeme in lexemes], "text[]"),
        )
        .compile()
    )


def as_query(lexeme: str, *, prefix: bool = False) -> str:
    """Return *lexeme* as the text of a tsquery, in which quotes and backslashes are doubled."""
    quoted = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{quoted}'" + (":*" if prefix else "")


def any_of(lexemes: Sequence[Lexeme]) -> str:
    """Return the text of a tsquery that texts with any of *lexemes* match."""
    return " | ".join(as_query(lexeme.text, prefix=lexeme.prefix) for lexeme in lexemes)


def text_length(table: Table, text: TextColumn) -> Composable:
    """Return the length of a row's text: bytes of the content, or lexemes where there is none."""
    if table.columns.content is not None:
        return SQL("octet_length({content})").format(content=Identifier(table.columns.content))
    return SQL("length({column})").format(column=Identifier(text.column))
