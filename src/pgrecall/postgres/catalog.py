"""What exists, read from PostgreSQL's catalogs: a table, its columns, its keys, its indexes.

Nothing is concluded from a name: an index serves a search if its column and its operator class do.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final

from pgrecall import jsonb
from pgrecall.config import CollectionConfig, Columns
from pgrecall.distance import Distance, VectorType
from pgrecall.errors import DimensionMismatch, PermissionDenied, SchemaError
from pgrecall.sql.compose import Statement
from pgrecall.sql.ddl import COMMENT_PREFIX
from pgrecall.sql.dml import ADOPTABLE_ID_TYPES
from pgrecall.table import Table, VectorIndex

if TYPE_CHECKING:
    from pgrecall.postgres.database import Session

_TABLE: Final = """
SELECT jsonb_build_object(
  'comment', obj_description(c.oid, 'pg_class'),
  'rows', c.reltuples,
  'readable', has_table_privilege(c.oid, 'SELECT'),
  'writable', has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE')
              AND has_table_privilege(c.oid, 'DELETE'),
  'columns', (SELECT jsonb_agg(jsonb_build_object(
      'name', a.attname, 'type', t.typname, 'sql', format_type(a.atttypid, NULL), 'modifier', a.atttypmod,
      'nullable', NOT a.attnotnull, 'filled', a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> ''))
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  'keys', (SELECT jsonb_agg(jsonb_build_object('primary', i.indisprimary, 'columns', (
      SELECT jsonb_agg(a.attname) FROM unnest(i.indkey[0:i.indnkeyatts - 1]) k
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k)))
    FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid
      AND i.indpred IS NULL AND i.indexprs IS NULL),
  'indexes', (SELECT jsonb_agg(jsonb_build_object(
      'name', x.relname, 'method', m.amname, 'class', o.opcname, 'valid', i.indisvalid AND i.indisready,
      'options', x.reloptions, 'size', pg_relation_size(x.oid), 'column', a.attname))
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
    JOIN pg_opclass o ON o.oid = i.indclass[0]
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = c.oid AND i.indpred IS NULL AND m.amname IN ('hnsw', 'ivfflat'))
)::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')
"""
_COLLECTIONS: Final = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND starts_with(obj_description(c.oid, 'pg_class'), $2)
ORDER BY c.relname
"""
_SIZES: Final = """
SELECT pg_table_size(c.oid), pg_indexes_size(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2
"""
_SCHEMA_EXISTS: Final = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)"
_RELATION_EXISTS: Final = """
SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = $1 AND c.relname = $2)
"""
_COLUMN_TYPES: Final = {
    "domain_id": ("text", "character varying"),
    "document_id": ("text", "character varying"),
    "chunk_index": ("integer", "bigint", "smallint"),
    "content": ("text", "character varying"),
    "metadata": ("jsonb",),
    "created_at": ("timestamp with time zone",),
    "content_hash": ("bytea",),
    "envelope": ("jsonb",),
}


async def read_table(session: Session, config: CollectionConfig) -> Table | None:
    """Return the table of *config*, or `None` where there is none.

    Raises:
        SchemaError: The table does not fit the configuration; the message says all that is wrong.
        DimensionMismatch: Its embeddings have another length.
        PermissionDenied: The role may not read it.
    """
    found = await session.fetch_value(Statement(_TABLE, (config.schema, config.name)))
    if found is None:
        return None
    facts = jsonb.loads(found)
    name = f"{config.schema}.{config.name}"
    if not facts["readable"]:
        user = session.server.user
        msg = f"role {user!r} may not read {name}; it needs: GRANT SELECT ON {name} TO {user}"
        raise PermissionDenied(msg)
    return _Description(config, facts, session.dialect.vector_schema).table()


async def list_collections(session: Session, schema: str) -> list[str]:
    """Return the names of the tables in *schema* that pgrecall has made."""
    return [row[0] for row in await session.fetch(Statement(_COLLECTIONS, (schema, COMMENT_PREFIX)))]


async def sizes(session: Session, table: Table) -> tuple[int, int]:
    """Return the bytes of a table (TOAST included) and of its indexes."""
    rows = await session.fetch(Statement(_SIZES, (table.schema, table.name)))
    return (rows[0][0], rows[0][1]) if rows else (0, 0)


async def table_exists(session: Session, schema: str, name: str) -> bool:
    """Whether the name is taken, by whatever kind of relation."""
    return await session.fetch_value(Statement(_RELATION_EXISTS, (schema, name)))


async def schema_exists(session: Session, schema: str) -> bool:
    """Whether there is a schema of that name."""
    return await session.fetch_value(Statement(_SCHEMA_EXISTS, (schema,)))


class _Description:
    """One table's facts, held against a configuration."""

    def __init__(self, config: CollectionConfig, facts: dict[str, Any], vector_schema: str) -> None:
        self._config = config
        self._facts = facts
        self._vector_schema = vector_schema
        self._columns: dict[str, dict[str, Any]] = {column["name"]: column for column in facts["columns"] or ()}
        self._faults: list[str] = []

    def table(self) -> Table:
        columns = self._present()
        self._check_types(columns)
        vector_type, dimensions = self._embedding(columns)
        if self._faults:
            msg = f"table {self._config.schema}.{self._config.name} does not fit: {'; '.join(self._faults)}"
            raise SchemaError(msg)
        distance = self._distance(vector_type)
        written = set(columns.mapping().values())
        return Table(
            schema=self._config.schema,
            name=self._config.name,
            columns=columns,
            id_type=self._columns[columns.id]["sql"],
            vector_type=vector_type,
            dimensions=dimensions,
            distance=distance,
            embedding_nullable=self._columns[columns.embedding]["nullable"],
            key=self._key(columns),
            vector_schema=self._vector_schema,
            unfilled=tuple(
                name
                for name, c in self._columns.items()
                if name not in written and not c["nullable"] and not c["filled"]
            ),
            indexes=tuple(self._indexes(columns.embedding, vector_type)),
            rows=self._facts["rows"],
            writable=self._facts["writable"],
        )

    def _present(self) -> Columns:
        """Return the mapping without the default names that the table lacks."""
        wanted, defaults = self._config.columns, Columns()
        missing: dict[str, None] = {}
        for logical in (f.name for f in fields(Columns)):
            name = getattr(wanted, logical)
            if name is None or name in self._columns:
                continue
            if logical in ("id", "embedding") or name != getattr(defaults, logical):
                self._faults.append(
                    f"there is no column {name!r} for {logical}; its columns are {sorted(self._columns)}"
                )
            else:
                missing[logical] = None
        return replace(wanted, **missing)  # pyright: ignore[reportArgumentType] - only optional columns

    def _check_types(self, columns: Columns) -> None:
        expected = {**_COLUMN_TYPES, "id": ADOPTABLE_ID_TYPES}
        for logical, name in columns.mapping().items():
            column = self._columns.get(name)
            if column is not None and logical in expected and column["sql"] not in expected[logical]:
                self._faults.append(
                    f"column {name!r} for {logical} is {column['sql']}, not {' or '.join(expected[logical])}"
                )
        made = columns.id in self._columns and self._columns[columns.id]["sql"]
        if self._config.id_type == "uuid" and made not in ("uuid", False):
            self._faults.append(f"id_type='uuid' was asked for, but column {columns.id!r} is {made}")

    def _embedding(self, columns: Columns) -> tuple[VectorType, int | None]:
        column = self._columns.get(columns.embedding)
        if column is None:
            return self._config.new_vector_type, self._config.dimensions
        try:
            vector_type = VectorType(column["type"])
        except ValueError:
            self._faults.append(f"column {columns.embedding!r} is {column['sql']}, not vector, halfvec or bit")
            return self._config.new_vector_type, None
        asked = self._config.vector_type
        if asked is not None and asked is not vector_type:
            self._faults.append(
                f"vector_type={asked.value!r} was asked for, but column {columns.embedding!r} is {column['sql']}"
            )
        dimensions = column["modifier"] if column["modifier"] > 0 else None
        wanted = self._config.dimensions
        if wanted is not None and dimensions is not None and wanted != dimensions:
            msg = (
                f"collection {self._config.name!r} holds embeddings of {dimensions} dimensions, not {wanted}; "
                "was it made with another model?"
            )
            raise DimensionMismatch(msg)
        return vector_type, dimensions or wanted

    def _distance(self, vector_type: VectorType) -> Distance:
        """Return the distance that the table was made with; a table that is not ours takes what is asked."""
        comment = self._facts["comment"] or ""
        asked = self._config.distance
        if comment.startswith(COMMENT_PREFIX):
            made = Distance.parse(jsonb.loads(comment.removeprefix(COMMENT_PREFIX))["distance"])
            if asked is not None and made is not asked:
                msg = f"collection {self._config.name!r} was made for {made.value} distance, not {asked.value}"
                raise SchemaError(msg)
            return made
        chosen = asked or (Distance.HAMMING if vector_type is VectorType.BIT else Distance.COSINE)
        chosen.check_type(vector_type)
        return chosen

    def _key(self, columns: Columns) -> tuple[str, ...]:
        """Return the unique key that upserts use: (domain, id) before id alone, the primary one first."""
        keys = sorted(self._facts["keys"] or (), key=lambda key: not key["primary"])
        wanted = [{columns.id}] if columns.domain_id is None else [{columns.domain_id, columns.id}, {columns.id}]
        for names in wanted:
            for key in keys:
                if set(key["columns"] or ()) == names:
                    return tuple(key["columns"])
        return ()

    def _indexes(self, embedding: str, vector_type: VectorType) -> list[VectorIndex]:
        classes = {
            distance.operator_class(vector_type): distance
            for distance in Distance
            if distance.is_defined_on(vector_type)
        }
        return [
            VectorIndex(
                name=index["name"],
                method=index["method"],
                distance=classes.get(index["class"]),
                valid=index["valid"],
                options=tuple(tuple(option.split("=", 1)) for option in index["options"] or ()),
                size=index["size"],
            )
            for index in self._facts["indexes"] or ()
            if index["column"] == embedding
        ]
