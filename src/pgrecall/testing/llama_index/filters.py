"""Filters: each operator as in LlamaIndex's own table of truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from llama_index.core.vector_stores.types import FilterCondition, FilterOperator

from pgrecall.testing.llama_index.calls import NEAR, SuiteProperties, node, where

if TYPE_CHECKING:
    from pgrecall.testing.llama_index.calls import Calls

_OPERATOR = FilterOperator
_METADATA: Final[dict[str, dict[str, Any]]] = {
    "number": {"v": 2},
    "float": {"v": 2.5},
    "text": {"v": "two"},
    "digits": {"v": "2"},
    "percent": {"v": "100%"},
    "list": {"v": ["two", "three"]},
    "numbers": {"v": [1, 2]},
    "empty": {"v": ""},
    "none": {"v": []},
    "null": {"v": None},
    "missing": {},
}
_ALL: Final = tuple(_METADATA)


def _but(*names: str) -> tuple[str, ...]:
    return tuple(name for name in _ALL if name not in names)


_LIKE: Final[list[tuple[FilterOperator, Any, tuple[str, ...]]]] = [
    (_OPERATOR.EQ, 2, ("number",)),
    (_OPERATOR.EQ, 2.0, ("number",)),
    (_OPERATOR.EQ, "2", ("digits",)),
    (_OPERATOR.EQ, "", ("empty",)),
    (_OPERATOR.EQ, ["two", "three"], ("list",)),
    (_OPERATOR.EQ, None, ()),
    (_OPERATOR.EQ, "x' OR '1'='1", ()),
    (_OPERATOR.NE, 2, _but("number")),
    (_OPERATOR.NE, "two", _but("text")),
    (_OPERATOR.IN, [2, 9], ("number",)),
    (_OPERATOR.IN, ["two", "2"], ("text", "digits")),
    (_OPERATOR.IN, [], ()),
    (_OPERATOR.NIN, ["two"], _but("text")),
    (_OPERATOR.NIN, [], _ALL),
    (_OPERATOR.IS_EMPTY, None, ("empty", "none", "null", "missing")),
]
_UNLIKE: Final[list[tuple[FilterOperator, Any, tuple[str, ...]]]] = [
    (_OPERATOR.GT, 2, ("float",)),
    (_OPERATOR.GTE, 2, ("number", "float")),
    (_OPERATOR.LT, 2.5, ("number",)),
    (_OPERATOR.LTE, "2", ("digits", "percent", "empty")),
    (_OPERATOR.CONTAINS, "two", ("text", "list")),
    (_OPERATOR.CONTAINS, 2, ("numbers",)),
    (_OPERATOR.ANY, ["three", "x"], ("list",)),
    (_OPERATOR.ANY, [2], ("numbers",)),
    (_OPERATOR.ANY, [], ()),
    (_OPERATOR.ALL, ["two", "three"], ("list",)),
    (_OPERATOR.ALL, [], _but("null", "missing")),
    (_OPERATOR.TEXT_MATCH, "0%", ("percent",)),
    (_OPERATOR.TEXT_MATCH, "_", ()),
    (_OPERATOR.TEXT_MATCH, "TWO", ()),
    (_OPERATOR.TEXT_MATCH_INSENSITIVE, "TWO", ("text",)),
]


class FilterTests(SuiteProperties):
    """A store filters by metadata."""

    @pytest.fixture
    def varied(self, calls: Calls) -> Calls:
        """The store with one node for each kind of value."""
        calls.add([node(name, **metadata) for name, metadata in _METADATA.items()])
        return calls

    @pytest.mark.parametrize(("operator", "value", "wanted"), _LIKE)
    def test_operator(self, varied: Calls, operator: FilterOperator, value: Any, wanted: tuple[str, ...]) -> None:
        """Of all kinds of values the right ones pass."""
        assert sorted(self._found(varied, operator, value)) == sorted(wanted)

    @pytest.mark.parametrize(("operator", "value", "wanted"), _UNLIKE)
    def test_operator_on_values_that_it_cannot_compare(
        self, varied: Calls, operator: FilterOperator, value: Any, wanted: tuple[str, ...]
    ) -> None:
        """Those do not pass, and are no error."""
        if not self.compares_unlike_types:
            pytest.skip("the store raises where types differ")
        assert sorted(self._found(varied, operator, value)) == sorted(wanted)

    @pytest.mark.parametrize(
        ("condition", "wanted"),
        [
            (FilterCondition.AND, ["both"]),
            (None, ["both"]),
            (FilterCondition.OR, ["a", "b", "both"]),
            (FilterCondition.NOT, ["neither"]),
        ],
    )
    def test_condition(self, calls: Calls, condition: FilterCondition | None, wanted: list[str]) -> None:
        """NOT is true where none of the filters is."""
        calls.add([node("a", p=1), node("b", q=1), node("both", p=1, q=1), node("neither")])
        filters = where(("p", 1, _OPERATOR.EQ), ("q", 1, _OPERATOR.EQ), condition=condition)
        assert sorted(calls.found(filters=filters)) == wanted

    def test_filters_are_nested(self, calls: Calls) -> None:
        """A group is a condition like any other."""
        if not self.has_nested_filters:
            pytest.skip("the store has no nested filters")
        calls.add([node("a", p=1), node("b", q=1), node("both", p=1, q=1), node("neither")])
        both = where(("p", 1, _OPERATOR.EQ), ("q", 1, _OPERATOR.EQ))
        assert sorted(calls.found(filters=where(both, condition=FilterCondition.NOT))) == ["a", "b", "neither"]
        either = where(both, ("q", 1, _OPERATOR.NE), condition=FilterCondition.OR)
        assert sorted(calls.found(filters=either)) == ["a", "both", "neither"]

    def test_no_filters_let_everything_pass(self, filled: Calls) -> None:
        """An empty group is no condition."""
        assert filled.found(filters=where()) == ["x", "xy", "y", "z"]

    @pytest.mark.parametrize("key", ["it's", 'say "k"', "a.b", "$k", "k' OR 1=1 --", "ключ"])
    def test_key_with_special_characters_is_a_key(self, calls: Calls, key: str) -> None:
        """As language models write them."""
        calls.add([node("a", NEAR, None, **{key: key}), node("b", k="v")])
        assert calls.found(filters=where((key, key, _OPERATOR.EQ))) == ["a"]

    @pytest.mark.parametrize("key", ["ref_doc_id", "doc_id", "document_id"])
    def test_document_is_a_key(self, filled: Calls, key: str) -> None:
        """As the framework's documentation has it."""
        assert filled.found(filters=where((key, "first", _OPERATOR.EQ))) == ["x", "y"]

    def _found(self, calls: Calls, operator: FilterOperator, value: Any) -> list[str]:
        filters = where(("v", value, operator))
        return calls.found(filters=filters, similarity_top_k=len(_ALL))
