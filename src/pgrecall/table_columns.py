"""What exists on the server, as values: the columns of a table that are more than a name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TextColumn:
    """The column with the lexemes of the content, by which it is searched.

    Attributes:
        column: Its name.
        language: Text search configuration by which texts were read, as PostgreSQL prints it.
        language_key: Metadata key that says another one for a row.
        indexed: Whether an index finds the rows with a lexeme.
        kept: Whether our trigger keeps it; else its owner does.
        index: Schema and name of an index of pg_textsearch on the content, where that ranks the texts; the
            column is then the content itself.
        index_schema: Schema of pg_textsearch's functions.
    """

    column: str
    language: str
    language_key: str | None = None
    indexed: bool = False
    kept: bool = False
    index: tuple[str, str] | None = None
    index_schema: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableColumn:
    """A column of any table, as the catalog describes it.

    Attributes:
        name: Its name.
        type: Its type in PostgreSQL's words, without length or dimensions: ``character varying``, ``vector``.
        nullable: Whether it takes NULL.
        generated: Whether PostgreSQL computes it, so that nothing can be written to it.
        primary_key: Whether it is in the primary key.
        length: Dimensions of an embedding, or the most characters of a text; `None` where the type does not say.
    """

    name: str
    type: str
    nullable: bool = True
    generated: bool = False
    primary_key: bool = False
    length: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataColumn:
    """A column of an adopted table that holds one key of the metadata, under the key's own name.

    Attributes:
        name: Name of the column, and the key.
        type: Its type in PostgreSQL's words, such as ``character varying``.
        type_name: Schema and name of the type, as the catalog has them.
        limit: Most characters; `None` for any number of them, and where the type has none.
        nullable: Whether records may lack the key.
    """

    name: str
    type: str
    type_name: tuple[str, str]
    limit: int | None = None
    nullable: bool = True
