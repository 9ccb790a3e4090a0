"""The demo as a newcomer runs it: a process, a folder, a database in the current directory."""

import json
import os
import re
import subprocess
import sys
import time

import pytest

from pgrecall import embedded

pytestmark = pytest.mark.skipif(not embedded.available(), reason="needs pgrecall[embedded]")

FILES = {
    "queues.md": "# Queues\n\nA queue hands work from producers to consumers, first in, first out.\n",
    "locks.rst": "Locks\n=====\n\nA lock is held by one thread at a time; the others wait.\n",
    "deep/archive.txt": "Zip archives are compressed with deflate, and extracted member by member.\n",
    "code.py": 'def median(numbers):\n    """Return the middle value of numbers."""\n',
}
# Counts the texts that it embeds.
COUNTING = """
import sys
from pgrecall.cli.demo.lexical import LexicalEmbeddings

class Counting(LexicalEmbeddings):
    def embed_documents(self, texts):
        print("embedded", len(texts), file=sys.stderr)
        return super().embed_documents(texts)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A current directory, whose database lives as long as the tests here."""
    place = tmp_path_factory.mktemp("demo")
    for name, text in FILES.items():
        path = place / "texts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (place / "counting.py").write_text(COUNTING)
    return place


def demo(place, *arguments):
    environment = {name: value for name, value in os.environ.items() if name not in ("PGRECALL_URL", "DATABASE_URL")}
    return subprocess.run(
        [sys.executable, "-m", "pgrecall", "demo", *arguments],
        cwd=place,
        env={**environment, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def rows(ran):
    assert (ran.returncode, ran.stderr) == (0, "")
    line = re.sub(r" \(.*?s\)", "", next(line for line in ran.stdout.splitlines() if line.startswith("rows")))
    return line.removeprefix("rows").strip()


def test_a_folder_is_added_once_found_and_kept_up_to_date(place):
    first = demo(place, "--docs", "texts")
    assert rows(first) == "4 new, 0 unchanged, 0 removed"
    assert "embedded, in .pgrecall/" in first.stdout
    assert (place / ".pgrecall" / ".gitignore").read_text() == "*\n"

    started = time.monotonic()
    second = demo(place, "--docs", "texts", "--query", "who waits for a lock?")
    assert time.monotonic() - started < 30
    assert rows(second) == "0 new, 4 unchanged, 0 removed"
    best, *_, filtered = [line.split() for line in second.stdout.splitlines() if re.match(r"\s+-?\d\.\d{3} ", line)]
    assert best[1:4] == ["1", "1", "locks.rst"]
    assert filtered == best
    assert "only path = locks.rst" in second.stdout
    assert "Both found the same rows in the same order" in second.stdout

    asked = demo(place, "--docs", "texts", "--query", "who waits for a lock?", "--json")
    document = json.loads(asked.stdout)
    assert document["rows"] == {"new": 0, "moved": 0, "unchanged": 4, "gone": 0}
    anywhere, narrowed = document["questions"][0]["rounds"]
    assert anywhere["llama_index"]["rows"][0]["metadata"]["path"] == "locks.rst"
    assert anywhere["langchain"]["rows"][0]["id"] == narrowed["langchain"]["rows"][0]["id"]
    assert narrowed["filter"] == ["path", "locks.rst"]
    assert "unchanged" in asked.stderr

    (place / "texts" / "queues.md").write_text("# Queues\n\nA queue can also be bounded.\n")
    (place / "texts" / "code.py").unlink()
    assert rows(demo(place, "--docs", "texts")) == "1 new, 2 unchanged, 2 removed"


def test_only_what_is_new_is_embedded(place):
    texts = place / "more"
    texts.mkdir()
    for name in ("a.md", "b.md"):
        (texts / name).write_text(f"# Title of {name}\n\nSome text.\n")
    arguments = ("--docs", "more", "--embeddings", "counting:Counting")

    assert demo(place, *arguments).stderr == "embedded 2\n"
    (texts / "b.md").write_text("# Title of b.md\n\nOther text.\n")
    assert demo(place, *arguments).stderr == "embedded 1\n"


def test_the_standard_library_gets_an_index(place):
    ran = demo(place, "--limit", "1000")

    assert rows(ran) == "1,000 new, 0 unchanged, 0 removed"
    assert "HNSW, built in" in ran.stdout
    assert "how do I run a command in a subprocess" in ran.stdout
    assert rows(demo(place, "--limit", "1000", "--query", "an abstract base class")).startswith("0 new, 1,000")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--docs", "nowhere"), 2, "--docs nowhere does not exist"),
        (("--query", " "), 2, "--query is empty"),
        (("--limit", "5", "--embeddings", "no_such_module:X"), 2, "cannot import no_such_module"),
        (("--limit", "5", "--url", "mysql://somewhere"), 2, "must begin with postgresql://"),
        (("--limit", "5", "--url", "postgresql://127.0.0.1:1/x"), 3, "pgrecall: "),
    ],
)
def test_errors_are_one_line_with_an_exit_code(place, arguments, code, message):
    ran = demo(place, *arguments)

    assert ran.returncode == code
    assert message in ran.stderr
    assert ran.stderr.count("\n") == 1
