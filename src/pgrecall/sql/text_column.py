"""The column with the content's lexemes: what it holds, who keeps it, and its index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pgrecall.sql.compose import SQL, Composable, Identifier, Integer, Literal, Statement
from pgrecall.table_columns import TextColumn
from pgrecall.text_search import LANGUAGES, OTHER_LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgrecall.table import Table
    from pgrecall.text_search import TextSearch

# ANALYZE lists ten times as many lexemes. Those that it does not list are taken for rare ones.
_STATISTICS: Final = 1_000
# A tsvector has room for 1 MB; texts have no more lexemes than that in so many characters.
_MAX_CHARACTERS: Final = 200_000
_LANGUAGE: Final = "language"
_LANGUAGE_KEY: Final = "language_key"


def resolve_configuration(name: str) -> Statement:
    """Return the statement that gives a text search configuration its full name; an unknown one is an error."""
    return Statement(
        "SELECT format('%I.%I', n.nspname, c.cfgname) FROM pg_ts_config c JOIN pg_namespace n "
        "ON n.oid = c.cfgnamespace WHERE c.oid = $1::text::regconfig",
        (name,),
    )


def configurations() -> Statement:
    """Return the statement that lists the text search configurations there are."""
    return Statement("SELECT DISTINCT cfgname FROM pg_ts_config ORDER BY 1")


def add_text_column(table: Table, text: TextColumn) -> list[Statement]:
    """Return the statements that add the column, empty."""
    column = Identifier(text.column)
    return [
        statement.format(table=_name(table), column=column, most=Integer(_STATISTICS)).compile()
        for statement in (
            SQL("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} tsvector"),
            # Ranking reads it of thousands of rows: it stays in the row, as it is, while there is room.
            SQL("ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE MAIN"),
            SQL("ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS {most}"),
        )
    ]


def text_value(table: Table, text: TextColumn, row: str) -> Composable:
    """Return what the column holds for a row, which the statement calls *row*."""
    content = Identifier(row, table.columns.content or "")
    form = SQL("to_tsvector({config}, left({content}, {most}))")
    config: Composable = SQL("{name}::regconfig").format(name=Literal(text.language))
    if text.language_key is not None and table.columns.metadata is not None:
        config = _configuration_of_row(Identifier(row, table.columns.metadata), text)
    return form.format(config=config, content=content, most=Integer(_MAX_CHARACTERS))


def _configuration_of_row(metadata: Composable, text: TextColumn) -> Composable:
    """Return the configuration for a row whose metadata says its language, by name or by ISO 639-1 code."""
    said = SQL("({metadata} ->> {key})").format(metadata=metadata, key=Literal(text.language_key or ""))
    codes = SQL(" ").join(
        SQL("WHEN {code} THEN {name}").format(code=Literal(code), name=Literal(name))
        for code, name in LANGUAGES.items()
    )
    return SQL(
        "CASE WHEN {said} IS NULL OR {said} = '' THEN {default}::regconfig ELSE coalesce((SELECT c.oid::regconfig "
        "FROM pg_ts_config c WHERE c.cfgname = CASE lower(left(translate({said}, '_', '-'), "
        "coalesce(nullif(strpos(translate({said}, '_', '-'), '-'), 0) - 1, length({said})))) {codes} "
        "ELSE lower({said}) END AND pg_ts_config_is_visible(c.oid)), {other}::regconfig) END"
    ).format(
        said=said,
        default=Literal(text.language),
        codes=codes,
        other=Literal(f"pg_catalog.{OTHER_LANGUAGES}"),
    )


def text_is_missing(table: Table, text: TextColumn) -> Composable:
    """Return the condition on rows that the trigger has not seen."""
    return SQL("{column} IS DISTINCT FROM {value}").format(
        column=Identifier(text.column), value=text_value(table, text, table.name)
    )


def text_facts(text: TextColumn, *, filling: bool = False) -> dict[str, object]:
    """Return what the column's comment says that it holds."""
    held: dict[str, object] = {_LANGUAGE: text.language}
    if text.language_key is not None:
        held[_LANGUAGE_KEY] = text.language_key
    return {"text": held, "filling": True} if filling else {"text": held}


def noted_text(column: str, facts: Mapping[str, Any], *, indexed: bool) -> TextColumn | None:
    """Return the column that a comment describes, once it is filled; `None` for any other."""
    held = facts.get("text")
    if not isinstance(held, dict) or "filling" in facts:
        return None
    return TextColumn(
        column=column,
        language=str(held[_LANGUAGE]),
        language_key=held.get(_LANGUAGE_KEY),
        indexed=indexed,
        kept=True,
    )


def create_text_index(table: Table, text: TextColumn, *, concurrently: bool) -> Statement:
    """Return the statement that indexes the column; PostgreSQL names the index."""
    return (
        SQL("CREATE INDEX {concurrently} ON {table} USING gin ({column})")
        .format(
            concurrently=SQL("CONCURRENTLY" if concurrently else ""),
            table=_name(table),
            column=Identifier(text.column),
        )
        .compile()
    )


def create_ranking_index(table: Table, words: TextSearch, *, concurrently: bool) -> Statement:
    """Return the statement that indexes the content for pg_textsearch; PostgreSQL names the index."""
    return (
        SQL(
            "CREATE INDEX {concurrently} ON {table} USING bm25 ({content}) "
            "WITH (text_config = {language}, k1 = {a}, b = {b})"
        )
        .format(
            concurrently=SQL("CONCURRENTLY" if concurrently else ""),
            table=_name(table),
            content=Identifier(table.columns.content or ""),
            language=Literal(words.configuration),
            a=Literal(repr(float(words.k1))),
            b=Literal(repr(float(words.b))),
        )
        .compile()
    )


def _name(table: Table) -> Identifier:
    return Identifier(table.schema, table.name)
