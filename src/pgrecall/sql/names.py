"""Names of the things that pgrecall makes beside a table."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, LiteralString

from pgrecall.config import MAX_IDENTIFIER_BYTES

_TAIL: Final = 9


def index_name(table: str, purpose: LiteralString) -> str:
    """Return a name of at most 63 bytes, the same for the same table and purpose.

    PostgreSQL would cut a longer one, and then not find it by the name it was given.
    """
    name = f"{table}_{purpose}"
    if len(name.encode()) <= MAX_IDENTIFIER_BYTES:
        return name
    tail = "_" + blake2b(name.encode(), digest_size=4).hexdigest()
    kept = name.encode()[: MAX_IDENTIFIER_BYTES - _TAIL].decode(errors="ignore")
    return kept + tail
