"""The page about the command line says what the command line says of itself."""

import runpy
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "docs" / "command_line.py"


def test_the_page_is_up_to_date():
    script = runpy.run_path(str(SCRIPT))
    current = script["PAGE"].read_text()

    assert script["page"](current) == current, "run python docs/command_line.py"
