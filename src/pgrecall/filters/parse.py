"""``{"year": {"$gte": 2020}, "$or": [{"lang": "en"}, {"lang": "de"}]}`` to nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final, Literal, NoReturn, cast

from pgrecall.errors import FilterError
from pgrecall.filters.limits import MAX_DEPTH, check_size
from pgrecall.filters.nodes import (
    And,
    Column,
    Compare,
    Contains,
    Equals,
    Exists,
    Field,
    Filter,
    In,
    IsEmpty,
    Key,
    Matches,
    Node,
    Not,
    Or,
    Order,
)
from pgrecall.jsonb import JSONValueError, dumps

MAX_CLAUSES: Final = 1_000
MAX_VALUES: Final = 10_000
_Maker = Callable[[Field, Any, str], Filter]
_COLUMNS: Final = ("id", "document_id", "chunk_index", "created_at", "content")


def parse(filter: Filter | Mapping[str, Any] | None) -> Filter | None:
    r"""Return *filter* as nodes; `None`, and what every row passes, such as ``{}``, mean no filter.

    Args:
        filter: Nodes, or a mapping. Its keys are metadata keys, with dots that lead into nested objects (a
            dot in a key itself is written ``\\\\.``), ``$id``, ``$document_id``, ``$chunk_index``,
            ``$created_at`` and ``$content`` for the columns, or ``$and``, ``$or`` (lists of mappings) and
            ``$not`` (a mapping, or a list of them none of which may be true); their case does not matter. Its
            values are bare values, which the field must equal, or mappings of operators. All of them must
            be true.

    Raises:
        FilterError: A part of it is not understood; the message says where and what.
    """
    if filter is None:
        return None
    if not isinstance(filter, Node):
        if not isinstance(filter, Mapping):
            _fail("", f"must be a mapping of metadata keys to values, not {type(filter).__name__}")
        filter = _Parser().mapping(filter, "", 0)
    check_size(filter)
    return None if _is_true(filter) else filter


class _Parser:
    """Parses one filter, and counts how much of it there is."""

    def __init__(self) -> None:
        self._clauses = 0

    def mapping(self, filter: object, where: str, depth: int) -> Filter:
        """Return a mapping of keys to conditions, all of which must be true."""
        if depth > MAX_DEPTH:
            _fail(where, f"is nested deeper than {MAX_DEPTH} levels")
        if not isinstance(filter, Mapping):
            _fail(where, f"must be a mapping, not {type(filter).__name__}")
        return _all([self._entry(key, value, where, depth) for key, value in filter.items()])

    def _entry(self, key: object, value: object, where: str, depth: int) -> Filter:
        here = f"{where}.{key}" if where else str(key)
        self._clauses += 1
        if self._clauses > MAX_CLAUSES:
            _fail(here, f"is one condition too many: at most {MAX_CLAUSES} are allowed")
        match key.lower() if isinstance(key, str) else key:
            case "$and":
                return _all(self._list(value, here, depth))
            case "$or":
                return Or(tuple(self._list(value, here, depth)))
            case "$not" if isinstance(value, list | tuple):
                return Not(Or(tuple(self._list(value, here, depth))))
            case "$not":
                return Not(self.mapping(value, here, depth + 1))
            case _:
                return self._condition(_field(key, where), value, here, depth)

    def _list(self, filters: object, where: str, depth: int) -> list[Filter]:
        if not isinstance(filters, list | tuple) or not filters:
            _fail(where, "must be a list of at least one filter")
        return [self.mapping(part, f"{where}[{n}]", depth + 1) for n, part in enumerate(filters)]

    def _condition(self, field: Field, value: object, where: str, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            _fail(where, f"is nested deeper than {MAX_DEPTH} levels")
        if not isinstance(value, Mapping) or not any(str(key).startswith("$") for key in value):
            return _equals(field, value, where)
        clauses: list[Filter] = []
        for name, operand in value.items():
            here = f"{where}.{name}"
            self._clauses += 1
            if name == "$not":
                clauses.append(Not(self._condition(field, operand, here, depth + 1)))
            else:
                clauses.append(_operator(field, name, operand, here))
        return _all(clauses)


def _operator(field: Field, name: object, operand: Any, where: str) -> Filter:
    make = _OPERATORS.get(str(name))
    if make is None:
        _fail(where, f"operator {name!r} is not known; known are {', '.join([*_OPERATORS, '$not'])}")
    return make(field, operand, where)


def _compare(order: Order) -> _Maker:
    return lambda field, operand, where: Compare(field, order, _ordered(field, operand, where))


def _between(field: Field, operand: Any, where: str) -> Filter:
    low, high = _sequence(operand, where, exactly=2)
    least = Compare(field, Order.GREATER_OR_EQUAL, _ordered(field, low, where))
    return least & Compare(field, Order.LESS_OR_EQUAL, _ordered(field, high, where))


def _in(field: Field, operand: Any, where: str) -> Filter:
    return In(field, tuple(_json(field, value, f"{where}[{n}]") for n, value in enumerate(_sequence(operand, where))))


def _flag(kind: type[Exists | IsEmpty]) -> _Maker:
    def make(field: Field, operand: Any, where: str) -> Filter:
        if not isinstance(operand, bool):
            _fail(where, f"must be true or false, not {operand!r}")
        return kind(field) if operand else Not(kind(field))

    return make


def _match(kind: Literal["like", "regex"], *, fold: bool = False) -> _Maker:
    return lambda field, operand, where: Matches(field, kind, _pattern(operand, where, like=kind == "like"), fold)


def _contains(field: Field, operand: Any, where: str) -> Filter:
    return Contains(field, _scalar(operand, where))


def _contains_any(field: Field, operand: Any, where: str) -> Filter:
    values = _sequence(operand, where, most=MAX_CLAUSES)
    return Or(tuple(_contains(field, value, where) for value in values))


def _contains_all(field: Field, operand: Any, where: str) -> Filter:
    values = _sequence(operand, where, most=MAX_CLAUSES)
    return And((Exists(field), *(_contains(field, value, where) for value in values)))


def parse_key(name: str) -> Key:
    """Return the metadata key that a filter calls *name*.

    Raises:
        FilterError: It is not the name of one.
    """
    field = parse_field(name)
    if not isinstance(field, Key):
        _fail(name, "is a column of every collection and no metadata key")
    return field


def parse_field(name: str) -> Field:
    """Return what *name* names in a filter: a key of the metadata, or, with a dollar sign, a column.

    Raises:
        FilterError: It names nothing.
    """
    return _field(name, "")


def _field(key: object, where: str) -> Field:
    if not isinstance(key, str) or not key:
        _fail(where, f"has the key {key!r}: keys must be non-empty strings")
    if key.startswith("$"):
        if key[1:] not in _COLUMNS:
            known = ["$and", "$or", "$not", *(f"${name}" for name in _COLUMNS)]
            _fail(where, f"has {key!r}, which is not known; known are {', '.join(known)}")
        return Column(cast("Literal['id']", key[1:]))
    try:
        dumps(key)
    except JSONValueError:
        msg = f"filter key {key!r} holds NUL or a lone surrogate, which PostgreSQL cannot store"
        raise FilterError(msg) from None
    parts = key.replace("\\.", "\x00").split(".")
    if not all(parts):
        _fail(key, "has an empty part; a dot in a key itself is written \\.")
    return Key(tuple(part.replace("\x00", ".") for part in parts))


def _equals(field: Field, value: Any, where: str) -> Equals:
    return Equals(field, _json(field, value, where))


def _json(field: Field, value: Any, where: str) -> bytes:
    """Return *value* as JSON text, if *field* can hold it."""
    if isinstance(field, Column) and field.name == "created_at":
        value = _time(value, where)
    try:
        json = dumps(value)
    except JSONValueError as error:
        _fail(where, f"cannot be compared: {error}")
    text = isinstance(field, Column) and field.name in ("id", "document_id", "content")
    if text and json[:1] not in b'"n':
        _fail(where, f"{field} is text and cannot equal {value!r}")
    return json


def _ordered(field: Field, value: Any, where: str) -> bytes:
    json = _json(field, value, where)
    if json[:1] not in b'"-0123456789':
        _fail(where, f"only numbers, texts, dates and times have an order, not {value!r}")
    return json


def _scalar(value: Any, where: str) -> bytes:
    json = _json(Key(("",)), value, where)
    if json[:1] in b"[{":
        _fail(where, f"must be a single value, not {value!r}")
    return json


def _sequence(operand: Any, where: str, *, exactly: int | None = None, most: int = MAX_VALUES) -> Sequence[Any]:
    if hasattr(operand, "tolist"):
        operand = operand.tolist()  # an array of NumPy's
    if not isinstance(operand, list | tuple | set | frozenset):
        _fail(where, f"must be a list of values, not {type(operand).__name__}")
    values = list(operand)
    if exactly is not None and len(values) != exactly:
        _fail(where, f"must be a list of {exactly} values, not of {len(values)}")
    if len(values) > most:
        _fail(where, f"has {len(values)} values; at most {most} are allowed")
    return values


def _pattern(operand: Any, where: str, *, like: bool = False) -> str:
    if not isinstance(operand, str):
        _fail(where, f"must be a text, not {type(operand).__name__}")
    try:
        dumps(operand)
    except JSONValueError as error:
        _fail(where, str(error))
    if like and (len(operand) - len(operand.rstrip("\\"))) % 2:
        _fail(where, "ends in a backslash that escapes nothing; write \\\\ for a backslash")
    return operand


def _time(value: Any, where: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            _fail(where, f"$created_at is a point in time, and {value!r} is none")
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - made aware below
    if not isinstance(value, datetime):
        _fail(where, f"$created_at is a point in time, and {value!r} is none")
    try:
        # Through UTC, which also tells whether PostgreSQL can read it.
        return value.astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        _fail(where, f"{value!r} is outside of the years that can be compared")


def _all(clauses: list[Filter]) -> Filter:
    return clauses[0] if len(clauses) == 1 else And(tuple(clauses))


def _is_true(filter: Filter) -> bool:
    """Whether every row passes whatever is in it: a conjunction of nothing, however it is wrapped."""
    match filter:
        case And(clauses):
            return all(_is_true(clause) for clause in clauses)
        case Or(clauses):
            return any(_is_true(clause) for clause in clauses)
        case Not(clause):
            return _is_false(clause)
        case _:
            return False


def _is_false(filter: Filter) -> bool:
    """Whether no row passes whatever is in it."""
    match filter:
        case And(clauses):
            return any(_is_false(clause) for clause in clauses)
        case Or(clauses):
            return all(_is_false(clause) for clause in clauses)
        case Not(clause):
            return _is_true(clause)
        case In(jsons=jsons):
            return not jsons
        case _:
            return False


def _fail(where: str, what: str) -> NoReturn:
    raise FilterError(f"filter {where!r}: {what}" if where else f"the filter {what}")


_OPERATORS: Final[Mapping[str, _Maker]] = {
    "$eq": _equals,
    "$ne": lambda field, operand, where: Not(_equals(field, operand, where)),
    "$lt": _compare(Order.LESS),
    "$lte": _compare(Order.LESS_OR_EQUAL),
    "$gt": _compare(Order.GREATER),
    "$gte": _compare(Order.GREATER_OR_EQUAL),
    "$between": _between,
    "$in": _in,
    "$nin": lambda field, operand, where: Not(_in(field, operand, where)),
    "$exists": _flag(Exists),
    "$isEmpty": _flag(IsEmpty),
    "$like": _match("like"),
    "$ilike": _match("like", fold=True),
    "$regex": _match("regex"),
    "$contains": _contains,
    "$containsAny": _contains_any,
    "$containsAll": _contains_all,
}
