"""Moving in from Chroma: through its own package where that is installed, and through a stand-in of the same answers."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from pgrecall import Distance, moving
from pgrecall.errors import CollectionNotFound, ConfigError
from pgrecall.moving import Chroma, MoveOptions

COUNT = 25


class Collection:
    """A collection as chromadb 1.5 has it: what is read comes in the order in which it was added."""

    def __init__(self, name, metadata):
        self.name, self.metadata = name, metadata
        space = (metadata or {}).get("hnsw:space", "l2")
        self.configuration_json = {"hnsw": {"space": space}, "spann": None, "embedding_function": {"type": "known"}}
        self.rows = []

    def add(self, ids, embeddings, documents=None, metadatas=None):
        for place, row_id in enumerate(ids):
            given = None if metadatas is None else metadatas[place]
            self.rows.append((row_id, embeddings[place], None if documents is None else documents[place], given))

    def count(self):
        return len(self.rows)

    def get(self, *, limit, offset, include):
        found = self.rows[offset : offset + limit]
        ids, embeddings, documents, metadatas = zip(*found, strict=True) if found else ((), (), (), ())
        return {
            "ids": list(ids),
            "embeddings": np.array(embeddings) if "embeddings" in include else None,
            "documents": list(documents) if "documents" in include else None,
            "metadatas": list(metadatas) if "metadatas" in include else None,
            "uris": None,
            "data": None,
            "included": include,
        }


class StandIn(ModuleType):
    """As much of chromadb as is asked for anything here."""

    def __init__(self):
        super().__init__("chromadb")
        self.stores = {}
        self.asked = []

    def Settings(self, *, anonymized_telemetry):
        assert anonymized_telemetry is False
        return "settings"

    def PersistentClient(self, path, settings=None, tenant="default_tenant", database="default_database"):
        Path(path).mkdir(exist_ok=True)
        Path(path, "chroma.sqlite3").touch()
        collections = self.stores.setdefault((path, tenant, database), {})
        return SimpleNamespace(
            create_collection=lambda name, metadata=None: collections.setdefault(name, Collection(name, metadata)),
            list_collections=lambda: list(collections.values()),
            get_collection=lambda name, embedding_function: collections[name],
        )

    def HttpClient(self, **given):
        self.asked.append(given)
        return self.PersistentClient(given["host"])


@pytest.fixture(params=["stand-in", "real"])
def chroma(request, monkeypatch, tmp_path):
    """Chroma with two collections in a directory, and what made them."""
    if request.param == "stand-in":
        module = StandIn()
        monkeypatch.setitem(sys.modules, "chromadb", module)
    elif importlib.util.find_spec("chromadb") is None:
        pytest.skip("needs chromadb")
    else:
        import chromadb as module
    where = tmp_path / "chroma"
    client = module.PersistentClient(str(where), settings=module.Settings(anonymized_telemetry=False))
    docs = client.create_collection("docs", metadata={"hnsw:space": "cosine"})
    docs.add(
        ids=[f"id{n}" for n in range(COUNT, 0, -1)],
        embeddings=[[n + 1.0, 1.0, n / 8] for n in range(COUNT)],
        documents=[f"text {n}" for n in range(COUNT)],
        metadatas=[{"n": n, "f": 0.5, "b": True, "source": f"d{n % 2}", "chunk_index": n // 2} for n in range(COUNT)],
    )
    bare = client.create_collection("bare", metadata={"hnsw:space": "cosine"})
    bare.add(ids=["a", "id1"], embeddings=[[1, 2, 3], [4, 5, 6]])
    client.create_collection("other")
    return SimpleNamespace(where=where, module=module)


async def test_collection_is_moved_gone_on_with_and_verified(chroma, client):
    source = Chroma(where=chroma.where, name="docs")
    plan = await moving.aplan(source, client, "docs")
    assert (plan.count, plan.collection.dimensions, plan.collection.distance) == (COUNT, 3, Distance.COSINE)
    assert "document (str) -> content" in str(plan)

    def kill(progress):
        if progress.done >= 10:
            raise KeyError("killed")

    options = MoveOptions(write_batch=5, sample=7)
    with pytest.raises(KeyError):
        await moving.amigrate(source, client, "docs", options=options, progress=kill)
    there = await client.collection("docs").count()
    report = await moving.amigrate(source, client, "docs", options=options)
    assert (report.parts[0].report.resumed_at, report.ok, report.verification.sampled) == (there, True, 7)
    (first,) = await client.collection("docs").get([f"id{COUNT}"], include=["embedding"])
    assert (first.content, first.document_id, first.chunk_index) == ("text 0", "d0", 0)
    assert first.metadata == {"n": 0, "f": 0.5, "b": True, "source": "d0", "chunk_index": 0}
    assert np.allclose(first.embedding, [1, 1, 0])  # of cosine Chroma keeps directions, and gives them back rounded


async def test_all_collections_become_domains_if_they_are_compared_alike(chroma, client):
    everything = Chroma(where=str(chroma.where), name="*")
    with pytest.raises(ConfigError, match=r"compared differently \(bare by cosine, docs by cosine, other by l2\)"):
        await moving.aplan(everything, client, "docs")
    with pytest.raises(CollectionNotFound, match=r"which has \['bare', 'docs', 'other'\]"):
        await moving.aplan(Chroma(where=chroma.where, name="x"), client, "docs")
    empty = await moving.aplan(Chroma(where=chroma.where, name="other"), client, "docs")
    assert (empty.count, empty.collection.dimensions, empty.collection.distance) == (0, None, Distance.L2)
    report = await moving.amigrate(
        Chroma(where=chroma.where, name="bare"), client, "docs", options=MoveOptions(domain="b")
    )
    assert report.ok
    (record,) = await client.collection("docs", domain="b").get(["a"])
    assert (record.content, record.metadata, record.document_id) == (None, {}, None)


async def test_server_is_asked_by_its_address(monkeypatch, client, tmp_path):
    module = StandIn()
    monkeypatch.setitem(sys.modules, "chromadb", module)
    monkeypatch.chdir(tmp_path)
    for where, host, port, ssl in (
        ("https://chroma", "chroma", 443, True),
        ("http://other:1234", "other", 1234, False),
    ):
        module.PersistentClient(host).create_collection("docs").add(["a"], [[1.0, 2.0]])
        plan = await moving.aplan(Chroma(where=where, name="docs", tenant="t"), client, "docs")
        assert plan.count == 1
        asked = module.asked[-1]
        assert (asked["host"], asked["port"], asked["ssl"], asked["tenant"]) == (host, port, ssl, "t")


async def test_directory_that_is_none_of_chromas_is_left_alone(monkeypatch, client, tmp_path):
    monkeypatch.setitem(sys.modules, "chromadb", StandIn())
    with pytest.raises(ConfigError, match=r"it has no chroma\.sqlite3"):
        await moving.aplan(Chroma(where=tmp_path, name="docs"), client, "docs")
    assert not list(tmp_path.iterdir())
    monkeypatch.setitem(sys.modules, "chromadb", None)
    with pytest.raises(ConfigError, match=r"pip install 'pgrecall\[chroma\]'"):
        await moving.aplan(Chroma(where=tmp_path, name="docs"), client, "docs")
