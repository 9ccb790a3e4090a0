"""What the server runs with: settings that fit this machine and vector search.

They are passed on the command line at every start and written nowhere, so that better
defaults reach directories made long ago.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from pgrecall.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

MEGABYTE = 1024**2
GIGABYTE = 1024**3
PORT = 5432

NAME = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*")
OURS = frozenset(
    (
        "cluster_name",
        "config_file",
        "data_directory",
        "port",
        "unix_socket_directories",
        "unix_socket_permissions",
    )
)


def checked(settings: Mapping[str, str] | None) -> dict[str, str]:
    """Return a copy of a caller's settings, known to be safe to put on a command line.

    Raises:
        ConfigError: A name is not that of a setting, a value is not a string or holds a NUL
            byte, or the setting is one by which the server is found.
    """
    for name, value in (settings or {}).items():
        if not NAME.fullmatch(name):
            raise ConfigError(f"{name!r} is not the name of a PostgreSQL setting")
        if name in OURS:
            raise ConfigError(f"the setting {name} of the embedded server cannot be changed")
        if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"the setting {name} has to be a string, as in {name}={value!r}")
        if "\0" in value:
            raise ConfigError(f"the value of the setting {name} contains a NUL byte")
    return dict(settings or {})


def defaults() -> dict[str, str]:
    """Return the settings for this machine, by its memory and its processors."""
    memory = _memory()
    maintenance = _between(64 * MEGABYTE, memory // 16, GIGABYTE)
    chosen = {
        "shared_buffers": _megabytes(_between(128 * MEGABYTE, memory // 8, 2 * GIGABYTE)),
        "effective_cache_size": _megabytes(max(128 * MEGABYTE, memory // 2)),
        "maintenance_work_mem": _megabytes(maintenance),
        "work_mem": "16MB",
        "max_connections": "100",
        "max_parallel_maintenance_workers": str(_between(1, _processors() - 1, 8)),
        "max_wal_size": "4GB",
        "random_page_cost": "1.1",
        "jit": "off",
        "listen_addresses": "",
    }
    # A parallel HNSW build allocates maintenance_work_mem as shared memory at one stroke,
    # and a container's /dev/shm has 64 MB.
    free = _free_shared_memory()
    if free is not None:
        enough = free >= max(GIGABYTE, 2 * maintenance)
        chosen["dynamic_shared_memory_type"] = "posix" if enough else "mmap"
    return chosen


def command_line(settings: Mapping[str, str]) -> str:
    """Return the settings as options of the server, quoted for the shell that reads them."""
    return " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in settings.items())


def _memory() -> int:
    """Return the bytes this process may use: the machine's, or its container's if fewer."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            memory = min(memory, int(Path("/sys/fs/cgroup", limit).read_text()))
        except (OSError, ValueError):
            continue
    return memory


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _free_shared_memory() -> int | None:
    try:
        found = os.statvfs("/dev/shm")
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def _between(low: int, value: int, high: int) -> int:
    return max(low, min(value, high))


def _megabytes(size: int) -> str:
    return f"{size // MEGABYTE}MB"
