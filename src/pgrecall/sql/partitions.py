"""Statements about the partitions of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pgrecall.sql.compose import SQL, Composable, Identifier, Integer, Statement

if TYPE_CHECKING:
    from pgrecall.config import CollectionConfig
    from pgrecall.layout import HashPartitions

_PREFIX: Final = "pgrecall_part_"


def partition_by(config: CollectionConfig) -> Composable:
    """Return the clause that makes a new table one with partitions; nothing where it is to have none."""
    if config.layout is None or config.columns.domain_id is None:
        return SQL("")
    return SQL(" PARTITION BY HASH ({domain})").format(domain=Identifier(config.columns.domain_id))


def create_partitions(
    config: CollectionConfig, layout: HashPartitions, token: str, storage: Composable
) -> list[Statement]:
    """Return the statements that make the partitions of a new table; they have its indexes from the start.

    Args:
        config: The collection.
        layout: How many.
        token: Makes the names of the partitions its own: a table can be renamed, and another take its name.
        storage: Storage parameters, which a table with partitions cannot have itself.
    """
    statement = SQL(
        "CREATE TABLE {partition} PARTITION OF {table} "
        "FOR VALUES WITH (MODULUS {count}, REMAINDER {number}) WITH ({storage})"
    )
    return [
        statement.format(
            partition=Identifier(config.schema, f"{_PREFIX}{token}_{number}"),
            table=Identifier(config.schema, config.name),
            count=Integer(layout.count),
            number=Integer(number),
            storage=storage,
        ).compile()
        for number in range(layout.count)
    ]
