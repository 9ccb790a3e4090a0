"""What all commands have in common, without a server."""

import json
import os
import subprocess
import sys

import pytest
import typer.main
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from pgrecall.cli import app
from pgrecall.cli.errors import BadUsage, CommandError, exit_code, one_line_errors, without_secrets
from pgrecall.cli.searching import read_vector
from pgrecall.cli.upkeep import bar
from pgrecall.errors import CollectionNotFound, ConfigError, ConnectionFailed, DimensionMismatch, RecordError

# The one shows something off, the other connects to nothing.
ALONE = {"demo", "sql"}


def commands(command, *names):
    """Yield each command that does something, with the words that call it."""
    for name, inner in getattr(command, "commands", {}).items():
        if hasattr(inner, "commands"):
            yield from commands(inner, *names, name)
        else:
            yield (*names, name), inner


COMMANDS = dict(commands(typer.main.get_command(app.build())))


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] not in ALONE], ids=" ".join)
def test_every_command_has_what_all_have(words):
    options = {option for parameter in COMMANDS[words].params for option in parameter.opts}

    assert {"--url", "--schema", "--json", "--debug"} <= options
    assert ("--domain" in options) == ("--all-domains" in options)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_says_what_it_is(words):
    assert COMMANDS[words].help
    assert [one.name for one in COMMANDS[words].params if not one.help] == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandError("x"), 1),
        (BadUsage("x"), 2),
        (ConfigError("x"), 2),
        (RecordError("x"), 1),
        (DimensionMismatch("x"), 1),
        (CollectionNotFound("x"), 1),
        (ConnectionFailed("x"), 3),
    ],
)
def test_each_error_has_its_exit_code(error, code):
    assert exit_code(error) == code


def test_an_interrupt_is_said_and_has_a_code_of_its_own(capsys):
    with pytest.raises(SystemExit) as ended, one_line_errors(debug=False):
        raise KeyboardInterrupt

    assert (ended.value.code, capsys.readouterr().err) == (130, "pgrecall: interrupted\n")


def test_what_nobody_foresaw_is_one_line_too(capsys):
    with pytest.raises(SystemExit) as ended, one_line_errors(debug=False):
        raise OSError("no\nnetwork at postgresql://u:s3cret@h/d")

    said = "pgrecall: OSError: no network at postgresql://…@h/d (--debug shows where)\n"
    assert (ended.value.code, capsys.readouterr().err) == (1, said)
    with pytest.raises(OSError, match="no network"), one_line_errors(debug=True):
        raise OSError("no network")


@given(
    scheme=st.sampled_from(["postgresql", "postgres", "postgresql+asyncpg"]),
    password=st.text("abcXYZ019-._~%!$&()*+,;=:@/?#[]", min_size=4).map(lambda text: f"pw{text}wp"),
)
def test_no_text_shows_a_password(scheme, password):
    text = f"cannot use {scheme}://user:{password}@host:5432/db today"

    assert without_secrets(text) == f"cannot use {scheme}://…@host:5432/db today"
    assert password not in without_secrets(f"postgresql://host/db?user=u&password={password.replace('&', '')} x")


def test_a_password_that_was_typed_in_the_wrong_place_is_not_repeated():
    for arguments in (["postgresql://u:s3cret@h/d"], ["stats", "docs", "postgresql://u:s3cret@h/d"]):
        result = CliRunner().invoke(app.build(), arguments)
        assert result.exit_code == 2
        assert "s3cret" not in result.output


@pytest.mark.parametrize("url", ["", " "])
@pytest.mark.parametrize("words", [["stats", "docs"], ["demo", "--query", "x", "--limit", "1"]], ids=" ".join)
def test_an_empty_url_is_refused(words, url):
    result = CliRunner().invoke(app.build(), [*words, "--url", url])
    assert result.exit_code == 2
    assert "the URL is empty: pass postgresql://" in " ".join(result.output.split())


def test_the_list_of_commands_fits_into_eighty_columns():
    listed = CliRunner().invoke(app.build(), ["--help"]).output

    assert "..." not in listed.partition("Commands:")[2]


def test_a_dry_run_needs_no_database():
    arguments = ["init", "docs", "--dimensions", "3", "--dry-run", "--url", "postgresql://nowhere.invalid/db"]
    result = CliRunner().invoke(app.build(), arguments)
    assert result.exit_code == 0
    assert result.stdout.startswith('CREATE SCHEMA IF NOT EXISTS "public";')
    printed = CliRunner().invoke(app.build(), ["sql", "docs", "--dimensions", "3"])
    assert printed.stdout == result.stdout
    document = CliRunner().invoke(app.build(), ["sql", "docs", "--dimensions", "3", "--json"]).stdout
    assert json.loads(document) == {"sql": printed.stdout}


def test_completion_knows_the_commands():
    environment = {**os.environ, "_PGRECALL_COMPLETE": "complete_bash", "COMP_WORDS": "pgrecall re", "COMP_CWORD": "1"}
    script = "from pgrecall.cli.app import main; main()"
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)

    assert ran.stdout.split() == ["reembed"]


@pytest.mark.parametrize(
    ("share", "length", "last"),
    [(0, 0, ""), (0.5, 20, "█"), (1, 40, "█"), (2, 40, "█"), (1 / 320, 1, "▏"), (-1, 0, "")],
)
def test_bars_are_as_long_as_their_share(share, length, last):
    assert (len(bar(share)), bar(share)[-1:]) == (length, last)


def test_a_vector_is_read_from_wherever_it_is(tmp_path):
    (tmp_path / "v.json").write_text("[1, 2.5]")

    assert read_vector(" [1, 2.5]") == read_vector(str(tmp_path / "v.json")) == [1, 2.5]
    (tmp_path / "bad.npy").write_text("nothing")
    for bad in ("[1,", str(tmp_path / "bad.npy"), str(tmp_path / "none.json")):
        with pytest.raises(BadUsage):
            read_vector(bad)
