"""Who is told how far something has come."""

from types import SimpleNamespace

import pytest

from pgrecall.errors import ConfigError
from pgrecall.progress import listener


@pytest.mark.parametrize("progress", [None, False])
def test_nobody_is_told(progress):
    with listener(progress) as told:
        assert told is None


def test_who_cannot_be_told_is_an_error():
    with pytest.raises(ConfigError, match="a function"):
        listener("loudly")


def test_bar_shows_how_far_it_is(capsys):
    with listener(True) as told:
        for phase, fraction in [("starting", None), ("[loading]", 0.5), ("done", 1.0)]:
            told(SimpleNamespace(title="HNSW on public.docs[/b]", phase=phase, fraction=fraction))
    shown = capsys.readouterr().out
    assert "HNSW on public.docs[/b]" in shown
    assert "100%" in shown


def test_bar_without_rich_is_an_error(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rich.progress", None)
    with pytest.raises(ConfigError, match="pip install"), listener(True):
        pass
