"""What is written in the same transaction as the rows of a collection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.postgres import Session
    from pgrecall.rows import Rows


class Companion(Protocol):
    """Told, within the transaction, what it does to a collection; what it writes itself is part of it.

    A transaction may be run again after a conflict, and tells it again then.
    """

    async def ready(self, keys: Sequence[str]) -> None:
        """Check and make what is needed for *keys*, before a transaction begins."""
        ...

    async def written(self, session: Session, keys: Sequence[str], rows: Rows) -> None:
        """Take note that *rows* are stored now, changed or not.

        Args:
            session: Where they were written.
            keys: Their ids, as the caller spelled them.
            rows: The rows, in the order of their ids.
        """
        ...

    async def deleted(self, session: Session, keys: Sequence[str]) -> None:
        """Take note that rows with these ids are not there any more."""
        ...
