"""Which models' embeddings a table has, by what is noted with its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pgrecall.config import model_column
from pgrecall.errors import ModelNotFound, ModelNotReady
from pgrecall.sql.models import noted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgrecall.config import CollectionConfig

    Columns = Mapping[str, Mapping[str, Any]]


def model_in(column: Mapping[str, Any]) -> str | None:
    """Return the model whose embeddings a column holds; `None` for those that the table was made with."""
    return noted(column["comment"]).get("model")


def column(config: CollectionConfig, columns: Columns) -> str:
    """Return the column that holds the embeddings of the model that *config* names, all of them.

    Raises:
        ModelNotFound: There is none.
        ModelNotReady: It is still being filled.
    """
    model = str(config.model)
    name = model_column(model)
    facts = noted(columns[name]["comment"]) if name in columns else {}
    table = f"{config.schema}.{config.name}"
    if facts.get("model") != model:
        there = ", ".join(map(repr, _models(columns))) or "only those that it was made with"
        msg = f"{table} has no embeddings of model {model!r}; it has {there}. reembed() makes them"
        raise ModelNotFound(msg)
    if facts.get("filling"):
        msg = f"the embeddings of model {model!r} in {table} are still being made; try again when reembed() is done"
        raise ModelNotReady(msg)
    return name


def check_original(config: CollectionConfig, columns: Columns) -> None:
    """Raise `ModelNotFound` where the embeddings that a table was made with are gone, and there are others."""
    if others := _models(columns):
        msg = (
            f"the embeddings that {config.schema}.{config.name} was made with were dropped; it has those of "
            f"{', '.join(map(repr, others))}: say which model's embeddings you bring, as in "
            f"CollectionConfig(model={others[0]!r})"
        )
        raise ModelNotFound(msg)


def _models(columns: Columns) -> list[str]:
    return [model for facts in columns.values() if (model := model_in(facts)) is not None]
