"""``{"year": {"$eq": 2012}}`` to the engine's filters, which it is checked to be: a bare value means nothing here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pgrecall.filters import And, Contains, Exists, Filter, Key, Matches, Not, Or, parse
from pgrecall.jsonb import loads
from pgrecall.vecs.exc import FilterError, translated

_JOINING = ("$and", "$or")


def as_filter(filters: Mapping[str, Any] | None) -> Filter | None:
    """Return *filters* as the engine's filter; `None` where all rows pass.

    Raises:
        FilterError: It is malformed; the message says where and how.
    """
    if filters is None:
        return None
    _check(filters, "filters")
    with translated():
        parsed = parse(filters)
    return None if parsed is None else _lists_only(parsed)


def _check(filters: object, where: str) -> None:
    """Raise `FilterError` where a condition is not a mapping of operators."""
    if not isinstance(filters, Mapping):
        msg = f"{where} must be a dict, not {type(filters).__name__}"
        raise FilterError(msg)
    for key, value in cast("Mapping[object, object]", filters).items():
        here = f"{where}[{key!r}]"
        if not isinstance(key, str):
            msg = f"{where} has the key {key!r}: keys must be strings"
            raise FilterError(msg)
        if key in _JOINING:
            if not isinstance(value, list | tuple) or not value:
                msg = f"{here} must be a list of at least one filter"
                raise FilterError(msg)
            for position, part in enumerate(cast("Sequence[object]", value)):
                _check(part, f"{here}[{position}]")
        elif key == "$not":
            _check(value, here)
        elif not isinstance(value, Mapping) or not value:
            msg = f"{here} must be an operator with its value, such as {{{key!r}: {{'$eq': {value!r}}}}}"
            raise FilterError(msg)
        else:
            _check_operators(cast("Mapping[object, object]", value), here)


def _check_operators(operators: Mapping[object, object], where: str) -> None:
    for name, operand in operators.items():
        if not isinstance(name, str) or not name.startswith("$"):
            msg = f"{where} has {name!r}, which is not an operator; operators begin with $"
            raise FilterError(msg)
        if name in ("$in", "$nin") and isinstance(operand, list | tuple):
            for element in cast("Sequence[object]", operand):
                if isinstance(element, list | tuple | dict):
                    msg = f"{where}[{name!r}] must be a list of single values, and has {element!r}"
                    raise FilterError(msg)


def _lists_only(filter: Filter) -> Filter:
    """Return *filter* with ``$contains`` about lists alone, and not about parts of texts or keys of objects."""
    match filter:
        case And(clauses):
            return And(tuple(_lists_only(clause) for clause in clauses))
        case Or(clauses):
            return Or(tuple(_lists_only(clause) for clause in clauses))
        case Not(clause):
            return Not(_lists_only(clause))
        case Contains(Key(path), json) if json.startswith(b'"'):
            is_text = Matches(Key(path), "like", "%")
            return And((filter, Not(is_text), Not(Exists(Key((*path, loads(json)))))))
        case _:
            return filter
