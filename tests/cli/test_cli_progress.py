from types import SimpleNamespace

import pytest

from pgrecall.cli import progress
from pgrecall.cli.output import Output
from pgrecall.cli.progress import Step, shown


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_where_nobody_looks_it_is_a_line_now_and_then(clock, capsys):
    with shown(Output()) as show:
        for clock.now in (1.0, 9.0, 11.0, 12.0, 22.0):
            show(Step("index on docs", f"at {clock.now:g}", clock.now / 44))

    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.splitlines() == ["index on docs: 25% at 11", "index on docs: 50% at 22"]


def test_on_a_terminal_it_is_a_bar_on_standard_error(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with shown(Output()) as show:
        show(Step("index [docs]", "loading", 0.5))

    written = capsys.readouterr()
    assert written.out == ""
    assert "index [docs]" in written.err
    assert "50%" in written.err
