"""Statements for embeddings of a second model: a column beside the first, a trigger, and filling it.

Each model has a column of its own, whose name is in every statement that reads or writes its embeddings, so
that an answer cannot mix two models. A trigger empties what has become stale: an embedding that stayed while
its content, or what another model made of it, has changed. What is empty is found by no search of its model
until it has been filled again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pgrecall import jsonb
from pgrecall.sql.compose import SQL, Composable, Identifier, Integer, Literal, Param, Statement
from pgrecall.sql.dml import id_type, ids_array
from pgrecall.sql.domains import domain_text, domain_values
from pgrecall.sql.promoted import COMMENT_PREFIX, noted
from pgrecall.sql.where import where

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pgrecall.distance import VectorType
    from pgrecall.sql.dialect import Dialect
    from pgrecall.table import Table

__all__ = ["TRIGGER", "add_column", "drop_column", "fill", "missing_behind", "missing_in_blocks", "note", "noted"]

# BEFORE triggers fire in the order of their names: before codes are derived from what is emptied here.
TRIGGER: Final = "pgrecall_age"


def add_column(
    table: Table, column: str, dimensions: int, vector_type: VectorType, dialect: Dialect
) -> list[Statement]:
    """Return the statements that add an empty column for embeddings; the first one is let be empty too."""
    name, original = Identifier(column), Identifier(table.columns.embedding)
    kind = SQL("{type}({dimensions})").format(type=dialect.type(vector_type), dimensions=Integer(dimensions))
    forms: list[Composable] = [
        SQL("ALTER TABLE {table} ADD COLUMN {name} {type}").format(table=_name(table), name=name, type=kind),
        SQL("ALTER TABLE {table} ALTER COLUMN {name} SET STORAGE MAIN").format(table=_name(table), name=name),
        SQL("ALTER TABLE {table} ALTER COLUMN {name} DROP NOT NULL").format(table=_name(table), name=original),
    ]
    return [form.compile() for form in forms]


def drop_column(table: Table, column: str) -> Statement:
    """Return the statement that drops a column, with its indexes."""
    return SQL("ALTER TABLE {table} DROP COLUMN {name}").format(table=_name(table), name=Identifier(column)).compile()


def note(table: Table, column: str, facts: Mapping[str, object]) -> Statement:
    """Return the statement that notes whose embeddings a column holds, and in what state they are."""
    text = COMMENT_PREFIX + jsonb.dumps(dict(facts)).decode()
    return (
        SQL("COMMENT ON COLUMN {column} IS {text}")
        .format(column=Identifier(table.schema, table.name, column), text=Literal(text))
        .compile()
    )


def keep_fresh(
    table: Table, function: str, original: str | None, others: Sequence[str], schema: str
) -> list[Statement]:
    """Return the statements that have a trigger empty what has become stale; with one column there is none.

    Args:
        table: The table, with a column for content.
        function: Name of the trigger's function, in the table's schema; replaced where it exists.
        original: Column of the embeddings that the table was made with; `None` where it is gone.
        others: Columns of other models' embeddings.
        schema: Schema of pgvector, whose operators compare.
    """
    name, trigger = Identifier(table.schema, function), Identifier(TRIGGER)
    dropped = SQL("DROP TRIGGER IF EXISTS {trigger} ON {table}").format(trigger=trigger, table=_name(table))
    columns = [*([] if original is None else [original]), *others]
    if len(columns) < 2:  # noqa: PLR2004 - nothing that could differ
        gone = SQL("DROP FUNCTION IF EXISTS {name}()").format(name=name)
        return [dropped.compile(), gone.compile()]
    content = str(table.columns.content)
    rewritten = _differs(content)
    touched = {column: _differs(column) for column in columns}
    changed = {
        column: SQL("({old} IS NOT NULL AND {new} IS NOT NULL AND {differs})").format(
            old=Identifier("old", column), new=Identifier("new", column), differs=touched[column]
        )
        for column in columns
    }
    steps: list[Composable] = []
    declared: list[Composable] = []
    for number, column in enumerate(columns):
        beside = [other for other in columns if other != column]
        if column == original:
            # Content that is changed without a new embedding keeps the old one, as ever.
            stale = SQL("{rewritten} AND ({touched})").format(
                rewritten=rewritten, touched=SQL(" OR ").join(touched[other] for other in beside)
            )
        else:
            stale = SQL(" OR ").join([rewritten, *(changed[other] for other in beside)])
        flag = Identifier(f"stale {number}")
        declared.append(
            SQL("{flag} boolean := NOT {touched} AND ({stale});").format(
                flag=flag, touched=touched[column], stale=stale
            )
        )
        steps.append(SQL("IF {flag} THEN {new} := NULL; END IF;").format(flag=flag, new=Identifier("new", column)))
    body = SQL("DECLARE {declared} BEGIN {steps} RETURN NEW; END").format(
        declared=SQL(" ").join(declared), steps=SQL(" ").join(steps)
    )
    made = SQL(
        "CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, {schema} "
        "AS {body}"
    ).format(name=name, schema=Identifier(schema), body=Literal(body.compile().text))
    fired = SQL("CREATE TRIGGER {trigger} BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()").format(
        trigger=trigger, table=_name(table), name=name
    )
    return [made.compile(), dropped.compile(), fired.compile()]


def index_missing(table: Table, column: str) -> Statement:
    """Return the statement that indexes the rows that lack an embedding, without blocking writers."""
    return (
        SQL("CREATE INDEX CONCURRENTLY ON {table} ({key}) {where}")
        .format(table=_name(table), key=_key(table), where=where(_lacking(table, column)))
        .compile()
    )


def missing_in_blocks(table: Table, column: str, first: int, last: int) -> Statement:
    """Return the statement that reads the rows of some blocks that lack an embedding: see `missing_behind`.

    Args:
        table: The table.
        column: Column of the embedding.
        first: The first block.
        last: The block before which to stop.
    """
    places = (Literal(f"({int(block)},0)") for block in (first, last))
    here = SQL("ctid >= {first}::tid AND ctid < {last}::tid").format(first=next(places), last=next(places))
    return _missing(table, [*_lacking(table, column), here], SQL(""))


def missing_behind(table: Table, column: str, after: Sequence[str], limit: int) -> Statement:
    """Return the statement that reads rows that lack an embedding, in the order of the key.

    They come as id (as text), domain (or NULL) and content.

    Args:
        table: The table.
        column: Column of the embedding.
        after: The key behind which to begin, as text; empty for the beginning.
        limit: Most rows.
    """
    parts = _lacking(table, column)
    if after:
        values = [
            SQL("{value}::{type}").format(value=Param(value, "text"), type=_type_of(table, name))
            for name, value in zip(table.key, after, strict=True)
        ]
        parts.append(SQL("({key}) > ({values})").format(key=_key(table), values=SQL(", ").join(values)))
    tail = SQL("ORDER BY {key} LIMIT {limit}").format(key=_key(table), limit=Integer(limit))
    return _missing(table, parts, tail)


def _missing(table: Table, parts: list[Composable], tail: Composable) -> Statement:
    return (
        SQL("SELECT {id}::text, {domain}, {content} FROM {table} {where} {tail}")
        .format(
            id=Identifier(table.columns.id),
            domain=domain_text(table),
            content=Identifier(str(table.columns.content)),
            table=_name(table),
            where=where(parts),
            tail=tail,
        )
        .compile()
    )


def count_missing(table: Table, column: str) -> Statement:
    """Return the statement that counts the rows that lack an embedding and could have one."""
    return (
        SQL("SELECT count(*) FROM {table} {where}")
        .format(table=_name(table), where=where(_lacking(table, column)))
        .compile()
    )


def fill(
    table: Table, column: str, rows: Sequence[tuple[str, str | None, str]], vectors: Sequence[Any], dialect: Dialect
) -> Statement:
    """Return the statement that gives rows their embeddings, as far as they still lack them and have this content.

    Rows that somebody else is changing are left out, so that nobody waits for anybody.

    Args:
        table: The table.
        column: Column of the embeddings.
        rows: Id, domain (or `None`) and content of each, as they were read.
        vectors: The embedding of each, encoded.
        dialect: How values travel.
    """
    ids, domains, contents = zip(*rows, strict=True)
    row_id = Identifier(table.columns.id)
    arrays: list[Composable] = [ids_array(ids, table), Param(list(contents), "text[]")]
    arrays.append(dialect.embeddings(vectors, table.vector_type))
    same: list[Composable] = [SQL("stored.{id} = new.id").format(id=row_id)]
    names = SQL("id, content, embedding")
    if table.columns.domain_id is not None:
        arrays.append(domain_values(table, [str(domain) for domain in domains]))
        names = SQL("id, content, embedding, domain")
        same.append(SQL("stored.{domain} = new.domain").format(domain=Identifier(table.columns.domain_id)))
    same.append(SQL("stored.{content} = new.content").format(content=Identifier(str(table.columns.content))))
    same.append(SQL("stored.{column} IS NULL").format(column=Identifier(column)))
    return (
        SQL(
            "WITH found AS MATERIALIZED (SELECT stored.ctid AS place, new.embedding FROM {table} AS stored "
            "JOIN unnest({arrays}) AS new({names}) ON {same} FOR NO KEY UPDATE OF stored SKIP LOCKED) "
            "UPDATE {table} AS stored SET {column} = found.embedding FROM found WHERE stored.ctid = found.place"
        )
        .format(
            table=_name(table),
            arrays=SQL(", ").join(arrays),
            names=names,
            same=SQL(" AND ").join(same),
            column=Identifier(column),
        )
        .compile()
    )


def _lacking(table: Table, column: str) -> list[Composable]:
    names = {"column": Identifier(column), "content": Identifier(str(table.columns.content))}
    return [SQL("{column} IS NULL").format(**names), SQL("{content} IS NOT NULL").format(**names)]


def _differs(column: str) -> Composable:
    return SQL("({new} IS DISTINCT FROM {old})").format(new=Identifier("new", column), old=Identifier("old", column))


def _key(table: Table) -> Composable:
    return SQL(", ").join(Identifier(name) for name in table.key)


def _type_of(table: Table, name: str) -> Composable:
    if name == table.columns.id:
        return id_type(table)
    return SQL("uuid") if table.domain_type == "uuid" else SQL("text")


def _name(table: Table) -> Identifier:
    return Identifier(table.schema, table.name)
