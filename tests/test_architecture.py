"""The house rules that a machine can count."""

import ast
import inspect
from pathlib import Path

import pytest

import pgrecall
from pgrecall import AsyncClient, AsyncCollection, AsyncKeyValues, AsyncLedger, Client, Collection, KeyValues, Ledger

SOURCES = sorted(Path(pgrecall.__file__).parent.rglob("*.py"))
ONLY_ASYNCHRONOUS = {AsyncClient: set(), AsyncCollection: {"using"}, AsyncLedger: {"is_same_as"}}
PAIRS = [(AsyncClient, Client), (AsyncCollection, Collection), (AsyncLedger, Ledger), (AsyncKeyValues, KeyValues)]


def public(kind):
    return {
        name: value
        for name in dir(kind)
        if not name.startswith("_")
        and (callable(value := inspect.getattr_static(kind, name)) or isinstance(value, property))
    }


METHODS = [
    pytest.param(ours, theirs, name, id=f"{theirs.__name__}.{name}")
    for ours, theirs in PAIRS
    for name in sorted(public(ours).keys() - ONLY_ASYNCHRONOUS.get(ours, set()))
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(SOURCES[0].parents[0])))
def test_file_is_a_room_not_a_hall(path):
    assert len(path.read_text().splitlines()) <= 350


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(SOURCES[0].parents[0])))
def test_functions_of_file_are_short(path):
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [f.name for f in functions if f.end_lineno - f.lineno + 1 > 60] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(SOURCES[0].parents[0])))
def test_file_is_named_for_what_lives_in_it(path):
    assert path.stem not in {"utils", "util", "helpers", "common", "base", "core", "misc"}


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_blocking_class_has_the_same_methods(ours, theirs):
    assert public(theirs).keys() == public(ours).keys() - ONLY_ASYNCHRONOUS.get(ours, set())


@pytest.mark.parametrize(("ours", "theirs", "name"), METHODS)
def test_blocking_method_has_the_same_parameters(ours, theirs, name):
    one, other = (inspect.getattr_static(kind, name) for kind in (ours, theirs))
    if isinstance(one, property):
        assert isinstance(other, property)
        return
    assert inspect.signature(one).parameters == inspect.signature(other).parameters


@pytest.mark.parametrize(("ours", "theirs", "name"), METHODS)
def test_blocking_method_returns_what_its_twin_returns(ours, theirs, name):
    one, other = (inspect.getattr_static(kind, name) for kind in (ours, theirs))
    if isinstance(one, property):
        one, other = one.fget, other.fget
    wanted = one.__annotations__["return"].replace("Async", "")
    # `list` is a method of the classes, so the blocking ones name their lists.
    spelled = {
        "Names": "list[str]",
        "Records": "list[Record | None]",
        "RecordLists": "list[list[Record]]",
        "Matches": "list[Match]",
    }
    found = other.__annotations__["return"]
    assert spelled.get(found, found) == wanted


def test_blocking_methods_are_no_coroutines():
    for _, theirs in PAIRS:
        assert not [name for name, value in public(theirs).items() if inspect.iscoroutinefunction(value)]


def test_package_is_typed():
    assert Path(pgrecall.__file__).with_name("py.typed").exists()


def test_public_dataclasses_are_frozen_or_plain_results():
    mutable = [
        name
        for name in pgrecall.__all__
        if hasattr(getattr(pgrecall, name), "__dataclass_params__")
        and not getattr(pgrecall, name).__dataclass_params__.frozen
    ]
    # Made once a row of an answer: freezing costs as much as the rest of making it.
    assert mutable == ["Match"]
