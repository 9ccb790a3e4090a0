"""Statements that make the partitions of a table, and take them away.

Where domains have partitions of their own, the partition of all others has a CHECK that compares the domain with
what a function says: the empty text, which no domain is called, unless the transaction has set `MOVED`. PostgreSQL
may attach a partition only where no row of its domain is in that other one, and reads all of it to know, with
everybody locked out, unless a CHECK says so. The function is called IMMUTABLE, so it is computed where PostgreSQL
looks for such a CHECK: a transaction that has locked the table, has found no row of the domain by the index, and
has set `MOVED` to it, attaches in a millisecond what would take seconds for each gigabyte. It sees what it has
set by itself, and no other transaction does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pgrecall.layout import HashPartitions
from pgrecall.sql.compose import SQL, Composable, Identifier, Integer, Literal, Param, Statement

if TYPE_CHECKING:
    from pgrecall.config import CollectionConfig
    from pgrecall.table import Table

PREFIX: Final = "pgrecall_part_"
"""Names of partitions begin so; nothing is concluded from them."""
MOVED: Final = "pgrecall.moved"
"""The parameter that says which domain's rows a transaction moves out of the partition of all others."""


def partition_by(config: CollectionConfig) -> Composable:
    """Return the clause that makes a new table one with partitions; nothing where it is to have none."""
    if config.layout is None or config.columns.domain_id is None:
        return SQL("")
    how = SQL("HASH" if isinstance(config.layout, HashPartitions) else "LIST")
    return SQL(" PARTITION BY {how} ({domain})").format(how=how, domain=Identifier(config.columns.domain_id))


def new_names(config: CollectionConfig, token: str) -> list[str]:
    """Return the names of the partitions of a new table.

    Args:
        config: The collection.
        token: Makes the names its own: a table can be renamed, and another take its name.
    """
    if config.layout is None:
        return []
    if isinstance(config.layout, HashPartitions):
        return [f"{PREFIX}{token}_{number}" for number in range(config.layout.count)]
    return [f"{PREFIX}{token}_others"]


def create_partitions(config: CollectionConfig, token: str, storage: Composable) -> list[Statement]:
    """Return the statements that make the partitions of a new table; they have its indexes from the start.

    Args:
        config: The collection.
        token: See `new_names`.
        storage: Storage parameters, which a table with partitions cannot have itself.
    """
    names = new_names(config, token)
    table = Identifier(config.schema, config.name)
    if not isinstance(config.layout, HashPartitions):
        return _others(config, token, storage) if names else []
    form = SQL(
        "CREATE TABLE {partition} PARTITION OF {table} "
        "FOR VALUES WITH (MODULUS {count}, REMAINDER {number}) WITH ({storage})"
    )
    return [
        form.format(
            partition=Identifier(config.schema, name),
            table=table,
            count=Integer(len(names)),
            number=Integer(number),
            storage=storage,
        ).compile()
        for number, name in enumerate(names)
    ]


def _others(config: CollectionConfig, token: str, storage: Composable) -> list[Statement]:
    function = Identifier(config.schema, f"pgrecall_moved_{token}")
    (name,) = new_names(config, token)
    body = Literal(f"SELECT coalesce(pg_catalog.current_setting('{MOVED}', true), '')")
    parts: list[Composable] = [
        SQL("CREATE FUNCTION {function}() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS {body}").format(
            function=function, body=body
        ),
        # Whoever writes evaluates the CHECK, also where functions are not everybody's by default.
        SQL("GRANT EXECUTE ON FUNCTION {function}() TO PUBLIC").format(function=function),
        SQL(
            "CREATE TABLE {partition} PARTITION OF {table} (CHECK ({domain} <> {function}())) DEFAULT WITH ({storage})"
        ).format(
            partition=Identifier(config.schema, name),
            table=Identifier(config.schema, config.name),
            domain=Identifier(config.columns.domain_id or ""),
            function=function,
            storage=storage,
        ),
    ]
    return [part.compile() for part in parts]


def create_like(table: Table, partition: Identifier, storage: Composable) -> Statement:
    """Return the statement that makes a table just like a partition of *table*, with its indexes, for itself."""
    form = SQL("CREATE TABLE {partition} (LIKE {table} INCLUDING ALL EXCLUDING IDENTITY EXCLUDING COMMENTS)")
    return (
        SQL("{made} WITH ({storage})")
        .format(made=form.format(partition=partition, table=_name(table)), storage=storage)
        .compile()
    )


def attach(table: Table, partition: Identifier, domain: str) -> Statement:
    """Return the statement that makes a table the partition of *domain*."""
    return (
        SQL("ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES IN ({domain})")
        .format(table=_name(table), partition=partition, domain=Literal(table.stored_domain(domain)))
        .compile()
    )


def set_moved(table: Table, domain: str | None) -> Statement:
    """Return the statement that sets `MOVED` until the end of the transaction, or takes it back."""
    value = "" if domain is None else table.stored_domain(domain)
    form = SQL("SELECT set_config({parameter}, {value}, true)")
    return form.format(parameter=Literal(MOVED), value=Param(value, "text")).compile()


def lock(relation: Identifier) -> Statement:
    """Return the statement that keeps everybody else from using one table, without its partitions."""
    return SQL("LOCK TABLE ONLY {relation} IN ACCESS EXCLUSIVE MODE").format(relation=relation).compile()


def read_committed() -> Statement:
    """Return the statement by which the rest of a transaction sees what others have committed meanwhile."""
    return Statement("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")


def has_rows(relation: Identifier) -> Statement:
    """Return the statement that says whether a table has rows."""
    return SQL("SELECT EXISTS (SELECT FROM {relation})").format(relation=relation).compile()


def count_rows(relation: Identifier) -> Statement:
    """Return the statement that counts the rows of a table."""
    return SQL("SELECT count(*) FROM {relation}").format(relation=relation).compile()


def truncate(relation: Identifier) -> Statement:
    """Return the statement that takes all rows out of a table at once."""
    return SQL("TRUNCATE {relation}").format(relation=relation).compile()


def _name(table: Table) -> Identifier:
    return Identifier(table.schema, table.name)
