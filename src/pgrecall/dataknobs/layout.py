"""The table of a store: the one that is made, and those that dataknobs has made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pgrecall.errors import ConfigError
from pgrecall.moving.tables import fitting
from pgrecall.scope import DEFAULT_DOMAIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrecall.collection import AsyncClient, AsyncCollection
    from pgrecall.config import CollectionConfig
    from pgrecall.dataknobs.options import StoreOptions
    from pgrecall.table_columns import TableColumn


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How rows lie in the table, and who may see which of them.

    Attributes:
        rows: A handle on the rows of the store: those of its domain, or all of them.
        target: A handle on where the store puts new rows: into its domain, or the default one.
        id_type: Type of the ids.
        apart: Whether ids are unique in their domain, and not over all of them.
        most: Most characters of a document's id; `None` for any number.
    """

    rows: AsyncCollection
    target: AsyncCollection
    id_type: str
    apart: bool
    most: int | None = None

    @property
    def is_divided(self) -> bool:
        """Whether an id by itself can mean several rows."""
        return self.apart and self.rows.scope.is_everything


async def lay_out(client: AsyncClient, options: StoreOptions) -> Layout:
    """Return how the table is laid out, be it there or not.

    A table that is made has the domain in its key, so that two domains can have the same id. The tables
    of dataknobs have the id alone; a store without a domain then leaves the domain's column out of everything.

    Raises:
        ConfigError: The store's domain is longer than its column takes.
    """
    columns = options.names
    found = {column.name: column for column in await client.describe_table(options.table_name, schema=options.schema)}
    if not found:
        made = options.table(columns)
        rows, target = _handles(client, made, options.domain_id)
        return Layout(rows=rows, target=target, id_type=made.id_type, apart=True)
    columns = fitting(columns, list(found.values()))
    domain = found.get(columns.domain_id or "")
    apart = domain is not None and domain.primary_key
    if domain is not None and options.domain_id is not None:
        _check_length(options.domain_id, domain)
    if not apart and options.domain_id is None:
        columns = replace(columns, domain_id=None)
    document = found.get(columns.document_id or "")
    rows, target = _handles(client, options.table(columns), options.domain_id)
    return Layout(
        rows=rows,
        target=target,
        id_type=_type_of(columns.id, list(found.values())),
        apart=apart,
        most=None if document is None else document.length,
    )


def _handles(
    client: AsyncClient, config: CollectionConfig, domain: str | None
) -> tuple[AsyncCollection, AsyncCollection]:
    target = client.collection(config, domain=DEFAULT_DOMAIN if domain is None else domain)
    return (target.all_domains() if domain is None else target), target


def _check_length(domain: str, column: TableColumn) -> None:
    if column.length is not None and len(domain) > column.length:
        msg = f"domain_id {domain!r:.80} is longer than the {column.length} characters of column {column.name!r}"
        raise ConfigError(msg)


def _type_of(name: str, columns: Sequence[TableColumn]) -> str:
    return next((column.type for column in columns if column.name == name), "text")
