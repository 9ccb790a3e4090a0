"""The environment in which the peers are installed: made on first use, kept in the user's cache directory."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

REQUIREMENTS = (
    "vecs==0.4.5",
    "langchain-postgres==0.0.19",
    "llama-index-vector-stores-postgres==0.9.0",
    "sqlalchemy<2.1",
    "psycopg2-binary",
    "asyncpg",
    "numpy",
)
_MADE = ".made"


_DESCRIBE = (
    "import importlib.metadata as m, json; "
    "print(json.dumps({d.metadata['Name'].lower(): d.version for d in m.distributions()}))"
)
_DESCRIBED = (
    "vecs",
    "langchain-postgres",
    "llama-index-vector-stores-postgres",
    "langchain-core",
    "llama-index-core",
    "pgvector",
    "sqlalchemy",
    "psycopg2-binary",
    "asyncpg",
    "numpy",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that every question with peers has."""
    parser.add_argument("--peers-env", type=Path, metavar="DIR", help="environment to install the peers in")
    parser.add_argument("--no-peers", action="store_true", help="leave the peers out")


def default_directory() -> Path:
    """Return where the environment is unless said otherwise; another one for each set of requirements."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256("\n".join(REQUIREMENTS).encode()).hexdigest()[:10]
    return cache / "pgrecall-benchmarks" / f"peers-{version}-{digest}"


def interpreter(directory: Path | None) -> Path:
    """Return the Python of the environment in *directory*, which is made if it is missing.

    Raises:
        RuntimeError: The peers could not be installed.
    """
    directory = (directory or default_directory()).absolute()
    python = directory / "bin" / "python"
    if (directory / _MADE).exists():
        return python
    print(f"  installing the peers into {directory} (a minute or two, once)", flush=True)
    shutil.rmtree(directory, ignore_errors=True)
    venv.create(directory, with_pip=True, symlinks=os.name != "nt")
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the peers could not be installed: {done.stderr.strip()[-2_000:]}")
    (directory / _MADE).touch()
    return python


def versions(python: Path) -> dict[str, str]:
    """Return the versions of the peers, and of what they stand on, in the environment of *python*."""
    done = subprocess.run([str(python), "-c", _DESCRIBE], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return {name: found[name] for name in _DESCRIBED if name in found}
