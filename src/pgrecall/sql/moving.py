"""Statements that move a domain into a partition of its own, while it is read and written.

The rows are copied into a table beside, which triggers on the partition of all other domains keep up to date from
before the first row is copied. A copied row is locked against deletion until it is there, so that the trigger of
whoever deletes it finds it, and one that was written anew has been put there by the trigger already.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, LiteralString

from pgrecall.sql.compose import SQL, Composable, Identifier, Integer, Literal, Param, Statement
from pgrecall.sql.dml import id_type
from pgrecall.sql.domains import domain_value
from pgrecall.sql.partitions import MOVED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.table import Table

NOTE: Final = '{"pgrecall_move":'
"""What the argument of the triggers begins with, which names the domain and the table beside."""

_ENTER: Final[LiteralString] = "PERFORM set_config('pgrecall.all_domains', 'on', true); "
_LEAVE: Final[LiteralString] = "PERFORM set_config('pgrecall.all_domains', coalesce(entered, ''), true); "
_EVENTS: Final[tuple[tuple[LiteralString, LiteralString], ...]] = (
    ("INSERT", "new.{domain} = {value}"),
    ("UPDATE", "(old.{domain} = {value} OR new.{domain} = {value})"),
    ("DELETE", "old.{domain} = {value}"),
)


def only(table: Table, staging: Identifier, domain: str) -> Statement:
    """Return the statement by which a table has rows of one domain only, so that attaching it reads none of them."""
    return (
        SQL("ALTER TABLE {staging} ADD CONSTRAINT pgrecall_only CHECK ({domain} = {value})")
        .format(staging=staging, domain=_domain(table), value=Literal(table.stored_domain(domain)))
        .compile()
    )


def not_only(staging: Identifier) -> Statement:
    """Return the statement that takes back what `only` has added."""
    return SQL("ALTER TABLE {staging} DROP CONSTRAINT pgrecall_only").format(staging=staging).compile()


def mirror(
    table: Table, others: Identifier, staging: tuple[str, str], domain: str, columns: Sequence[str]
) -> list[Statement]:
    """Return the statements that have triggers keep a table like the rows of *domain*.

    The function works as the owner of the table, since whoever writes may not know the one beside. It leaves alone
    what the transaction does that moves the domain. A transaction that sees the database as it was once may not
    see a row that has been copied since then: where it deletes one, it writes it first, which PostgreSQL refuses.

    Args:
        table: The whole table.
        others: The partition that has the rows.
        staging: Schema and name of the table that is kept; the schema is that of *others*.
        domain: The domain.
        columns: The columns that are written.
    """
    schema, name = staging
    function = Identifier(schema, f"{name}_mirror")
    made = SQL(
        "CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
        "SET search_path = pg_catalog, pg_temp AS {body}"
    )
    body = _mirror_body(table, Identifier(schema, name), domain, columns)
    # Who may execute it could have it run by a table of their own, and write rows of their choice.
    kept = SQL("REVOKE EXECUTE ON FUNCTION {function}() FROM PUBLIC").format(function=function)
    found: list[Composable] = [made.format(function=function, body=Literal(body.compile().text)), kept]
    note = Literal(json.dumps({"pgrecall_move": [table.stored_domain(domain), name]}, separators=(",", ":")))
    value = Literal(table.stored_domain(domain))
    fired = SQL(
        "CREATE TRIGGER {trigger} AFTER {event} ON {others} FOR EACH ROW WHEN ({about} "
        "AND current_setting({moved}, true) IS DISTINCT FROM {value}) EXECUTE FUNCTION {function}({note})"
    )
    found += [
        fired.format(
            trigger=Identifier(f"{name}_{event.lower()}"),
            event=SQL(event),
            others=others,
            about=SQL(about).format(domain=_domain(table), value=value),
            moved=Literal(MOVED),
            value=value,
            function=function,
            note=note,
        )
        for event, about in _EVENTS
    ]
    return [part.compile() for part in found]


def _mirror_body(table: Table, staging: Identifier, domain: str, columns: Sequence[str]) -> Composable:
    names = SQL(", ").join(Identifier(column) for column in columns)
    key = SQL(", ").join(Identifier(column) for column in table.key)
    sets = SQL(", ").join(
        SQL("{c} = excluded.{c}").format(c=Identifier(column)) for column in columns if column not in table.key
    )
    written = SQL("INSERT INTO {staging} ({names}) VALUES ({values}) ON CONFLICT ({key}) DO UPDATE SET {sets};")
    parts = {"staging": staging, "names": names, "key": key, "sets": sets}
    same = SQL(" AND ").join(SQL("{c} = {o}").format(c=Identifier(c), o=Identifier("old", c)) for c in table.key)
    moved = SQL(" OR ").join(
        SQL("{o} <> {n}").format(o=Identifier("old", c), n=Identifier("new", c)) for c in table.key
    )
    # Policies bind the owner too, and whoever writes may be somebody whom they do not bind, who says no domain.
    return SQL(
        "DECLARE entered text := current_setting('pgrecall.all_domains', true); BEGIN {enter}"
        "IF TG_OP <> 'INSERT' THEN IF old.{domain} = {value} AND (TG_OP = 'DELETE' OR {moved}) THEN "
        "IF current_setting('transaction_isolation') NOT LIKE 'read %' THEN {before} END IF; "
        "DELETE FROM {staging} WHERE {same}; END IF; END IF; "
        "IF TG_OP <> 'DELETE' THEN IF new.{domain} = {value} THEN {after} END IF; END IF; "
        "{leave}RETURN NULL; END"
    ).format(
        enter=SQL(_ENTER if table.policed else ""),
        leave=SQL(_LEAVE if table.policed else ""),
        domain=_domain(table),
        value=Literal(table.stored_domain(domain)),
        moved=moved,
        same=same,
        staging=staging,
        before=written.format(**parts, values=_row("old", columns)),
        after=written.format(**parts, values=_row("new", columns)),
    )


def stop_mirror(others: Identifier, schema: str, function: str, triggers: Sequence[str]) -> list[Statement]:
    """Return the statements that take triggers and function of `mirror` away."""
    form = SQL("DROP TRIGGER IF EXISTS {trigger} ON {others}")
    dropped = [form.format(trigger=Identifier(name), others=others).compile() for name in triggers]
    gone = SQL("DROP FUNCTION IF EXISTS {function}()").format(function=Identifier(schema, function))
    return [*dropped, gone.compile()]


def copy_rows(
    table: Table,
    between: tuple[Identifier, Identifier],
    domain: str,
    columns: Sequence[str],
    after: str | None,
    limit: int,
) -> Statement:
    """Return the statement that copies the next rows: how many there were, and the last id as text.

    All are locked before one is written, since they are sorted: who waits for a copy, holding a row that is to be
    copied, would never be waited for to an end.

    Args:
        table: The whole table, whose key is domain and id.
        between: The partition that has the rows, and the table that they are copied into.
        domain: Whose rows.
        columns: The columns that are copied.
        after: The id behind which to begin; `None` for the first ones.
        limit: Most rows.
    """
    others, staging = between
    names = SQL(", ").join(Identifier(column) for column in columns)
    identifier = Identifier(table.columns.id)
    parts: list[Composable] = [
        SQL("found.{domain} = {value}").format(domain=_domain(table), value=domain_value(table, domain))
    ]
    if after is not None:
        last = SQL("{value}::{type}").format(value=Param(after, "text"), type=id_type(table))
        parts.append(SQL("found.{id} > {last}").format(id=identifier, last=last))
    return (
        SQL(
            "WITH batch AS MATERIALIZED (SELECT {names} FROM {others} AS found WHERE {conditions} "
            "ORDER BY found.{id} LIMIT {limit} FOR KEY SHARE OF found), "
            "copied AS (INSERT INTO {staging} ({names}) SELECT {names} FROM batch ORDER BY {id} "
            "ON CONFLICT DO NOTHING) "
            "SELECT count(*), (SELECT {id}::text FROM batch ORDER BY {id} DESC LIMIT 1) FROM batch"
        )
        .format(
            names=names,
            others=others,
            conditions=SQL(" AND ").join(parts),
            id=identifier,
            limit=Integer(limit),
            staging=staging,
        )
        .compile()
    )


def delete_rows(table: Table, others: Identifier, domain: str) -> Statement:
    """Return the statement that deletes the rows of *domain* from the partition of all others."""
    return (
        SQL("DELETE FROM ONLY {others} WHERE {domain} = {value}")
        .format(others=others, domain=_domain(table), value=domain_value(table, domain))
        .compile()
    )


def count_domain(table: Table, others: Identifier, domain: str) -> Statement:
    """Return the statement that counts the rows of *domain* in the partition of all others."""
    return (
        SQL("SELECT count(*) FROM ONLY {others} WHERE {domain} = {value}")
        .format(others=others, domain=_domain(table), value=domain_value(table, domain))
        .compile()
    )


def is_there(table: Table, others: Identifier, domain: str) -> Statement:
    """Return the statement that says whether *domain* has rows in the partition of all others."""
    return (
        SQL("SELECT EXISTS (SELECT FROM ONLY {others} WHERE {domain} = {value})")
        .format(others=others, domain=_domain(table), value=domain_value(table, domain))
        .compile()
    )


def _domain(table: Table) -> Identifier:
    return Identifier(table.columns.domain_id or "")


def _row(which: LiteralString, columns: Sequence[str]) -> Composable:
    return SQL(", ").join(Identifier(which, column) for column in columns)
