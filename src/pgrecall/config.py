"""Settings, as frozen values that check themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003 - pydantic resolves it in models with such settings
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Literal

from pgrecall.checks import (
    check_choice,
    check_flag,
    check_identifier,
    check_instance,
    check_number,
    check_range,
    is_text,
)
from pgrecall.columns import Columns
from pgrecall.distance import Distance, VectorType
from pgrecall.errors import ConfigError
from pgrecall.layout import Layout
from pgrecall.plan import Access
from pgrecall.promoted import CONTENT, parse_fields
from pgrecall.text_search import TextSearch

if TYPE_CHECKING:
    from pgrecall.promoted import PromotedField

MAX_K: Final = 10_000
_MAX_MODEL: Final = 200
CODE_COLUMN: Final = "embedding_code"
"""Name of the column for the embeddings' codes, which tables with promoted fields have; see `codes`."""
MAX_SPARSE_DIMENSIONS: Final = 1_000_000_000
"""The most that a column of sparse embeddings can have."""


ORIGINAL_MODEL: Final = "original"
"""What the model is called whose embeddings a collection was made with."""


def check_model(name: object) -> str:
    """Return *name* if it can be that of a model.

    Raises:
        ConfigError: It is no text that can be stored, empty, or longer than 200 characters.
    """
    if not is_text(name) or not name.strip() or len(name) > _MAX_MODEL:
        msg = f"a model's name must be a text of 1 to {_MAX_MODEL} characters, not {name!r:.80}"
        raise ConfigError(msg)
    return name


def model_column(name: str) -> str:
    """Return the name of the column that holds the embeddings of a model."""
    readable = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:32]
    return f"embedding_{readable}_{sha256(name.encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HNSW:
    """An HNSW index: the default; takes rows at any time.

    Attributes:
        m: Links of a node, 2 to 100.
        ef_construction: Candidates looked at for a new node, 4 to 1000, at least twice *m*.
        quantization: What the index holds: ``"none"``, the embeddings as they are; ``"halfvec"``, in half
            precision; ``"bit"``, their signs. What a coarser index finds is ordered anew by the embeddings
            themselves. `None` chooses the finest that pgvector can index: as they are up to 2,000
            dimensions, halfvec up to 4,000, bit above.
    """

    m: int = 16
    ef_construction: int = 64
    quantization: Literal["none", "halfvec", "bit"] | None = None

    def __post_init__(self) -> None:
        check_range(self.m, "m", 2, 100)
        check_range(self.ef_construction, "ef_construction", 4, 1000)
        if self.ef_construction < 2 * self.m:
            msg = f"ef_construction ({self.ef_construction}) must be at least twice m ({self.m})"
            raise ConfigError(msg)
        check_choice(self.quantization, "quantization", (None, "none", "halfvec", "bit"))


@dataclass(frozen=True, slots=True, kw_only=True)
class IVFFlat:
    """An IVFFlat index: quick to build, wants its rows loaded first.

    Attributes:
        lists: Number of cells, 1 to 32768; `None` chooses by pgvector's rule, rows / 1000 up to a
            million rows and the square root of the rows above.
    """

    lists: int | None = None

    def __post_init__(self) -> None:
        if self.lists is not None:
            check_range(self.lists, "lists", 1, 32_768)


Index = HNSW | IVFFlat


def check_index(index: object, wanted: str = "an HNSW or an IVFFlat") -> None:
    """Raise `ConfigError` where *index* is not the kind and parameters of one."""
    check_instance(index, "index", Index, wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionConfig:
    """What a collection is: one table and how its rows are compared.

    Attributes:
        name: Name of the table.
        dimensions: Length of the embeddings; `None` takes it from the table, or from the first write.
        distance: How embeddings are compared; `None` takes what the table was made with, and cosine
            (Hamming on bit) for a new one. A synonym as a string is understood too.
        any_distance: Whether a handle may compare by another distance than the table was made with. Searches by
            each distance are served by an index of its own.
        schema: Schema of the table; made where it is missing.
        vector_type: Type of the embedding's column; `None` takes the table's, and vector for a new one.
        id_type: ``"uuid"`` makes a uuid column, which takes no other ids.
        columns: Names of the columns.
        fields: Metadata keys that get a typed, indexed column of their own, so that filters on them are
            fast: ``{"year": int, "category": str, "tags": list[str], "published": date}``. ``"$content": str``
            has `create_index` index the content's trigrams too (extension pg_trgm), which ``$contains`` and
            patterns on it use. A table that is made has them from the start;
            `AsyncCollection.add_fields` adds them later.
        text_search: That the content can be searched by its words, and in which language it is:
            ``"english"``, or a `TextSearch`. A table that is made has the column for it from the start;
            `AsyncCollection.add_text_search` adds it later.
        sparse_dimensions: That records can have a sparse embedding too, and how many dimensions those have: the
            size of the encoder's vocabulary, up to 1,000,000,000. Needs pgvector 0.7. A table that is made has
            the column for it from the start; `AsyncCollection.add_sparse_embeddings` adds it later.
        index: The vector index that is built by itself, in the background, once there are
            *min_rows_for_index* rows: ``"auto"`` for HNSW, or kind and parameters. `None` builds none
            before `AsyncCollection.create_index` is called.
        min_rows_for_index: Below this, comparing all rows is fast enough.
        model: The model whose embeddings are searched and written, where the collection has those of several, as
            `AsyncCollection.reembed` makes them. `None` for those that the collection was made with.
        setup: ``"create"`` makes what is missing; ``"validate"`` only checks, and never changes anything.
        layout: `HashPartitions` or `ListPartitions` makes a table with partitions by domain; `None` takes what the
            table has, and makes one without.
        row_level_security: Whether PostgreSQL itself keeps domains apart: a table that is made gets policies,
            and one that exists must have them (`AsyncCollection.secure` adds them). They bind every role but
            superusers and those with BYPASSRLS; see `AsyncCollection.grant` for the role to work as.
    """

    name: str
    dimensions: int | None = None
    distance: Distance | None = None
    any_distance: bool = False
    schema: str = "public"
    vector_type: VectorType | None = None
    id_type: Literal["text", "uuid"] = "text"
    columns: Columns = field(default_factory=Columns)
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)
    text_search: TextSearch | str | None = None
    sparse_dimensions: int | None = None
    index: Literal["auto"] | Index | None = None
    min_rows_for_index: int = 10_000
    model: str | None = None
    setup: Literal["create", "validate"] = "create"
    layout: Layout | None = None
    row_level_security: bool = False

    def __post_init__(self) -> None:
        check_identifier(self.name, "collection name")
        check_identifier(self.schema, "schema")
        check_flag(self.any_distance, "any_distance")
        check_instance(self.columns, "columns", Columns, "a Columns")
        if self.distance is not None:
            object.__setattr__(self, "distance", Distance.parse(self.distance))
        if self.vector_type is not None:
            object.__setattr__(self, "vector_type", VectorType.parse(self.vector_type))
            self.new_distance.check_type(self.new_vector_type)
        if self.dimensions is not None:
            check_range(self.dimensions, "dimensions", 1, self.new_vector_type.max_dimensions)
        self._check_sparse()
        check_choice(self.id_type, "id_type", ("text", "uuid"))
        if self.model is not None:
            check_model(self.model)
        check_choice(self.setup, "setup", ("create", "validate"))
        if not (self.index is None or (isinstance(self.index, str) and self.index == "auto")):
            check_index(self.index, "None, 'auto', an HNSW or an IVFFlat")
        check_range(self.min_rows_for_index, "min_rows_for_index", 1, 2**63 - 1)
        if self.columns.newest_by is not None and self.setup == "create":
            msg = "Columns.newest_by is for a table that is there and stays as it is: pass setup='validate' with it"
            raise ConfigError(msg)
        self._check_layout()
        self._check_security()
        if self.promoted and self.columns.metadata is None:
            msg = "fields are promoted from the metadata, for which columns maps no column"
            raise ConfigError(msg)
        object.__setattr__(self, "text_search", TextSearch.of(self.text_search))
        if self.words is not None:
            self._check_words(self.words)
        names = {CODE_COLUMN, *self.columns.mapping().values(), *self.columns.metadata_columns}
        names |= set() if self.words is None else {self.words.column}
        taken = {field.column for field in self.promoted} & names
        if taken:
            msg = f"fields cannot be called {sorted(taken)}: the table has columns of these names"
            raise ConfigError(msg)

    def _check_layout(self) -> None:
        if self.layout is None:
            return
        check_instance(self.layout, "layout", Layout, "HashPartitions(count=…), ListPartitions() or None")
        if self.columns.domain_id is None:
            msg = "partitions are by domain, for which columns maps no column"
            raise ConfigError(msg)
        if CONTENT in self.fields:
            msg = (
                f"the content's trigrams are indexed without blocking writers, which partitions are not: no {CONTENT!r}"
            )
            raise ConfigError(msg)
        if isinstance(self.index, IVFFlat):
            msg = "partitions are indexed by HNSW only: an IVFFlat index would need other lists in each"
            raise ConfigError(msg)

    def _check_security(self) -> None:
        check_flag(self.row_level_security, "row_level_security")
        if self.row_level_security and self.columns.domain_id is None:
            msg = "row_level_security keeps domains apart, for which columns maps no column"
            raise ConfigError(msg)

    @property
    def words(self) -> TextSearch | None:
        """How the content is searched by its words, as it is understood."""
        return TextSearch.of(self.text_search)

    def _check_sparse(self) -> None:
        if self.sparse_dimensions is None:
            return
        check_range(self.sparse_dimensions, "sparse_dimensions", 1, MAX_SPARSE_DIMENSIONS)
        if self.columns.sparse_embedding is None:
            msg = "sparse_dimensions is of the sparse embeddings, for which columns maps no column"
            raise ConfigError(msg)

    def _check_words(self, words: TextSearch) -> None:
        if self.columns.content is None:
            msg = "text_search is of the content, for which columns maps no column"
            raise ConfigError(msg)
        if words.language_key is not None and self.columns.metadata is None:
            msg = "language_key is read from the metadata, for which columns maps no column"
            raise ConfigError(msg)
        if words.column in {CODE_COLUMN, *self.columns.mapping().values(), *self.columns.metadata_columns}:
            msg = f"the column of text_search cannot be called {words.column!r}: the table has a column of this name"
            raise ConfigError(msg)

    @property
    def promoted(self) -> tuple[PromotedField, ...]:
        """The fields, as they are understood."""
        return parse_fields(self.fields)

    @property
    def new_vector_type(self) -> VectorType:
        """The column type of a table that is made."""
        if self.vector_type is not None:
            return self.vector_type
        return VectorType.BIT if self.distance in (Distance.HAMMING, Distance.JACCARD) else VectorType.VECTOR

    @property
    def new_distance(self) -> Distance:
        """The distance of a table that is made."""
        if self.distance is not None:
            return self.distance
        return Distance.HAMMING if self.vector_type is VectorType.BIT else Distance.COSINE


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """Overrides of the planner for one search; `None` leaves the choice to it.

    Attributes:
        exact: `True` compares all rows that pass the filter and uses no vector index.
        access: The way to the rows; see `Access`.
        ef_search: HNSW candidates, 1 to 1000.
        probes: IVFFlat cells looked at.
        overfetch: How many times k an approximate way fetches before the best k are kept.
        max_scan_tuples: Most rows an iterative index scan looks at.
    """

    exact: bool = False
    access: Access | None = None
    ef_search: int | None = None
    probes: int | None = None
    overfetch: int | None = None
    max_scan_tuples: int | None = None

    def __post_init__(self) -> None:
        check_flag(self.exact, "exact")
        limits = {"ef_search": 1000, "probes": 32_768, "overfetch": 100, "max_scan_tuples": 2**31 - 1}
        for name, high in limits.items():
            if (value := getattr(self, name)) is not None:
                check_range(value, name, 1, high)
        if self.access is not None:
            check_choice(self.access, "access", tuple(Access))
            object.__setattr__(self, "access", Access(self.access))
        if self.exact and self.access not in (None, Access.EXACT):
            msg = f"exact=True and access={self.access.value!r} contradict each other"
            raise ConfigError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class MMR:
    """How a search by maximal marginal relevance weighs nearness against variety; see `pgrecall.mmr`.

    Attributes:
        fetch_k: Nearest records to pick from; never fewer than k are looked at.
        lambda_mult: From 0, as varied as possible, to 1, simply the nearest.
    """

    fetch_k: int = 20
    lambda_mult: float = 0.5

    def __post_init__(self) -> None:
        check_range(self.fetch_k, "fetch_k", 1, MAX_K)
        check_number(self.lambda_mult, "lambda_mult", 0, 1)
