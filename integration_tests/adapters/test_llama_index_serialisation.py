"""A store as a dictionary, as JSON, as a pickle and as a copy: whole, and without secrets."""

import copy
import json
import pickle
from datetime import date

import pytest
from llama_index.core import StorageContext
from llama_index.core.schema import TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery
from pydantic import BaseModel

from pgrecall import HNSW, CollectionConfig, Columns, Distance, IVFFlat, VectorType
from pgrecall.errors import ConfigError
from pgrecall.llama_index import PGRecallIngestionStore, PGRecallVectorStore

SECRET = "postgresql://me:hunter2@localhost/db"
CONFIGS = [
    CollectionConfig(name="plain"),
    CollectionConfig(
        name="full",
        schema="notes",
        dimensions=7,
        distance=Distance.L2,
        vector_type=VectorType.HALFVEC,
        columns=Columns(content="text", metadata_columns=("year",)),
        fields={"n": int, "tags": list[str], "on": date, "$content": str},
        index=HNSW(m=8, ef_construction=40, quantization="bit"),
        min_rows_for_index=5,
        setup="validate",
    ),
    CollectionConfig(name="lists", index=IVFFlat(lists=7)),
    CollectionConfig(name="automatic", index="auto"),
]


@pytest.fixture(params=CONFIGS, ids=lambda config: config.name)
def secret(request):
    with PGRecallVectorStore(
        request.param, url=SECRET, domain="acme", search_kwargs={"exact": True}, restrict_to_node_ids=False
    ) as store:
        yield store


def same(store, other):
    assert type(other) is type(store)
    assert other.to_dict() == store.to_dict()
    assert (other.domain, other.search_kwargs, other.restrict_to_node_ids) == ("acme", {"exact": True}, False)
    assert other.config.promoted == store.config.promoted
    assert (other.config.name, other.config.index, other.config.columns, other.config.distance) == (
        store.config.name,
        store.config.index,
        store.config.columns,
        store.config.distance,
    )


def test_dictionary_and_json_bring_back_the_store(secret):
    data = secret.to_dict()
    assert data == json.loads(secret.to_json())
    assert data["class_name"] == "PGRecallVectorStore"
    with PGRecallVectorStore.from_dict(data, url=SECRET) as again:
        same(secret, again)
        assert again.url == SECRET
    with PGRecallVectorStore.from_json(secret.to_json(), url=SECRET) as again:
        same(secret, again)


def test_pickle_brings_back_the_store_and_the_environment_the_url(secret, monkeypatch):
    monkeypatch.setenv("PGRECALL_URL", "postgresql://elsewhere/db")
    with pickle.loads(pickle.dumps(secret)) as again:
        same(secret, again)
        assert again.url is None
        assert "elsewhere" in repr(again._client)


def test_nothing_shows_the_password(secret):
    forms = [repr(secret), str(secret), secret.to_json(), json.dumps(secret.to_dict()), secret.model_dump_json()]
    forms += [repr(secret.model_dump()), repr(secret.client), pickle.dumps(secret).decode("latin1")]
    forms += [repr(copy.deepcopy(secret))]
    assert not [form for form in forms if "hunter2" in form]


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda store: store.model_copy(deep=True)])
def test_copy_works_on_the_same_connections_and_leaves_them_open(url, how):
    with PGRecallVectorStore(url=url, domain="acme", search_kwargs={"exact": True}) as store:
        store.add([TextNode(id_="a", embedding=[1.0, 2.0])])
        copied = how(store)
        assert copied.to_dict() == store.to_dict()
        with copied:
            assert copied.get_nodes()[0].node_id == "a"
        assert copied.query(VectorStoreQuery(query_embedding=[1.0, 2.0])).ids == ["a"]
        assert store.get_nodes()[0].node_id == "a"


def test_copy_with_changes_is_bound_to_them(url):
    with PGRecallVectorStore(url=url) as store:
        store.add([TextNode(id_="a", embedding=[1.0, 2.0])])
        other = store.model_copy(update={"domain": "other", "search_kwargs": {"hnsw_ef_search": 9}})
        assert (other.domain, other.search_kwargs, other.url) == ("other", {"ef_search": 9}, url)
        assert other.get_nodes() == []
        with store.model_copy(update={"config": CollectionConfig(name="elsewhere")}) as elsewhere:
            assert elsewhere.config.name == "elsewhere"
            assert elsewhere.get_nodes() == []
        assert store.get_nodes() != []


def test_fields_cannot_be_changed_behind_the_connections_back(url):
    with PGRecallVectorStore(url=url) as store, pytest.raises(ValueError, match="frozen"):
        store.domain = "other"


def test_constructor_takes_every_field(url):
    with PGRecallVectorStore(url=url) as store:
        fields = {name: getattr(store, name) for name in type(store).model_fields}
        with PGRecallVectorStore(**fields) as again:
            assert again.to_dict() == store.to_dict()


@pytest.mark.parametrize("name", ["stores_text", "is_embedding_query"])
def test_store_that_keeps_no_text_there_is_not(name):
    with pytest.raises(ConfigError, match="are true"):
        PGRecallVectorStore(url=SECRET, **{name: False})


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"collectoin": "x"}, "did you mean 'collection'"),
        ({"collection": "x", "config": CollectionConfig(name="y")}, "collection and config"),
        ({"domain": ""}, "domain"),
        ({"collection": 3}, "collection must be"),
    ],
)
def test_arguments_that_make_no_sense_are_errors(arguments, match):
    with pytest.raises(ConfigError, match=match):
        PGRecallVectorStore(url=SECRET, **arguments)


def test_store_of_all_domains_there_is_not(blocking_client):
    with pytest.raises(ConfigError, match="one domain"):
        PGRecallVectorStore(blocking_client.collection("docs").all_domains())


def test_store_is_never_falsy(url):
    with PGRecallVectorStore(url=url) as store:
        assert store
        assert StorageContext.from_defaults(vector_store=store).vector_store is store
        StorageContext.from_defaults(vector_store=store).vector_store.persist("/nowhere/at/all")


def test_clients_are_the_collection_in_both_forms(url):
    with PGRecallVectorStore(url=url) as store:
        assert store.client is store.collection
        assert store.aclient is store.collection.asynchronous


class Labelled(PGRecallVectorStore):
    label: str = "none"


class Settings(BaseModel):
    store: PGRecallVectorStore


def test_subclass_with_a_field_is_made_copied_and_brought_back(url):
    with Labelled("docs", url=url, label="mine") as store:
        forms = [
            Labelled.from_dict(store.to_dict(), url=url),
            store.model_copy(update={"url": url}),
            pickle.loads(pickle.dumps(store)),
        ]
        assert [(type(form), form.label, form.config) for form in forms] == [(Labelled, "mine", store.config)] * 3
    with pytest.raises(ConfigError, match="'labell'"):
        Labelled("docs", url=url, labell="mine")
    with pytest.raises(ConfigError, match="'label'"):
        PGRecallVectorStore("docs", url=url, label="mine")


def test_store_is_a_field_of_another_model(secret, monkeypatch):
    monkeypatch.setenv("PGRECALL_URL", SECRET)
    settings = Settings(store=secret)
    same(secret, Settings.model_validate(settings.model_dump()).store)
    same(secret, Settings.model_validate_json(settings.model_dump_json()).store)


def test_classes_have_names_of_their_own(blocking_client):
    kinds = [PGRecallVectorStore, PGRecallIngestionStore]
    assert [kind(blocking_client.collection("d")).to_dict()["class_name"] for kind in kinds] == [
        kind.__name__ for kind in kinds
    ]
