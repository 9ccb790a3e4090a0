"""Tables of ours that stand beside the collections: each is shared by all namespaces of all domains of its schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

from pgrecall.sql.compose import SQL, Composable, Identifier, Literal, Param, Statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SideTable:
    """A table of ours that is no collection.

    Attributes:
        name: Its name, in whatever schema.
        holds: What it holds, for people.
        columns: Its columns behind its key, which is ``(domain_id, namespace, key)``.
        indexes: What it has beside the index of its key.
    """

    name: LiteralString
    holds: LiteralString
    columns: Mapping[str, LiteralString]
    indexes: tuple[LiteralString, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SideRows:
    """The rows of one namespace of one domain in such a table.

    Attributes:
        table: The table.
        schema: Schema that it is in.
        domain: Whose rows.
        namespace: Which of theirs.
    """

    table: SideTable
    schema: str
    domain: str
    namespace: str

    @property
    def name(self) -> Identifier:
        """The table's name, in its schema."""
        return Identifier(self.schema, self.table.name)

    @property
    def domain_param(self) -> Param:
        """The domain, bound."""
        return Param(self.domain, "text")

    @property
    def namespace_param(self) -> Param:
        """The namespace, bound."""
        return Param(self.namespace, "text")

    def conditions(self) -> list[Composable]:
        """Return the conditions that these rows meet, and no others."""
        return [
            SQL("domain_id = {domain}").format(domain=self.domain_param),
            SQL("namespace = {namespace}").format(namespace=self.namespace_param),
        ]

    def conditions_of(self, keys: Sequence[str]) -> list[Composable]:
        """Return the conditions that those of the rows meet that have one of *keys*."""
        # One array, since a statement takes 32,767 parameters.
        return [*self.conditions(), SQL("key = ANY({keys})").format(keys=Param(list(keys), "text[]"))]


_KEY: LiteralString = (
    'domain_id text COLLATE "C" NOT NULL, namespace text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL'
)


def create(table: SideTable, schema: str) -> list[Statement]:
    """Return the statements that make *table* in *schema*."""
    name = Identifier(schema, table.name)
    columns = [SQL("{c} {type}").format(c=Identifier(c), type=SQL(kind)) for c, kind in table.columns.items()]
    statements: list[Composable] = [
        # Room on the page for the next version of a row, since most rows change at some time.
        SQL(
            "CREATE TABLE {table} ({key}, {columns}, PRIMARY KEY (domain_id, namespace, key)) "
            "WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.1)"
        ).format(table=name, key=SQL(_KEY), columns=SQL(", ").join(columns)),
        # Not as the comment of a collection begins, which is how those are found.
        SQL("COMMENT ON TABLE {table} IS {text}").format(table=name, text=Literal(f"pgrecall's {table.holds}")),
    ]
    statements += [SQL("CREATE INDEX ON {table} {keys}").format(table=name, keys=SQL(keys)) for keys in table.indexes]
    return [statement.compile() for statement in statements]


def facts(schema: str, name: str) -> Statement:
    """Return the statement that describes a table.

    Its row is: whether it may be read, whether it may be written to, whether row-level security binds this role,
    whether it binds the owner too, the owner, the columns' names.
    """
    return (
        SQL(
            "SELECT has_table_privilege(c.oid, 'SELECT'), "
            "has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE') "
            "AND has_table_privilege(c.oid, 'DELETE'), "
            "row_security_active(c.oid), c.relrowsecurity AND c.relforcerowsecurity, pg_get_userbyid(c.relowner), "
            "ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) "
            "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = {schema} AND c.relname = {name}"
        )
        .format(schema=Param(schema, "text"), name=Param(name, "text"))
        .compile()
    )


def delete(rows: SideRows, keys: Sequence[str]) -> Statement:
    """Return the statement that deletes the rows with these keys."""
    return (
        # First all are locked, in the order of the keys, so that two who delete the same rows cannot wait for each
        # other. Joining them again by key would take time with the square of their number where PostgreSQL
        # has no statistics.
        SQL(
            "WITH locked AS MATERIALIZED (SELECT key FROM {table} WHERE {conditions} ORDER BY key FOR UPDATE) "
            "DELETE FROM {table} WHERE {conditions} AND (SELECT count(*) FROM locked) > 0"
        )
        .format(table=rows.name, conditions=SQL(" AND ").join(rows.conditions_of(keys)))
        .compile()
    )
