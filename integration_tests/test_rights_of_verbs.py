"""Each verb of a collection needs the rights that docs/how-to/permissions.md says, and no more."""

import pytest

from integration_tests.tenants import config, own, record, role_of, roles, verbs
from pgrecall import AsyncClient, AsyncCollection, RecordChange
from pgrecall.errors import PermissionDenied

pytestmark = pytest.mark.core
NEAR = [1, 2, 10]
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
    "reembed": lambda d: d.reembed(lambda texts: [[1.0, 2.0]] * len(texts), model="m"),
    "secure": lambda d: d.secure(),
}
# What needs its index, model or sparse column there, or another collection: see test_every_verb.
ELSEWHERE = {
    "add_text_search", "build_due_index", "copy_to", "create_domain", "drop_index", "drop_model", "explain_keyword",
    "explain_sparse", "isolate_domain", "keep_models", "search_sparse", "switch_model", "tune", "wait_for_index",
}  # fmt: skip


def test_every_verb_is_of_one_kind():
    kinds = [HANDLES, READS.keys(), WRITES.keys(), OWNS.keys(), ELSEWHERE]
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
