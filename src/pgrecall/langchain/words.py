"""The words of langchain-postgres' constructors, to those of ours.

Whoever moves over keeps what was written as far as it means the same here; the rest is an error that says
what to write instead. Enumerations of theirs are known by the names of their members, so that their package
need not be installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from pgrecall.collection.keywords import refuse_unknown
from pgrecall.collection.opening import DEFAULT_COLLECTION
from pgrecall.columns import Columns
from pgrecall.config import CollectionConfig
from pgrecall.distance import Distance
from pgrecall.errors import ConfigError

_OURS: Final = ("embedding", "collection", "url", "client", "domain", "relevance_score_fn")
# What each of ours is called by PGVector, by its predecessor in langchain-community, and by PGVectorStore.
_RENAMED: Final[Mapping[str, str]] = {
    "embeddings": "embedding",
    "embedding_function": "embedding",
    "embedding_service": "embedding",
    "connection": "url",
    "connection_string": "url",
    "collection_name": "collection",
    "table_name": "collection",
}
_SETTINGS: Final[Mapping[str, str]] = {
    "embedding_length": "dimensions",
    "distance_strategy": "distance",
    "schema_name": "schema",
}
_COLUMNS: Final[Mapping[str, str]] = {
    "id_column": "id",
    "content_column": "content",
    "embedding_column": "embedding",
    "metadata_json_column": "metadata",
}
# What is so here anyway.
_FULFILLED: Final[Mapping[str, tuple[object, ...]]] = {
    "use_jsonb": (True,),
    "create_extension": (True,),
    "async_mode": (True, False),
    "pre_delete_collection": (False,),
    "k": (4,),
    "fetch_k": (20,),
    "lambda_mult": (0.5,),
}
_SEARCH: Final = "pass it to the search, or to as_retriever(search_kwargs={{{word!r}: {value!r}}})"
_FIELDS: Final = (
    "a table that PGVectorStore has made is opened with PGRecallVectorStore.from_langchain_postgres(embedding, name), "
    "which takes this word; in a table of ours keys that are filtered by often get a column of their own with "
    'collection=CollectionConfig(name=…, fields={{"year": int}})'
)
_INSTEAD: Final[Mapping[str, str]] = {
    "use_jsonb": "metadata is always jsonb; leave it out",
    "create_extension": "the extension is made only where it is missing; to have nothing made at all, write "
    'collection=CollectionConfig(name=…, setup="validate")',
    "async_mode": "every store has both kinds of methods; leave it out",
    "pre_delete_collection": "nothing is deleted by opening it; call store.collection.clear() for its documents, or "
    "Client(url).delete_collection(name) for the table",
    "collection_metadata": "a collection has no metadata of its own; keep it in that of the documents",
    "engine_args": "write client=AsyncClient(url, pool=PoolConfig(max_size=…)), which has the settings of connections",
    "engine": 'write url="postgresql://user:password@host/database", or client=AsyncClient(connection=…) for an '
    "asyncpg pool of your own",
    "logger": 'log records go to logging.getLogger("pgrecall"); leave it out',
    "metadata_columns": _FIELDS,
    "ignore_metadata_columns": _FIELDS,
    "index_query_options": "pass ef_search= or probes= to the search, or have collection.tune() find and keep it",
    "hybrid_search_config": "leave it out: have the texts searched by their words with "
    'collection=CollectionConfig(name=…, text_search="english"), and say how with each search, as in '
    'as_retriever(search_type="hybrid", search_kwargs={{"alpha": 0.7}})',
    "k": _SEARCH,
    "fetch_k": _SEARCH,
    "lambda_mult": _SEARCH,
}
KNOWN: Final = tuple(dict.fromkeys([*_OURS, *_RENAMED, *_SETTINGS, *_COLUMNS, *_INSTEAD]))
"""Every word that is understood, or answered with what to write instead."""


def understood(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Return *keywords*, which may be those of langchain-postgres, as the constructor's own.

    ``PGVector``'s and ``PGVectorStore``'s are known. `None` is the same as leaving a word out, but for
    ``content_column`` and ``metadata_json_column``, where it says that there is no such column. Columns that
    are not named are called as `Columns` says: a table that langchain-postgres has made is opened with
    `PGRecallVectorStore.from_langchain_postgres`, which finds out what its columns are.

    Returns:
        Those of ``embedding``, ``collection`` (a name or a `CollectionConfig`), ``url``, ``client``,
        ``domain`` and ``relevance_score_fn`` that were given in any words.

    Raises:
        ConfigError: A word means something that is not so here, two of them say the same thing, or one is
            not known; the message says what to write instead.
    """
    refuse_unknown(keywords, KNOWN)
    given = {word: value for word, value in keywords.items() if _counts(word, value)}
    for word, value in given.items():
        _refuse_other(word, value)
    found: dict[str, Any] = {}
    for word, value in given.items():
        ours = _RENAMED.get(word, word)
        if ours not in _OURS:
            continue
        if ours in found:
            _contradict(ours, given)
        found[ours] = _url(word, value) if ours == "url" else value
    if "url" in found and "client" in found:
        _contradict("client", given, also="url")
    settings = _settings(given)
    if settings:
        found["collection"] = _collection(found.get("collection", DEFAULT_COLLECTION), settings, given)
    return found


def _counts(word: str, value: Any) -> bool:
    return value is not None or word in ("content_column", "metadata_json_column")


def _refuse_other(word: str, value: Any) -> None:
    """Raise `ConfigError` for a word whose value is not what is done here."""
    instead = _INSTEAD.get(word)
    if instead is None or any(type(value) is type(so) and value == so for so in _FULFILLED.get(word, ())):
        return
    if isinstance(value, list | tuple | Mapping) and not value:
        return
    # An engine's repr may hold a password, so only plain values are shown.
    shown = repr(value) if isinstance(value, bool | int | float | str) and word != "engine" else "…"
    msg = f"{word}={shown} has no meaning here: {instead.format(word=word, value=value)}"
    raise ConfigError(msg)


def _url(word: str, value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    msg = (
        f"{word} must be a URL, not {type(value).__name__}: {_INSTEAD['engine']}; SQLAlchemy gives an engine's "
        "with engine.url.render_as_string(hide_password=False)"
    )
    raise ConfigError(msg)


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a `CollectionConfig` is to be made with, beside its name."""
    settings = {ours: given[word] for word, ours in _SETTINGS.items() if word in given}
    if "distance" in settings:
        settings["distance"] = _distance(settings["distance"])
    columns = {ours: given[word] for word, ours in _COLUMNS.items() if word in given}
    if columns:
        settings["columns"] = Columns(**columns)
    return settings


def _distance(value: Any) -> Distance:
    name = value.name if isinstance(value, Enum) else value
    # PGVector's own text for its inner product, which is nobody else's.
    return Distance.INNER_PRODUCT if name == "inner" else Distance.parse(name)


def _collection(collection: Any, settings: dict[str, Any], given: Mapping[str, Any]) -> CollectionConfig:
    if isinstance(collection, str):
        return CollectionConfig(name=collection, **settings)
    words = ", ".join(word for word in given if word in _SETTINGS or word in _COLUMNS)
    msg = (
        f"collection is a {type(collection).__name__}, which says already what {words} would say; write it there, or "
        "pass the name of the table"
    )
    raise ConfigError(msg)


def _contradict(ours: str, given: Mapping[str, Any], *, also: str | None = None) -> None:
    words = [word for word in given if _RENAMED.get(word, word) in (ours, also)]
    msg = f"{' and '.join(words)} say the same thing twice; pass one of them"
    raise ConfigError(msg)
