"""What a collection is made of, as statements: run by the engine, or printed for somebody who may."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pgrecall.checks import check_flag, check_identifier
from pgrecall.config import HNSW, CollectionConfig, IVFFlat
from pgrecall.errors import ConfigError, DimensionMismatch
from pgrecall.promoted import CONTENT, PromotedField
from pgrecall.sql import ddl, lookups, number_lookups, promoted, security, side_tables, text_column
from pgrecall.sql.aliases import ALIASES
from pgrecall.sql.compose import Identifier, Statement
from pgrecall.sql.dialect import Dialect
from pgrecall.sql.key_values import KEY_VALUES
from pgrecall.sql.ledger import LEDGER
from pgrecall.sql.partitions import create_partitions, new_names
from pgrecall.sql.quantized import quantization
from pgrecall.sql.runs import RUNS
from pgrecall.table import SparseColumn, Table
from pgrecall.table_columns import TextColumn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pgrecall.sql.side_tables import SideTable

SIDE_TABLES: Final = (LEDGER, KEY_VALUES, RUNS)
"""Tables beside the collections whose rows belong to domains."""
SHARED_TABLES: Final = (ALIASES,)
"""Tables beside the collections that are the same for all domains: who works in one may read them, and no more."""
_BUILTIN: Final = "pg_catalog."


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What a role is to be given.

    Attributes:
        role: Its name.
        create: Whether it is made too.
        write: Whether it may change rows, and not only read them.
    """

    role: str
    create: bool = False
    write: bool = True

    def __post_init__(self) -> None:
        check_identifier(self.role, "role")
        check_flag(self.create, "create")
        check_flag(self.write, "write")


def new_table(config: CollectionConfig, dimensions: int, vector_schema: str) -> Table:
    """Return what the table of *config* is if it is made now.

    Raises:
        ConfigError: No column can have so many dimensions.
        DimensionMismatch: The configuration says another number.
    """
    if config.dimensions not in (None, dimensions):
        msg = f"collection {config.name!r} holds embeddings of {config.dimensions} dimensions, not {dimensions}"
        raise DimensionMismatch(msg)
    sized = replace(config, dimensions=dimensions)
    columns, sparse = config.columns, None
    if config.sparse_dimensions is None:
        columns = replace(columns, sparse_embedding=None)
    else:
        sparse = SparseColumn(column=str(columns.sparse_embedding), dimensions=config.sparse_dimensions)
    key = [name for name in (config.columns.domain_id, config.columns.id) if name is not None]
    return Table(
        schema=config.schema,
        name=config.name,
        columns=columns,
        id_type=config.id_type,
        vector_type=sized.new_vector_type,
        dimensions=dimensions,
        distance=sized.new_distance,
        embedding_nullable=False,
        key=tuple(key),
        vector_schema=vector_schema,
        partitioned=config.layout is not None,
        layout=config.layout,
        sparse=sparse,
    )


def new_partitions(config: CollectionConfig) -> list[Statement]:
    """Return the statements that make the partitions of a new table, where it is to have such.

    Whoever names a partition directly is not bound by the policies of the table, so each has them too.
    """
    token = new_token()
    found = create_partitions(config, token, ddl.STORAGE)
    if config.row_level_security:
        for name in new_names(config, token):
            found += security.policies(Identifier(config.schema, name), str(config.columns.domain_id))
    return found


def new_token() -> str:
    """Return what makes a name one that nothing else has."""
    return uuid.uuid4().hex[:16]


def new_columns(
    table: Table, fields: Sequence[PromotedField], text: TextColumn | None, dialect: Dialect, *, quantizes: bool
) -> list[Statement]:
    """Return the statements that give a table without rows the columns that a trigger keeps.

    Args:
        table: The table.
        fields: Its promoted fields.
        text: The column of the content's lexemes, if there is to be one.
        dialect: The server's names for pgvector's things.
        quantizes: Whether pgvector makes bits of embeddings, which codes are made of.
    """
    if not fields and text is None:
        return []
    code = has_code(table, fields, quantizes=quantizes)
    found = [
        *promoted.add_columns(table, fields, code=code),
        *(text_column.add_text_column(table, text) if text else ()),
        *promoted.keep_columns(table, trigger_function(), fields, dialect, code=code, text=text),
        *field_notes(table, fields, code=code),
    ]
    if text is not None:
        found += [promoted.note_text(table, text), text_column.create_text_index(table, text, concurrently=False)]
    return found + [
        promoted.create_field_index(table, field, fields, code=code, concurrently=False) for field in fields
    ]


def has_code(table: Table, fields: Sequence[PromotedField], *, quantizes: bool) -> bool:
    """Whether a table with *fields* has a column for codes."""
    if not table.key or table.dimensions is None or not any(field.is_scalar for field in fields):
        return False
    return promoted.has_code(table.distance, table.vector_type, table.dimensions, quantizes=quantizes)


def field_notes(table: Table, fields: Sequence[PromotedField], *, code: bool) -> list[Statement]:
    """Return the statements that note what the columns of *fields*, and of the code, hold."""
    notes = [promoted.note_field(table, field) for field in fields]
    return [*notes, promoted.note_code(table)] if code else notes


def trigger_function() -> str:
    """Return a name for a trigger's function that no other table's has: a table can be renamed."""
    return f"pgrecall_derive_{new_token()}"


def table_policies(table: Table, owner: str | None = None) -> list[Statement]:
    """Return the statements that put a table with a column for domains under row-level security."""
    name = Identifier(table.schema, table.name)
    return security.policies(name, str(table.columns.domain_id), domain_type=table.domain_type, owner=owner)


def new_lookups(table: Table, owner: str | None = None) -> dict[str, list[Statement]]:
    """Return, by its name, the statements that make each lookup which a table under row-level security still lacks.

    They are for a role to run that the policies do not bind; see `pgrecall.sql.lookups`. The names are no other
    table's: a table can be renamed.

    Args:
        table: The table.
        owner: Who owns it; `None` for the role that runs the statements.
    """
    found: dict[str, list[Statement]] = {}
    if table.lookup is None and lookups.serves(table):
        name = f"pgrecall_lookup_{new_token()}"
        found[name] = lookups.create(table, name, owner)
    if table.text is not None and table.word_lookup is None and lookups.serves_words(table, table.text):
        name = f"pgrecall_words_{new_token()}"
        found[name] = lookups.create_for_words(table, table.text, name, owner)
    there = dict(table.number_lookups)
    for field in table.fields:
        if field.column not in there and number_lookups.serves(table, field):
            name = f"pgrecall_numbers_{new_token()}"
            found[name] = number_lookups.create(table, field, name, owner)
    return found


def side_policies(side: SideTable, schema: str, owner: str | None = None) -> list[Statement]:
    """Return the statements that put a table beside the collections under row-level security."""
    return security.policies(Identifier(schema, side.name), "domain_id", owner=owner)


def rights(wanted: Rights, config: CollectionConfig, vector_schema: str, views: Iterable[str]) -> list[Statement]:
    """Return the statements that give a role what it needs on a collection, and nothing beyond.

    Args:
        wanted: Which role, and for what.
        config: The collection.
        vector_schema: Schema of the extension.
        views: Names of the collection's lookups.
    """
    tables = [Identifier(config.schema, name) for name in (config.name, *(side.name for side in SIDE_TABLES))]
    read = [*(side.name for side in SHARED_TABLES), *views]
    shared = [Identifier(config.schema, name) for name in read]
    made = [security.create_role(wanted.role), security.describe_role(wanted.role)] if wanted.create else []
    return [
        *made,
        *security.grants(wanted.role, tables, [config.schema, vector_schema], write=wanted.write),
        *security.grants(wanted.role, shared, [], write=False),
    ]


def collection_sql(
    config: CollectionConfig,
    *,
    dimensions: int | None = None,
    runtime: Rights | None = None,
    beside: bool = True,
    vector_schema: str = "public",
) -> str:
    """Return all that makes a collection, as SQL for somebody to run who may; nothing is connected.

    What it makes is what the engine would have made: extension, schema, table, indexes, fields, policies, and the
    tables beside the collections. The vector index is among it where the configuration asks for one. It is for
    pgvector 0.7 or later, and for a database in which none of it exists yet; run it with ``psql -1``, all or nothing.

    Args:
        config: What the collection should be.
        dimensions: Length of the embeddings, where the configuration leaves that open.
        runtime: A role that is given what it needs to work on it.
        beside: Whether the tables beside the collections are made too, which all collections of a schema share.
        vector_schema: Schema that the extension is in, or goes to.

    Raises:
        ConfigError: It is not said how many dimensions there are, or how many lists an IVFFlat index has.
    """
    size = dimensions if config.dimensions is None else config.dimensions
    if size is None:
        msg = "say how many dimensions the collection has, which without a database nobody knows"
        raise ConfigError(msg)
    check_identifier(vector_schema, "the extension's schema")
    dialect = Dialect(vector_schema)
    text = _text(config)
    table = new_table(config, dimensions or size, vector_schema)
    found = [
        ddl.create_schema(config.schema),
        *([ddl.create_schema(vector_schema)] if vector_schema not in ("public", config.schema) else []),
        ddl.create_extension(schema=vector_schema),
        *([ddl.create_extension("pg_trgm", schema=vector_schema)] if CONTENT in config.fields else []),
        *ddl.create_table(config, size, dialect),
        *new_partitions(config),
        *_ranking(table, config),
        *new_columns(table, config.promoted, text, dialect, quantizes=True),
    ]
    made = new_lookups(replace(table, text=text, fields=config.promoted)) if config.row_level_security else {}
    if config.row_level_security:
        found += table_policies(table)
    for statements in made.values():
        found += statements
    for side in SIDE_TABLES if beside else ():
        found += side_tables.create(side, config.schema)
        if config.row_level_security:
            found += side_policies(side, config.schema)
    for side in SHARED_TABLES if beside else ():
        found += side_tables.create(side, config.schema)
    found += _vector_index(table, config, dialect)
    if runtime is not None:
        found += rights(runtime, config, vector_schema, made)
    return "".join(f"{statement.text};\n" for statement in found)


def _text(config: CollectionConfig) -> TextColumn | None:
    words = config.words
    if words is None or words.engine != "builtin":
        return None
    name = words.configuration
    return TextColumn(
        column=words.column,
        language=name if "." in name else _BUILTIN + name,
        language_key=words.language_key,
        kept=True,
    )


def _ranking(table: Table, config: CollectionConfig) -> list[Statement]:
    words = config.words
    if words is None or words.engine != "pg_textsearch":
        return []
    return [
        ddl.create_extension("pg_textsearch"),
        text_column.create_ranking_index(table, words, concurrently=False),
    ]


def _vector_index(table: Table, config: CollectionConfig, dialect: Dialect) -> list[Statement]:
    index = HNSW() if config.index == "auto" else config.index
    if index is None:
        return []
    if isinstance(index, IVFFlat) and index.lists is None:
        msg = "an IVFFlat index takes its cells from the rows: say how many lists it has, or build it with create_index"
        raise ConfigError(msg)
    quantized = quantization(table, index)
    found = [ddl.create_vector_index(table, index, dialect, quantized=quantized, concurrently=False)]
    if table.sparse is not None:
        like = index if isinstance(index, HNSW) else HNSW()
        found.append(ddl.create_sparse_index(table, table.sparse, like, dialect, concurrently=False))
    if CONTENT in config.fields:
        found.append(ddl.create_trigram_index(table, dialect.vector_schema, concurrently=False))
    return found
