import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from pgrecall import __version__
from pgrecall.cli import app
from pgrecall.cli.errors import BadUsage, error_document, one_line_errors
from pgrecall.errors import PGRecallError


def test_version():
    result = CliRunner().invoke(app.build(), ["--version"])

    assert (result.exit_code, result.output) == (0, f"pgrecall {__version__}\n")


def test_help_names_the_options():
    result = CliRunner().invoke(app.build(), ["demo", "--help"])

    assert result.exit_code == 0
    assert all(f"--{name}" in result.output for name in ("docs", "query", "embeddings", "url", "limit", "debug"))


def test_the_module_is_the_command():
    ran = subprocess.run([sys.executable, "-m", "pgrecall", "--version"], capture_output=True, text=True, check=True)

    assert ran.stdout == f"pgrecall {__version__}\n"


def test_what_standard_output_has_no_character_for_is_no_error():
    command = [sys.executable, "-m", "pgrecall", "sql", "grün№", "--dimensions", "3"]
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    shown, document = (
        subprocess.run([*command, *more], capture_output=True, encoding="latin-1", check=True, env=environment).stdout
        for more in ([], ["--json"])
    )

    assert 'CREATE TABLE "public"."grün?"' in shown
    assert 'CREATE TABLE "public"."grün№"' in json.loads(document)["sql"]


@pytest.mark.parametrize("part", ["typer", "rich"])
def test_what_is_missing_is_said_in_one_line(part):
    script = f"import sys; sys.modules[{part!r}] = None; from pgrecall.cli.app import main; main()"
    ran = subprocess.run([sys.executable, "-c", script, "--version"], capture_output=True, text=True, check=False)

    assert ran.returncode == 1
    assert ran.stderr == "pgrecall: the command line needs typer and rich: pip install 'pgrecall[cli]'\n"


def test_an_interrupt_while_commands_are_imported_is_said(capsys, monkeypatch):
    def build():
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "build", build)
    with pytest.raises(SystemExit) as ended:
        app.main()

    assert (ended.value.code, capsys.readouterr().err) == (130, "pgrecall: interrupted\n")


@pytest.mark.parametrize("framework", ["langchain_core", "llama_index"])
def test_a_missing_framework_is_named_with_its_extra(framework, tmp_path):
    (tmp_path / "a.md").write_text("Text.")
    script = f"import sys; sys.modules[{framework!r}] = None; from pgrecall.cli.app import main; main()"
    command = [sys.executable, "-c", script, "demo", "--docs", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    assert ran.returncode == 1
    assert f"{framework} is missing: pip install 'pgrecall[langchain,llama-index]'" in ran.stderr
    assert not (tmp_path / ".pgrecall").exists()


@pytest.mark.parametrize(("error", "code"), [(BadUsage("so\n not"), 2), (PGRecallError("so\n not"), 1)])
def test_errors_are_one_line(capsys, error, code):
    with pytest.raises(SystemExit) as ended, one_line_errors(debug=False):
        raise error

    assert ended.value.code == code
    assert capsys.readouterr().err == "pgrecall: so not\n"


@pytest.mark.parametrize(
    ("arguments", "code", "kind", "said"),
    [
        (["stats", "docs", "--url", "mysql://u:s3cret@h/d"], 2, "ConfigError", "must begin with postgresql://"),
        (["stats", "docs", "--url", "postgresql://u:s3cret@127.0.0.1:1/d"], 3, "ConnectionFailed", "127.0.0.1"),
        (["sql", "docs", "--dimensions", "3", "--read-only"], 2, "BadUsage", "name it with --role"),
        (["demo", "--query", " "], 2, "BadUsage", "--query is empty"),
        (["index", "list"], 2, "MissingParameter", "COLLECTION"),
        (["stats", "docs", "--urll=postgresql://u:s3cret@h/d"], 2, "NoSuchOption", "--urll"),
    ],
)
def test_errors_are_json_documents_too(arguments, code, kind, said):
    result = CliRunner().invoke(app.build(), [*arguments, "--json"])

    error = json.loads(result.stdout)["error"]
    assert (result.exit_code, error["type"]) == (code, kind)
    assert said in error["message"]
    assert said in result.stderr
    assert "s3cret" not in result.output
    assert CliRunner().invoke(app.build(), arguments).stdout == ""


def test_what_nobody_foresaw_is_a_json_document_too(capsys):
    with pytest.raises(SystemExit), one_line_errors(debug=False, json=True):
        raise OSError("no network")
    assert json.loads(capsys.readouterr().out) == {"error": {"type": "OSError", "message": "no network"}}
    assert json.loads(error_document(OSError(), "a lone \ud800"))["error"]["message"] == "a lone \\ud800"
    with pytest.raises(SystemExit) as ended, one_line_errors(debug=True, json=True):
        raise KeyboardInterrupt
    assert ended.value.code == 130
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "KeyboardInterrupt"


def test_debug_lets_errors_through():
    with pytest.raises(PGRecallError), one_line_errors(debug=True):
        raise PGRecallError("so")


@pytest.mark.parametrize(("given", "expected"), [("list", "PARTITION BY LIST"), ("hash=3", "REMAINDER 2")])
def test_sql_prints_partitions(given, expected):
    result = CliRunner().invoke(app.build(), ["sql", "docs", "--dimensions", "3", "--partitions", given])

    assert result.exit_code == 0
    assert expected in result.output


@pytest.mark.parametrize("given", ["hash", "hash=x", "list=2", "hash=1"])
def test_sql_refuses_other_partitions(given):
    result = CliRunner().invoke(app.build(), ["sql", "docs", "--dimensions", "3", "--partitions", given])

    assert result.exit_code != 0
    assert "CREATE TABLE" not in result.output
