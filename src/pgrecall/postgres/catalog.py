"""What exists, read from PostgreSQL's catalogs: a table, its columns, its keys, its indexes.

Nothing is concluded from a name: an index serves a search if its column and its operator class do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pgrecall import jsonb
from pgrecall.errors import CollectionNotFound, PermissionDenied, SchemaError
from pgrecall.postgres.description import Description
from pgrecall.sql.compose import Statement
from pgrecall.sql.ddl import COMMENT_PREFIX
from pgrecall.sql.lookups import NOTES
from pgrecall.sql.promoted import TRIGGER, longest_ids, noted
from pgrecall.table_columns import TableColumn

if TYPE_CHECKING:
    from pgrecall.config import CollectionConfig
    from pgrecall.postgres.session import Session
    from pgrecall.table import Table

_TABLE: Final = """
SELECT jsonb_build_object(
  'comment', obj_description(c.oid, 'pg_class'),
  'rows', CASE WHEN c.relkind <> 'p' THEN c.reltuples ELSE coalesce((
      -- Autovacuum counts partitions, and never the table that they are parts of.
      SELECT CASE WHEN max(r.reltuples) < 0 THEN -1 ELSE sum(greatest(r.reltuples, 0)) END
      FROM pg_partition_tree(c.oid) d JOIN pg_class r ON r.oid = d.relid WHERE d.isleaf), -1) END,
  'pages', coalesce(leaves.pages, c.relpages),
  'visible', coalesce(leaves.visible, c.relallvisible),
  'partitioned', c.relkind = 'p' OR c.relhassubclass,
  'partitions', (SELECT jsonb_build_object('strategy', p.partstrat, 'column', a.attname, 'keys', p.partnatts,
      'others', p.partdefid <> 0,
      'count', (SELECT count(*) FROM pg_inherits h WHERE h.inhparent = c.oid))
    FROM pg_partitioned_table p LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0]
    WHERE p.partrelid = c.oid),
  'secured', row_security_active(c.oid),
  'forced', c.relrowsecurity AND c.relforcerowsecurity,
  'policies', (SELECT jsonb_object_agg(p.polname, coalesce(pg_get_expr(p.polqual, p.polrelid), 'true'))
    FROM pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive),
  'lookups', (SELECT jsonb_agg(jsonb_build_object('name', found.name, 'note', found.note, 'columns', found.columns)
      ORDER BY found.name)
    FROM (SELECT v.relname AS name, obj_description(v.oid, 'pg_class') AS note, jsonb_agg(DISTINCT a.attname) AS columns
      FROM pg_depend d JOIN pg_rewrite w ON w.oid = d.objid
      JOIN pg_class v ON v.oid = w.ev_class JOIN pg_roles o ON o.oid = v.relowner
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
      WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
        AND d.refobjsubid > 0 AND v.relkind = 'v' AND v.relnamespace = c.relnamespace
        AND obj_description(v.oid, 'pg_class') = ANY ($3::text[])
        -- One that is bound itself is of no use, and could be anybody's.
        AND (o.rolsuper OR o.rolbypassrls) AND has_table_privilege(v.oid, 'SELECT') GROUP BY v.oid) AS found),
  'owner', pg_get_userbyid(c.relowner),
  'owned', pg_has_role(c.relowner, 'USAGE'),
  'readable', has_table_privilege(c.oid, 'SELECT'),
  'writable', has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE')
              AND has_table_privilege(c.oid, 'DELETE'),
  'columns', (SELECT jsonb_agg(jsonb_build_object(
      'name', a.attname, 'type', t.typname, 'type_schema', s.nspname,
      'sql', format_type(a.atttypid, NULL), 'modifier', a.atttypmod,
      'nullable', NOT a.attnotnull, 'filled', a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> '',
      'generated', a.attidentity = 'a' OR a.attgenerated <> '',
      'comment', col_description(c.oid, a.attnum)))
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace s ON s.oid = t.typnamespace
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  'keys', (SELECT jsonb_agg(jsonb_build_object('primary', i.indisprimary, 'columns', (
      SELECT jsonb_agg(a.attname) FROM unnest(i.indkey[0:i.indnkeyatts - 1]) k
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k)))
    FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid
      AND i.indpred IS NULL AND i.indexprs IS NULL),
  'indexes', (SELECT jsonb_agg(jsonb_build_object(
      'name', x.relname, 'method', m.amname, 'class', o.opcname,
      'class_schema', o.opcnamespace::regnamespace::text, 'valid', i.indisvalid AND i.indisready,
      'options', x.reloptions, 'size', coalesce((
        SELECT sum(pg_relation_size(d.relid))::bigint FROM pg_partition_tree(x.oid) d), pg_relation_size(x.oid)),
      'rows', x.reltuples,
      'expression', pg_get_indexdef(i.indexrelid, 1, false), 'condition', pg_get_expr(i.indpred, i.indrelid),
      'keys', i.indnkeyatts, 'expressions', i.indexprs IS NOT NULL,
      'columns', (SELECT jsonb_agg(a.attname ORDER BY k.position) FROM unnest(i.indkey::int2[])
                  WITH ORDINALITY k(number, position)
                  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number)))
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
    JOIN pg_opclass o ON o.oid = i.indclass[0]
    WHERE i.indrelid = c.oid AND m.amname IN ('hnsw', 'ivfflat', 'btree', 'gin', 'bm25'))
)::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL (
  SELECT sum(greatest(r.relpages, 0))::bigint AS pages, sum(r.relallvisible)::bigint AS visible
  FROM pg_partition_tree(c.oid) d JOIN pg_class r ON r.oid = d.relid WHERE d.isleaf AND c.relkind = 'p') leaves
WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')
"""
_COLUMNS: Final = """
SELECT a.attname AS name, NOT a.attnotnull AS nullable,
       CASE WHEN t.typname IN ('vector', 'halfvec', 'sparsevec') THEN t.typname
            ELSE format_type(a.atttypid, NULL) END AS type,
       a.attidentity = 'a' OR a.attgenerated <> '' AS generated,
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey))
         AS primary_key,
       CASE WHEN a.atttypmod < 0 THEN NULL
            WHEN t.typname IN ('vector', 'halfvec', 'sparsevec', 'bit') THEN a.atttypmod
            WHEN t.typname IN ('varchar', 'bpchar') THEN a.atttypmod - 4 END AS length  -- less the header's
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type t ON t.oid = a.atttypid  -- by format_type, pgvector's types would have their schema
WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
_DERIVING: Final = """
SELECT p.proname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2 AND t.tgname = $3 AND p.pronamespace = n.oid
"""
_COLLECTIONS: Final = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND starts_with(obj_description(c.oid, 'pg_class'), $2)
ORDER BY c.relname
"""
_VECTOR_TABLES: Final = """
SELECT DISTINCT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
  AND t.typname IN ('vector', 'halfvec')
ORDER BY c.relname
"""
_SIZES: Final = """
SELECT coalesce(parts.rows, pg_table_size(c.oid)), coalesce(parts.indexes, pg_indexes_size(c.oid))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL (
  SELECT sum(pg_table_size(relid))::bigint AS rows, sum(pg_indexes_size(relid))::bigint AS indexes
  FROM pg_partition_tree(c.oid)) parts
WHERE n.nspname = $1 AND c.relname = $2
"""
_SETTINGS: Final = """
SELECT obj_description(c.oid, 'pg_class'), pg_has_role(c.relowner, 'USAGE')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2
"""
_ONLY_LOOKUPS: Final = """
SELECT coalesce((SELECT bool_and(dependents.ours) FROM (
  SELECT obj_description(w.ev_class, 'pg_class') = ANY ($3::text[]) IS TRUE AS ours
  FROM pg_depend d JOIN pg_rewrite w ON w.oid = d.objid
  WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
  UNION ALL SELECT false FROM pg_constraint k WHERE k.confrelid = c.oid AND k.conrelid <> c.oid) AS dependents), false)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2
"""
_IS_BOUND: Final = "SELECT NOT (rolsuper OR rolbypassrls) FROM pg_roles WHERE rolname = current_user"
_SCHEMA_EXISTS: Final = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)"
_ROLE_EXISTS: Final = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)"
_RELATION_EXISTS: Final = """
SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = $1 AND c.relname = $2)
"""


_COLUMN_COMMENTS: Final = """
SELECT a.attname, col_description(c.oid, a.attnum) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped
"""
_EXTENSION_SCHEMA: Final = """
SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = $1
"""
# Only the tables directly below, which have the rows: whose partitions have partitions is not ours to index.
_PARTITIONS: Final = """
SELECT n.nspname, c.relname FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE h.inhparent = to_regclass(format('%I.%I', $1::text, $2::text)) AND c.relkind = 'r'
ORDER BY c.relname
"""
_ATTACHED: Final = """
SELECT x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
WHERE i.indrelid = to_regclass(format('%I.%I', $1::text, $2::text)) AND x.relispartition
"""
_BLOCKS: Final = """
SELECT pg_relation_size(c.oid) / current_setting('block_size')::int FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2
"""


async def read_table(session: Session, config: CollectionConfig) -> Table | None:
    """Return the table of *config*, or `None` where there is none.

    Raises:
        SchemaError: The table does not fit the configuration; the message says all that is wrong. Or pgvector is too
            old for its distance.
        DimensionMismatch: Its embeddings have another length.
        PermissionDenied: The role may not read it.
    """
    found = await session.fetch_value(Statement(_TABLE, (config.schema, config.name, list(NOTES))))
    if found is None:
        return None
    facts = jsonb.loads(found)
    name = f"{config.schema}.{config.name}"
    if not facts["readable"]:
        user = session.server.user
        msg = f"role {user!r} may not read {name}; it needs: GRANT SELECT ON {name} TO {user}"
        raise PermissionDenied(msg)
    table = Description(config, facts, session.dialect.vector_schema).table()
    session.server.check_distance(table.distance, table.vector_type, name)
    return table


async def columns(session: Session, schema: str, name: str) -> list[TableColumn]:
    """Return the columns of any table, in their order; none where there is no such table."""
    return [TableColumn(**dict(row)) for row in await session.fetch(Statement(_COLUMNS, (schema, name)))]


async def list_collections(session: Session, schema: str) -> list[str]:
    """Return the names of the tables in *schema* that pgrecall has made."""
    return [row[0] for row in await session.fetch(Statement(_COLLECTIONS, (schema, COMMENT_PREFIX)))]


async def vector_tables(session: Session, schema: str) -> list[str]:
    """Return the names of the tables in *schema* that have a column of embeddings, whoever made them."""
    return [row[0] for row in await session.fetch(Statement(_VECTOR_TABLES, (schema,)))]


async def sizes(session: Session, table: Table) -> tuple[int, int]:
    """Return the bytes of a table (TOAST included) and of its indexes."""
    rows = await session.fetch(Statement(_SIZES, (table.schema, table.name)))
    return (rows[0][0], rows[0][1]) if rows else (0, 0)


async def settings(session: Session, schema: str, name: str) -> dict[str, Any]:
    """Return the settings that are noted with a table, which may be noted anew.

    Raises:
        CollectionNotFound: The table is gone.
        PermissionDenied: The role does not own the table, or the server is read-only.
        SchemaError: The table is none of ours, and its comment its owner's.
    """
    rows = await session.fetch(Statement(_SETTINGS, (schema, name)))
    if not rows:
        msg = f"there is no table {schema}.{name}"
        raise CollectionNotFound(msg)
    comment, owned = rows[0]
    if not (comment or "").startswith(COMMENT_PREFIX):
        msg = f"{schema}.{name} was not made by pgrecall, so nothing can be noted with it"
        raise SchemaError(msg)
    if not owned:
        msg = f"role {session.server.user!r} may not note anything with {schema}.{name}: only its owner may"
        raise PermissionDenied(msg)
    if session.server.read_only:
        msg = "the server is read-only"
        raise PermissionDenied(msg)
    return jsonb.loads(comment.removeprefix(COMMENT_PREFIX))


async def column_notes(session: Session, table: Table) -> dict[str, dict[str, Any] | None]:
    """Return the names of all columns of a table, and what those hold that we have added."""
    return await notes_of(session, table.schema, table.name)


async def notes_of(session: Session, schema: str, name: str) -> dict[str, dict[str, Any] | None]:
    """Return the names of all columns of the table of this name, and what those hold that we have added."""
    rows = await session.fetch(Statement(_COLUMN_COMMENTS, (schema, name)))
    return {row[0]: noted(row[1]) or None for row in rows}


async def longest_id(session: Session, table: Table) -> int:
    """Return the bytes of the longest id; 0 where there is none."""
    return await session.fetch_value(longest_ids(table)) or 0


async def partitions(session: Session, table: Table) -> list[tuple[str, str]]:
    """Return schema and name of each partition of a table."""
    return [(row[0], row[1]) for row in await session.fetch(Statement(_PARTITIONS, (table.schema, table.name)))]


async def attached_indexes(session: Session, table: Table) -> set[str]:
    """Return the names of the indexes of a partition that are parts of an index of the whole table."""
    return {row[0] for row in await session.fetch(Statement(_ATTACHED, (table.schema, table.name)))}


async def extension_schema(session: Session, extension: str) -> str | None:
    """Return the schema that an extension is in, or `None` where it is not installed."""
    return await session.fetch_value(Statement(_EXTENSION_SCHEMA, (extension,)))


async def blocks(session: Session, table: Table) -> int:
    """Return how many pages a table has."""
    return int(await session.fetch_value(Statement(_BLOCKS, (table.schema, table.name))) or 0)


async def deriving_function(session: Session, schema: str, name: str) -> str | None:
    """Return the name of the function whose trigger keeps the derived columns of a table, if it has any."""
    return await trigger_function(session, schema, name, TRIGGER)


async def trigger_function(session: Session, schema: str, name: str, trigger: str) -> str | None:
    """Return the name of the function that a trigger of a table runs, if there is such a trigger of ours."""
    return await session.fetch_value(Statement(_DERIVING, (schema, name, trigger)))


async def only_lookups_depend(session: Session, schema: str, name: str) -> bool:
    """Whether lookups of ours, and nothing else of others, go where the table goes."""
    return bool(await session.fetch_value(Statement(_ONLY_LOOKUPS, (schema, name, list(NOTES)))))


async def is_bound(session: Session) -> bool:
    """Whether policies of row-level security bind this role on tables that are not its own."""
    return await session.fetch_value(Statement(_IS_BOUND))


async def table_exists(session: Session, schema: str, name: str) -> bool:
    """Whether the name is taken, by whatever kind of relation."""
    return await session.fetch_value(Statement(_RELATION_EXISTS, (schema, name)))


async def role_exists(session: Session, role: str) -> bool:
    """Whether there is a role of that name."""
    return await session.fetch_value(Statement(_ROLE_EXISTS, (role,)))


async def schema_exists(session: Session, schema: str) -> bool:
    """Whether there is a schema of that name."""
    return await session.fetch_value(Statement(_SCHEMA_EXISTS, (schema,)))
