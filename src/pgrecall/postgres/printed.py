"""Reading the expressions of indexes as PostgreSQL prints them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pgrecall import jsonb
from pgrecall.filters import Equals
from pgrecall.promoted import FieldType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgrecall.promoted import PromotedField

# How PostgreSQL prints the expressions that our own indexes are on, and their conditions.
_NAME: Final = r'(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)'
_IDENTIFIER: Final = rf"(?P<column>{_NAME})"
QUANTIZED: Final = re.compile(
    rf"\(\((?:(?:{_NAME}\.)?binary_quantize\()?{_IDENTIFIER}\)?\)::(?:{_NAME}\.)?(?P<type>halfvec|bit)\(\d+\)\)"
)
_IS_TEXT: Final = re.compile(rf"\({_IDENTIFIER} = (?P<e>E?)'(?P<value>(?:[^']|'')*)'::text\)")
_IS_NUMBER: Final = re.compile(
    rf"\({_IDENTIFIER} = \(?'?(?P<value>-?[0-9]+(?:\.[0-9]+)?)'?\)?(?:::integer)?(?:::numeric)?\)"
)
_IS_TRUE: Final = re.compile(rf"\(?{_IDENTIFIER}\)?")
_IS_FALSE: Final = re.compile(rf"\(NOT {_IDENTIFIER}\)")


def condition_of(text: str, fields: Mapping[str, PromotedField]) -> Equals | None:
    """Return the condition of a partial index that PostgreSQL prints as *text*, if it is one value of a field."""
    for pattern in (_IS_TEXT, _IS_NUMBER, _IS_FALSE, _IS_TRUE):
        found = pattern.fullmatch(text)
        field = None if found is None else fields.get(unquoted(found["column"]))
        if found is None or field is None:
            continue
        if pattern is _IS_TEXT and field.type in (FieldType.TEXT, FieldType.TIME):
            value = found["value"].replace("''", "'")
            return Equals(field.key, jsonb.dumps(value.replace("\\\\", "\\") if found["e"] else value))
        if pattern is _IS_NUMBER and field.type is FieldType.NUMBER:
            return Equals(field.key, found["value"].encode())
        if pattern in (_IS_TRUE, _IS_FALSE) and field.type is FieldType.BOOLEAN:
            return Equals(field.key, b"true" if pattern is _IS_TRUE else b"false")
    return None


def unquoted(name: str) -> str:
    """Return an identifier without its quotes."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
