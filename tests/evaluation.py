"""What a filter means, written a second time, in Python over Python values."""

import re

from pgrecall.filters import And, Compare, Contains, Equals, Exists, In, IsEmpty, Matches, Not, Or, Order
from pgrecall.jsonb import loads

ABSENT = object()
ORDERS = {
    Order.LESS: lambda a, b: a < b,
    Order.LESS_OR_EQUAL: lambda a, b: a <= b,
    Order.GREATER: lambda a, b: a > b,
    Order.GREATER_OR_EQUAL: lambda a, b: a >= b,
}


def passes(node, metadata):
    """Return whether *metadata* passes *node*."""
    match node:
        case And(clauses):
            return all(passes(clause, metadata) for clause in clauses)
        case Or(clauses):
            return any(passes(clause, metadata) for clause in clauses)
        case Not(clause):
            return not passes(clause, metadata)
    value = metadata
    for name in node.field.path:
        value = value.get(name, ABSENT) if isinstance(value, dict) else ABSENT
    match node:
        case Equals(json=json):
            return equal(value, loads(json))
        case In(jsons=jsons):
            return any(equal(value, loads(json)) for json in jsons)
        case Compare(order=order, json=json):
            other = loads(json)
            return kind(value) == kind(other) and ORDERS[order](value, other)
        case Exists():
            return value is not ABSENT
        case IsEmpty():
            return value is ABSENT or value is None or value in ("", [])
        case Contains(json=json):
            return contains(value, loads(json))
        case Matches(kind=how, pattern=pattern, fold=fold):
            return isinstance(value, str) and fits(value, how, pattern, fold)
    raise AssertionError(node)


def kind(value):
    if isinstance(value, bool) or value is None or value is ABSENT:
        return repr(type(value))
    return "number" if isinstance(value, int | float) else type(value).__name__


def equal(one, other):
    """JSON's equality: types are respected, an absent value is null."""
    if one is ABSENT:
        return other is None
    if kind(one) != kind(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


def contains(value, part):
    if isinstance(value, list):
        return any(equal(element, part) for element in value)
    return isinstance(part, str) and isinstance(value, str | dict) and part in value


def fits(text, how, pattern, fold):
    if fold:
        text, pattern = text.lower(), pattern.lower()
    if how == "substring":
        return pattern in text
    assert how == "like"
    wild = {"%": ".*", "_": "."}
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    expression = "".join(wild.get(part) or re.escape(part[-1]) for part in parts)
    return re.fullmatch(expression, text, re.DOTALL) is not None
