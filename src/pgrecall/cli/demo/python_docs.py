"""The documentation strings of the Python that runs: a few thousand real texts on every machine."""

from __future__ import annotations

import ast
import os
import sysconfig
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pgrecall.cli.demo.chunks import split
from pgrecall.cli.demo.corpus import Corpus, Passage, Question, by_id
from pgrecall.cli.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PASSED_OVER: Final = frozenset(
    {
        "__pycache__", "dist-packages", "distutils", "ensurepip", "idle_test", "idlelib", "lib2to3",
        "pydoc_data", "site-packages", "test", "tests", "turtledemo",
    }
)  # fmt: skip
_BEHIND_PUBLIC: Final = frozenset({"__future__", "_collections_abc", "_pydatetime", "_pydecimal"})
# Texts shorter than this ("-self") say nothing, and are near to everything.
_SHORT: Final = 20
_LONG: Final = 1_500
# The modules in the filters have the same names in all versions of Python.
_QUESTIONS: Final = (
    Question(text="how do I run a command in a subprocess and capture its output?", filter=("kind", "function")),
    Question(text="wait until an item is available in the queue", filter=("module", "queue")),
    Question(text="parse a date from a string in ISO format", filter=("module", "http.cookiejar")),
)

_Documented = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def read_python_docs(limit: int | None = None) -> Corpus:
    """Return the documentation strings of the standard library's modules, classes and functions.

    The files are parsed, not imported.

    Args:
        limit: Most passages to take.

    Raises:
        CommandError: This installation has no source files.
    """
    root = Path(sysconfig.get_path("stdlib"))
    passages: list[Passage] = []
    files = 0
    for path in _files(root):
        parts = path.relative_to(root).with_suffix("").parts
        if (tree := _parse(path)) is not None:
            files += 1
            passages += _of_module(".".join(parts).removesuffix(".__init__"), tree)
            if limit is not None and len(passages) >= limit:
                break
    if not passages:
        raise CommandError(f"there are no documentation strings in {root}: name a folder with --docs")
    return Corpus(
        slug="python_docs" if limit is None else f"python_docs_first_{limit}",
        title="the documentation strings of this Python's standard library",
        passages=by_id(passages, limit),
        questions=_QUESTIONS,
        filter_key="module",
        name_key="name",
        files=files,
    )


def _files(root: Path) -> Iterator[Path]:
    """Yield the modules for readers; private ones are not, but for those that public ones take theirs from."""
    for directory, names, files in os.walk(root):
        names[:] = sorted(set(names) - _PASSED_OVER)
        for name in sorted(files):
            path = Path(directory, name)
            top = path.relative_to(root).parts[0].removesuffix(".py")
            if name.endswith(".py") and (not top.startswith("_") or top in _BEHIND_PUBLIC):
                yield path


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def _parse(path: Path) -> ast.Module | None:
    """Return the file's syntax tree; `None` where it is no Python of this version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, OSError):
            return None


def _of_module(module: str, tree: ast.Module) -> Iterator[Passage]:
    yield from _passages(module, module, "module", tree)
    yield from _of_body(tree.body, module, module, "function")


def _of_body(body: Sequence[ast.AST], module: str, owner: str, kind: str) -> Iterator[Passage]:
    """Yield from the definitions in *body* that others can use: none that is private, none inside of a function."""
    for node in body:
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef() if _is_private(node.name):
                pass
            case ast.ClassDef():
                name = f"{owner}.{node.name}"
                yield from _passages(module, name, "class", node)
                yield from _of_body(node.body, module, name, "method")
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from _passages(module, f"{owner}.{node.name}", kind, node)
            case ast.If() | ast.Try() | ast.With():
                inner = [*node.body, *getattr(node, "orelse", ()), *getattr(node, "handlers", ())]
                yield from _of_body(inner, module, owner, kind)
            case ast.ExceptHandler():
                yield from _of_body(node.body, module, owner, kind)
            case _:
                pass


def _passages(module: str, name: str, kind: str, node: _Documented) -> Iterator[Passage]:
    # A surrogate is fine in Python's source, and in no database.
    text = (ast.get_docstring(node) or "").replace("\0", "").encode("utf-8", "replace").decode()
    if len(text) < _SHORT:
        return
    title = name + _signature(node)
    line = 1 if isinstance(node, ast.Module) else node.lineno
    chunks = [chunk.text for chunk in split(text, ".txt")] if len(text) > _LONG else [text]
    for chunk in chunks:
        metadata = {"module": module, "kind": kind, "name": name, "line": line}
        yield Passage(origin=name, text=f"{title}\n\n{chunk}", metadata=metadata)


def _signature(node: ast.AST) -> str:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return ""
    written = ast.unparse(node.args)
    for receiver in ("self", "cls"):
        if written == receiver or written.startswith(f"{receiver},"):
            written = written[len(receiver) + 1 :].lstrip()
    return f"({written})"
