"""Row-level security: the policies, the role that lives under them, and how a statement says whose rows it is about.

The policies compare a row's domain with the parameter ``pgrecall.domains``, an array as text, which no session
has unless it is set. So a session that has said nothing sees nothing and writes nothing: a parameter that was
never set is NULL, and after the end of a transaction that has set it, it is the empty text; both are no domain.

The parameter is always set until the end of the transaction, never for the session, so that it can pass neither
to the next user of a pooled connection nor, behind PgBouncer in transaction mode, to another client. A
transaction that writes says it first (`enter`). A statement that reads is most often a transaction by itself,
and says it in its own text (`scoped`), so that a search stays one round trip. There the order matters: the
domain must be set before the first row is looked at. PostgreSQL promises no order among the conditions of a
WHERE. It does for LATERAL: what is read depends on the row in which the parameter is set, so that row is
computed first. The executor asks the inner side of a nested loop for nothing before the outer one has given a
row, no other join can serve a LATERAL, and OFFSET keeps both sides from being merged. Were it ever otherwise,
nothing would be found: it fails closed.

The condition of the policy is written so that it leaves the plans alone. In COALESCE it can be served by no index
and is estimated without statistics: as a bare comparison PostgreSQL would plan for a domain that is not yet set,
expect no rows, and leave the vector index for the primary key's. The array is read once, in subqueries. What the
policy does change: conditions whose operators are not leakproof, such as ``@>`` on the metadata or ``=`` on a
numeric field, can enter no index, since they might tell of rows that may not be seen. The domain's and those on
texts can. What the metadata holds, a field's numbers, and words are found by lookups instead (see `lookups`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, LiteralString

from pgrecall.sql.compose import SQL, Composable, Identifier, Literal, Param, Statement

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pgrecall.scope import Scope

DOMAINS: Final = "pgrecall.domains"
"""The parameter that says whose rows a transaction is about."""
POLICY: Final = "pgrecall_domain"
"""The policy by which a role sees the rows of the domains that it has named."""
OWNER_POLICY: Final = "pgrecall_owner"
"""The policy by which a table's owner sees all rows, having said so."""

# Estimated by PostgreSQL as a condition that so large a part of the rows passes, since it knows no better.
POLICY_SHARE: Final = 0.5

_ENTER: Final = (
    "SELECT set_config('pgrecall.domains', $1::text[]::text, true), set_config('pgrecall.all_domains', $2::text, true)"
)
_LEAVE: Final = (
    "SELECT set_config('pgrecall.domains', $1::text, true), set_config('pgrecall.all_domains', $2::text, true)"
)
_ENTERED: Final = (
    "SELECT coalesce(current_setting('pgrecall.domains', true), ''), "
    "coalesce(current_setting('pgrecall.all_domains', true), '')"
)
_ADMINISTER: Final = "SELECT set_config('pgrecall.all_domains', $1::text, false)"


def scoped(query: Composable, scope: Scope, more: Composable | None = None) -> Statement:
    """Return *query* as it is sent, with its rows read as those of *scope*.

    Args:
        query: What reads rows.
        scope: Whose.
        more: An expression that sets what else it is to find set, and is not NULL.
    """
    domains, everything = _settings(scope)
    statement = SQL(
        "SELECT found.* FROM (SELECT set_config('pgrecall.domains', {domains}::text, true) "
        "|| set_config('pgrecall.all_domains', {everything}, true){more} AS domains OFFSET 0) AS scope, "
        "LATERAL (SELECT rows.* FROM ({query}) AS rows WHERE scope.domains IS NOT NULL OFFSET 0) AS found"
    ).format(
        domains=Param(domains, "text[]"),
        everything=Param(everything, "text"),
        more=SQL("") if more is None else SQL(" || {more}").format(more=more),
        query=query,
    )
    return replace(statement.compile(), settings=True)


def enter(scope: Scope) -> Statement:
    """Return the statement that makes the rest of a transaction one of *scope*."""
    return Statement(_ENTER, _settings(scope))


def entered() -> Statement:
    """Return the statement that asks what `enter` has set: domains and all domains, as texts."""
    return Statement(_ENTERED)


def leave(before: tuple[str, str]) -> Statement:
    """Return the statement that sets again what `entered` has found."""
    return Statement(_LEAVE, before)


def administer(*, on: bool) -> Statement:
    """Return the statement that has a session of the table's owner see all domains, or no longer."""
    return Statement(_ADMINISTER, ("on" if on else "",))


def policies(table: Identifier, domain: str, *, domain_type: str = "text", owner: str | None = None) -> list[Statement]:
    """Return the statements that put *table* under row-level security, for its owner too.

    Args:
        table: The table.
        domain: Column of the domain.
        domain_type: SQL type of that column.
        owner: The table's owner; `None` for the role that runs the statements.
    """
    kind = SQL("uuid[]") if domain_type == "uuid" else SQL("text[]")
    named = named_domains(domain_type)
    # Nearly always there is one domain, with which a row is compared in half the time that the array takes.
    seen = SQL("COALESCE({c} = (SELECT ({named})[1]) OR {c} = ANY ((SELECT {named})::{kind}), false)").format(
        c=Identifier(domain), named=named, kind=kind
    )
    everything = SQL("(SELECT current_setting('pgrecall.all_domains', true) = 'on')")
    form = SQL("CREATE POLICY {name} ON {table} FOR ALL TO {role} USING ({rows}) WITH CHECK ({rows})")
    role: Composable = SQL("CURRENT_USER") if owner is None else Identifier(owner)
    parts: list[Composable] = [
        SQL("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY").format(table=table),
        SQL("ALTER TABLE {table} FORCE ROW LEVEL SECURITY").format(table=table),
        form.format(name=Identifier(POLICY), table=table, role=SQL("PUBLIC"), rows=seen),
        form.format(name=Identifier(OWNER_POLICY), table=table, role=role, rows=everything),
    ]
    return [part.compile() for part in parts]


def named_domains(domain_type: str) -> Composable:
    """Return the domains that the transaction has named, as an array of *domain_type*; NULL where it has named none."""
    kind = SQL("uuid[]") if domain_type == "uuid" else SQL("text[]")
    return SQL("NULLIF(current_setting('pgrecall.domains', true), '')::{kind}").format(kind=kind)


def drop_policies(table: Identifier) -> list[Statement]:
    """Return the statements that drop what is there of our policies, which may be incomplete."""
    form = SQL("DROP POLICY IF EXISTS {name} ON {table}")
    return [form.format(name=Identifier(name), table=table).compile() for name in (POLICY, OWNER_POLICY)]


def create_role(role: str) -> Statement:
    """Return the statement that makes a role that may do nothing yet, and does not log in."""
    form = SQL("CREATE ROLE {role} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS")
    return form.format(role=Identifier(role)).compile()


def describe_role(role: str) -> Statement:
    """Return the statement that makes a comment on a role that was made here."""
    note = Literal("pgrecall's runtime role: reads and writes rows under row-level security")
    return SQL("COMMENT ON ROLE {role} IS {note}").format(role=Identifier(role), note=note).compile()


def grants(role: str, tables: Iterable[Identifier], schemas: Iterable[str], *, write: bool) -> list[Statement]:
    """Return the statements that let *role* use tables, and nothing beyond.

    Args:
        role: The role.
        tables: The tables.
        schemas: The schemas that they, and the extension, are in.
        write: Whether it may change rows too.
    """
    rights: LiteralString = "SELECT, INSERT, UPDATE, DELETE" if write else "SELECT"
    name = Identifier(role)
    found = [
        SQL("GRANT USAGE ON SCHEMA {schema} TO {role}").format(schema=Identifier(schema), role=name)
        for schema in dict.fromkeys(schemas)
    ]
    found += [
        SQL("GRANT {rights} ON {table} TO {role}").format(rights=SQL(rights), table=table, role=name)
        for table in tables
    ]
    return [part.compile() for part in found]


def _settings(scope: Scope) -> tuple[list[str], str]:
    return list(scope.domains or ()), "on" if scope.is_everything else ""
