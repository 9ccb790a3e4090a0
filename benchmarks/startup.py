"""How long ``import pgrecall`` takes, and what it leaves alone."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.context import Context
from benchmarks.figures import Target

_RUNS = 7
_FRAMEWORKS = ("langchain_core", "llama_index", "rich", "typer")


def measure(context: Context) -> None:
    """Measure the import in fresh interpreters, next to interpreters that import nothing."""
    spent = _spent("import pgrecall")
    context.findings.add(
        "import", "import pgrecall, fresh interpreter", "s", spent, targets=[Target(bound=0.25, at_least=False)]
    )
    context.findings.add(
        "import.engine", "  and the engine, loaded at first use", "s", _spent("from pgrecall import AsyncClient")
    )
    context.findings.add(
        "import.needs", "  of which asyncpg, NumPy and orjson", "s", _spent("import asyncpg, numpy, orjson")
    )
    imported = subprocess.run(
        [sys.executable, "-c", "import pgrecall, sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    ).stdout.split()
    loaded = [name for name in _FRAMEWORKS if name in imported]
    context.findings.add(
        "import.frameworks",
        "  frameworks that it loads",
        "",
        [len(loaded)],
        targets=[Target(bound=0, at_least=False)],
        note=", ".join(loaded),
    )


def _spent(code: str) -> list[float]:
    """Return how much longer an interpreter lives that runs *code*, several times."""
    spent: list[float] = []
    for run in range(_RUNS + 1):
        bare, whole = _seconds("pass"), _seconds(code)
        if run:  # the first one compiles, and reads from the disk
            spent.append(whole - bare)
    return spent


def _seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start
