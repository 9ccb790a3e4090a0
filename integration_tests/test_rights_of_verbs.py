"""Each verb of a collection needs the rights that docs/how-to/permissions.md says, and no more."""

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from integration_tests.tenants import config, own, record, role_of, roles, verbs
from pgrecall import HNSW, AsyncClient, AsyncCollection, ListPartitions, RecordChange, ReembedOptions
from pgrecall.errors import ConfigError, PermissionDenied

pytestmark = pytest.mark.core
NEAR = [1, 2, 10]


def embed(texts):
    return [[1.0, 2.0]] * len(texts)


async def back_and_forth(docs):
    assert await docs.switch_model("m") == "original"
    assert await docs.switch_model("original") == "m"


# What makes handles, and sends nothing.
HANDLES = {"all_domains", "domain", "in_domains", "ledger", "model", "using"}
READS = {
    "check": lambda d: d.check(sample=1),
    "count": lambda d: d.count({"n": 1}),
    "count_domains": lambda d: d.count_domains(),
    "current": lambda d: d.current(),
    "describe_domains": lambda d: d.describe_domains(),
    "exists": lambda d: d.exists(),
    "explain": lambda d: d.explain(NEAR, postgres=True),
    "facet": lambda d: d.facet("kind"),
    "get": lambda d: d.get(["a"]),
    "indexes": lambda d: d.indexes(),
    "list": lambda d: d.list(),
    "list_documents": lambda d: d.list_documents(),
    "list_domains": lambda d: d.list_domains(),
    "metadata_keys": lambda d: d.metadata_keys(),
    "models": lambda d: d.models(),
    "neighbours": lambda d: d.neighbours([record("a")], window=1),
    "recall": lambda d: d.recall(k=1),
    "recommend": lambda d: d.recommend(["a"]),
    "search": lambda d: d.search(NEAR),
    "search_by_id": lambda d: d.search_by_id("a"),
    "search_groups": lambda d: d.search_groups(NEAR, "n"),
    "search_hybrid": lambda d: d.search_hybrid("secret", NEAR),
    "search_keyword": lambda d: d.search_keyword("secret"),
    "search_many": lambda d: d.search_many([NEAR]),
    "search_mmr": lambda d: d.search_mmr(NEAR),
    "search_range": lambda d: d.search_range(NEAR, max_distance=2),
    "stats": lambda d: d.stats(),
}
WRITES = {
    "amend": lambda d: d.amend([RecordChange(id="a", content="new")]),
    "clear": lambda d: d.domain("green").clear(),
    "copy_domain": lambda d: d.copy_domain("pink"),
    "delete": lambda d: d.delete(["x"]),
    "delete_domain": lambda d: d.domain("pink").delete_domain(),
    "delete_returning": lambda d: d.delete_returning(["x"]),
    "ingest": lambda d: d.ingest([record("c")], run="r"),
    "rename_domain": lambda d: d.rename_domain("crimson"),
    "replace": lambda d: d.replace([record("a")]),
    "replace_documents": lambda d: d.replace_documents(own("red")),
    "update": lambda d: d.update(["a"], contents=["newer"]),
    "update_where": lambda d: d.update_where({"n": 1}, metadata={"seen": True}),
    "upsert": lambda d: d.upsert([record("a")]),
}
OWNS = {
    "add_fields": lambda d: d.add_fields({"m": int}),
    "add_sparse_embeddings": lambda d: d.add_sparse_embeddings(9),
    "create_index": lambda d: d.create_index(),
    "grant": lambda d: d.grant("pg_monitor"),
    "maintain": lambda d: d.maintain(),
    "reembed": lambda d: d.reembed(embed, model="m"),
    "secure": lambda d: d.secure(),
}
# What needs its index, model or partitions there: docs has an index and a model, parts has
# partitions, and bare has no words.
READS_WHAT_IS_MADE = {
    "explain_keyword": lambda docs, *_: docs.explain_keyword("secret", postgres=True),
    "explain_sparse": lambda docs, *_: docs.explain_sparse({1: 1.0}, postgres=True),
    "search_sparse": lambda docs, *_: docs.search_sparse({1: 1.0}),
    "wait_for_index": lambda docs, *_: docs.wait_for_index(1),
}
# In this order the owner can do all of them.
OWNS_WHAT_IS_MADE = {
    "tune": lambda docs, *_: docs.tune(sample=1),
    "switch_model": lambda docs, *_: back_and_forth(docs),
    "drop_model": lambda docs, *_: docs.drop_model("m"),
    "drop_index": lambda docs, *_: docs.drop_index(),
    "add_text_search": lambda _, __, bare: bare.add_text_search("en"),
    "create_domain": lambda _, parts, __: parts.create_domain("green"),
    "isolate_domain": lambda _, parts, __: parts.isolate_domain("red"),
}
# Of two tables; told in the log alone; and of whoever writes, but where policies let only the owner see all domains.
OF_THEIR_OWN = {"build_due_index", "copy_to", "keep_models"}


def test_every_verb_is_of_one_kind():
    kinds = [HANDLES, READS, WRITES, OWNS, READS_WHAT_IS_MADE, OWNS_WHAT_IS_MADE, OF_THEIR_OWN]
    assert sorted(verbs(AsyncCollection)) == sorted(name for kind in kinds for name in kind)


async def denied(call):
    """Return whether the role may not do that; any other error is one of the test."""
    try:
        await call
    except PermissionDenied:
        return True
    return False


@pytest.mark.needs(pgvector="0.7")
@pytest.mark.parametrize("policies", [False, True], ids=["plain", "policies"])
async def test_a_verb_needs_the_rights_that_are_documented(database, policies):
    settings = config(row_level_security=policies)
    async with roles(database, settings) as (boss, runtime), AsyncClient(runtime) as client:
        writer = client.collection(settings).domain("red")
        await writer.upsert(own("red"))
        reader = database.role()
        async with AsyncClient(boss) as owner:
            await owner.collection(settings).grant(role_of(reader), write=False)
        async with AsyncClient(reader) as other:
            reading = other.collection(settings).domain("red")
            for call in READS.values():
                await call(reading)
            for verb, call in {**WRITES, **OWNS}.items():
                assert await denied(call(reading)), verb
        for verb, call in OWNS.items():
            assert await denied(call(writer)), verb
        for call in {**READS, **WRITES}.values():
            await call(writer)
        assert await writer.domain("crimson").count() == 3
        database.execute(f"DROP OWNED BY {role_of(reader)}")


MADE = {
    "docs": {"sparse_dimensions": 9},
    "parts": {"name": "parts", "layout": ListPartitions()},
    "bare": {"name": "bare", "text_search": None},
}


async def made(client, policies):
    """Return handles on red of the collections, which *client* may have to make."""
    wanted = [config(**facts, row_level_security=policies) for facts in MADE.values()]
    return [(await client.get_or_create_collection(one)).domain("red") for one in wanted]


@asynccontextmanager
async def people(database, policies):
    """Give handles of the owner, of who may write, and of who may read, on docs, parts and bare, with rows of red."""
    boss = database.role("GRANT CREATE ON SCHEMA public TO {role}")
    writer, reader = database.role(), database.role()
    async with AsyncClient(boss) as owner, AsyncClient(writer) as writes, AsyncClient(reader) as reads:
        owned = await made(owner, policies)
        for docs in owned:
            await docs.grant(role_of(writer))
            await docs.grant(role_of(reader), write=False)
        written = await made(writes, policies)
        await written[0].upsert([record("a", sparse_embedding={1: 1.0}), record("b", sparse_embedding={1: 2.0})])
        for docs in written[1:]:
            await docs.upsert(own("red"))
        yield owned, written, await made(reads, policies)
    database.execute("DROP OWNED BY " + ", ".join(map(role_of, (reader, writer, boss))) + " CASCADE")


@pytest.mark.needs(pgvector="0.7")  # for sparse embeddings
@pytest.mark.parametrize("policies", [False, True], ids=["plain", "policies"])
async def test_a_verb_of_what_is_made_needs_the_rights_that_are_documented(database, policies):
    async with people(database, policies) as (owned, written, read):
        await owned[0].create_index(HNSW(m=4, ef_construction=16))
        await owned[0].reembed(embed, model="m", options=ReembedOptions(sample=1, k=1))
        await written[0].upsert([record("c", sparse_embedding={1: 1.0})])
        assert await denied(read[0].keep_models({"m": embed}, seconds=0))
        assert await denied(written[0].keep_models({"m": embed}, seconds=0)) is policies
        assert await owned[0].keep_models({"m": embed}, seconds=0) == int(policies)
        for docs in (owned, written, read):
            for call in READS_WHAT_IS_MADE.values():
                assert await call(*docs)
        for verb, call in OWNS_WHAT_IS_MADE.items():
            for docs in (written, read):
                assert await denied(call(*docs)), verb
        for verb, call in OWNS_WHAT_IS_MADE.items():
            if verb == "tune":
                # It may, and finds that so few rows are searched exactly.
                with pytest.raises(ConfigError, match="nothing to tune"):
                    await call(*owned)
            else:
                await call(*owned)
        assert [model.name for model in await read[0].models()] == ["original"]
        assert await read[0].indexes() == ()
        assert [match.id for match in await read[2].search_keyword("secret")] == ["a", "b"]


@pytest.mark.needs(pgvector="0.7")  # for sparse embeddings
@pytest.mark.parametrize("policies", [False, True], ids=["plain", "policies"])
async def test_a_copy_needs_to_read_one_table_and_to_write_the_other(database, policies):
    async with people(database, policies) as (owned, written, read):
        mover, stranger = database.role(), database.role()
        for role, reads in ((mover, True), (stranger, False)):
            await owned[0].grant(role_of(role))
            if reads:
                await owned[1].grant(role_of(role), write=False)
        async with AsyncClient(mover) as moves, AsyncClient(stranger) as copies:
            for client in (moves, copies):
                docs = client.collection(config(**MADE["docs"])).domain("pink")
                parts = client.collection(config(**MADE["parts"])).domain("red")
                if client is copies:
                    assert await denied(parts.copy_to(docs))
                else:
                    assert (await parts.copy_to(docs)).verified == 2
                    assert await denied(docs.copy_to(parts))
            assert await denied(read[1].copy_to(read[0].domain("pink")))
            # A target that is not there is made, by who may make one.
            new = config(name="new", row_level_security=policies)
            assert await denied(written[1].copy_to(moves.collection(new).domain("red")))
        database.execute(f"DROP OWNED BY {role_of(mover)}, {role_of(stranger)}")


@pytest.mark.parametrize("policies", [False, True], ids=["plain", "policies"])
async def test_an_index_is_built_by_itself_for_its_owner_alone(database, caplog, policies):
    settings = config(row_level_security=policies, index=HNSW(m=4, ef_construction=16), min_rows_for_index=2)
    async with roles(database, replace(settings, index=None)) as (boss, runtime):
        async with AsyncClient(runtime) as client:
            docs = client.collection(replace(settings, index=None)).domain("red")
            await docs.upsert(own("red"))
            # To build one is not theirs: that is told in the log, and nothing is raised.
            docs = client.collection(settings).domain("red")
            await docs.build_due_index()
            assert await docs.wait_for_index(30) is None
            # Under policies the rows of all domains are not theirs to count either, so that none is ever due.
            assert ("gets no index by itself" in caplog.text) is not policies
        async with AsyncClient(boss) as owner:
            docs = owner.collection(settings).domain("red")
            await docs.build_due_index()
            assert (await docs.wait_for_index(30)).valid
