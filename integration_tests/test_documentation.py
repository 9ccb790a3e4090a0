"""What the documentation shows, and every example, runs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITH_CODE = [page for page in PAGES if "```python" in page.read_text()]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
SAID = {
    "application_tables.py": ["[('grinder', 0.18, 45), ('kettle', 0.13, 39)]", "3 descriptions are left"],
    "fastapi_tenants.py": ["200 [{'id': 'plan', 'text': \"Red's", "200 [{'id': 'plan', 'text': \"Blue's", "401 "],
    "langchain_rag.py": [
        "  Merge multiple sorted inputs into a single sorted output.",
        "  Variant of Queue that retrieves open entries in priority order",
        "Rewritten.",
    ],
    "langgraph_agent.py": ["The manual says: Row level locks", "The manual says: ANALYZE collects"],
    "llama_index_rag.py": ["sources: ['locks']", "analyze", "3 nodes are left; the newest is VACUUM FULL"],
    "one_table.py": [
        "LlamaIndex found  0.75  v1",
        "LangChain found   v2",
        "3 records, 1 about locks",
        "the engine found  0.63  l1",
    ],
    "plain_asyncio.py": ["as before", "because"],
}
"""What an example prints, whenever it is run."""

TABLES = """
SELECT array_agg(relname::text) FROM pg_class
WHERE relkind IN ('r', 'p') AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
    AND relname !~ '^pgrecall_'
"""
LEFT = {"README.md": {"documents", "hello"}, "command-line.md": {"notes"}}
"""Tables that the code of a page leaves; the last command of the one about commands drops its own."""


def run(code, url, folder):
    environment = {**os.environ, "PGRECALL_URL": url}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_of_page_runs_from_top_to_bottom_and_leaves_nothing(page, database, tmp_path):
    code = "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
    result = run(code, database.url, tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    # A reader has one database for all pages, and reads some of them twice.
    assert set(database.ask(TABLES) or ()) == LEFT.get(page.name, set())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_runs_twice_and_says_what_it_should(example, database, tmp_path):
    # In one process, since most of the time of an example goes into importing its framework.
    code = (
        f"for _ in range(2):\n    exec({example.read_text()!r}, {{'__name__': '__main__'}})\n    print('-- again --')"
    )
    result = run(code, database.url, tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    first, second, _ = result.stdout.split("-- again --\n")
    for expected in SAID[example.name]:
        assert expected in first
        assert expected in second


def test_every_example_is_checked_and_listed():
    listed = (ROOT / "examples" / "README.md").read_text()
    names = {path.name for path in [*EXAMPLES, *(ROOT / "examples").glob("*.ipynb")]}
    assert names == set(re.findall(r"\]\(([a-z_]+\.[a-z]+)\)", listed))
    assert SAID.keys() == {path.name for path in EXAMPLES}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_cells_of_notebook_run_and_none_is_stored_with_output(notebook, url, tmp_path, monkeypatch):
    cells = nbformat.read(notebook, nbformat.current_nbformat)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells.cells)
    monkeypatch.setenv("PGRECALL_URL", url)
    for place in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(place, str(tmp_path))
    nbclient.NotebookClient(cells, timeout=100, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = "".join(output.text for cell in cells.cells for output in cell.get("outputs", ()))
    assert "datetime.date.fromisoformat" in printed


def test_tests_of_an_application_pass_with_the_fixtures_that_are_shown(tmp_path):
    shown = tmp_path / "tests"
    shutil.copytree(ROOT / "examples" / "testing", shown, ignore=shutil.ignore_patterns("__pycache__"))
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "--rootdir=.", "tests"],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_ADDOPTS": "", "PGRECALL_URL": "postgresql://nobody@localhost:1/nowhere"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    assert "4 passed" in result.stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_fits_on_a_screen_or_two(example):
    assert len(example.read_text().splitlines()) <= 80


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_page_lead_somewhere(page):
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", prose):
        assert (page.parent / target).exists(), target
