"""Records to rows: checked, encoded, and in the order in which they are sent."""

from __future__ import annotations

from pgrecall.rows.prepare import check_lengths, prepare, prepare_changes
from pgrecall.rows.rows import Rows
from pgrecall.rows.values import MAX_CODED_ID_BYTES, check_id

__all__ = ["MAX_CODED_ID_BYTES", "Rows", "check_id", "check_lengths", "prepare", "prepare_changes"]
