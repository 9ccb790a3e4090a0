"""One table's facts, as the catalog gives them, held against a configuration."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pgrecall import jsonb
from pgrecall.columns import LOGICAL_COLUMNS, Columns
from pgrecall.config import CODE_COLUMN, ORIGINAL_MODEL, CollectionConfig
from pgrecall.distance import Distance, VectorType
from pgrecall.errors import DimensionMismatch, SchemaError
from pgrecall.filters import Key
from pgrecall.layout import MAX_PARTITIONS, HashPartitions, Layout, ListPartitions
from pgrecall.postgres import model_notes
from pgrecall.postgres.lexemes import text_column
from pgrecall.postgres.lookup_views import lookups
from pgrecall.postgres.printed import QUANTIZED, condition_of, unquoted
from pgrecall.postgres.vector_indexes import served, sparse_column, vector_index
from pgrecall.promoted import FieldType, PromotedField
from pgrecall.sql import promoted
from pgrecall.sql.ddl import COMMENT_PREFIX
from pgrecall.sql.dml import ADOPTABLE_ID_TYPES
from pgrecall.sql.security import DOMAINS, OWNER_POLICY, POLICY
from pgrecall.table import FieldIndex, SparseColumn, Table, VectorIndex
from pgrecall.table_columns import MetadataColumn

if TYPE_CHECKING:
    from collections.abc import Iterator

_COLUMN_TYPES: Final = {
    "domain_id": ("text", "character varying", "uuid"),
    "document_id": ("text", "character varying"),
    "chunk_index": ("integer", "bigint", "smallint"),
    "content": ("text", "character varying"),
    "metadata": ("jsonb", "json"),
    "metadata_types": ("jsonb",),
    "created_at": ("timestamp with time zone",),
    "content_hash": ("bytea",),
    "envelope": ("jsonb",),
}
_OF_LIMITED_LENGTH: Final = ("character varying", "character")
# A type's modifier is the length with that of a header, which is no longer stored.
_LENGTH_HEADER: Final = 4
_TUNABLE: Final = ("ef_search", "probes")


class Description:
    """One table's facts, held against a configuration."""

    def __init__(self, config: CollectionConfig, facts: dict[str, Any], vector_schema: str) -> None:
        self._config = config
        self._facts = facts
        self._vector_schema = vector_schema
        self._columns: dict[str, dict[str, Any]] = {column["name"]: column for column in facts["columns"] or ()}
        self._faults: list[str] = []
        comment = facts["comment"] or ""
        ours = comment.startswith(COMMENT_PREFIX)
        self._settings: dict[str, Any] = jsonb.loads(comment.removeprefix(COMMENT_PREFIX)) if ours else {}

    def table(self) -> Table:
        """Return the table.

        Raises:
            SchemaError: It does not fit the configuration.
            DimensionMismatch: Its embeddings have another length.
        """
        columns = self._present()
        self._check_types(columns)
        metadata_columns = self._metadata_columns(columns)
        vector_type, dimensions = self._embedding(columns)
        sparse = self._sparse(columns.sparse_embedding)
        security = self._security(columns)
        if self._faults:
            msg = f"table {self._config.schema}.{self._config.name} does not fit: {'; '.join(self._faults)}"
            raise SchemaError(msg)
        distance = self._distance(vector_type)
        fields = self._fields()
        code = self._code(columns.embedding)
        key = self._key(columns)
        written = {*columns.mapping().values(), *columns.metadata_columns}
        return Table(
            schema=self._config.schema,
            name=self._config.name,
            columns=columns,
            id_type=self._columns[columns.id]["sql"],
            vector_type=vector_type,
            dimensions=dimensions,
            distance=distance,
            embedding_nullable=self._columns[columns.embedding]["nullable"],
            key=key,
            vector_schema=self._vector_schema,
            unfilled=tuple(
                name
                for name, c in self._columns.items()
                if name not in written and not c["nullable"] and not c["filled"]
            ),
            indexes=tuple(self._indexes(columns.embedding, vector_type, distance, fields)),
            rows=self._facts["rows"],
            writable=self._facts["writable"],
            fields=fields,
            code=code,
            field_indexes=tuple(self._field_indexes(fields, columns.domain_id, {*key, code or ""})),
            content_wanted=bool(self._settings.get("content_indexed")),
            content_indexed=self._content_indexed(columns.content),
            pages=self._facts["pages"],
            all_visible=min(1.0, self._facts["visible"] / max(self._facts["pages"], 1)),
            partitioned=self._facts["partitioned"],
            layout=self._layout(columns.domain_id),
            tuned=tuple((name, self._settings[name]) for name in _TUNABLE if name in self._settings),
            domain_type=self._type_of(columns.domain_id, "text"),
            metadata_type=self._type_of(columns.metadata, "jsonb"),
            metadata_made="version" in self._settings,
            metadata_columns=metadata_columns,
            sized=self._columns[columns.embedding]["modifier"] > 0,
            text=(text := text_column(self._config, self._facts, columns.content)),
            sparse=sparse,
            **lookups(self._facts["lookups"], columns, text, fields),
            **security,
        )

    def _layout(self, domain: str | None) -> Layout | None:
        """Return the partitions by domain, as the catalog has them; they must be those that are asked for."""
        facts, asked = self._facts["partitions"], self._config.layout
        made: Layout | None = None
        if facts is not None and (facts["keys"], facts["column"]) == (1, domain):
            # Of theirs there may be one partition, or thousands.
            if facts["strategy"] == "h" and 2 <= facts["count"] <= MAX_PARTITIONS:  # noqa: PLR2004
                made = HashPartitions(count=facts["count"])
            elif facts["strategy"] == "l" and facts["others"]:
                made = ListPartitions()
        if asked is not None and asked != made:
            msg = (
                f"layout={asked} was asked for, but {self._config.schema}.{self._config.name} has "
                f"{made or 'no such partitions'}; copy_to() a collection that is made with it"
            )
            raise SchemaError(msg)
        return made

    def _security(self, columns: Columns) -> dict[str, Any]:
        """Return whom row-level security binds; a fault where our policies are asked for and are not there alone."""
        found: dict[str, str] = self._facts["policies"] or {}
        others = sorted(found.keys() - {POLICY, OWNER_POLICY})
        policed = bool(self._facts["forced"] and columns.domain_id and DOMAINS in found.get(POLICY, ""))
        if self._config.row_level_security and not policed:
            self._faults.append("row_level_security was asked for, and its policies are missing: secure() adds them")
        elif self._config.row_level_security and others:
            self._faults.append(f"beside the policies of row_level_security there are {others}, which let more pass")
        return {"policed": policed} | {name: self._facts[name] for name in ("secured", "owner", "owned")}

    def _type_of(self, column: str | None, absent: str) -> str:
        return absent if column is None else self._columns[column]["sql"]

    def _metadata_columns(self, columns: Columns) -> tuple[MetadataColumn, ...]:
        found: list[MetadataColumn] = []
        for name in columns.metadata_columns:
            column = self._columns.get(name)
            if column is None:
                self._faults.append(f"there is no metadata column {name!r}; its columns are {sorted(self._columns)}")
            elif column["generated"]:
                self._faults.append(f"column {name!r} is generated, so no metadata can be written to it")
            else:
                limited = column["sql"] in _OF_LIMITED_LENGTH and column["modifier"] > _LENGTH_HEADER
                found.append(
                    MetadataColumn(
                        name=name,
                        type=column["sql"],
                        type_name=(column["type_schema"], column["type"]),
                        limit=column["modifier"] - _LENGTH_HEADER if limited else None,
                        nullable=column["nullable"],
                    )
                )
        return tuple(found)

    def _present(self) -> Columns:
        """Return the mapping without the default names that the table lacks."""
        wanted, defaults = self._config.columns, Columns()
        if self._config.model not in (None, ORIGINAL_MODEL):
            wanted = replace(wanted, embedding=model_notes.column(self._config, self._columns))
        missing: dict[str, None] = {}
        for logical in LOGICAL_COLUMNS:
            name = getattr(wanted, logical)
            if name is None or name in self._columns:
                continue
            if logical == "embedding":
                model_notes.check_original(self._config, self._columns)
            # What the configuration says that a table has, and what is added to one that is there.
            added = logical == "sparse_embedding" and self._config.sparse_dimensions is not None
            if logical in ("id", "embedding") or (name != getattr(defaults, logical) and not added):
                self._faults.append(
                    f"there is no column {name!r} for {logical}; its columns are {sorted(self._columns)}"
                )
            else:
                missing[logical] = None
        if wanted.newest_by is not None and wanted.newest_by not in self._columns:
            self._faults.append(f"there is no column {wanted.newest_by!r} for newest_by")
        return replace(wanted, **missing)  # pyright: ignore[reportArgumentType] - only optional columns

    def _check_types(self, columns: Columns) -> None:
        expected = {**_COLUMN_TYPES, "id": ADOPTABLE_ID_TYPES}
        for logical, name in columns.mapping().items():
            column = self._columns.get(name)
            if column is not None and logical in expected and column["sql"] not in expected[logical]:
                self._faults.append(
                    f"column {name!r} for {logical} is {column['sql']}, not {' or '.join(expected[logical])}"
                )
        made = columns.id in self._columns and self._columns[columns.id]["sql"]
        if self._config.id_type == "uuid" and made not in ("uuid", False):
            self._faults.append(f"id_type='uuid' was asked for, but column {columns.id!r} is {made}")

    def _embedding(self, columns: Columns) -> tuple[VectorType, int | None]:
        column = self._columns.get(columns.embedding)
        if column is None:
            return self._config.new_vector_type, self._config.dimensions
        try:
            vector_type = VectorType(column["type"])
        except ValueError:
            self._faults.append(f"column {columns.embedding!r} is {column['sql']}, not vector, halfvec or bit")
            return self._config.new_vector_type, None
        # What the configuration says, it says of the embeddings that the table was made with.
        ours = not model_notes.model_in(column)
        asked = self._config.vector_type if ours else None
        if asked is not None and asked is not vector_type:
            self._faults.append(
                f"vector_type={asked.value!r} was asked for, but column {columns.embedding!r} is {column['sql']}"
            )
        dimensions = column["modifier"] if column["modifier"] > 0 else None
        wanted = self._config.dimensions if ours else None
        if wanted is not None and dimensions is not None and wanted != dimensions:
            msg = (
                f"collection {self._config.name!r} holds embeddings of {dimensions} dimensions, not {wanted}; "
                "was it made with another model?"
            )
            raise DimensionMismatch(msg)
        return vector_type, dimensions or wanted

    def _distance(self, vector_type: VectorType) -> Distance:
        """Return the distance that the table was made with; a table that is not ours takes what is asked."""
        asked = self._config.distance
        if "distance" in self._settings:
            made = Distance.parse(self._settings["distance"])
            if asked is not None and self._config.any_distance:
                asked.check_type(vector_type)
                return asked
            if asked is not None and made is not asked:
                msg = f"collection {self._config.name!r} was made for {made.value} distance, not {asked.value}"
                raise SchemaError(msg)
            return made
        chosen = asked or (Distance.HAMMING if vector_type is VectorType.BIT else Distance.COSINE)
        chosen.check_type(vector_type)
        return chosen

    def _key(self, columns: Columns) -> tuple[str, ...]:
        """Return the unique key that upserts use: (domain, id) before id alone, the primary one first."""
        keys = sorted(self._facts["keys"] or (), key=lambda key: not key["primary"])
        wanted = [{columns.id}] if columns.domain_id is None else [{columns.domain_id, columns.id}, {columns.id}]
        for names in wanted:
            for key in keys:
                if set(key["columns"] or ()) == names:
                    return tuple(key["columns"])
        return ()

    def _fields(self) -> tuple[PromotedField, ...]:
        """Return the promoted fields that are filled; the configuration must not say another type."""
        found: list[PromotedField] = []
        for name, column in self._columns.items():
            facts = promoted.noted(column["comment"])
            if "key" not in facts or "filling" in facts:
                continue
            field = PromotedField(Key(tuple(facts["key"])), FieldType(facts["type"]), facts.get("correlation"))
            if field.column == name:
                found.append(field)
        for wanted in self._config.promoted:
            made = next((field for field in found if field.key == wanted.key), wanted)
            if made.type is not wanted.type:
                msg = (
                    f"field {wanted.column!r} of {self._config.schema}.{self._config.name} holds {made.type.value}, "
                    f"not {wanted.type.value}"
                )
                raise SchemaError(msg)
        return tuple(found)

    def _code(self, embedding: str) -> str | None:
        """Return the column of the codes, which are those of the embeddings that the table was made with."""
        if model_notes.model_in(self._columns[embedding]):
            return None
        column = self._columns.get(CODE_COLUMN)
        facts = {} if column is None else promoted.noted(column["comment"])
        return CODE_COLUMN if "code" in facts and "filling" not in facts else None

    def _sparse(self, name: str | None) -> SparseColumn | None:
        """Return the column with the sparse embeddings, and what indexes are on it."""
        column = None if name is None else self._columns.get(name)
        if name is None or column is None:
            return None
        if column["type"] != "sparsevec" or column["modifier"] <= 0:
            size = " of no set number of dimensions" if column["type"] == "sparsevec" else ""
            self._faults.append(
                f"column {name!r} for sparse_embedding is {column['sql']}{size}, not sparsevec(n); "
                "Columns(sparse_embedding=None) leaves it alone"
            )
            return None
        return sparse_column(self._config, name, column["modifier"], self._facts["indexes"] or ())

    def _content_indexed(self, content: str | None) -> bool:
        return any(
            index["valid"] and index["class"] == "gin_trgm_ops" and index["columns"] == [content]
            for index in self._facts["indexes"] or ()
            if index["condition"] is None and not index["expressions"]
        )

    def _field_indexes(
        self, fields: tuple[PromotedField, ...], domain: str | None, needed: set[str]
    ) -> Iterator[FieldIndex]:
        columns = {field.column: field for field in fields}
        scalar = {field.column for field in fields if field.is_scalar}
        for index in self._facts["indexes"] or ():
            held: list[str] = index["columns"] or []
            if index["expressions"] or index["condition"] is not None or index["method"] not in ("btree", "gin"):
                continue
            lead = held[: index["keys"]]
            if domain is not None and lead[:1] == [domain]:
                lead = lead[1:]
            if len(lead) == 1 and lead[0] in columns:
                covering = index["method"] == "btree" and CODE_COLUMN in needed and scalar | needed <= set(held)
                yield FieldIndex(name=index["name"], column=lead[0], valid=index["valid"], covering=covering)

    def _indexes(
        self, embedding: str, vector_type: VectorType, distance: Distance, fields: tuple[PromotedField, ...]
    ) -> Iterator[VectorIndex]:
        for index in self._facts["indexes"] or ():
            if index["method"] not in ("hnsw", "ivfflat"):
                continue
            quantized: VectorType | None = None
            if index["expressions"]:
                shape = QUANTIZED.fullmatch(index["expression"])
                if shape is None or unquoted(shape["column"]) != embedding:
                    continue
                quantized = VectorType(shape["type"])
            elif (index["columns"] or [])[:1] != [embedding]:
                continue
            condition = None
            if index["condition"] is not None:
                condition = condition_of(index["condition"], {field.column: field for field in fields})
                if condition is None:
                    continue
            distance_served = served(index["class"], quantized, vector_type, distance)
            yield replace(vector_index(index, distance_served), quantized=quantized, condition=condition)
