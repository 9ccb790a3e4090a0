"""The partitions of a table by domain, read from PostgreSQL's catalogs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pgrecall import jsonb
from pgrecall.sql.compose import Identifier, Statement
from pgrecall.sql.moving import NOTE

if TYPE_CHECKING:
    from pgrecall.postgres.session import Session
    from pgrecall.table import Table

# A bound of one value is printed as a string constant, with quotes doubled, and backslashes too where strings do
# not conform to the standard. What has another bound, such as several values, is no domain's own.
_PARTITIONS: Final = """
SELECT n.nspname AS schema, c.relname AS name, c.oid = p.partdefid AS others, c.relkind = 'r' AS plain,
       c.relrowsecurity AND c.relforcerowsecurity AS policed,
       CASE WHEN current_setting('standard_conforming_strings') = 'on' THEN bound.value
            ELSE replace(bound.value, repeat(chr(92), 2), chr(92)) END AS domain
FROM pg_partitioned_table p JOIN pg_inherits h ON h.inhparent = p.partrelid JOIN pg_class c ON c.oid = h.inhrelid
JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL (
  SELECT replace(substring(pg_get_expr(c.relpartbound, c.oid)
                           FROM '^FOR VALUES IN [(]''((?:[^'']|'''')*)''[)]$'), '''''', '''') AS value
  WHERE p.partstrat = 'l') bound
WHERE p.partrelid = to_regclass(format('%I.%I', $1::text, $2::text))
UNION ALL
SELECT n.nspname, c.relname, false, c.relkind = 'r', c.relrowsecurity AND c.relforcerowsecurity, NULL
FROM pg_partitioned_table p JOIN pg_inherits h ON h.inhparent = p.partrelid JOIN pg_class c ON c.oid = h.inhrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE p.partrelid = to_regclass(format('%I.%I', $1::text, $2::text)) AND p.partstrat <> 'l'
"""
# The trigger's one argument is JSON in ASCII, ended by a zero byte.
_MOVES: Final = """
SELECT n.nspname AS schema, t.tgname AS trigger, f.proname AS function, t.tgargs AS note
FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE t.tgnargs = 1 AND starts_with(encode(t.tgargs, 'escape'), $3) AND f.pronamespace = c.relnamespace
  AND t.tgrelid IN (SELECT relid FROM pg_partition_tree(to_regclass(format('%I.%I', $1::text, $2::text))))
ORDER BY t.tgname
"""
_CHECKED_BY: Final = """
SELECT DISTINCT f.proname FROM pg_constraint k
JOIN pg_depend d ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid AND d.refclassid = 'pg_proc'::regclass
JOIN pg_proc f ON f.oid = d.refobjid JOIN pg_class c ON c.oid = k.conrelid
WHERE k.contype = 'c' AND f.pronamespace = c.relnamespace AND starts_with(f.proname, 'pgrecall_moved_')
  AND k.conrelid IN (SELECT relid FROM pg_partition_tree(to_regclass(format('%I.%I', $1::text, $2::text))))
"""
# By the index: a row of each domain says where all rows of the domain are.
_HELD: Final = """
SELECT CASE WHEN bool_and(pages = 0 OR relpages > 0 AND reltuples >= 0)
            THEN coalesce(sum(reltuples / greatest(relpages, 1) * pages), 0)::bigint END
FROM (SELECT c.reltuples, c.relpages, pg_relation_size(c.oid) / current_setting('block_size')::int AS pages
      FROM pg_class c WHERE c.oid = ANY ($1::oid[])) parts
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One partition.

    Attributes:
        schema: Schema that it is in.
        name: Its name.
        domain: The domain whose rows alone are in it, as the table has its name; `None` where it has several.
        others: Whether it has the rows of all domains that have no partition of their own.
        plain: Whether it has its rows itself.
        policed: Whether it is under row-level security by itself, for its owner too.
    """

    schema: str
    name: str
    domain: str | None
    others: bool
    plain: bool
    policed: bool

    @property
    def identifier(self) -> Identifier:
        """The name, for statements."""
        return Identifier(self.schema, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A domain that is being moved into a partition of its own, or whose move was interrupted.

    Attributes:
        domain: Its name, as the table has it.
        schema: Schema of the table that is to become its partition.
        name: Name of that table.
        triggers: Names of the triggers that mirror what is written meanwhile.
        function: Name of their function, which is in the same schema.
    """

    domain: str
    schema: str
    name: str
    triggers: tuple[str, ...]
    function: str

    @property
    def identifier(self) -> Identifier:
        """The table's name, for statements."""
        return Identifier(self.schema, self.name)


async def partitions(session: Session, table: Table) -> list[Partition]:
    """Return the partitions directly below a table."""
    return await partitions_of(session, table.schema, table.name)


async def partitions_of(session: Session, schema: str, name: str) -> list[Partition]:
    """Return the partitions directly below the table of this name; none where it has none."""
    rows = await session.fetch(Statement(_PARTITIONS, (schema, name)))
    return [Partition(**dict(row)) for row in rows]


async def moves(session: Session, schema: str, name: str) -> list[Move]:
    """Return the moves out of the partition of all other domains that are under way, or were."""
    found: dict[str, Move] = {}
    for row in await session.fetch(Statement(_MOVES, (schema, name, NOTE))):
        domain, staging = jsonb.loads(bytes(row["note"]).rstrip(b"\0").decode("ascii"))["pgrecall_move"]
        before = found[staging].triggers if staging in found else ()
        found[staging] = Move(
            domain=domain,
            schema=row["schema"],
            name=staging,
            triggers=(*before, row["trigger"]),
            function=row["function"],
        )
    return list(found.values())


async def checking_functions(session: Session, schema: str, name: str) -> list[str]:
    """Return the names of our functions that CHECKs of a table's partitions use."""
    return [row[0] for row in await session.fetch(Statement(_CHECKED_BY, (schema, name)))]


async def rows_held(session: Session, oids: list[int]) -> int | None:
    """Return about how many rows some partitions have together; `None` where nobody has ever counted."""
    return await session.fetch_value(Statement(_HELD, (oids,)))
