"""Writes the commands' part of docs/reference/command-line.md from the commands themselves.

Run it with ``python docs/command_line.py`` after a change of the command line; a test holds the page to it.
"""

from dataclasses import fields
from pathlib import Path
from typing import Any

import typer.main

from pgrecall.cli import app
from pgrecall.cli.opening import OfRows, OfTables, Shared

PAGE = Path(__file__).parent / "reference" / "command-line.md"
MARK = "<!-- What follows is written by docs/command_line.py. -->\n"


# Options that many commands have are described once.
SETS = {
    "of rows": {field.name for field in fields(OfRows)},
    "of tables": {field.name for field in fields(OfTables)},
    "of databases": {field.name for field in fields(Shared)},
}


def reference() -> str:
    """Return the part of the page that describes each command."""
    root = typer.main.get_command(app.build())
    known = {one.name: one for one in root.commands["stats"].params}
    parts = ["## Options of many commands\n"]
    for name, options in SETS.items():
        parts += [f"### Options {name}\n", "| | |\n|---|---|"]
        parts += [row(known[option]) for option in known if option in options]
        parts.append("")
    for name, command in root.commands.items():
        if hasattr(command, "commands"):
            parts.append(f"## pgrecall {name}\n\n{command.help}\n")
            parts += [section(f"{name} {inner}", one, "###") for inner, one in command.commands.items()]
        else:
            parts.append(section(name, command, "##"))
    return "\n".join(parts)


def section(name: str, command: Any, heading: str) -> str:
    names = {one.name for one in command.params}
    sets = {name: options for name, options in SETS.items() if options <= names}
    elsewhere = {"help"}.union(*sets.values())
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and one.name not in elsewhere]
    words = " ".join(word if one.required else f"[{word}]" for one in arguments for word in [one.metavar])
    lines = [f"{heading} pgrecall {name}", "", command.help, "", "```console", f"$ pgrecall {name} {words}".rstrip()]
    lines[-1] += " [OPTIONS]"
    lines += ["```", ""]
    if arguments or options:
        lines += ["| | |", "|---|---|"]
        lines += [f"| `{one.metavar}` | {text(one.help)} |" for one in arguments]
        lines += [*map(row, options), ""]
    if sets:
        links = [f"[{name}](#options-{name.replace(' ', '-')})" for name in sets]
        lines += [f"And the options {', '.join(links)}.", ""]
    return "\n".join(lines)


def row(option: Any) -> str:
    return f"| {called(option)} | {text(option.help)}{default(option)} |"


def called(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in sorted([*option.opts, *option.secondary_opts], key=spelled))
    return names if option.is_flag else f"{names} `{option.metavar}`"


def spelled(name: str) -> tuple[bool, bool]:
    return (name.startswith("--"), name.startswith("--no-"))


def default(option: Any) -> str:
    value = option.default
    if option.is_flag or value is None or value == [] or callable(value):
        return ""
    return f" Default: `{value}`."


def text(said: str) -> str:
    # Between bars a bar would be one.
    return " ".join(said.split()).replace("|", "\\|")


def page(current: str) -> str:
    """Return the page with its second part written anew."""
    return current.partition(MARK)[0] + MARK + "\n" + reference()


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
