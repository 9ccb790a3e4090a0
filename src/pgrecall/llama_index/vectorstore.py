"""`PGRecallVectorStore`: LlamaIndex's words for the engine's verbs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self

from llama_index.core.bridge.pydantic import ConfigDict, Field, PrivateAttr, TypeAdapter
from pydantic import field_serializer

from pgrecall.collection.lifetime import Closing
from pgrecall.collection.opening import DEFAULT_COLLECTION, ClientLike, CollectionLike, open_collection
from pgrecall.config import CollectionConfig
from pgrecall.errors import ConfigError
from pgrecall.llama_index.adopting import AdoptingMethods
from pgrecall.llama_index.loading import LoadingMethods
from pgrecall.llama_index.modes import checked_keywords
from pgrecall.llama_index.querying import QueryMethods
from pgrecall.llama_index.reading import ReadMethods
from pgrecall.llama_index.words import understood
from pgrecall.llama_index.writing import WriteMethods
from pgrecall.promoted import FieldType
from pgrecall.scope import UNSET, Unset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pgrecall.collection import AsyncClient, AsyncCollection, Collection
    from pgrecall.reranking import Rerank, Scorer

_CONFIG: Final = TypeAdapter(CollectionConfig)
_CONNECTING: Final = frozenset({"config", "url"})


class PGRecallVectorStore(QueryMethods, ReadMethods, WriteMethods, LoadingMethods, AdoptingMethods, Closing):
    """LlamaIndex's vector store over a pgrecall collection.

    The table is made at the first write, with the dimensions that the nodes' embeddings have; until then
    the store is empty. It may be used from any number of threads and event loops, and after a fork. A copy of it,
    of whatever kind, works on the same connections, which are closed with the original.

    Args:
        collection: Name of the table, a `CollectionConfig`, or a collection that is open already.
        url: Where the database is; see `AsyncClient`. It is in no representation of the store, so
            ``from_dict(data, url=…)`` has to be given it again, unless the environment names it.
        client: A client that is open already, instead of *url*.
        domain: The domain (tenant) to read and write; ``"default"`` unless given.
        config: What `to_dict` gives back for *collection*.
        search_kwargs: Keywords that every query has unless it brings its own; see `query`.
        reranker: Orders anew what mode SEMANTIC_HYBRID finds: a callable that takes the query and a list of
            texts and returns one number for each, the higher the better, or a `Rerank`. It is not serialised.
        restrict_to_node_ids: Whether ``node_ids`` of a query leave only those nodes. A retriever that
            `VectorStoreIndex` makes passes the ids of all index and image nodes that were inserted through that
            same index object, whether asked for or not, and so finds no text nodes beside them: pass
            ``False`` where an index has both.
        stores_text: Always true.
        is_embedding_query: Always true.
        **kwargs: The words of llama-index-vector-stores-postgres for the same things; see `from_params`. A subclass
            takes the fields that it adds too.

    Raises:
        ConfigError: An argument is not known, or two of them contradict each other.

    Example:
        >>> store = PGRecallVectorStore("documents", url="embedded://")
        >>> index = VectorStoreIndex.from_vector_store(store, embed_model=model)
        >>> index.as_retriever(similarity_top_k=3).retrieve("how do locks work?")
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)

    stores_text: bool = True
    is_embedding_query: bool = True
    config: CollectionConfig
    domain: str
    url: str | None = Field(default=None, exclude=True, repr=False)

    _collection: Collection = PrivateAttr()
    _client: AsyncClient | None = PrivateAttr()

    def __init__(
        self,
        collection: CollectionLike | None = None,
        *,
        url: str | None = None,
        client: ClientLike | None = None,
        domain: str | Unset = UNSET,
        config: CollectionConfig | dict[str, Any] | None = None,
        search_kwargs: dict[str, Any] | None = None,
        restrict_to_node_ids: bool = True,
        reranker: Rerank | Scorer | None = None,
        stores_text: bool = True,
        is_embedding_query: bool = True,
        **kwargs: Any,
    ) -> None:
        if not stores_text or not is_embedding_query:
            msg = "this store keeps text and is queried by embedding; stores_text and is_embedding_query are true"
            raise ConfigError(msg)
        kwargs.pop("class_name", None)  # in every dictionary that LlamaIndex makes of a component
        own = {name: kwargs.pop(name) for name in _fields_of_subclass(type(self)) & kwargs.keys()}
        ours: dict[str, Any] = {"collection": collection, "url": url, "client": client}
        given = understood({**ours, "config": config, "search_kwargs": search_kwargs, **kwargs})
        defaults = checked_keywords(given.get("search_kwargs", {}))
        if "rerank" in defaults:
            msg = "a model cannot be serialised with search_kwargs; pass it as reranker="
            raise ConfigError(msg)
        opened, made = open_collection(
            _collection(given), url=given.get("url"), client=given.get("client"), domain=domain
        )
        if opened.scope.domain is None:
            msg = "a store works in one domain, since ids mean nothing by themselves in many: pass collection.domain(…)"
            raise ConfigError(msg)
        state: dict[str, Any] = {
            "config": opened.config,
            "domain": opened.scope.domain,
            "url": given.get("url"),
            "search_kwargs": defaults,
            "restrict_to_node_ids": restrict_to_node_ids,
        }
        super().__init__(stores_text=True, **state, **own)
        self._collection, self._client = opened, made
        self._reranker = reranker

    @classmethod
    def class_name(cls) -> str:
        """Return the name under which LlamaIndex knows this class."""
        return "PGRecallVectorStore"

    @classmethod
    def from_params(
        cls,
        host: str | None = None,
        port: str | int | None = None,
        database: str | None = None,
        user: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """Return a store from the words of ``PGVectorStore.from_params``.

        Args:
            host: Where the server is; ``localhost`` unless given. A path is the directory of its socket.
            port: Its port; 5432 unless given.
            database: Name of the database.
            user: Who logs in; ``postgres`` unless given.
            password: The password, as it is.
            **kwargs: The constructor's, or ``table_name``, ``schema_name``, ``connection_string``,
                ``embed_dim``, ``use_halfvec``, ``hnsw_kwargs``, ``indexed_metadata_keys``, ``perform_setup``
                and others, each with its meaning here or an error that says what to write instead.

        Raises:
            ConfigError: A word means something that is not so here, or is not known.
        """
        place = {"host": host, "port": port, "database": database, "user": user, "password": password}
        return cls(**{word: value for word, value in place.items() if value is not None}, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds: neither the URL, which may have a password, nor connections."""
        kept = {name: value for name, value in self.__dict__.items() if name != "url"}
        return {"__dict__": kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state["__dict__"])

    def __copy__(self) -> Self:
        return self._shared(super().__copy__())

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Return a copy on the same connections, which cannot be copied; all else is immutable or is not changed."""
        return self.__copy__()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy, with other values for some fields; with another configuration or URL it connects anew."""
        changed: dict[str, Any] = dict(update or {})
        if _CONNECTING & changed.keys():
            fields: dict[str, Any] = {name: getattr(self, name) for name in type(self).model_fields}
            return type(self)(**(fields | changed))
        if "search_kwargs" in changed:
            changed["search_kwargs"] = checked_keywords(changed["search_kwargs"])
        return self._shared(super().model_copy(update=changed))

    def _shared(self, copied: Self) -> Self:
        """Return *copied*, which is to work on the connections of this store, in its own domain."""
        copied._client = None
        if copied.domain != self.domain:
            copied._collection = self._collection.domain(copied.domain)
        return copied

    @field_serializer("config")
    def _plain_config(self, config: CollectionConfig) -> dict[str, Any]:
        fields = {key: FieldType.parse(kind).value for key, kind in config.fields.items()}
        return _CONFIG.dump_python(replace(config, fields=fields), mode="json")

    @property
    def client(self) -> Collection:
        """The blocking collection; see `collection`."""
        return self._collection

    @property
    def aclient(self) -> AsyncCollection:
        """The asynchronous collection."""
        return self._collection.asynchronous

    @property
    def collection(self) -> Collection:
        """The collection; ``collection.asynchronous`` is its asynchronous form."""
        return self._collection


def _fields_of_subclass(kind: type[PGRecallVectorStore]) -> set[str]:
    return kind.model_fields.keys() - PGRecallVectorStore.model_fields.keys()


def _collection(given: Mapping[str, Any]) -> CollectionLike:
    config = given.get("config")
    if config is None:
        return given.get("collection", DEFAULT_COLLECTION)
    if "collection" in given:
        msg = "collection and config say the same thing twice; pass one of them"
        raise ConfigError(msg)
    return _CONFIG.validate_python(config) if isinstance(config, dict) else config
