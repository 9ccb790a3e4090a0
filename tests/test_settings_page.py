"""docs/reference/configuration.md has every option, and what it says about limits is true."""

import importlib.util
import re
from pathlib import Path

import pytest

import pgrecall
from pgrecall.errors import ConfigError

DOCS = Path(__file__).parents[1] / "docs"
pytest.importorskip("sphinx")
SPEC = importlib.util.spec_from_file_location("settings", DOCS / "_extensions" / "settings.py")
settings = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(settings)

OPTIONS = [(name, option) for name in settings.classes() for option in settings.options(name)]
RANGE = re.compile(r"(?:a whole number|a number|a number of seconds) from ([\d,.]+) to (2[¹³⁶]+ - 1|[\d,.]+)")
WITH = {("HNSW", "m"): {"ef_construction": 1_000}, ("HNSW", "ef_construction"): {"m": 2}}
"""What else must be said for an option to have the whole of its range."""


def test_page_has_every_class_of_settings_once():
    page = (DOCS / "reference" / "configuration.md").read_text()
    assert sorted(re.findall(r"\.\. settings:: (\w+)", page)) == sorted(settings.classes())
    assert {"CollectionConfig", "PoolConfig", "SearchOptions", "IngestOptions", "Columns"} <= set(settings.classes())


@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=lambda value: getattr(value, "name", value))
def test_option_says_what_it_means_and_takes(name, option):
    assert option.meaning
    assert option.takes.strip("` ")
    assert "NoOption" not in option.takes


def _ranges():
    for name, option in OPTIONS:
        if found := RANGE.match(option.takes):
            yield pytest.param(name, option.name, *map(_number, found.groups()), id=f"{name}.{option.name}")


def _number(written):
    large = {text: number for number, text in settings._VERY_LARGE.items()}
    plain = written.replace(",", "")
    return large[written] if written in large else float(plain) if "." in plain else int(plain)


@pytest.mark.parametrize(("name", "option", "low", "high"), list(_ranges()))
def test_range_of_option_is_what_it_takes(name, option, low, high):
    required = {"name": "documents"} if name == "CollectionConfig" else {"scorer": len} if name == "Rerank" else {}
    others = {**required, **WITH.get((name, option), {})}
    for value in (low, high):
        getattr(pgrecall, name)(**{**others, option: value})
    for value in (low - 1, high + 1):
        with pytest.raises(ConfigError):
            getattr(pgrecall, name)(**{**others, option: value})
