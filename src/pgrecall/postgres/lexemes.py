"""By what a table's content can be searched by its words, as the catalog gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pgrecall.errors import SchemaError
from pgrecall.sql.promoted import noted
from pgrecall.sql.text_column import noted_text
from pgrecall.table_columns import TextColumn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pgrecall.config import CollectionConfig

_LANGUAGE_OPTION: Final = "text_config="


def text_column(config: CollectionConfig, facts: Mapping[str, Any], content: str | None) -> TextColumn | None:
    """Return the column with the content's lexemes, or the content with an index of pg_textsearch; or `None`.

    A column that we keep comes first, then what the configuration names, then any index of pg_textsearch.

    Raises:
        SchemaError: The column that the configuration names is no tsvector.
    """
    columns: dict[str, dict[str, Any]] = {column["name"]: column for column in facts["columns"] or ()}
    ranked = _ranked(config, facts, content)
    words = config.words
    if words is not None and words.engine == "pg_textsearch":
        return ranked
    for name, column in columns.items():
        found = noted_text(name, noted(column["comment"]), indexed=_is_indexed(facts, name))
        if found is not None:
            return found
    column = None if words is None else columns.get(words.column)
    if words is None or column is None or noted(column["comment"]):
        return None if words is not None else ranked
    if column["type"] != "tsvector":
        msg = f"column {words.column!r} of {config.schema}.{config.name} is {column['sql']}, not tsvector"
        raise SchemaError(msg)
    return TextColumn(column=words.column, language=words.configuration, indexed=_is_indexed(facts, words.column))


def _ranked(config: CollectionConfig, facts: Mapping[str, Any], content: str | None) -> TextColumn | None:
    """Return the content as the column that an index of pg_textsearch ranks, if there is one."""
    for index in _whole_indexes(facts):
        if index["class"] == "text_bm25_ops" and index["columns"] == [content] and content is not None:
            options: list[str] = index["options"] or []
            language = next((o.removeprefix(_LANGUAGE_OPTION) for o in options if o.startswith(_LANGUAGE_OPTION)), "")
            return TextColumn(
                column=content,
                language=language or "english",
                indexed=True,
                index=(config.schema, index["name"]),
                index_schema=index["class_schema"],
            )
    return None


def _is_indexed(facts: Mapping[str, Any], column: str) -> bool:
    return any(index["class"] == "tsvector_ops" and index["columns"] == [column] for index in _whole_indexes(facts))


def _whole_indexes(facts: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the indexes of all rows by columns that queries can use."""
    for index in facts["indexes"] or ():
        if index["valid"] and index["condition"] is None and not index["expressions"]:
            yield index
