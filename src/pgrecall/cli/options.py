"""Options that several commands have: written once, as a dataclass, and taken apart for typer."""

from __future__ import annotations

import inspect
import json
from dataclasses import MISSING, fields, is_dataclass
from typing import TYPE_CHECKING, Any, cast, get_type_hints

from pgrecall.cli.errors import BadUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


def flattened(command: Callable[..., None]) -> Callable[..., None]:
    """Return *command* for typer: a parameter whose type is a dataclass becomes an option for each of its fields.

    The fields' names, annotations and defaults are those of the options. Their types are looked up where they are
    written, so that rooms may postpone their annotations.
    """
    hints = get_type_hints(command, include_extras=True)
    own = [parameter.replace(annotation=hints[name]) for name, parameter in _parameters(command).items()]
    bundles: dict[str, Any] = {one.name: one.annotation for one in own if is_dataclass(one.annotation)}

    def run(**given: Any) -> None:
        made = {
            name: kind(**{field.name: given.pop(field.name) for field in fields(kind)})
            for name, kind in bundles.items()
        }
        command(**made, **given)

    found = [parameter for one in own for parameter in _options(one)]
    return described(run, found, like=command)


def described(
    run: Callable[..., None], parameters: Iterable[inspect.Parameter], *, like: Callable[..., Any]
) -> Callable[..., None]:
    """Return *run* with the name and documentation of *like*, and these parameters as typer is to see them."""
    found = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    run.__name__, run.__doc__ = like.__name__, like.__doc__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in found}
    run.__signature__ = inspect.Signature(found)  # pyright: ignore[reportFunctionMemberAccess] - it is read there
    return run


def _parameters(command: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(command).parameters)


def _options(parameter: inspect.Parameter) -> Iterator[inspect.Parameter]:
    kind = parameter.annotation
    if not is_dataclass(kind):
        yield parameter
        return
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        default = inspect.Parameter.empty if field.default is MISSING else field.default
        yield parameter.replace(name=field.name, annotation=hints[field.name], default=default)


def json_object(text: str, option: str) -> dict[str, Any]:
    """Return the JSON object that was given after *option*.

    Raises:
        BadUsage: It is none.
    """
    found = json_value(text, option)
    if not isinstance(found, dict):
        raise BadUsage(f"{option} must be a JSON object, not {type(found).__name__}")
    return cast("dict[str, Any]", found)


def json_value(text: str, option: str) -> Any:
    """Return the JSON that was given after *option*.

    Raises:
        BadUsage: It is none.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadUsage(f"{option} is not JSON: {error}") from error
