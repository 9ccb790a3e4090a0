"""The command line against a real server: each command does what the engine does, and says only that."""

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from integration_tests.oracle import Corpus
from pgrecall import Client, Record, RecordBatch
from pgrecall.cli import app
from pgrecall.cli.demo.lexical import LexicalEmbeddings

HOW_TO = Path(__file__).parents[1] / "docs" / "how-to" / "command-line.md"
TEXTS = ["a queue of work", "a lock for threads", "an archive of files", "a tree of nodes", "a lock for files"]
MODEL = """
def embed(texts):
    return [[float(len(text)), 1.0, 2.0] for text in texts]

async def embed_later(texts):
    return embed(texts)
"""


@pytest.fixture(scope="module")
def collection(module_database):
    """A collection that init has made, with rows in two domains; tests here only read it."""
    made = document(module_database.url, "init", "docs", "--embeddings", "lexical", "--text-search", "english")
    assert made["made"]
    with Client(module_database.url) as client:
        docs = client.get_collection("docs")
        vectors = np.array(LexicalEmbeddings().embed_documents(TEXTS), np.float32)
        metadatas = [{"n": number} for number in range(len(TEXTS))]
        ids = list("abcde")
        docs.upsert(RecordBatch(embeddings=vectors, ids=ids, contents=TEXTS, metadatas=metadatas))
        docs.domain("red").upsert(RecordBatch(embeddings=vectors[:2], ids=["a", "b"], contents=TEXTS[:2]))
        yield docs


@pytest.fixture
def own(url):
    """A collection of three dimensions that a test may change, and its URL."""
    with Client(url) as client:
        docs = client.create_collection("own", dimensions=3)
        matrix = np.random.default_rng(0).normal(size=(300, 3))
        docs.upsert(RecordBatch(embeddings=matrix, ids=[f"r{n}" for n in range(300)], contents=["text"] * 300))
        yield docs


def run(url, *arguments, code=0):
    result = CliRunner().invoke(app.build(), [*arguments, "--url", url])
    assert result.exit_code == code, result.output
    return result


def document(url, *arguments, code=0):
    """Return what a command prints, which is one JSON document and nothing else."""
    return json.loads(run(url, *arguments, "--json", code=code).stdout)


def test_what_a_collection_holds_is_shown(collection, module_database):
    url = module_database.url
    stats = document(url, "stats", "docs", "--all-domains")["stats"]
    assert (stats["rows"], stats["domains"], stats["dimensions"]) == (7, {"default": 5, "red": 2}, 512)
    found = document(url, "get", "docs", "a", "z", code=1)
    assert ([record["content"] for record in found["records"]], found["missing"]) == (["a queue of work"], ["z"])
    page = document(url, "get", "docs", "-n", "2", "--filter", '{"n": {"$gte": 2}}')
    assert [record["id"] for record in page["records"]] == ["c", "d"]
    rest = document(url, "get", "docs", "--after", page["next"], "--embedding")
    assert [(record["id"], len(record["embedding"])) for record in rest["records"]] == [("e", 512)]
    domains = document(url, "domains", "describe", "docs")["domains"]
    assert [(domain["name"], domain["rows"]) for domain in domains] == [("default", 5), ("red", 2)]
    assert document(url, "domains", "list", "docs") == {"domains": ["default", "red"]}
    assert document(url, "domains", "count", "docs") == {"count": 2}
    assert document(url, "collections", "list") == {"collections": ["docs"]}


def test_search_finds_what_the_engine_finds(collection, module_database, tmp_path):
    url = module_database.url
    embedding = LexicalEmbeddings().embed_query("lock threads")
    expected = [(match.id, pytest.approx(match.score)) for match in collection.search(embedding, 3)]

    def ids(*arguments):
        found = document(url, "search", "docs", *arguments, "-k", "3")["matches"]
        return [(match["id"], match["score"]) for match in found]

    assert ids("lock threads", "--embeddings", "lexical") == expected
    (tmp_path / "v.json").write_text(json.dumps(embedding))
    np.save(tmp_path / "v.npy", np.array(embedding))
    for vector in (json.dumps(embedding), str(tmp_path / "v.json"), str(tmp_path / "v.npy")):
        assert ids("--vector", vector) == expected
    few = collection.search(embedding, 3, filter={"n": 4})
    assert ids("--vector", json.dumps(embedding), "--filter", '{"n": 4}') == [("e", pytest.approx(few[0].score))]
    assert (
        ids("--vector", json.dumps(embedding), "--score-threshold", str(collection.search(embedding)[0].score - 1e-6))
        == expected[:1]
    )
    words = [(match.id, pytest.approx(match.score)) for match in collection.search_keyword("lock", 3)]
    assert ids("lock", "--keyword") == words
    both = [(match.id, pytest.approx(match.score)) for match in collection.search_hybrid("lock", embedding, 3)]
    assert ids("lock", "--hybrid", "--vector", json.dumps(embedding)) == both
    explained = document(url, "search", "docs", "--vector", json.dumps(embedding), "--exact", "--explain")
    assert explained["plan"]["access"] == "exact"


def test_a_table_fits_into_eighty_columns_of_a_pipe(collection, module_database, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("PGRECALL_URL", module_database.url)
    command = [sys.executable, "-m", "pgrecall", "search", "docs", "lock", "--keyword"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    for text in (ran.stdout, run(module_database.url, "doctor", "docs").stdout):
        assert "\x1b" not in text
        assert len(text.splitlines()) > 3
        assert all(len(line) <= 80 for line in text.splitlines())


def test_records_are_deleted_after_a_yes(own, url):
    assert run(url, "delete", "own", "r1", code=2).stdout == ""
    assert document(url, "delete", "own", "r1", "r2", "nothing", "--yes") == {"deleted": 2}
    assert document(url, "delete", "own", "--filter", '{"x": {"$exists": true}}', "--yes") == {"deleted": 0}
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "pgrecall", "delete", "own", "--everything", "--url", url]
    process = subprocess.Popen(command, stdin=end, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    os.write(terminal, b"n\n")
    said, asked = process.communicate(timeout=60)
    os.close(terminal)
    os.close(end)
    assert (process.returncode, said) == (1, "")
    assert "Delete 298 records of own, domain 'default'?" in asked
    assert own.count() == 298
    assert document(url, "delete", "own", "--everything", "--yes") == {"deleted": 298}


def test_indexes_are_built_tuned_and_dropped(own, url):
    assert document(url, "index", "list", "own") == {"indexes": []}
    made = document(url, "index", "create", "own", "--m", "4", "--ef-construction", "16")["index"]
    assert (made["method"], dict(made["options"])["m"], made["valid"]) == ("hnsw", "4", True)
    assert run(url, "index", "create", "own", "--ivfflat", code=1).stdout == ""
    made = document(url, "index", "create", "own", "--ivfflat", "--lists", "2", "--replace")["index"]
    assert (made["method"], dict(made["options"])) == ("ivfflat", {"lists": "2"})
    assert document(url, "maintain", "own", "--dry-run")["dry_run"]
    (name,) = [index.name for index in own.indexes()]
    assert document(url, "index", "drop", "own", "--yes") == {"dropped": [name]}


def test_tune_shows_the_curve_and_says_whether_it_reached_its_target(blocking_client, url):
    docs = blocking_client.create_collection("docs", dimensions=32)
    docs.upsert(Corpus(rows=4_000, dimensions=32).batch())
    run(url, "index", "create", "docs", "--ivfflat", "--lists", "20")
    report = document(url, "tune", "docs", "--sample", "10", "--target", "1")
    assert (report["knob"], report["points"][-1]["recall"]) == ("probes", 1.0)
    assert report["value"] == report["points"][-1]["value"]
    shown = run(url, "tune", "docs", "--sample", "10").stdout
    assert "recall@10" in shown
    assert "█" in shown
    assert "is used from now on" in shown


def test_domains_collections_and_aliases_are_moved_about(own, url):
    assert document(url, "domains", "copy", "own", "default", "red") == {"copied": 300}
    assert document(url, "domains", "rename", "own", "red", "blue") == {"renamed": 300}
    assert document(url, "domains", "delete", "own", "blue", "--yes") == {"deleted": 300}
    run(url, "aliases", "create", "books", "own")
    assert document(url, "stats", "books")["stats"]["rows"] == 300
    run(url, "init", "second", "--dimensions", "3")
    assert document(url, "aliases", "switch", "books", "second")["before"] == "own"
    assert document(url, "aliases", "list") == {"aliases": {"books": "second"}}
    run(url, "aliases", "drop", "books")
    run(url, "collections", "rename", "second", "third")
    run(url, "collections", "drop", "third", "--yes")
    assert document(url, "collections", "list") == {"collections": ["own"]}


def test_a_model_is_embedded_switched_to_and_back(own, url, tmp_path, monkeypatch):
    (tmp_path / "model_of_the_command_line.py").write_text(MODEL)
    monkeypatch.syspath_prepend(tmp_path)
    model = ("--embeddings", "model_of_the_command_line:embed_later")
    report = document(url, "reembed", "run", "own", "new", *model, "--sample", "2")
    assert (report["embedded"], report["missing"], report["dimensions"]) == (300, 0, 3)
    assert len(document(url, "search", "own", "text", *model, "--model", "new", "-k", "2")["matches"]) == 2
    assert document(url, "reembed", "switch", "own", "new") == {"current": "new", "before": "original"}
    assert document(url, "reembed", "rollback", "own") == {"current": "original", "before": "new"}
    states = {
        one["name"]: (one["ready"], one["current"]) for one in document(url, "reembed", "status", "own")["models"]
    }
    assert states == {"original": (True, True), "new": (True, False)}
    run(url, "reembed", "drop", "own", "new", "--yes")
    assert [one["name"] for one in document(url, "reembed", "status", "own")["models"]] == ["original"]


def test_init_makes_what_its_dry_run_prints(database, bare_database):
    options = ("init", "docs", "--dimensions", "3", "--field", "year=number", "--text-search", "en", "--index")
    printed = run("postgresql://nowhere.invalid/x", *options, "--dry-run").stdout
    bare_database.execute(printed)
    assert document(database.url, *options)["made"]
    assert not document(database.url, *options)["made"]
    columns = "SELECT attname, atttypid::regtype::text FROM pg_attribute WHERE attrelid = 'docs'::regclass ORDER BY 1"
    assert [*map(tuple, bare_database.rows(columns))] == [*map(tuple, database.rows(columns))]


def test_init_makes_partitions_policies_and_a_role(database, server):
    role = server.name("role")
    database._roles.append(role)
    options = ("--partitions", "hash=2", "--sparse-dimensions", "9", "--row-level-security", "--role", role)
    made = run(database.url, "init", "docs", "--dimensions", "3", *options, "--create-role", "--read-only", "--json")
    assert json.loads(made.stdout)["made"]
    # The tests' role is a superuser, whom policies do not bind.
    assert made.stderr.startswith("pgrecall: warning: row-level security of public.docs does not bind role")
    assert made.stderr.count("\n") == 1
    rights = f"SELECT has_table_privilege('{role}', 'docs', 'SELECT'), has_table_privilege('{role}', 'docs', 'INSERT')"
    assert [*map(tuple, database.rows(rights))] == [(True, False)]
    table = "SELECT relrowsecurity, (SELECT count(*) FROM pg_inherits WHERE inhparent = c.oid) FROM pg_class c"
    assert [*map(tuple, database.rows(f"{table} WHERE relname = 'docs'"))] == [(True, 2)]
    assert database.ask("SELECT count(*) FROM pg_attribute WHERE attname = 'sparse_embedding' AND attnum > 0") > 0


def test_domains_are_given_partitions_of_their_own(database):
    url = database.url
    run(url, "init", "docs", "--dimensions", "2", "--partitions", "list")
    assert document(url, "domains", "create", "docs", "red") == {"created": "red"}
    with Client(url) as client:
        for domain in ("red", "blue"):
            client.collection("docs").domain(domain).upsert([Record(id="a", embedding=[1.0, 2.0])])
    assert document(url, "domains", "isolate", "docs", "blue")["rows"] == 1
    found = document(url, "domains", "describe", "docs")["domains"]
    assert [(one["name"], one["isolated"]) for one in found] == [("blue", True), ("red", True)]
    assert run(url, "init", "wrong", "--dimensions", "2", "--partitions", "2", code=2).stderr.count("\n") == 1


def test_doctor_says_what_is_wrong_and_ends_with_it(database, bare_database):
    url = database.url
    database.execute("CREATE TABLE theirs (id text PRIMARY KEY, embedding vector(3), owner text NOT NULL)")
    run(url, "init", "docs", "--dimensions", "3")
    found = document(url, "doctor")
    assert (list(found["collections"]), found["fail"]) == (["docs"], 0)
    columns = {
        one["check"]: one["verdict"] for one in document(url, "doctor", "theirs", code=1)["collections"]["theirs"]
    }
    assert columns["columns"] == "fail"
    # The tests' own server has autovacuum off.
    assert document(url, "doctor", "docs", "--strict", code=1)["warn"] > 0
    nothing = {one["check"]: one for one in document(bare_database.url, "doctor", code=1)["findings"]}
    assert "CREATE EXTENSION" in nothing["pgvector"]["advice"]
    missing = document(url, "doctor", "docs", "nope", code=1)["collections"]
    assert [one["verdict"] for one in missing["nope"]] == ["fail"]
    assert "fail" not in [one["verdict"] for one in missing["docs"]]


def test_a_password_appears_nowhere(database):
    url = database.role("GRANT CREATE ON SCHEMA public TO {role}").replace(":secret@", ":s3cret@")
    database.execute(f"ALTER ROLE {url.split('//')[1].split(':')[0]} PASSWORD 's3cret'")
    run(url, "init", "docs", "--dimensions", "3")
    wrong = url.replace("/pgrecall_db", "/no_such_db", 1)
    ran = [
        run(url, "stats", "docs"),
        run(url, "doctor", "--json"),
        run(url, "doctor"),
        run(url, "stats", url, code=2),
        run(url, "stats", "docs", url, code=2),
        run(wrong, "stats", "docs", code=3),
        run(url.replace("@", "/@", 1), "stats", "docs", code=2),
        run(url.replace("@/", "@no host/", 1), "stats", "docs", code=3),
        run(url.replace("postgresql", "mysql"), "stats", "docs", code=2),
        CliRunner().invoke(app.build(), [url]),
        CliRunner().invoke(app.build(), ["stats", "docs", f"--sample={url}"]),
    ]
    assert [result for result in ran if "s3cret" in result.output + result.stderr] == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("stats", "nope"), 1, "there is no collection 'nope' in schema 'public'; there are docs"),
        (("stats", "docs", "--domain", ""), 2, "domain"),
        (("stats", "docs", "--domain", "a", "--all-domains"), 2, "contradict each other"),
        (("stats", "docs", "--columns", '{"nope": "x"}'), 2, "there is no column 'nope'"),
        (("search", "docs", "lock"), 2, "with which model"),
        (("search", "docs", "--vector", "[1, 2]"), 1, "has 2 dimensions, but 512"),
        (("search", "docs", "--vector", "nowhere.json"), 2, "cannot be read"),
        (("search", "docs", "lock", "--keyword", "--filter", "{"), 2, "--filter is not JSON"),
        (("search", "docs", "lock", "--keyword", "--filter", '{"n": {"$foo": 1}}'), 2, "'$foo' is not known"),
        (("search", "docs", "lock", "--embeddings", "nowhere:Model"), 2, "cannot import nowhere"),
        (("delete", "docs"), 2, "say which records"),
        (("index", "create", "docs", "--lists", "3"), 2, "--lists is of IVFFlat"),
        (("reembed", "rollback", "docs"), 1, "is not clear"),
        (("init", "docs", "--dimensions", "7"), 1, "512"),
    ],
)
def test_errors_are_one_line_on_standard_error(collection, module_database, arguments, code, message):
    result = run(module_database.url, *arguments, "--json", code=code)

    assert message in json.loads(result.stdout)["error"]["message"]
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_how_to_page_runs_from_top_to_bottom(url, monkeypatch):
    monkeypatch.setenv("PGRECALL_URL", url)
    blocks = re.findall(r"```(console|python)\n(.*?)```", HOW_TO.read_text(), re.DOTALL)
    ran = []
    for kind, text in blocks:
        if kind == "python":
            exec(text, {})
            continue
        for line in re.findall(r"^\$ pgrecall (.*)$", text, re.MULTILINE):
            result = CliRunner().invoke(app.build(), shlex.split(line))
            assert (line, result.exit_code) == (line, 0), result.output
            ran.append(line)
    assert len(ran) > 15
