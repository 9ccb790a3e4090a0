"""Which index the options of a store should ask for, by the number of vectors alone."""

from __future__ import annotations

import math
from typing import Any, Final

from pgrecall.checks import check_range

_EXACT: Final = 1_000
_SMALL: Final = 100_000
_LARGE: Final = 1_000_000
_MAX_LISTS: Final = 32_768


def recommend_index(rows: int) -> dict[str, Any]:
    """Return the options ``index_type`` and ``index_params`` for a store of so many vectors.

    It is dataknobs' own guide: no index below 1,000 vectors, HNSW up to a million, with m=16 and
    ef_construction=64 up to 100,000 and 32 and 128 above, and IVFFlat with the square root of the number as
    lists beyond. `pgrecall.recommend_index` also knows dimensions and memory, and gives its reasons; with
    enough memory it keeps to HNSW, over halfvec, above a million.

    Args:
        rows: How many vectors there will be, in all domains.

    Raises:
        ConfigError: *rows* is not a number of vectors.
    """
    check_range(rows, "rows", 0, 2**63 - 1)
    if rows < _EXACT:
        return {"index_type": "none", "index_params": {}}
    if rows <= _SMALL:
        return {"index_type": "hnsw", "index_params": {"m": 16, "ef_construction": 64}}
    if rows <= _LARGE:
        return {"index_type": "hnsw", "index_params": {"m": 32, "ef_construction": 128}}
    return {"index_type": "ivfflat", "index_params": {"lists": min(_MAX_LISTS, math.isqrt(rows))}}
