"""Lookups: rows found by metadata or words under row-level security, by the indexes that it keeps from serving.

Where policies bind a role, PostgreSQL lets no condition into an index whose operator might tell of rows that may not
be seen, and ``@>`` on the metadata is one, ``@@`` on the lexemes of the content another. So a filter that ten rows
pass, and a word that ten rows have, would have all rows of the domain compared.

A lookup is a view that belongs to a role which the policies do not bind, and that does what they do by itself: it
shows where rows are (their ctid, nothing of what they hold), only of the domains that the transaction has named, and
of these only those whose metadata contains one of the objects in the parameter ``pgrecall.wanted``, or, in the lookup
by words, whose lexemes match one of the queries in ``pgrecall.wanted_words``. (Those by numbers: `number_lookups`.)
All these conditions are the view's own, and all are PostgreSQL's own operators, which say nothing and fail of nothing,
so the index may serve. What a caller asks of the view is asked of what it has let pass (``security_barrier``). A
statement then reads just these places of the table, under the policies as ever, with all conditions of its filter and
all words.

A view that belongs to a role which the policies bind is no lookup: it would be bound too, and gain nothing.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Final

from pgrecall import jsonb
from pgrecall.filters import And, Contains, Equals, Filter, In, Key, Or
from pgrecall.filters.limits import FEW
from pgrecall.promoted import FieldType
from pgrecall.sql.compose import SQL, Composable, Identifier, Integer, Literal, Param, Statement
from pgrecall.sql.fields import answers
from pgrecall.sql.security import named_domains

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.table import Table
    from pgrecall.table_columns import TextColumn

NOTE: Final = "pgrecall's lookup: where rows of the named domains are whose metadata contains what is wanted"
"""The comment by which a lookup is known."""
WORDS_NOTE: Final = "pgrecall's lookup by words: where rows of the named domains are whose lexemes match what is wanted"
"""The comment by which a lookup by words is known."""
NUMBERS_NOTE: Final = "pgrecall's lookup by a number: where rows of the named domains are that have one which is wanted"
"""The comment by which a lookup by the numbers of a field is known."""
NOTES: Final = (NOTE, WORDS_NOTE, NUMBERS_NOTE)

_WANTED: Final = "NULLIF(current_setting('pgrecall.wanted', true), '')::jsonb[]"
_WANTED_WORDS: Final = "NULLIF(current_setting('pgrecall.wanted_words', true), '')::tsquery[]"
# Fields whose columns compare with leakproof operators, so that their indexes serve under the policies.
_SERVED: Final = frozenset({FieldType.TEXT, FieldType.TIME, FieldType.BOOLEAN})


def create(table: Table, name: str, owner: str | None = None) -> list[Statement]:
    """Return the statements that make the lookup of *table* by metadata, for the role that runs them to own.

    Args:
        table: The table, which must be one that `serves`.
        name: Name of the lookup, in the table's schema.
        owner: The table's owner, who is to give others the right to use it; `None` where that is the same role.
    """
    view = Identifier(table.schema, name)
    defined = SQL(
        "CREATE VIEW {view} WITH (security_barrier) AS SELECT ctid AS place FROM {table} "
        "WHERE {domain} AND {metadata} @> ANY ((SELECT {wanted})::jsonb[])"
    ).format(
        view=view,
        table=Identifier(table.schema, table.name),
        domain=is_named(table),
        metadata=Identifier(str(table.columns.metadata)),
        wanted=SQL(_WANTED),
    )
    return made(view, defined, NOTE, owner)


def create_for_words(table: Table, text: TextColumn, name: str, owner: str | None = None) -> list[Statement]:
    """Return the statements that make the lookup of *table* by the words of *text*; see `create`.

    Each of its rows is a place, and the number of the query, from 1, that the lexemes match.
    """
    view = Identifier(table.schema, name)
    defined = SQL(
        "CREATE VIEW {view} WITH (security_barrier) AS SELECT wanted.number, found.ctid AS place "
        "FROM unnest((SELECT {wanted})) WITH ORDINALITY AS wanted(words, number), {table} AS found "
        "WHERE {domain} AND {column} @@ wanted.words"
    ).format(
        view=view,
        wanted=SQL(_WANTED_WORDS),
        table=Identifier(table.schema, table.name),
        domain=is_named(table, "found"),
        column=Identifier("found", text.column),
    )
    return made(view, defined, WORDS_NOTE, owner)


def is_named(table: Table, *alias: str) -> Composable:
    """Return the condition that a row is of a domain which the transaction has named."""
    return SQL("{domain} = ANY ((SELECT {domains})::{kind})").format(
        domain=Identifier(*alias, str(table.columns.domain_id)),
        domains=named_domains(table.domain_type),
        kind=SQL("uuid[]") if table.domain_type == "uuid" else SQL("text[]"),
    )


def made(view: Identifier, defined: Composable, note: str, owner: str | None) -> list[Statement]:
    """Return the statements that make a lookup.

    Args:
        view: Its name.
        defined: What makes the view.
        note: The comment by which it is known.
        owner: See `create`.
    """
    found: list[Composable] = [
        defined,
        SQL("COMMENT ON VIEW {view} IS {note}").format(view=view, note=Literal(note)),
    ]
    if owner is not None:
        grant = SQL("GRANT SELECT ON {view} TO {owner} WITH GRANT OPTION")
        found.append(grant.format(view=view, owner=Identifier(owner)))
    return [part.compile() for part in found]


def serves(table: Table) -> bool:
    """Whether a table can have a lookup: each row's place is one of its own, and its metadata one indexed column."""
    return table.columns.domain_id is not None and _is_one_column(table) and not table.partitioned


def serves_words(table: Table, text: TextColumn) -> bool:
    """Whether a table can have a lookup by the words of *text*: an index on its lexemes is to serve."""
    return table.columns.domain_id is not None and text.index is None and not table.partitioned


def wanted(table: Table, filter: Filter | None) -> list[bytes] | None:
    """Return JSON objects of which every row that passes *filter* contains one; `None` where no lookup helps."""
    if filter is None or not table.secured or table.lookup is None:
        return None
    if is_served(table, filter):
        return None
    found = _members(table, filter)
    return None if found is None else [b"{" + members + b"}" for members in found]


def is_served(table: Table, filter: Filter) -> bool:
    """Whether an index finds the rows that pass *filter* under the policies, without a lookup."""
    return any(_has_an_index(table, clause) for clause in conjuncts(filter))


def conjuncts(filter: Filter) -> list[Filter]:
    """Return the conditions that a row meets, each of them, which passes *filter*."""
    if isinstance(filter, And):
        return [part for clause in filter.clauses for part in conjuncts(clause)]
    return [filter]


def places(table: Table) -> Composable:
    """Return the condition that a row is at a place which the lookup has found."""
    return at_places(Identifier(table.schema, str(table.lookup)))


def at_places(view: Identifier, limit: int | None = None) -> Composable:
    """Return the condition that a row is at a place which the lookup *view* has found, or at one of *limit* such."""
    most = SQL("") if limit is None else SQL(" LIMIT {limit}").format(limit=Integer(limit))
    return SQL("ctid = ANY (ARRAY(SELECT place FROM {view}{most}))").format(view=view, most=most)


def as_setting(objects: Param) -> Composable:
    """Return the expression that has the lookup find rows with one of *objects*, until the transaction ends."""
    return SQL("set_config('pgrecall.wanted', {objects}::text, true)").format(objects=objects)


def word_places(table: Table, limit: int | None) -> Composable:
    """Return the condition that a row is at a place which the lookup by words has found; see `at_places`."""
    return at_places(word_view(table), limit)


def word_view(table: Table) -> Identifier:
    """Return the name of the lookup by words of a table that has one."""
    return Identifier(table.schema, str(table.word_lookup))


def words_as_setting(queries: Sequence[str]) -> Composable:
    """Return the expression that has the lookup by words find what matches one of *queries*, texts of a tsquery."""
    wanted = Param(list(queries), "text[]")
    return SQL("set_config('pgrecall.wanted_words', {wanted}::text, true)").format(wanted=wanted)


def _is_one_column(table: Table) -> bool:
    return table.columns.metadata is not None and table.is_plain


def _has_an_index(table: Table, clause: Filter) -> bool:
    key = getattr(clause, "field", None)
    field = None if key is None else table.field(key)
    return field is not None and field.type in _SERVED and answers(field, clause)


def _members(table: Table, node: Filter) -> list[bytes] | None:
    """Return the inside of such objects."""
    match node:
        case Equals(Key() as key, json) if json != b"null" and key.path:
            return [_member(key, json)]
        case In(Key() as key, jsons) if 0 < len(jsons) <= FEW and b"null" not in jsons and key.path:
            return [_member(key, json) for json in jsons]
        case Contains(Key() as key, json) if key.path and (json[:1] != b'"' or _is_list(table, key)):
            return [_member(key, b"[" + json + b"]")]
        case Or(clauses) if clauses:
            found = [_members(table, clause) for clause in clauses]
            every = [members for each in found if each is not None for members in each]
            return every if None not in found and len(every) <= FEW else None
        case And(clauses):
            best: list[bytes] | None = None
            for clause in clauses:
                other = _members(table, clause)
                if best is None or other is None:
                    best = best or other
                elif len(best) * len(other) <= FEW:
                    # Of a key that comes twice the last counts, which every such row contains as well.
                    best = [one + b"," + two for one, two in product(best, other)]
            return best
        case _:
            return None


def _is_list(table: Table, key: Key) -> bool:
    field = table.field(key)
    return field is not None and field.type is FieldType.LIST


def _member(key: Key, json: bytes) -> bytes:
    first, *inner = key.path
    for name in reversed(inner):
        json = b"{" + jsonb.dumps(name) + b":" + json + b"}"
    return jsonb.dumps(first) + b":" + json
