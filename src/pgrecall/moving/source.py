"""What can be moved in from: a source, opened, with its records in parts, one a domain."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import aclosing
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from pgrecall.collection.ingesting.entries import as_record
from pgrecall.scope import DEFAULT_DOMAIN

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from collections.abc import Set as AbstractSet
    from contextlib import AbstractAsyncContextManager

    from pgrecall.collection import AsyncClient
    from pgrecall.distance import Distance, VectorType
    from pgrecall.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldMap:
    """What becomes of one column, or one key, of a source.

    Attributes:
        theirs: Its name there.
        type: Its type, in the source's words.
        ours: The field of a `Record` that it fills, ``metadata.key`` for a key of the metadata; `None` where it is
            left out.
    """

    theirs: str
    type: str
    ours: str | None

    def __str__(self) -> str:
        return f"{self.theirs} ({self.type}) -> {self.ours or 'left out'}"


class Rows(Protocol):
    """The items of a part, in an order that stays the same as long as the source does."""

    def items(self, start: int) -> AsyncGenerator[Any]:
        """Return the items from the *start*-th on, without what stands before in memory."""
        ...

    def reread(self, sample: AbstractSet[int]) -> AsyncGenerator[Any]:
        """Return all items once more; those at the places of *sample* have their embedding, others may lack it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The records of a source that go to one domain.

    Attributes:
        theirs: What the source calls them, for people; stays the same when it is opened again.
        domain: The domain that they go to unless told otherwise.
        count: How many there are.
        rows: The items.
    """

    theirs: str
    domain: str = DEFAULT_DOMAIN
    count: int
    rows: Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A source that is open.

    Attributes:
        title: What it is, for people, without secrets.
        parts: Its records, by the domain that they go to.
        fields: What becomes of its columns and keys.
        dimensions: Length of the embeddings; `None` where it has none.
        distance: How they are compared there; `None` where nothing says it.
        vector_type: Type of their column; `None` where it has none.
        sparse_dimensions: Dimensions of the sparse embeddings; `None` where it has none.
        convert: Makes a record of an item; what it raises is the reason why an item is set aside.
        marker: What changes when the source does, beside the number of its items.
        notes: What should be known before anything is moved.
    """

    title: str
    parts: tuple[Part, ...]
    fields: tuple[FieldMap, ...]
    dimensions: int | None
    distance: Distance | None = None
    vector_type: VectorType | None = None
    sparse_dimensions: int | None = None
    convert: Callable[[Any], Record] = as_record
    marker: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def count(self) -> int:
        """How many items it has."""
        return sum(part.count for part in self.parts)

    def run(self, part: Part) -> str:
        """Return the name of the run that moves *part*: another one once the source has changed."""
        told = "\0".join([self.title, self.marker, part.theirs, str(part.count)])
        return f"move {blake2b(told.encode(), digest_size=12).hexdigest()}"


class Source(ABC):
    """Where records are moved in from; a value that says where, and opens nothing yet."""

    @abstractmethod
    def opened(self, client: AsyncClient) -> AbstractAsyncContextManager[Opened]:
        """Return a context manager that opens the source and gives what is in it.

        Args:
            client: The target's client, in whose database is looked where the source does not say another one.
        """


async def first(part: Part, count: int) -> list[Any]:
    """Return the first items of a part, *count* at most."""
    found: list[Any] = []
    async with aclosing(part.rows.items(0)) as items:
        async for item in items:
            found.append(item)
            if len(found) >= count:
                break
    return list(islice(found, count))
