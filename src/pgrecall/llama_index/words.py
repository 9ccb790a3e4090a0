"""The words of llama-index-vector-stores-postgres' constructors, to those of ours.

Whoever moves over keeps what was written as far as it means the same here; the rest is an error that says what to
write instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, Final
from urllib.parse import quote

from pgrecall.collection.keywords import refuse_unknown
from pgrecall.collection.opening import DEFAULT_COLLECTION
from pgrecall.config import HNSW, CollectionConfig
from pgrecall.distance import VectorType
from pgrecall.errors import ConfigError

_OURS: Final = (
    "collection",
    "url",
    "client",
    "domain",
    "config",
    "search_kwargs",
    "restrict_to_node_ids",
    "reranker",
)
_PLACE: Final = ("host", "port", "database", "user", "password")
_URLS: Final = ("connection_string", "async_connection_string")
_SETTINGS: Final = (
    "schema_name",
    "embed_dim",
    "use_halfvec",
    "indexed_metadata_keys",
    "hnsw_kwargs",
    "perform_setup",
    "hybrid_search",
    "text_search_config",
)
# What is so here anyway.
_FULFILLED: Final[Mapping[str, tuple[object, ...]]] = {
    "cache_ok": (True, False),
    "debug": (False,),
    "use_jsonb": (True, False),
    "initialization_fail_on_error": (True,),
}
_CONNECT: Final = 'write url="postgresql://user:password@host/database", or client= for a client that is open already'
_INSTEAD: Final[Mapping[str, str]] = {
    "cache_ok": "leave it out",
    "debug": 'log records go to logging.getLogger("pgrecall"); leave it out',
    "use_jsonb": "metadata is always jsonb; leave it out",
    "initialization_fail_on_error": "what goes wrong is always an error; leave it out",
    "create_engine_kwargs": "write client=AsyncClient(url, pool=PoolConfig(max_size=…)), which has the settings of "
    "connections",
    "engine": _CONNECT,
    "async_engine": _CONNECT,
    "customize_query_fn": "filter with MetadataFilters, or search store.collection, which takes more filters",
}
_TYPES: Final[Mapping[str, type]] = {
    "text": str,
    "uuid": str,
    "int": int,
    "integer": int,
    "bigint": int,
    "numeric": float,
    "float": float,
    "double precision": float,
    "boolean": bool,
    "date": date,
    "timestamp": datetime,
    "text[]": list,
}
_COSINE: Final = ("vector_cosine_ops", "halfvec_cosine_ops")
_HNSW: Final = {"hnsw_m": "m", "hnsw_ef_construction": "ef_construction"}
KNOWN: Final = tuple(dict.fromkeys([*_OURS, *_PLACE, "table_name", *_URLS, *_SETTINGS, *_INSTEAD]))
"""Every word that is understood, or answered with what to write instead."""


def understood(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Return *keywords*, which may be those of ``PGVectorStore``, as the constructor's own.

    `None` is the same as leaving a word out. ``table_name`` is the name of the collection's table as it is: a table
    that ``PGVectorStore`` has made is opened with `PGRecallVectorStore.from_llama_index_postgres`.

    Returns:
        Those of ``collection`` (a name or a `CollectionConfig`), ``url``, ``client``, ``domain``, ``config``,
        ``search_kwargs``, ``restrict_to_node_ids`` and ``reranker`` that were given in any words.

    Raises:
        ConfigError: A word means something that is not so here, two of them say the same thing, or one is
            not known; the message says what to write instead.
    """
    refuse_unknown(keywords, KNOWN)
    given = {word: value for word, value in keywords.items() if value is not None}
    for word, value in given.items():
        _refuse_other(word, value)
    found = {word: given[word] for word in _OURS if word in given}
    if "table_name" in given:
        _refuse_twice("table_name", "collection", found)
        found["collection"] = given["table_name"]
    if (url := _url(given)) is not None:
        _refuse_twice("the words for the database", "url", found)
        _refuse_twice("the words for the database", "client", found)
        found["url"] = url
    settings = _settings(given)
    if settings:
        found["collection"] = _collection(found, settings, given)
    if (ef_search := given.get("hnsw_kwargs", {}).get("hnsw_ef_search")) is not None:
        found["search_kwargs"] = {"ef_search": ef_search} | found.get("search_kwargs", {})
    return found


def _refuse_other(word: str, value: Any) -> None:
    """Raise `ConfigError` for a word whose value is not what is done here."""
    instead = _INSTEAD.get(word)
    if instead is None or any(type(value) is type(so) and value == so for so in _FULFILLED.get(word, ())):
        return
    if isinstance(value, Mapping) and not value:
        return
    # An engine's repr may hold a password, so only plain values are shown.
    shown = repr(value) if isinstance(value, bool | str) and "engine" not in word else "…"
    msg = f"{word}={shown} has no meaning here: {instead}"
    raise ConfigError(msg)


def _refuse_twice(word: str, ours: str, found: Mapping[str, Any]) -> None:
    if ours in found:
        msg = f"{word} and {ours} say the same thing twice; pass one of them"
        raise ConfigError(msg)


def _url(given: Mapping[str, Any]) -> str | None:
    """Return where the database is, if the words for that are among *given*."""
    # With both, they name the same database for two drivers, of which none is needed here.
    for word in _URLS:
        if word in given:
            return _text_of_url(word, given[word])
    if not any(word in given for word in _PLACE):
        return None
    host, port = str(given.get("host", "localhost")), str(given.get("port", 5432))
    if not port.isdecimal():
        msg = f"port must be a number, not {port!r}"
        raise ConfigError(msg)
    user = quote(str(given.get("user", "postgres")), safe="")
    password = ":" + quote(str(given["password"]), safe="") if "password" in given else ""
    database = quote(str(given.get("database", "")), safe="")
    if host.startswith("/"):
        return f"postgresql://{user}{password}@/{database}?host={quote(host, safe='')}&port={port}"
    host = f"[{host}]" if ":" in host else host
    return f"postgresql://{user}{password}@{host}:{port}/{database}"


def _text_of_url(word: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    # str() of SQLAlchemy's URL has *** for the password.
    if callable(render := getattr(value, "render_as_string", None)):
        return str(render(hide_password=False))
    msg = f"{word} must be a URL, not {type(value).__name__}: {_CONNECT}"
    raise ConfigError(msg)


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a `CollectionConfig` is to be made with, beside its name."""
    settings: dict[str, Any] = {}
    if "schema_name" in given:
        settings["schema"] = given["schema_name"]
    if "embed_dim" in given:
        settings["dimensions"] = given["embed_dim"]
    if given.get("use_halfvec"):
        settings["vector_type"] = VectorType.HALFVEC
    if given.get("indexed_metadata_keys"):
        settings["fields"] = _fields(given["indexed_metadata_keys"])
    if given.get("hnsw_kwargs"):
        settings["index"] = _index(given["hnsw_kwargs"])
    if given.get("hybrid_search"):
        settings["text_search"] = str(given.get("text_search_config", "english")).rpartition(".")[2]
    if "perform_setup" in given:
        settings["setup"] = "create" if given["perform_setup"] else "validate"
    return settings


def _fields(keys: Iterable[tuple[str, str]]) -> dict[str, type]:
    fields: dict[str, type] = {}
    for key, kind in sorted(keys):
        if kind not in _TYPES:
            msg = f"indexed_metadata_keys: the type of {key!r} must be one of {', '.join(_TYPES)}, not {kind!r}"
            raise ConfigError(msg)
        # A dot in a key of LlamaIndex's leads nowhere.
        fields[key.replace(".", "\\.")] = _TYPES[kind]
    return fields


def _index(given: Any) -> HNSW:
    if not isinstance(given, Mapping):
        msg = f"hnsw_kwargs must be a mapping, not {type(given).__name__}"
        raise ConfigError(msg)
    refuse_unknown(given, (*_HNSW, "hnsw_ef_search", "hnsw_dist_method"))
    parameters: dict[str, Any] = {
        ours: int(given[theirs]) for theirs, ours in _HNSW.items() if given.get(theirs) is not None
    }
    method = given.get("hnsw_dist_method") or _COSINE[0]
    if method not in _COSINE:
        msg = (
            f"hnsw_dist_method={method!r}: PGVectorStore searches by cosine whatever its index is for. Leave it out, "
            "or choose the distance with collection=CollectionConfig(name=…, distance=…, index=HNSW())"
        )
        raise ConfigError(msg)
    return HNSW(**parameters)


def _collection(found: Mapping[str, Any], settings: dict[str, Any], given: Mapping[str, Any]) -> CollectionConfig:
    collection = found.get("config", found.get("collection", DEFAULT_COLLECTION))
    if isinstance(collection, str):
        return CollectionConfig(name=collection, **settings)
    words = ", ".join(word for word in given if word in _SETTINGS)
    msg = (
        f"the collection is a {type(collection).__name__}, which says already what {words} would say; write it there, "
        "or pass the name of the table"
    )
    raise ConfigError(msg)
