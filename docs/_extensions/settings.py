"""The directive ``settings``: a table of a class's options, made of what the class itself says about each.

Defaults come from the class, limits from the errors that it raises, meanings from its docstring: no option can be
forgotten, and nothing about one can go stale.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any, NamedTuple

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

import pgrecall

# What an option that has no default may be, while another one of its class is looked at.
_REQUIRED: dict[str, Any] = {"name": "documents", "count": 2, "role": "app", "scorer": len}
_LIMITS = re.compile(r"must (?:be|have|hold) (.*?),? not (?:NoOption|<no option>)|\b(one of .*)", re.DOTALL)
_MEMBER = re.compile(r"<\w+\.\w+: ('\w+')>")
_NUMBER = re.compile(r"\d{4,}")
_ENTRY = re.compile(r"^(\w+): (.*(?:\n +.*)*)", re.MULTILINE)
_ONE_OF = re.compile(r"one of \((.*)\)")
_VERY_LARGE = {2**31 - 1: "2³¹ - 1", 2**63 - 1: "2⁶³ - 1"}
# Limits that depend on another option, or on the type.
_SAID = {
    ("PoolConfig", "min_size"): "a whole number from 0 to ``max_size``",
    ("CollectionConfig", "dimensions"): "a whole number from 1 to 16,000, of bits to 64,000",
    ("BuildOptions", "memory"): "``'1MB'`` to ``'2TB'``, or bytes",
}


class NoOption:
    """A value that no option takes, so that each says what it takes."""

    def __repr__(self) -> str:
        return "<no option>"


class Option(NamedTuple):
    """One option: its name, its default as it is written, what it takes, and what it means."""

    name: str
    default: str
    takes: str
    meaning: str


def classes() -> list[str]:
    """Return the names of all public classes of settings: frozen values that check themselves when they are made."""
    found = {name: getattr(pgrecall, name) for name in pgrecall.__all__}
    return [
        name
        for name, each in found.items()
        if dataclasses.is_dataclass(each)
        and isinstance(each, type)
        and "__post_init__" in vars(each)
        and name != "RecordBatch"  # data, not settings
    ]


def options(name: str) -> list[Option]:
    """Return the options of a class, in the order in which it has them."""
    settings = getattr(pgrecall, name)
    attributes = inspect.cleandoc(settings.__doc__).partition("Attributes:\n")[2]
    meanings = {found[1]: " ".join(found[2].split()) for found in _ENTRY.finditer(inspect.cleandoc(attributes))}
    return [
        Option(field.name, _default(field), _takes(settings, field), meanings.get(field.name, ""))
        for field in dataclasses.fields(settings)
    ]


def limits(settings: type, option: str) -> str:
    """Return what an option says that it takes, in the words of its error; nothing where it does not look."""
    required = {field.name: _REQUIRED[field.name] for field in dataclasses.fields(settings) if not _has_default(field)}
    try:
        settings(**{**required, option: NoOption()})
    except pgrecall.PGRecallError as error:
        found = _LIMITS.search(str(error))
        return "" if found is None else found[1] or found[2]
    return ""


def _takes(settings: type, field: dataclasses.Field[Any]) -> str:
    said = _SAID.get((settings.__name__, field.name)) or limits(settings, field.name)
    if not said:
        return f"``{field.type}``"
    said = _NUMBER.sub(_readable, _ONE_OF.sub(r"one of \1", _MEMBER.sub(r"\1", said)))
    return said if "None" in said or "None" not in str(field.type) else f"{said}; or None"


def _readable(number: re.Match[str]) -> str:
    return _VERY_LARGE.get(int(number[0]), f"{int(number[0]):,}")


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return not (field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING)


def _default(field: dataclasses.Field[Any]) -> str:
    if not _has_default(field):
        return "must be given"
    value = field.default if field.default is not dataclasses.MISSING else field.default_factory()
    return f"``{_written(value)}``"


def _written(value: object) -> str:
    """Return *value* as somebody would write it: of settings only what is not as it would be anyway."""
    if not dataclasses.is_dataclass(value):
        return repr(value)
    usual = type(value)()
    parts = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    said = ", ".join(f"{name}={part!r}" for name, part in parts.items() if part != getattr(usual, name))
    return f"{type(value).__name__}({said})"


class SettingsTable(SphinxDirective):
    """``.. settings:: HNSW``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        name = self.arguments[0]
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 18 14 28 40", ""]
        rows = [("option", "default", "takes", "meaning")]
        for option in options(name):
            if not option.meaning:
                raise self.error(f"{name}.{option.name} has no entry in the docstring")
            rows.append((f"``{option.name}``", option.default, option.takes, option.meaning))
        for row in rows:
            lines += [f"   {'*' if position == 0 else ' '} - {text}" for position, text in enumerate(row)]
        parent = nodes.container()
        self.state.nested_parse(StringList(lines, self.get_source_info()[0]), self.content_offset, parent)
        return parent.children


def setup(app: Any) -> dict[str, bool]:
    """Add the directive to Sphinx."""
    app.add_directive("settings", SettingsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
