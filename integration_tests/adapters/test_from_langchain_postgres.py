"""Collections of langchain-postgres, whose tables are made here as it makes them, used and copied."""

from __future__ import annotations

import json
import uuid
from datetime import date
from typing import TYPE_CHECKING

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from pgrecall import Client, CollectionConfig, Distance
from pgrecall.errors import CollectionNotFound, ConfigError, RecordError, SchemaError
from pgrecall.langchain import PGRecallVectorStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.vectorstores import VectorStore

MODEL = DeterministicFakeEmbedding(size=6)
FIRST, SECOND = (str(uuid.UUID(int=n)) for n in (1, 2))
V1 = f"""
CREATE TABLE langchain_pg_collection (uuid UUID NOT NULL, name VARCHAR NOT NULL, cmetadata JSON, PRIMARY KEY (uuid), UNIQUE (name));
CREATE TABLE langchain_pg_embedding (id VARCHAR NOT NULL, collection_id UUID, embedding VECTOR, document VARCHAR, cmetadata JSONB,
  PRIMARY KEY (id), FOREIGN KEY (collection_id) REFERENCES langchain_pg_collection (uuid) ON DELETE CASCADE);
CREATE INDEX ix_cmetadata_gin ON langchain_pg_embedding USING gin (cmetadata jsonb_path_ops);
INSERT INTO langchain_pg_collection VALUES ('{FIRST}', 'first', 'null'), ('{SECOND}', 'second', 'null');
"""
TYPED = {"year": "INTEGER", "title": "VARCHAR(40)", "day": "DATE"}


def v2(name="theirs", id_type="UUID", columns=None, json_column='"langchain_metadata" JSON', **names):
    id_column, content, embedding = (
        names.get(key, value)
        for key, value in {"id": "langchain_id", "content": "content", "embedding": "embedding"}.items()
    )
    listed = [
        f'"{id_column}" {id_type} PRIMARY KEY',
        f'"{content}" TEXT NOT NULL',
        f'"{embedding}" vector(6) NOT NULL',
        *(f'"{column}" {kind}' for column, kind in (columns or {}).items()),
        *([json_column] if json_column else []),
    ]
    return f"CREATE TABLE {name} ({', '.join(listed)})"


def embedded(text):
    return [float(number) for number in MODEL.embed_query(text)]


def rows(database, count, statement="INSERT INTO theirs (langchain_id, content, embedding, langchain_metadata)"):
    """Insert documents as langchain-postgres writes them."""
    for n in range(count):
        text, metadata = f"text {n}", json.dumps({"n": n, "source": "a.md"})
        database.execute(f"{statement} VALUES ('{uuid.UUID(int=n)}', '{text}', '{embedded(text)}', '{metadata}')")


def v1_rows(database, collection, count, prefix):
    for n in range(count):
        text = f"{prefix} {n}"
        database.execute(
            f"INSERT INTO langchain_pg_embedding VALUES ('{prefix}{n}', '{collection}', '{embedded(text)}', "
            f"'{text}', '{json.dumps({'n': n})}')"
        )


@pytest.fixture
def opened(url):
    """Open a collection of theirs, and close it after the test."""
    stores = []

    def opened(name="theirs", **kwargs):
        store = PGRecallVectorStore.from_langchain_postgres(MODEL, name, url=url, **kwargs)
        stores.append(store)
        return store

    yield opened
    for store in stores:
        store.close()


# -- the second version ----------------------------------------------------------------------------


def test_a_table_of_the_second_version_is_read_and_written_in_place(database, opened):
    database.execute(v2())
    rows(database, 5)
    store = opened()
    ids = [str(uuid.UUID(int=n)) for n in range(5)]
    assert [found.id for found in store.similarity_search("text 3", k=1)] == [ids[3]]
    assert store.get_by_ids(ids[:1]) == [Document("text 0", id=ids[0], metadata={"n": 0, "source": "a.md"})]
    assert len(store.similarity_search("text 3", k=10, filter={"n": {"$lt": 2}})) == 2
    (made,) = store.add_documents([Document("new", metadata={"source": "b.md", "chunk_index": 3, "in": [1]})])
    assert store.get_by_ids([made])[0].metadata == {"source": "b.md", "chunk_index": 3, "in": [1]}
    store.add_documents([Document("changed", id=ids[0], metadata={})])
    assert database.rows(f"SELECT content, langchain_metadata FROM theirs WHERE langchain_id = '{ids[0]}'") == [
        ("changed", "{}")
    ]
    assert store.delete([made])
    assert store.delete(filter={"n": 4})
    assert store.collection.count() == 4
    assert database.ask("SELECT obj_description('theirs'::regclass)") is None


def test_columns_of_other_names_are_found_in_the_catalog(database, opened):
    database.execute(
        v2(columns=TYPED, json_column='"meta" JSONB', id="doc_id", content="body", embedding="vec", id_type="TEXT")
    )
    store = opened()
    columns = store.collection.config.columns
    assert (columns.id, columns.content, columns.embedding, columns.metadata) == ("doc_id", "body", "vec", "meta")
    assert columns.metadata_columns == ("year", "title", "day")


def test_what_the_catalog_leaves_open_is_asked_for(database, opened):
    database.execute(
        "CREATE TABLE theirs (a text, b text, c text NOT NULL, one vector(6), two vector(6), x json, y json, at timestamptz, PRIMARY KEY (a, b))"
    )
    words = {}
    for word, value in (("id_column", "a"), ("content_column", "b"), ("embedding_column", "one")):
        with pytest.raises(ConfigError, match=rf"Pass {word}=, one of \['a', 'b', 'c', 'one', 'two', 'x', 'y', 'at'\]"):
            opened(**words)
        words[word] = value
    found = opened(**words).collection.config.columns
    assert (found.metadata, found.metadata_columns) == (None, ("c", "x", "y", "at"))
    found = opened(**words, metadata_json_column="y", ignore_metadata_columns=["at"]).collection.config.columns
    assert (found.metadata, found.metadata_columns) == ("y", ("c", "x"))
    found = opened(**words, metadata_columns=["at"]).collection.config.columns
    assert found.metadata_columns == ("at",)
    with pytest.raises(ConfigError, match="not both"):
        opened(**words, metadata_columns=["at"], ignore_metadata_columns=["x"])
    with pytest.raises(ConfigError, match=r"\['z'\]"):
        opened(**words, ignore_metadata_columns=["z"])
    with pytest.raises(SchemaError, match="no metadata column 'z'"):
        opened(**words, metadata_columns=["z"])


def test_keys_with_columns_go_there_and_come_back(database, opened):
    database.execute(v2(id_type="TEXT", columns=TYPED))
    store = opened()
    metadata = {"year": 2020, "title": "a", "day": date(2024, 1, 2), "n": 1}
    store.add_documents([Document("x", id="a", metadata=metadata), Document("y", id="b")])
    assert store.get_by_ids(["a", "b"]) == [Document("x", id="a", metadata=metadata), Document("y", id="b")]
    assert [tuple(row) for row in database.rows("SELECT year, title, langchain_metadata FROM theirs ORDER BY 1")] == [
        (2020, "a", '{"n": 1}'),
        (None, None, "{}"),
    ]
    assert [found.id for found in store.similarity_search("x", filter={"year": {"$gte": 2000}, "n": 1})] == ["a"]
    with pytest.raises(RecordError, match=r"id 'c'.*'year'"):
        store.add_documents([Document("z", id="c", metadata={"year": "2020"})])


def test_metadata_without_a_place_is_an_error(database, opened):
    database.execute(v2(id_type="TEXT", columns=TYPED, json_column=None))
    store = opened()
    store.add_documents([Document("x", id="a", metadata={"year": 2020})])
    with pytest.raises(RecordError, match=r"has the keys \['n'\]"):
        store.add_documents([Document("x", id="b", metadata={"year": 2020, "n": 1})])
    assert store.collection.count() == 1


def test_hybrid_tables_are_searched_and_written_once_their_column_fills_itself(database, opened):
    database.execute(v2(id_type="TEXT", columns={"content_tsv": "TSVECTOR NOT NULL"}))
    store = opened()
    assert store.similarity_search("x") == []
    with pytest.raises(SchemaError, match="content_tsv; give them defaults"):
        store.add_texts(["x"])
    database.execute(
        "ALTER TABLE theirs ALTER content_tsv SET DEFAULT '';"
        "CREATE TRIGGER fill BEFORE INSERT OR UPDATE OF content ON theirs FOR EACH ROW EXECUTE FUNCTION "
        "tsvector_update_trigger(content_tsv, 'pg_catalog.english', content)"
    )
    again = opened()
    again.add_texts(["many words"], ids=["a"])
    assert database.ask("SELECT content_tsv::text FROM theirs") == "'mani':1 'word':2"


def test_the_distance_is_what_is_asked_for(database, opened):
    database.execute(v2())
    assert opened().collection.stats().distance is Distance.COSINE
    assert opened(distance="l2").collection.stats().distance is Distance.L2
    store = opened(relevance_score_fn=lambda distance: 1 - distance)
    assert store.relevance_score_fn is not None
    with pytest.raises(ConfigError):
        opened(length="l2")


# -- the first version -----------------------------------------------------------------------------


def test_a_collection_of_the_first_version_is_read_and_written_in_place(database, opened):
    database.execute(V1)
    v1_rows(database, FIRST, 5, "a")
    v1_rows(database, SECOND, 5, "b")
    first, second = opened("first"), opened("second", version="v1")
    assert [found.id for found in first.similarity_search("a 3", k=1)] == ["a3"]
    assert len(first.similarity_search("a 3", k=100)) == len(second.similarity_search("a 3", k=100)) == 5
    assert first.get_by_ids(["a1", "b1"]) == [Document("a 1", id="a1", metadata={"n": 1})]
    assert first.add_texts(["new"], [{"tags": ["x"]}], ids=["c"]) == ["c"]
    assert [found.id for found in first.similarity_search("x", k=9, filter={"tags": {"$contains": "x"}})] == ["c"]
    with pytest.raises(SchemaError, match="belongs to another domain"):
        first.add_texts(["new"], ids=["b1"])
    assert first.delete(["a0", "b0"])
    assert (first.collection.count(), second.collection.count()) == (5, 5)
    assert second.delete(filter={"n": {"$gte": 0}})
    assert (first.collection.count(), second.collection.count()) == (5, 0)


def test_collections_of_other_dimensions_lie_in_the_same_table(database, opened):
    database.execute(V1)
    v1_rows(database, FIRST, 5, "a")
    database.execute(f"INSERT INTO langchain_pg_embedding VALUES ('b', '{SECOND}', '[1,2,3]', 'x', NULL)")
    store = opened("first")
    assert len(store.similarity_search("a 3", k=100)) == 5
    assert len(store.similarity_search_with_relevance_scores("a 3", k=100, score_threshold=0.0)) <= 5
    assert len(store.max_marginal_relevance_search("a 3", k=3)) == 3


def test_a_first_version_of_old_with_ids_of_type_uuid_is_used(database, opened):
    database.execute(
        V1.replace("id VARCHAR NOT NULL", "uuid UUID NOT NULL", 1)
        .replace("cmetadata JSONB", "cmetadata JSON, custom_id VARCHAR")
        .replace("PRIMARY KEY (id)", "PRIMARY KEY (uuid)")
        .replace("CREATE INDEX ix_cmetadata_gin ON langchain_pg_embedding USING gin (cmetadata jsonb_path_ops);", "")
    )
    store = opened("first")
    (made,) = store.add_texts(["x"], [{"n": 1}])
    assert [(found.id, found.metadata) for found in store.similarity_search("x", filter={"n": 1})] == [(made, {"n": 1})]


def test_what_is_missing_is_said_with_what_there_is(database, opened):
    with pytest.raises(CollectionNotFound, match=r"no table public.nope, and none public.langchain_pg_collection"):
        opened("nope")
    with pytest.raises(CollectionNotFound, match=r"there is no table public.nope$"):
        opened("nope", version="v2")
    with pytest.raises(CollectionNotFound, match=r"there is no table public.langchain_pg_collection$"):
        opened("nope", version="v1")
    database.execute(V1)
    for version in (None, "v1"):
        with pytest.raises(CollectionNotFound, match=r"no collection 'nope' in .*, which has 'first', 'second'"):
            opened("nope", version=version)
    with pytest.raises(CollectionNotFound, match="no collection 'langchain_pg_embedding'"):
        opened("langchain_pg_embedding")
    with pytest.raises(ConfigError, match="version must be"):
        opened("first", version="v3")
    database.execute(v2("first"))
    with pytest.raises(ConfigError, match="pass version='v1' or 'v2'"):
        opened("first")
    assert opened("first", version="v2").collection.name == "first"
    assert opened("first", version="v1").collection.name == "langchain_pg_embedding"


# -- copies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_collection_is_copied_and_found_the_same(database, opened, url, version):
    if version == "v1":
        database.execute(V1)
        v1_rows(database, FIRST, 20, "text")
        v1_rows(database, SECOND, 5, "b")
        theirs = opened("first")
    else:
        database.execute(v2(columns=TYPED))
        rows(database, 20)
        theirs = opened()
    with PGRecallVectorStore(MODEL, "ours", url=url) as ours:
        report = ours.copy_from_langchain_postgres("first" if version == "v1" else "theirs", batch_size=6)
        assert (report.inserted, report.verified) == (20, 20)
        assert ours.similarity_search_with_score("text 7", k=20) == theirs.similarity_search_with_score("text 7", k=20)
        again = ours.copy_from_langchain_postgres("first" if version == "v1" else "theirs", after=report.after)
        assert again.read == 0
        if version == "v2":
            assert {one.document_id for one in ours.collection.list().records} == {"a.md"}


def test_a_copy_must_be_told_where_to_read_from_unless_the_connections_are_its_own(database, url):
    database.execute(v2())
    rows(database, 3)
    with Client(url) as client:
        ours = PGRecallVectorStore(MODEL, "ours", client=client)
        with pytest.raises(ConfigError, match="pass url or client"):
            ours.copy_from_langchain_postgres("theirs")
        assert ours.copy_from_langchain_postgres("theirs", client=client).inserted == 3
        assert ours.copy_from_langchain_postgres("theirs", url=url).unchanged == 3
        with pytest.raises(ConfigError, match=r"\['dimensions'\]"):
            ours.copy_from_langchain_postgres("theirs", client=client, dimensions=3)


def test_a_collection_goes_back_the_same_way(database, opened, url):
    database.execute(v2())
    with PGRecallVectorStore(MODEL, "ours", url=url) as ours:
        ours.add_texts(
            [f"{n}" for n in range(5)], [{"n": n} for n in range(5)], ids=[str(uuid.UUID(int=n)) for n in range(5)]
        )
        assert ours.collection.copy_to(opened().collection).verified == 5
    assert database.ask("SELECT count(*) FROM theirs") == 5


async def test_asynchronous_forms_do_the_same(database, url):
    database.execute(v2())
    rows(database, 3)
    async with await PGRecallVectorStore.afrom_langchain_postgres(MODEL, "theirs", url=url) as theirs:
        assert len(await theirs.asimilarity_search("text 1", k=9)) == 3
        async with PGRecallVectorStore(MODEL, CollectionConfig(name="ours"), url=url) as ours:
            assert (await ours.acopy_from_langchain_postgres("theirs")).inserted == 3
    with pytest.raises(CollectionNotFound):
        await PGRecallVectorStore.afrom_langchain_postgres(MODEL, "nope", url=url)


# -- LangChain's own suite -------------------------------------------------------------------------


class _Adopted(VectorStoreIntegrationTests):
    ddl = ""
    name = "theirs"

    @pytest.fixture
    def vectorstore(self, url: str, database) -> Iterator[VectorStore]:
        database.execute(self.ddl)
        with PGRecallVectorStore.from_langchain_postgres(self.get_embeddings(), self.name, url=url) as store:
            yield store


class TestTableOfTheSecondVersion(_Adopted):
    ddl = v2(id_type="TEXT")


class TestTableWithMetadataColumns(_Adopted):
    ddl = v2(id_type="TEXT", columns={**TYPED, "foo": "INTEGER"})


class TestCollectionOfTheFirstVersion(_Adopted):
    ddl = V1
    name = "first"
