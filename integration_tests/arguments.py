"""Verbs called with what a caller may pass by mistake, argument by argument."""

import inspect

from pgrecall import Record
from pgrecall.errors import PGRecallError

# What a caller may pass by mistake: of another type, empty, out of every range, not to be stored, used up, or nested.
WRONG = {
    "None": lambda: None,
    "number": lambda: 5,
    "fraction": lambda: 1.5,
    "truth": lambda: True,
    "bytes": lambda: b"x",
    "empty text": lambda: "",
    "NUL": lambda: "a\0b",
    "surrogate": lambda: "\ud800",
    "long text": lambda: "x" * 5_000,
    "negative": lambda: -1,
    "zero": lambda: 0,
    "huge": lambda: 10**30,
    "nan": lambda: float("nan"),
    "empty list": list,
    "list of None": lambda: [None],
    "list of numbers": lambda: [5.5],
    "list of nan": lambda: [float("nan")] * 2,
    "nested list": lambda: [["a"]],
    "list of an empty list": lambda: [[]],
    "empty mapping": dict,
    "mapping of objects": lambda: {"x": object()},
    "mapping of numbers": lambda: {1: 2},
    "set": set,
    "object": object,
    "generator": lambda: (letter for letter in "ab"),
    "class": lambda: Record,
}
PLACED = inspect.Parameter.POSITIONAL_ONLY
KINDS = (PLACED, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
# What is the caller's own code, of which a class may be some.
OWN_CODE = {"convert", "embed", "embed_model", "embedders", "on_failure", "on_progress", "progress", "source"}


def verbs(kind, apart=()):
    """Return the names of the methods that work for callers, but for those *apart*."""
    found = inspect.getmembers(kind, inspect.isroutine)
    return [name for name, _ in found if not name.startswith("_") and name not in apart]


def parameters(owner, verb):
    return [each for each in inspect.signature(getattr(owner, verb)).parameters.values() if each.kind in KINDS]


async def call(owner, verb, right, parameter, wrong):
    """Call a verb with what is *right* for all that it needs, and *wrong* for one parameter."""
    known = parameters(owner, verb)
    given = {each.name: right[each.name]() for each in known if each.default is each.empty} | {parameter: wrong}
    placed = [given.pop(each.name) for each in known if each.kind is PLACED]
    result = getattr(owner, verb)(*placed, **given)
    if inspect.isawaitable(result):
        await result
    elif hasattr(result, "__anext__"):
        await anext(result, None)


async def refuse(owner, verb, right, keywords=()):
    """Assert that nothing is raised but errors of ours, none of them the driver's in other words, and that there are some.

    Args:
        owner: Whose verb it is.
        verb: Its name.
        right: What to pass for arguments that a verb needs, by their names, as functions that make it.
        keywords: What it takes beside the arguments that it names.
    """
    told = {}
    names = [*(each.name for each in parameters(owner, verb)), *keywords]
    for argument in names:
        for name, make in WRONG.items():
            if name == "class" and argument in OWN_CODE:
                continue
            try:
                await call(owner, verb, right, argument, make())
            except PGRecallError as error:
                told[argument, name] = str(error)
            except Exception as error:
                error.add_note(f"{verb}({argument}=…), {name}")
                raise
    assert told or not names
    assert {given: message for given, message in told.items() if "query argument" in message} == {}
