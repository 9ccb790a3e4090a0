"""Statements that make, change and drop things."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, LiteralString

from pgrecall.config import HNSW, CollectionConfig, Index
from pgrecall.promoted import CONTENT
from pgrecall.sql.compose import SQL, Composable, Composed, Identifier, Integer, Literal, Statement
from pgrecall.sql.fields import literal_condition
from pgrecall.sql.partitions import partition_by
from pgrecall.sql.quantized import indexed_expression, indexed_operator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgrecall.distance import VectorType
    from pgrecall.filters import Equals
    from pgrecall.sql.dialect import Dialect
    from pgrecall.table import SparseColumn, Table

COMMENT_PREFIX: Final = "pgrecall "
"""A table's comment begins so where the table is a collection of ours; the settings follow as JSON."""

# One key for all setup in a database: it takes milliseconds, and CREATE SCHEMA and CREATE EXTENSION
# clash between tables too. The number is "pgrecall" in ASCII.
SETUP_LOCK: Final = 0x7067726563616C6C

# Of the table that has the rows: one with partitions has none.
STORAGE: Final = SQL(
    "toast_tuple_target = 8160, fillfactor = 90, "
    "autovacuum_vacuum_scale_factor = 0.1, autovacuum_analyze_scale_factor = 0.05"
)

_COLUMN_TYPES: Final[Mapping[str, LiteralString]] = {
    "domain_id": """text COLLATE "C" NOT NULL DEFAULT 'default'""",
    "document_id": "text",
    "chunk_index": "integer",
    "content": "text",
    "metadata": "jsonb NOT NULL DEFAULT '{}'",
    "metadata_types": "jsonb",
    "created_at": "timestamptz NOT NULL DEFAULT now()",
    "content_hash": "bytea",
    "envelope": "jsonb",
}
_ID_TYPES: Final[Mapping[str, LiteralString]] = {
    "text": 'text COLLATE "C" NOT NULL',
    "uuid": "uuid NOT NULL DEFAULT gen_random_uuid()",
}


def setup_lock() -> Statement:
    """Return the statement that makes this transaction the only one that sets anything up."""
    return SQL("SELECT pg_advisory_xact_lock({key})").format(key=Integer(SETUP_LOCK)).compile()


def create_extension(name: str = "vector", *, schema: str | None = None) -> Statement:
    """Return the statement that installs an extension: pgvector unless another one is named."""
    place = SQL("") if schema is None else SQL(" SCHEMA {schema}").format(schema=Identifier(schema))
    form = SQL("CREATE EXTENSION IF NOT EXISTS {name}{place}")
    return form.format(name=Identifier(name), place=place).compile()


def create_schema(schema: str) -> Statement:
    """Return the statement that makes *schema*."""
    return SQL("CREATE SCHEMA IF NOT EXISTS {schema}").format(schema=Identifier(schema)).compile()


def create_table(config: CollectionConfig, dimensions: int, dialect: Dialect) -> list[Statement]:
    """Return the statements that make the table of a collection, with its indexes but the vector's."""
    names = config.columns
    table = Identifier(config.schema, config.name)
    columns = [_column(logical, name, config, dimensions, dialect) for logical, name in _in_order(config).items()]
    key = [Identifier(name) for name in (names.domain_id, names.id) if name is not None]
    primary = SQL("PRIMARY KEY ({key})").format(key=SQL(", ").join(key))
    statements: list[Composable] = [
        # toast_tuple_target with MAIN keeps embedding and metadata in the row: reading either from TOAST
        # makes exact scans and filters several times slower.
        SQL("CREATE TABLE {table} ({columns}){rest}").format(
            table=table,
            columns=SQL(", ").join([*columns, primary]),
            rest=SQL(" WITH ({storage})").format(storage=STORAGE) if config.layout is None else partition_by(config),
        ),
        SQL("ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE MAIN").format(
            table=table, column=Identifier(names.embedding)
        ),
        comment(config.schema, config.name, _settings(config)),
    ]
    if names.document_id is not None:
        document = [Identifier(name) for name in (names.domain_id, names.document_id) if name is not None]
        statements.append(
            SQL("CREATE INDEX ON {table} ({columns})").format(
                table=table,
                columns=SQL(", ").join(document),
            )
        )
    if names.metadata is not None:
        statements.append(
            SQL("CREATE INDEX ON {table} USING gin ({column} jsonb_path_ops)").format(
                table=table,
                column=Identifier(names.metadata),
            )
        )
    return [statement.compile() for statement in statements]


def add_sparse_column(table: Table, column: str, dimensions: int, dialect: Dialect) -> Statement:
    """Return the statement that adds the column for sparse embeddings, which no row has yet."""
    return (
        SQL("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} {kind}")
        .format(
            table=Identifier(table.schema, table.name), column=Identifier(column), kind=_sparse(dimensions, dialect)
        )
        .compile()
    )


def comment(schema: str, name: str, settings: Mapping[str, object]) -> Composable:
    """Return the statement that notes a collection's settings in its table's comment."""
    noted = json.dumps({"version": 1, **settings}, separators=(",", ":"))
    return SQL("COMMENT ON TABLE {table} IS {text}").format(
        table=Identifier(schema, name), text=Literal(COMMENT_PREFIX + noted)
    )


def lock_settings(schema: str, name: str) -> Statement:
    """Return the statement that keeps others from changing a table's comment, or the table, in this transaction.

    It waits for index builds. What waits for it should hold no lock that others need.
    """
    return SQL("LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE").format(table=Identifier(schema, name)).compile()


def rename_table(schema: str, name: str, new_name: str) -> Statement:
    """Return the statement that renames a table."""
    statement = SQL("ALTER TABLE {table} RENAME TO {new}")
    return statement.format(table=Identifier(schema, name), new=Identifier(new_name)).compile()


def drop_table(schema: str, name: str, *, cascade: bool = False) -> Statement:
    """Return the statement that drops a table with its rows and indexes, and, with *cascade*, what depends on it."""
    more = SQL("CASCADE" if cascade else "RESTRICT")
    return SQL("DROP TABLE {table} {more}").format(table=Identifier(schema, name), more=more).compile()


def create_vector_index(
    table: Table,
    index: Index,
    dialect: Dialect,
    *,
    quantized: VectorType | None = None,
    condition: Equals | None = None,
    concurrently: bool = True,
) -> Statement:
    """Return the statement that builds a vector index; PostgreSQL names it.

    Of a table that was made with partitions it is to be called once each of these has such an index: then nothing
    is built, and these become parts of the new one. No index of such a table can be made concurrently.

    Args:
        table: The table.
        index: Kind and parameters, an IVFFlat index with its number of lists.
        dialect: The server's names for pgvector's things.
        quantized: What the index holds, where that is coarser than the column.
        condition: What the rows in it have in common: one value of a promoted field.
        concurrently: Whether writers carry on meanwhile.
    """
    if isinstance(index, HNSW):
        method, options = (
            SQL("hnsw"),
            SQL("m = {m}, ef_construction = {ef}").format(m=Integer(index.m), ef=Integer(index.ef_construction)),
        )
    else:
        method, options = SQL("ivfflat"), SQL("lists = {lists}").format(lists=Integer(index.lists or 1))
    predicate: Composable = SQL("")
    if condition is not None:
        predicate = SQL("WHERE {condition}").format(condition=literal_condition(table, condition))
    return (
        SQL("CREATE INDEX {how} ON {table} USING {method} ({expression} {operator_class}) WITH ({options}) {predicate}")
        .format(
            how=_concurrently(wanted=concurrently and table.layout is None),
            table=Identifier(table.schema, table.name),
            method=method,
            expression=indexed_expression(table, quantized, Identifier(table.columns.embedding), dialect),
            operator_class=Identifier(dialect.vector_schema, indexed_operator(table, quantized)[1]),
            options=options,
            predicate=predicate,
        )
        .compile()
    )


def create_sparse_index(
    table: Table, sparse: SparseColumn, index: HNSW, dialect: Dialect, *, concurrently: bool = True
) -> Statement:
    """Return the statement that indexes the sparse embeddings by inner product; see `create_vector_index`."""
    return (
        SQL(
            "CREATE INDEX {how} ON {table} USING hnsw ({column} {operator_class}) "
            "WITH (m = {m}, ef_construction = {ef})"
        )
        .format(
            how=_concurrently(wanted=concurrently and table.layout is None),
            table=Identifier(table.schema, table.name),
            column=Identifier(sparse.column),
            operator_class=Identifier(dialect.vector_schema, "sparsevec_ip_ops"),
            m=Integer(index.m),
            ef=Integer(index.ef_construction),
        )
        .compile()
    )


def _concurrently(*, wanted: bool) -> SQL:
    return SQL("CONCURRENTLY" if wanted else "")


def create_trigram_index(table: Table, trigram_schema: str, *, concurrently: bool = True) -> Statement:
    """Return the statement that indexes the content by its trigrams, by itself without blocking writers."""
    return (
        # Without a list of pending entries, which each search would have to look through.
        SQL("CREATE INDEX {concurrently} ON {table} USING gin ({content} {operator_class}) WITH (fastupdate = off)")
        .format(
            concurrently=_concurrently(wanted=concurrently),
            table=Identifier(table.schema, table.name),
            content=Identifier(table.columns.content or ""),
            operator_class=Identifier(trigram_schema, "gin_trgm_ops"),
        )
        .compile()
    )


def drop_index(schema: str, name: str, *, concurrently: bool = True) -> Statement:
    """Return the statement that drops an index without blocking readers or writers.

    Args:
        schema: Schema of the table.
        name: Name of the index.
        concurrently: `False` for an index of a table with partitions, which knows no other way.
    """
    how = SQL("CONCURRENTLY" if concurrently else "")
    return SQL("DROP INDEX {how} IF EXISTS {name}").format(how=how, name=Identifier(schema, name)).compile()


def analyze(table: Table) -> Statement:
    """Return the statement that refreshes PostgreSQL's statistics of a table."""
    return SQL("ANALYZE {table}").format(table=Identifier(table.schema, table.name)).compile()


def _settings(config: CollectionConfig) -> dict[str, object]:
    settings: dict[str, object] = {"distance": config.new_distance.value}
    if CONTENT in config.fields:
        settings["content_indexed"] = True
    return settings


def _in_order(config: CollectionConfig) -> dict[str, str]:
    """Return the columns in the order in which they stand in a new table: fixed width first."""
    mapping = config.columns.mapping()
    order = (
        "domain_id",
        "id",
        "document_id",
        "chunk_index",
        "created_at",
        "content_hash",
        "metadata",
        "embedding",
        "content",
        "metadata_types",
        "envelope",
        "sparse_embedding",
    )
    if config.sparse_dimensions is None:
        mapping.pop("sparse_embedding", None)
    return {logical: mapping[logical] for logical in order if logical in mapping}


def _column(logical: str, name: str, config: CollectionConfig, dimensions: int, dialect: Dialect) -> Composable:
    if logical == "embedding":
        kind: Composable = SQL("{type}({dimensions}) NOT NULL").format(
            type=dialect.type(config.new_vector_type), dimensions=Integer(dimensions)
        )
    elif logical == "sparse_embedding":
        kind = _sparse(config.sparse_dimensions or 0, dialect)
    elif logical == "id":
        kind = SQL(_ID_TYPES[config.id_type])
    else:
        kind = SQL(_COLUMN_TYPES[logical])
    return Composed([Identifier(name), SQL(" "), kind])


def _sparse(dimensions: int, dialect: Dialect) -> Composable:
    return SQL("{type}({dimensions})").format(type=dialect.sparse_type, dimensions=Integer(dimensions))
