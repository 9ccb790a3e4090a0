"""The server's main process, as its pid file describes it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ORPHAN_SECONDS = 5

# No system hands out this id, and PostgreSQL accepts it as one.
NOBODYS_PID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What ``postmaster.pid`` says; the process itself may be long gone.

    Attributes:
        file: The pid file.
        pid: Process id.
        sockets: Directory of the server's socket; None if the file does not say.
    """

    file: Path
    pid: int
    sockets: Path | None

    @classmethod
    def read(cls, data: Path) -> Postmaster | None:
        """Return what the pid file in a data directory says; None if there is nothing."""
        file = data / "postmaster.pid"
        try:
            pid, _, _, _, sockets, *_ = [*file.read_text().splitlines(), *[""] * 5]
            return cls(file, int(pid), Path(sockets) if sockets else None)
        except (FileNotFoundError, ValueError):
            return None

    def lives(self, name: str) -> bool:
        """Tell whether the process runs and is the server of that cluster name.

        After a reboot, and more so in a new container on an old volume, the id often
        belongs to another process, which must be neither waited for nor stopped.
        """
        line = _command_lines(self.pid).get(self.pid, "")
        return f" cluster_name={name} " in f"{line} "

    def disown(self) -> None:
        """Take back a claim to a process that is not the server.

        PostgreSQL refuses to start while the process named in a pid file exists. The rest of
        the file stays: by it PostgreSQL finds backends that outlived their postmaster.
        """
        rest = self.file.read_text().partition("\n")[2]
        self.file.write_text(f"{NOBODYS_PID}\n{rest}")
        if self.sockets is not None:
            for lock in self.sockets.glob(".s.PGSQL.*.lock"):
                lock.unlink(missing_ok=True)


def end_orphans(name: str) -> None:
    """End the backends that outlived the postmaster of that cluster name.

    They notice its death when they next wait for something; one that computes, an index build
    for instance, may not for hours, and PostgreSQL does not start while one is left.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + ORPHAN_SECONDS
        for pid in _backends(name):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        while _backends(name) and time.monotonic() < deadline:
            time.sleep(0.02)


def _backends(name: str) -> list[int]:
    title = f"postgres: {name}: "
    return [pid for pid, line in _command_lines().items() if line.startswith(title)]


def _command_lines(*pids: int) -> dict[int, str]:
    """Return command lines by process id: of these processes, or of all if none is named."""
    processes = Path("/proc")
    lines: dict[int, str] = {}
    if (processes / "self" / "cmdline").exists():
        for pid in pids or [int(entry.name) for entry in processes.iterdir() if entry.name.isdigit()]:
            with suppress(OSError):
                line = (processes / str(pid) / "cmdline").read_bytes()
                lines[pid] = os.fsdecode(line).replace("\0", " ")
        return lines
    import subprocess

    which = ("-p", ",".join(map(str, pids))) if pids else ("-ax",)
    command = ["/bin/ps", "-ww", "-o", "pid=,command=", *which]
    for line in subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines():
        pid, _, rest = line.strip().partition(" ")
        lines[int(pid)] = rest.lstrip()
    return lines
