"""Whom the server runs as: this user, or an unprivileged one where this user is root."""

from __future__ import annotations

import logging
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from pgrecall.errors import EmbeddedServerError

logger = logging.getLogger("pgrecall.embedded")


@dataclass(frozen=True, slots=True)
class Account:
    """A user and its group, and whether processes have to be switched to them."""

    uid: int
    gid: int
    switched: bool

    @classmethod
    def for_directory(cls, directory: Path) -> Account:
        """Choose the account for the server of a directory.

        Anyone but root is the account. Root, as whom PostgreSQL refuses to run, gets the
        owner of the directory if that is another known user, else ``postgres``, else
        ``nobody``.

        Raises:
            EmbeddedServerError: This is root, and the system knows no such user.
        """
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), switched=False)
        import pwd

        for found in (directory / "data", directory):
            try:
                owner = found.stat().st_uid
                if owner != 0:
                    return cls(owner, pwd.getpwuid(owner).pw_gid, switched=True)
            except (FileNotFoundError, KeyError):
                continue
        for name in ("postgres", "nobody"):
            try:
                user = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(user.pw_uid, user.pw_gid, switched=True)
        raise EmbeddedServerError(
            "PostgreSQL does not run as root, and there is no user postgres or nobody to run it "
            "as: run this program as another user, or give the URL of a server"
        )

    def take(self, path: Path) -> None:
        """Make a file or a directory, with all it contains, the account's own."""
        if not self.switched or path.lstat().st_uid == self.uid:
            return
        os.chown(path, self.uid, self.gid, follow_symlinks=False)
        for parent, directories, files in os.walk(path):
            for name in (*directories, *files):
                os.chown(Path(parent, name), self.uid, self.gid, follow_symlinks=False)

    def open_way(self, directory: Path) -> None:
        """Let the account search a directory and its parents; where it can, change nothing.

        Only the permission to search is added: it shows no names and opens no files.
        """
        if not self.switched:
            return
        for step in (*reversed(directory.parents), directory):
            mode = self._mode_to_search(step.stat())
            if mode is not None:
                logger.info(
                    "permission to search added to %s: the server runs as user id %d, not as "
                    "root, and has to pass through to %s",
                    step,
                    self.uid,
                    directory,
                )
                step.chmod(mode)

    def _mode_to_search(self, found: os.stat_result) -> int | None:
        mode = stat.S_IMODE(found.st_mode)
        if found.st_uid == self.uid:
            return None
        if found.st_gid == self.gid:
            return None if mode & stat.S_IXGRP else mode | stat.S_IXGRP
        return None if mode & stat.S_IXOTH else mode | stat.S_IXOTH
