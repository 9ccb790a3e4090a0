"""The questions of one run, asked one after the other on one server, each in a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks import server
from benchmarks.page.document import FORMAT
from benchmarks.peers import environment

_ROOT: Final = Path(__file__).parents[1]
_TIMEOUT: Final = 3_600
_PROGRESS: Final = re.compile(r"measuring: |  installing |  \d+ s$")

Arguments = Callable[[argparse.Namespace], list[str]]
"""Makes a question's arguments from those of the run."""


def _rows(options: argparse.Namespace, share: float = 1.0) -> list[str]:
    data = [] if options.data is None else ["--data", f"{options.data}"]
    return [*data, "--rows", f"{round(options.rows * share)}", "--repeats", f"{options.repeats}"]


def _peer_rows(options: argparse.Namespace) -> int:
    return round(options.rows / 10)


QUESTIONS: Final[Mapping[str, Arguments]] = {
    "foundation": lambda o: [*_rows(o), "--peer-rows", f"{_peer_rows(o)}"],
    "filtered": lambda o: [*_rows(o, 0.5), "--only", "steady", "growth", "peers"],
    "quality": lambda o: [] if o.judged is None else ["--data", f"{o.judged}"],
    "keyword": lambda o: _rows(o, 0.4),
    "langchain": lambda o: [*_rows(o, 0.1), "--only", "search", "load"],
    "llama_index": lambda o: _rows(o, 0.1),
    "tenants": lambda o: [*_rows(o, 0.2), "--queries", "100", "--domains", "10", "--domains", "200"],
    "pipeline": lambda o: [*_rows(o), "--only", "memory", "ingest"],
}
"""The questions that are asked, in that order, and what each is asked with."""

_WITH_PEERS: Final = frozenset({"foundation", "filtered", "quality", "langchain", "llama_index"})


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Ask the chosen questions, and return everything that they found, as JSON values.

    Raises:
        RuntimeError: The peers could not be installed.
    """
    peers: dict[str, str] = {}
    if not options.no_peers:
        peers = environment.versions(environment.interpreter(options.peers_env))
    started, clock = datetime.now(UTC), time.perf_counter()
    chosen = options.only or list(QUESTIONS)
    runs: list[dict[str, Any]] = []
    with server.running(options.url) as url, tempfile.TemporaryDirectory(prefix="pgrecall-results-") as directory:
        with server.database(url) as empty:
            described = asyncio.run(server.describe(empty))
        for number, question in enumerate(chosen, start=1):
            minutes = (time.perf_counter() - clock) / 60
            print(f"[{number} of {len(chosen)}, {minutes:.0f} min] {question}", flush=True)
            runs.append(ask(question, options, url, Path(directory)))
    return {
        "format": FORMAT,
        "command": command(options),
        "started": started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "seconds": round(time.perf_counter() - clock),
        "peers": peers,
        **described,
        "runs": runs,
    }


def ask(question: str, options: argparse.Namespace, url: str, directory: Path) -> dict[str, Any]:
    """Return what a question's process found, or why it found nothing."""
    arguments = QUESTIONS[question](options)
    given = {f"{path}": "DIR" for path in (options.data, options.judged) if path is not None}
    out = directory / f"{question}.json"
    words = [sys.executable, "-m", "benchmarks", question, *arguments, "--url", url, "--out", f"{out}"]
    if question in _WITH_PEERS:
        words += ["--no-peers"] if options.no_peers else []
        words += [] if options.peers_env is None else ["--peers-env", f"{options.peers_env.absolute()}"]
    start = time.perf_counter()
    log = _watched(words)
    failed = None if out.exists() else next((line for line in reversed(log) if line.strip()), "no reason given")
    if failed is not None:
        print("\n".join(log[-40:]), flush=True)
        for path, name in given.items():
            failed = failed.replace(path, name)
    return {
        "question": question,
        "arguments": [given.get(argument, argument) for argument in arguments],
        "seconds": round(time.perf_counter() - start, 1),
        "failed": failed,
        "answer": None if failed is not None else json.loads(out.read_text()),
    }


def _watched(words: list[str]) -> list[str]:
    """Run a command, show how far it is, and return the lines that it wrote."""
    log: list[str] = []
    with subprocess.Popen(words, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        timer = threading.Timer(_TIMEOUT, process.kill)
        timer.start()
        for line in process.stdout:
            log.append(line.rstrip())
            if _PROGRESS.match(line):
                print(f"    {line.rstrip()}", flush=True)
        timer.cancel()
    return log if process.returncode >= 0 else [*log, f"ended by signal {-process.returncode}"]


def command(options: argparse.Namespace) -> str:
    """Return what the run was started with, without what is true of one machine only."""
    words = ["python -m benchmarks results"]
    words += [f"--{name} DIR" for name in ("data", "judged") if getattr(options, name) is not None]
    words += [f"--rows {options.rows}", f"--repeats {options.repeats}"]
    words += [f"--only {' '.join(options.only)}"] if options.only else []
    words += ["--no-peers"] if options.no_peers else []
    return " ".join(words)
