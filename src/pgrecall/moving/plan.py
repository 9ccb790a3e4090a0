"""What a move would do: where each record would go, and as what; nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from pgrecall.checks import check_range
from pgrecall.config import HNSW, CollectionConfig, IVFFlat, model_column
from pgrecall.distance import VectorType
from pgrecall.errors import ConfigError, DimensionMismatch
from pgrecall.moving.adopted import VECTORS
from pgrecall.moving.source import FieldMap, Opened, Part, first
from pgrecall.scope import Scope

if TYPE_CHECKING:
    from pgrecall.collection import AsyncClient
    from pgrecall.config import Index
    from pgrecall.records import Record

_SHOWN: Final = 3
_MOST_SAMPLED: Final = 100_000
_MOST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveOptions:
    """How to move in.

    Attributes:
        domain: The domain that everything goes to; each part's own unless given.
        domains: What a domain of the source is called here, where it is to be called differently.
        write_batch: Records that are written, and checkpointed, in one transaction.
        max_failures: How many records of a part may be set aside before it stops; `None` for any number.
        verify: Whether to read the source once more and hold what is stored against it.
        sample: Of how many records, drawn at random, the embeddings are compared too; of all others text, metadata,
            document and place are.
        index: The vector index to build at the end.
    """

    domain: str | None = None
    domains: Mapping[str, str] = field(default_factory=dict[str, str])
    write_batch: int = 2_000
    max_failures: int | None = 1_000
    verify: bool = True
    sample: int = 1_000
    index: Index | None = None

    def __post_init__(self) -> None:
        check_range(self.write_batch, "write_batch", 1, 100_000)
        check_range(self.sample, "sample", 0, _MOST_SAMPLED)
        if self.max_failures is not None:
            check_range(self.max_failures, "max_failures", 0, _MOST)
        if not isinstance(self.domains, Mapping):
            msg = f"domains must be a mapping of the source's domains to ours, not {type(self.domains).__name__}"
            raise ConfigError(msg)
        for name in (*self.domains.values(), *([] if self.domain is None else [self.domain])):
            Scope.of(name)
        if self.index is not None and not isinstance(self.index, HNSW | IVFFlat):
            msg = f"index must be an HNSW or an IVFFlat, not {type(self.index).__name__}"
            raise ConfigError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartPlan:
    """Where the records of a part would go.

    Attributes:
        theirs: What the source calls them.
        domain: The domain that they would go to.
        count: How many there are.
    """

    theirs: str
    domain: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MovePlan:
    """What a move would do.

    Attributes:
        source: What is moved in from.
        collection: What the collection is, or would be made as.
        exists: Whether it is there already.
        parts: Where the records would go.
        fields: What becomes of the source's columns and keys.
        examples: The first records, as they would be written.
        faults: Why some of the first items cannot be, if so.
        notes: What should be known before.
    """

    source: str
    collection: CollectionConfig
    exists: bool
    parts: tuple[PartPlan, ...]
    fields: tuple[FieldMap, ...]
    examples: tuple[Record, ...]
    faults: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many records there are in all."""
        return sum(part.count for part in self.parts)

    def __str__(self) -> str:
        config = self.collection
        kind = "" if self.exists else f" vector_type {config.new_vector_type}, distance {config.new_distance},"
        made = "exists" if self.exists else "is made"
        lines = [
            f"{self.source}: {self.count} records",
            f"to {config.schema}.{config.name}, which {made}:{kind} {config.dimensions} dimensions",
            *(f"  {part.theirs}: {part.count} records to domain {part.domain!r}" for part in self.parts),
            *(f"  {one}" for one in self.fields),
            *(f"  note: {note}" for note in self.notes),
            *(f"  fault: {fault}" for fault in self.faults),
        ]
        return "\n".join(lines)


async def planned(
    opened: Opened, client: AsyncClient, collection: str | CollectionConfig, options: MoveOptions
) -> MovePlan:
    """Return what a move of *opened* would do.

    Raises:
        ConfigError: Several domains would go to one.
        DimensionMismatch: The collection is there, with other dimensions.
    """
    config, exists = await _target(opened, client, collection)
    parts = [
        PartPlan(theirs=part.theirs, domain=domain_of(opened, part, options), count=part.count) for part in opened.parts
    ]
    examples, faults = await _examples(opened)
    return MovePlan(
        source=opened.title,
        collection=config,
        exists=exists,
        parts=tuple(parts),
        fields=opened.fields,
        examples=tuple(examples),
        faults=tuple(faults),
        notes=opened.notes,
    )


def domain_of(opened: Opened, part: Part, options: MoveOptions) -> str:
    """Return the domain that a part goes to.

    Raises:
        ConfigError: It cannot be one, or several domains of the source would go to one.
    """
    if options.domain is not None:
        if len({one.domain for one in opened.parts}) > 1:
            msg = (
                f"{opened.title} has several domains, in which ids may be the same: leave domain out to keep them, or "
                "say with domains what each is to be called"
            )
            raise ConfigError(msg)
        return options.domain
    return str(Scope.of(options.domains.get(part.domain, part.domain)).domain)


async def _target(
    opened: Opened, client: AsyncClient, collection: str | CollectionConfig
) -> tuple[CollectionConfig, bool]:
    """Return what is written to, with what nobody has said taken from the source, and whether it is there."""
    config = CollectionConfig(name=collection) if isinstance(collection, str) else collection
    found = {column.name: column for column in await client.describe_table(config.name, schema=config.schema)}
    if found:
        column = found.get(config.columns.embedding if config.model is None else model_column(config.model))
        length = config.dimensions if column is None else column.length
        if None not in (length, opened.dimensions) and length != opened.dimensions:
            msg = (
                f"{config.schema}.{config.name} holds embeddings of {length} dimensions, and {opened.title} has "
                f"{opened.dimensions}"
            )
            raise DimensionMismatch(msg)
        kind = None if column is None or column.type not in VECTORS else VectorType.parse(column.type)
        return replace(config, dimensions=length, vector_type=config.vector_type or kind), True
    inferred: dict[str, Any] = {}
    for name in ("dimensions", "distance", "vector_type"):
        if getattr(config, name) is None:
            inferred[name] = getattr(opened, name)
    return replace(config, **inferred), False


async def _examples(opened: Opened) -> tuple[list[Record], list[str]]:
    examples: list[Record] = []
    faults: list[str] = []
    for part in opened.parts[:_SHOWN]:
        for place, item in enumerate(await first(part, _SHOWN)):
            try:
                examples.append(opened.convert(item))
            except Exception as error:  # noqa: BLE001 - whatever a conversion raises is about its item
                faults.append(f"{part.theirs}, item {place}: {error}")
    return examples[:_SHOWN], faults
