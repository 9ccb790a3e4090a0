"""The commands that take records in and out: what they do, what they say, and how they end."""

import csv
import json

import pytest
from typer.testing import CliRunner

from integration_tests.test_moving import COUNT, dataknobs, langchain_v1, langchain_v2, llama_index, vecs
from pgrecall import Client, Record
from pgrecall.cli import app


def run(url, *arguments, code=0):
    result = CliRunner().invoke(app.build(), [*map(str, arguments), "--url", url])
    assert result.exit_code == code, result.output
    return result


def document(url, *arguments, code=0):
    return json.loads(run(url, *arguments, "--json", code=code).stdout)


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (langchain_v1, ["langchain-postgres"]),
        (langchain_v2, ["langchain-postgres-v1", "--name", "manuals", "--map", '{"content": "content"}']),
        (llama_index, ["llama-index", "--name", "nodes"]),
        (vecs, ["vecs", "--name", "docs", "--content-key", "text"]),
        (dataknobs, ["dataknobs", "--map", '{"content": "content"}']),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_migrate_shows_what_it_would_do_and_does_it(make, options, database, url):
    make(database)
    plan = document(url, "migrate", "ours", "--from", *options, "--dry-run")
    assert plan["count"] == COUNT
    assert {field["ours"] for field in plan["plan"]["fields"]} >= {"id", "content", "embedding", "metadata"}
    shown = run(url, "migrate", "ours", "--from", *options, "--dry-run").stdout
    assert "example 3:" in shown
    assert "3 numbers" in shown
    assert database.ask("SELECT to_regclass('ours')") is None
    report = document(url, "migrate", "ours", "--from", *options)
    assert (report["ok"], report["report"]["verification"]["read"]) == (True, COUNT)
    again = run(url, "migrate", "ours", "--from", *options)
    assert "0 records written in" in again.stdout
    assert "verified: " in again.stdout


def test_migrate_ends_with_1_where_something_is_not_as_it_was_read(database, url, monkeypatch):
    vecs(database)
    database.execute("UPDATE vecs.docs SET vec = '[0,0,0]' WHERE id = 'id3'")
    result = run(url, "migrate", "ours", "--from", "vecs", "--name", "docs", "--index")
    assert "set aside: id3: " in result.stderr
    assert database.ask("SELECT count(*) FROM pg_indexes WHERE tablename = 'ours' AND indexdef LIKE '%hnsw%'") == 1
    database.execute(
        "CREATE FUNCTION damage() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.metadata := '{}'; RETURN NEW; END $$; "
        "ALTER TABLE ours RENAME TO damaged; CREATE TRIGGER damage BEFORE INSERT ON damaged FOR EACH ROW EXECUTE FUNCTION damage(); "
        "TRUNCATE damaged"
    )
    result = run(url, "migrate", "damaged", "--from", "vecs", "--name", "docs", code=1)
    assert "NOT as it was read: 0 of 30" in result.stdout
    assert "id1: metadata" in result.stdout
    assert document(url, "migrate", "damaged", "--from", "vecs", "--name", "docs", code=1)["ok"] is False
    assert "not verified" in run(url, "migrate", "damaged", "--from", "vecs", "--name", "docs", "--no-verify").stdout


def test_wrong_usage_is_said_before_anything_is_done(database, url):
    vecs(database)
    secret = "postgresql://me:hunter2@nowhere.invalid/db"
    for arguments, message, code in (
        (["--from", "vecs"], "--from vecs needs --name", 2),
        (["--from", "vecs", "--name", "a", "--path", "x"], "--path means nothing for --from vecs", 2),
        (["--from", "parquet"], "needs --path", 2),
        (["--from", "nothing"], "nothing", 2),
        (["--from", "vecs", "--name", "other"], "vecs.other", 1),
        (["--from", "langchain-postgres-v1", "--name", "x", "--map", '{"x": "y"}'], "there is no field 'x'", 2),
        (["--from", "vecs", "--name", "docs", "--all-domains"], "domains of the source are kept", 2),
        (["--from", "vecs", "--name", "docs", "--rename-domains", "[]"], "must be a JSON object", 2),
        (["--from", "chroma", "--path", "/nowhere"], "chroma", 2),
        (["--from", "vecs", "--name", "docs", "--from-url", secret], "", 3),
    ):
        result = run(url, "migrate", "ours", *arguments, code=code)
        assert message in result.stderr
        assert "hunter2" not in result.output
    assert database.ask("SELECT to_regclass('ours')") is None


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_export_and_import_are_each_others_inverse(suffix, url, tmp_path):
    path = tmp_path / f"out{suffix}"
    with Client(url) as client:
        docs = client.create_collection("docs", dimensions=2)
        for domain in ("default", "red"):
            docs.domain(domain).upsert([Record(id=f"{n}", embedding=[n, 1], metadata={"n": n}) for n in range(20)])
        report = document(url, "export", "docs", "--to", path, "--all-domains")["report"]
        assert (report["written"], report["path"]) == (40, str(path))
        assert "40 records moved" not in run(url, "import", "again", path).stdout
        assert client.collection("again").all_domains().stats().domains == {"default": 20, "red": 20}
        client.create_alias("latest", "again")
        found = document(url, "import", "latest", path, "--rename-domains", '{"red": "blue"}')
        assert [part["domain"] for part in found["report"]["parts"]] == ["default", "blue"]
        assert "has several domains" in run(url, "import", "again", path, "--domain", "one", code=2).stderr
        run(url, "export", "docs", "--to", path, "--filter", '{"n": {"$lt": 3}}', "--no-embeddings", "--domain", "red")
        assert len(path.read_text().splitlines()) == 3 + (suffix == ".csv")
        dry = run(url, "import", "other", path, "--dry-run")
        assert "there are no embeddings in the first rows" in dry.stderr
        assert "other" not in client.list_collections()
        assert "ends in one of" in run(url, "export", "docs", "--to", tmp_path / "x.txt", code=2).stderr


def test_ingest_takes_folders_and_files_of_text(url, tmp_path):
    folder = tmp_path / "notes"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.md").write_text("# First\n\nSome text.\n\n" + "# Second\n\nMore text, and more of it. " * 30)
    (folder / "sub" / "b.txt").write_text("plain")
    (folder / "sub" / "bad.txt").write_bytes(b"\xff\xfe\xff")
    (folder / "c.png").write_text("no text")
    found = document(url, "ingest", "docs", folder, "--embeddings", "lexical")
    (source,) = found["sources"]
    written = source["report"]["written"]
    assert written >= 3
    assert found["skipped"] == ["'sub/bad.txt': not UTF-8"]
    with Client(url) as client:
        docs = client.collection("docs")
        records = docs.list(filter={"path": "a.md"}).records
        assert {record.document_id for record in records} == {"a.md"}
        assert sorted(record.chunk_index for record in records) == list(range(len(records)))
        again = document(url, "ingest", "docs", folder, "--embeddings", "lexical")["sources"][0]["report"]
        assert (again["written"], again["unchanged"], again["embedding_calls"]) == (0, written, 0)
        run(url, "ingest", "docs", folder, folder / "sub" / "b.txt", "--embeddings", "lexical", "--domain", "red")
        assert docs.domain("red").count({"path": "notes/sub/b.txt"}) == 1
    for arguments, message in (
        ([tmp_path / "none"], "does not exist"),
        ([folder / "c.png"], "what is read ends in one of"),
        ([folder], "say --embeddings"),
        ([folder, "--embeddings", "lexical", "--map", "{}"], ""),
        ([folder, "--embeddings", "lexical", "--map", '{"id": "x"}'], "--map is about the fields"),
    ):
        assert message in run(url, "ingest", "docs", *arguments, code=2 if message else 0).stderr


def test_ingest_embeds_files_of_records_and_goes_on_where_it_ended(url, tmp_path, monkeypatch):
    path = tmp_path / "records.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["key", "text", "lang", "domain_id"])
        writer.writerows([n, f"text number {n}", "de", "red" if n % 2 else "blue"] for n in range(40))
    (tmp_path / "failing.py").write_text(
        "from pathlib import Path\n"
        "def embed(texts):\n"
        "    if Path(__file__).with_name('broken').exists() and any('number 31' in text for text in texts):\n"
        "        raise ValueError('model is gone')\n"
        "    return [[len(text), 1.0] for text in texts]\n"
    )
    (tmp_path / "broken").touch()
    monkeypatch.chdir(tmp_path)
    options = [
        "--embeddings",
        "failing:embed",
        "--map",
        '{"id": "key"}',
        "--batch",
        5,
        "--embed-batch",
        5,
        "--embed-calls",
        1,
    ]
    failed = run(url, "ingest", "docs", path, *options, "--max-failures", 0, code=1)
    assert "model is gone" in failed.stderr
    (tmp_path / "broken").unlink()
    found = document(url, "ingest", "docs", path, *options)["sources"]
    with Client(url) as client:
        docs = client.collection("docs")
        assert docs.all_domains().stats().domains == {"red": 20, "blue": 20}
        assert docs.domain("red").get(["31"])[0].metadata == {"lang": "de"}
    assert {source["report"]["resumed_at"] for source in found} & {5, 10, 15}
    fresh = document(url, "ingest", "docs", path, *options, "--no-resume")["sources"]
    assert [source["report"]["resumed_at"] for source in fresh] == [0, 0]
    assert sum(source["report"]["unchanged"] for source in fresh) == 40
    bare = document(url, "ingest", "docs", path, "--map", '{"id": "key"}', code=1)["sources"]
    assert "no embedding" in bare[0]["report"]["failed"][0]["reason"]
