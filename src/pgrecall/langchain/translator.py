"""LangChain's structured queries, as a `SelfQueryRetriever` has a model write them, to the engine's filter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

from langchain_core.structured_query import Comparator, Operator, Visitor

from pgrecall import jsonb
from pgrecall.errors import FilterError
from pgrecall.filters import And, Compare, Contains, Equals, Exists, Filter, In, Key, Matches, Not, Or, Order

if TYPE_CHECKING:
    from langchain_core.structured_query import Comparison, Operation, StructuredQuery

# Every date and time begins with a digit; a colon is the character after "9".
_FIRST: Final = "0"
_BEHIND: Final = ":"
_DATE: Final = "date"
_DATETIME: Final = "datetime"


class PGRecallTranslator(Visitor):
    """Turns structured queries into filters: all comparators, all operators, any nesting.

    `SelfQueryRetriever` knows the translators of some stores and not of this one, so it is passed. A filter
    that the retriever has in its ``search_kwargs`` is replaced by the one that the model writes: what a
    caller may see is a matter of ``domain``, which no filter can change.

    An attribute is a key of the metadata as it is, dots and dollars included. JSON types are respected:
    ``"2024"`` is not ``2024``. ``ne``, ``nin`` and ``not`` are true of documents without the attribute too.
    ``contain`` looks for an element of a list or a part of a text, and given a list for each of its values;
    ``like`` is SQL's (``%`` any text, ``_`` any character), upper and lower case differ. ``in`` takes a
    single value for a list of one. ``not`` of several means none of them.

    Dates and times are found in metadata where they are stored as ISO 8601 text, which is how dates and
    datetimes are stored. A date means its whole day, whether a date or a datetime is stored: ``eq`` is true
    of any time of the day, ``lte`` too of the day itself, ``gt`` from the day after. A datetime means its
    second in the same way, and a date that is stored counts as its midnight. Times are compared by the
    clock as it is written; one with an offset in the query is taken to UTC, so store UTC, or no offsets at
    all. Text that does not begin with a digit is no date, and passes no comparison with one but ``ne``
    and ``nin``.

    Example:
        >>> retriever = SelfQueryRetriever.from_llm(
        ...     llm, store, "talks", attributes, structured_query_translator=PGRecallTranslator()
        ... )
    """

    allowed_comparators = tuple(Comparator)
    allowed_operators = tuple(Operator)

    def visit_structured_query(self, structured_query: StructuredQuery) -> tuple[str, dict[str, Any]]:
        """Return the text to search with, and the keywords of the search: ``filter``, where there is one.

        Raises:
            FilterError: A value does not fit its comparator.
        """
        if structured_query.filter is None:
            return structured_query.query, {}
        return structured_query.query, {"filter": structured_query.filter.accept(self)}

    def visit_operation(self, operation: Operation) -> Filter:
        """Return the clauses of *operation*, joined.

        Raises:
            FilterError: There is no clause, or the operator is not known.
        """
        self._validate_func(operation.operator)
        join = _OPERATORS.get(operation.operator)
        if join is None:
            raise FilterError(_unknown("operator", operation.operator, _OPERATORS))
        if not operation.arguments:
            msg = f"operator {operation.operator.value!r} needs at least one condition, and has none"
            raise FilterError(msg)
        return join(tuple(clause.accept(self) for clause in operation.arguments))

    def visit_comparison(self, comparison: Comparison) -> Filter:
        """Return one condition.

        Raises:
            FilterError: The value does not fit the comparator, or the comparator is not known.
        """
        self._validate_func(comparison.comparator)
        make = _COMPARATORS.get(comparison.comparator)
        if make is None:
            raise FilterError(_unknown("comparator", comparison.comparator, _COMPARATORS))
        where = f"{comparison.comparator.value}({comparison.attribute!r}, …)"
        _json(comparison.attribute, where)
        return make(Key((comparison.attribute,)), comparison.value, where)


@dataclass(frozen=True, slots=True)
class _Span:
    """The texts that are a day's or a second's: from *start* up to, not including, *end*."""

    start: str
    end: str

    @classmethod
    def of(cls, value: Any, where: str) -> _Span | None:
        """Return what a date or a datetime spans; `None` where *value* is neither.

        Raises:
            FilterError: It says that it is one, and it is not.
        """
        if isinstance(value, Mapping) and value.get("type") in (_DATE, _DATETIME):
            value = _point(_as_written(value), value["type"], where)
        if isinstance(value, datetime):
            return cls._of_time(value, where)
        if isinstance(value, date):
            return cls(_text(value), _after(value, timedelta(days=1)))
        return None

    @classmethod
    def _of_time(cls, value: datetime, where: str) -> _Span:
        if value.tzinfo is not None:
            try:
                value = value.astimezone(UTC).replace(tzinfo=None)
            except OverflowError:
                msg = f"{where}: {value} is outside of the years that can be compared"
                raise FilterError(msg) from None
        step = timedelta(microseconds=1) if value.microsecond else timedelta(seconds=1)
        return cls(_text(value), _after(value, step))

    def within(self, key: Key) -> Filter:
        return And((_ordered(key, Order.GREATER_OR_EQUAL, self.start), _ordered(key, Order.LESS, self.end)))

    def compared(self, key: Key, order: Order) -> Filter:
        match order:
            case Order.LESS:
                low, high = _FIRST, self.start
            case Order.LESS_OR_EQUAL:
                low, high = _FIRST, self.end
            case Order.GREATER:
                low, high = self.end, _BEHIND
            case Order.GREATER_OR_EQUAL:
                low, high = self.start, _BEHIND
        return _Span(low, high).within(key)


def _point(text: Any, kind: str, where: str) -> date:
    try:
        return datetime.fromisoformat(text) if kind == _DATETIME else date.fromisoformat(text)
    except (TypeError, ValueError):
        msg = f"{where}: {text!r} is no {kind} in ISO 8601"
        raise FilterError(msg) from None


def _after(value: date, step: timedelta) -> str:
    try:
        return _text(value + step)
    except OverflowError:
        return _BEHIND


def _text(value: date) -> str:
    """Return the first text of a moment: at midnight that of the date, which counts as its midnight."""
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()
    return value.isoformat()


def _ordered(key: Key, order: Order, text: str) -> Filter:
    return Compare(key, order, jsonb.dumps(text))


_Maker = Callable[[Key, Any, str], Filter]


def _equals(key: Key, value: Any, where: str) -> Filter:
    span = _Span.of(value, where)
    return Equals(key, _json(value, where)) if span is None else span.within(key)


def _compare(order: Order) -> _Maker:
    def make(key: Key, value: Any, where: str) -> Filter:
        span = _Span.of(value, where)
        if span is not None:
            return span.compared(key, order)
        json = _json(value, where)
        if json[:1] not in b'"-0123456789':
            msg = f"{where}: only numbers, texts, dates and times have an order, not {value!r}"
            raise FilterError(msg)
        return Compare(key, order, json)

    return make


def _in(key: Key, value: Any, where: str) -> Filter:
    spans: list[Filter] = []
    jsons: list[bytes] = []
    for entry in _entries(value):
        span = _Span.of(entry, where)
        if span is None:
            jsons.append(_json(entry, where))
        else:
            spans.append(span.within(key))
    among = In(key, tuple(jsons))
    return Or((*spans, among)) if spans else among


def _contain(key: Key, value: Any, where: str) -> Filter:
    if not isinstance(value, list | tuple):
        return _contains(key, value, where)
    return And((Exists(key), *(_contains(key, entry, where) for entry in _entries(value))))


def _contains(key: Key, value: Any, where: str) -> Filter:
    json = _json(_as_written(value), where)
    if json[:1] in b"[{":
        msg = f"{where}: looks for single values, not for {value!r}"
        raise FilterError(msg)
    return Contains(key, json)


def _like(key: Key, value: Any, where: str) -> Filter:
    pattern = _as_written(value)
    if not isinstance(pattern, str):
        msg = f"{where}: a pattern is a text, not {value!r}"
        raise FilterError(msg)
    _json(pattern, where)
    if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
        msg = f"{where}: the pattern ends in a backslash that escapes nothing; write \\\\ for a backslash"
        raise FilterError(msg)
    return Matches(key, "like", pattern)


def _entries(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list | tuple | set | frozenset) else [value]


def _as_written(value: Any) -> Any:
    """Return the text of a date or datetime that a model wrote, and any other value as it is."""
    return value.get(value["type"]) if isinstance(value, Mapping) and value.get("type") in (_DATE, _DATETIME) else value


def _json(value: Any, where: str) -> bytes:
    try:
        return jsonb.dumps(value)
    except jsonb.JSONValueError as error:
        msg = f"{where}: the value cannot be compared: {error}"
        raise FilterError(msg) from None


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    return f"{kind} {name!r} is not known; known are {', '.join(known)}"


_OPERATORS: Final[Mapping[Operator, Callable[[tuple[Filter, ...]], Filter]]] = {
    Operator.AND: And,
    Operator.OR: Or,
    Operator.NOT: lambda clauses: Not(clauses[0] if len(clauses) == 1 else Or(clauses)),
}
_COMPARATORS: Final[Mapping[Comparator, _Maker]] = {
    Comparator.EQ: _equals,
    Comparator.NE: lambda key, value, where: Not(_equals(key, value, where)),
    Comparator.GT: _compare(Order.GREATER),
    Comparator.GTE: _compare(Order.GREATER_OR_EQUAL),
    Comparator.LT: _compare(Order.LESS),
    Comparator.LTE: _compare(Order.LESS_OR_EQUAL),
    Comparator.CONTAIN: _contain,
    Comparator.LIKE: _like,
    Comparator.IN: _in,
    Comparator.NIN: lambda key, value, where: Not(_in(key, value, where)),
}
