"""What every blocking collection is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgrecall.checks import check_instance
from pgrecall.collection.handle import Bound

if TYPE_CHECKING:
    from pgrecall.collection.collection import AsyncCollection


class Mirror:
    """A collection whose work an asynchronous one does."""

    def __init__(self, collection: AsyncCollection) -> None:
        check_instance(collection, "what a Collection is made of", Bound, "an AsyncCollection")
        self.asynchronous = collection
        """The collection that does the work; it may be used beside this one."""
