"""The indexes that filters on promoted fields need: covering ones, and vector indexes of single values.

They belong to the vector index, and are built with it: where a filter and the embeddings are about the same
thing, an index of all rows alone finds neither all of the right ones nor finds them quickly.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pgrecall import jsonb
from pgrecall.config import IVFFlat, SearchOptions
from pgrecall.errors import ExtensionMissing, SchemaError
from pgrecall.filters import Equals
from pgrecall.planner import NOTICEABLE, exact_limit
from pgrecall.postgres import catalog
from pgrecall.postgres.failures import CANNOT_INSTALL
from pgrecall.promoted import CONTENT, FieldType
from pgrecall.sql import correlation, ddl, promoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pgrecall.collection.indexes.building import Builder
    from pgrecall.config import Index
    from pgrecall.postgres import Session
    from pgrecall.promoted import PromotedField
    from pgrecall.table import FieldIndex, Table, VectorIndex

_SAMPLE_ROWS: Final = 2_000
# Below this a covering scan takes no longer than a scan of a vector index.
_WORTH_AN_INDEX: Final = 10_000
_MAX_VALUES: Final = 50
# A value that nearly all rows have is found in the index of all rows.
_NEARLY_ALL: Final = 0.9


def index_is_missing(table: Table, field: PromotedField) -> bool:
    """Whether *field* has no index, or has one that does not cover what it could."""
    return not _fitting(table, field)


async def build_covering(session: Session, table: Table, build: Builder) -> None:
    """Have every promoted field indexed, by an index that covers all of them where there are codes."""
    for field in table.fields:
        fitting = _fitting(table, field)
        if not fitting:
            code = table.code is not None
            statement = promoted.create_field_index(table, field, table.fields, code=code, concurrently=True)
            await build(statement, f"the index on field {field.column!r} of {table.qualified_name}")
        for index in table.field_indexes:
            if index.column == field.column and index not in fitting[:1]:
                await session.execute(ddl.drop_index(table.schema, index.name))


def _fitting(table: Table, field: PromotedField) -> list[FieldIndex]:
    covered = table.code is not None and field.is_scalar
    mine = [index for index in table.field_indexes if index.column == field.column and index.valid]
    return [index for index in mine if index.covering or not covered]


async def trigram_schema(session: Session, table: Table) -> str:
    """Return the schema of pg_trgm, which is installed where it is missing.

    Raises:
        ExtensionMissing: It cannot be installed by us.
        SchemaError: There is no content.
    """
    if table.columns.content is None:
        msg = f"{table.qualified_name} has no column for content that could be indexed"
        raise SchemaError(msg)
    schema = await catalog.extension_schema(session, "pg_trgm")
    if schema is None:
        try:
            await session.execute(ddl.create_extension("pg_trgm"))
        except CANNOT_INSTALL as error:
            msg = (
                f"the field {CONTENT!r} needs the extension pg_trgm, which is not installed and could not be "
                f"({error}); have a role that may do so run: CREATE EXTENSION pg_trgm"
            )
            raise ExtensionMissing(msg) from error
        schema = await catalog.extension_schema(session, "pg_trgm")
    return schema or "public"


async def index_content(session: Session, table: Table, build: Builder) -> None:
    """Have the content indexed by its trigrams, beside readers and writers."""
    if not table.content_indexed:
        statement = ddl.create_trigram_index(table, await trigram_schema(session, table))
        await build(statement, f"the index on the content of {table.qualified_name}")


async def measure_correlation(session: Session, table: Table, index: VectorIndex) -> list[PromotedField]:
    """Return the fields with how correlated they are with the embeddings, which their columns note from now on.

    Newman's assortativity coefficient (Mixing patterns in networks, Phys. Rev. E 67, 2003) on the graph that
    joins each row of a sample with those nearest to it: the share of pairs with the same value, less the
    share among random pairs, over the most that this can be.
    """
    rows = max(table.rows, 1.0)
    if not table.fields or rows < _SAMPLE_ROWS:
        return list(table.fields)
    percent = min(100.0, 100.0 * _SAMPLE_ROWS / rows)
    sample = await session.fetch(correlation.sample_values(table, table.fields, percent))
    statement = correlation.compare_neighbours(table, table.fields, index, session.dialect, percent)
    compared = (await session.fetch(statement))[0]
    selves = compared[0] / correlation.NEIGHBOURS
    measured: list[PromotedField] = []
    for position, field in enumerate(table.fields):
        same = (compared[position + 1] - selves) / max(compared[0] - selves, 1)
        by_chance = sum((count / len(sample)) ** 2 for count in Counter(row[position] for row in sample).values())
        coefficient = (same - by_chance) / (1 - by_chance) if by_chance < 1 else 0.0
        measured.append(replace(field, correlation=coefficient))
        await session.execute(promoted.note_field(table, measured[-1]))
    return measured


async def wanted_values(session: Session, table: Table, fields: Iterable[PromotedField]) -> dict[Equals, int]:
    """Return the values of correlated fields that are worth a vector index of their own, and their rows."""
    rows = max(1, round(table.rows))
    least = _WORTH_AN_INDEX if table.code else 2 * exact_limit(10, rows, SearchOptions(), table.dimensions or 1)
    found: dict[Equals, int] = {}
    budget = 2 * rows
    for field in fields:
        if not field.is_scalar or (field.correlation or 0.0) <= NOTICEABLE:
            continue
        values = await session.fetch(correlation.large_values(table, field, least, _MAX_VALUES))
        for json, count in values:
            if count <= _NEARLY_ALL * rows and count <= budget:
                budget -= count
                found[Equals(field.key, _canonical(json, field))] = count
    return found


def _canonical(json: str, field: PromotedField) -> bytes:
    """Return *json* as filters write it: PostgreSQL may have escaped more of a text."""
    return json.encode() if field.type is FieldType.NUMBER else jsonb.dumps(jsonb.loads(json))


async def build_partial(
    session: Session,
    table: Table,
    index: Index,
    values: Mapping[Equals, int],
    build: Builder,
) -> None:
    """Have just the rows with each of *values* in a vector index of their own, of the same kind as *index*."""
    main = table.usable_index()
    quantized = None if main is None else main.quantized
    there = {old.condition: old for old in table.partial_indexes()}
    for value in values.keys() - there.keys():
        lists = max(1, round(values[value] / 1_000))
        sized = replace(index, lists=lists) if isinstance(index, IVFFlat) else index
        statement = ddl.create_vector_index(table, sized, session.dialect, quantized=quantized, condition=value)
        what = f"{type(index).__name__} of {value.field} = {value.json.decode()} on {table.qualified_name}"
        await build(statement, what, index=index, vector_type=quantized, rows=values[value])
    for value, old in there.items():
        if value not in values:
            await session.execute(ddl.drop_index(table.schema, old.name))
