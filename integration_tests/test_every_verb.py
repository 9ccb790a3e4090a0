"""Every public verb stays in its domain: nothing of another one is read, changed, counted or deleted by it.

Each is run in domain red beside a domain blue that holds the same ids: once by a role that sees all rows, so
that the statements alone keep the domains apart, and once by one that row-level security binds.
"""

import asyncpg
import pytest

from integration_tests.tenants import SECRET, config, everything_of, own, record, roles, shown, verbs
from pgrecall import (
    HNSW,
    AsyncClient,
    AsyncCollection,
    AsyncKeyValues,
    AsyncLedger,
    Client,
    HybridOptions,
    RecordChange,
    ReembedOptions,
)
from pgrecall.errors import ConfigError, ModelNotReady, PermissionDenied, SchemaError

pytestmark = pytest.mark.core

NEAR = [1, 2, 10]


class World:
    """Handles of one role on red; *owned* are those of the role that owns the tables."""

    def __init__(self, client, owner, url):
        self.client, self.owner, self.url = client, owner, url
        self.docs = client.collection(config(row_level_security=False))
        self.red = self.docs.domain("red")
        self.owned = owner.collection(config()).domain("red")

    async def seed(self):
        await self.red.clear()
        await self.red.upsert(own("red"))


async def using(w):
    connection = await asyncpg.connect(w.url)
    try:
        lent = w.red.using(connection)
        async with connection.transaction():
            assert (await lent.upsert(own("red", "abz"))).inserted == 1
            assert [found.id for found in await lent.search(NEAR)] == ["a", "b", "z"]
            await lent.delete(["z"])
            # Nothing of the domain is left in the caller's own transaction.
            assert not await connection.fetchval("SELECT current_setting('pgrecall.domains', true)")
        return (await lent.list()).records
    finally:
        await connection.close()


async def copied(w):
    assert await w.red.copy_domain("pink") == 2
    assert await w.red.domain("pink").delete_domain() == 2
    with pytest.raises(ConfigError, match="has rows already"):
        await w.red.copy_domain("blue")


async def renamed(w):
    assert await w.red.rename_domain("pink") == 2
    assert [one.content for one in await w.red.domain("pink").get(["a"])] == ["a secret of red"]
    assert await w.red.domain("pink").rename_domain("red") == 2
    with pytest.raises(ConfigError, match="has rows already"):
        await w.red.rename_domain("blue")


async def ledgers(w):
    ledger = w.red.ledger("l")
    await w.red.upsert(own("red"), ledger=ledger)
    assert await ledger.keys() == ["a", "b"]
    await w.red.delete(["a"], ledger=ledger)
    assert await ledger.keys() == ["b"]
    await ledger.mark(["y"], group_ids=["g"])
    assert await ledger.keys(group_ids=["g"]) == ["y"]
    assert await ledger.marked(["a", "y", "z"]) == [False, True, False]
    assert await ledger.unmark(["a", "b", "y"]) == 2


async def in_domains(w):
    several = w.docs.in_domains(["red", "green"])
    assert await several.count() == 2
    assert {match.domain_id for match in await several.search(NEAR)} == {"red"}
    assert (await several.upsert([record("z", domain_id="green")])).inserted == 1
    assert await several.delete(["z"]) == 1
    for nothing in (None, [], "", [""], [None], "blue"):
        with pytest.raises(ConfigError):
            w.docs.in_domains(nothing)


async def all_domains(w):
    if (await w.client.server()).user == "postgres":
        assert await w.docs.all_domains().count() == 5
        return
    for call in (w.docs.all_domains().count(), w.docs.all_domains().clear(), w.docs.all_domains().search(NEAR)):
        with pytest.raises(PermissionDenied, match="in_domains"):
            await call


async def domain(w):
    for nothing in (None, "", 0):
        with pytest.raises(ConfigError):
            w.docs.domain(nothing)
        with pytest.raises(ConfigError):
            w.client.collection("docs", domain=nothing)
        with pytest.raises(ConfigError):
            w.client.key_values("n", domain=nothing)
    return await w.docs.domain("red").count()


async def copy_to(w):
    other = w.owner.collection(config(name="other")).domain("red")
    report = await w.red.copy_to(other)
    assert (report.read, report.verified) == (2, 2)
    found = (await other.list()).records
    await w.owner.delete_collection("other")
    return found


async def equals(answer, expected):
    assert await answer == expected


async def ids(answer, expected):
    found = await answer
    assert sorted(one.id for one in found) == expected
    return found


async def unpartitioned(answer):
    """See test_secured_partitions for tables that can do this."""
    with pytest.raises(SchemaError, match="ListPartitions"):
        await answer


async def page(answer, expected):
    found = (await answer).records
    assert len(found) == expected
    return found


async def upserted(w):
    result = await w.red.upsert([record("a", content="new"), *own("red", "bc")])
    assert (result.inserted, result.updated, result.unchanged) == (1, 1, 1)
    assert (await w.red.upsert([record(f"{n}", content="new") for n in range(60)])).inserted == 60


async def replaced(w):
    result = await w.red.replace_documents(own("red", "ac"))
    assert (result.inserted, result.unchanged, result.deleted) == (1, 1, 1)


async def described(w):
    (info,) = await w.red.describe_domains()
    assert (info.name, info.rows) == ("red", 2)
    assert 100 < info.bytes < 10_000
    assert info.newest is not None
    return info


async def deleted(w):
    assert await w.red.delete(["a", "c"]) == 1
    assert await w.red.delete(filter={"n": 1}, document_ids=["d"]) == 1
    assert await w.red.delete(filter={"domain_id": "blue"}) == 0


async def tuned(w):
    await w.owned.create_index(HNSW(m=4, ef_construction=16))
    with pytest.raises(ConfigError):
        await w.owned.tune(queries=[NEAR])
    return await w.owned.drop_index()


async def amended(w):
    assert await w.red.amend([RecordChange(id="a", content="new"), RecordChange(id="c", document_id="new")]) == 1
    assert await w.red.amend([RecordChange(id="b", metadata={"n": 2}), RecordChange(id="b", chunk_index=7)]) == 1


async def sparse(w):
    await w.owned.add_sparse_embeddings(9)
    w.docs = w.client.collection(config(row_level_security=False))
    w.red = w.docs.domain("red")
    with_weights = [record("a", sparse_embedding={1: 1.0}), record("b", sparse_embedding={1: 2.0})]
    assert (await w.red.upsert(with_weights)).updated == 2


async def found_sparse(w):
    assert (await w.red.upsert([record("a", sparse_embedding={1: 1.0})])).updated == 1
    found = await w.red.search_sparse({1: 1.0})
    assert [match.id for match in found] == ["a"]
    return [*found, *await w.red.search_hybrid("secret", NEAR, options=HybridOptions(sparse={1: 1.0}))]


async def many(w):
    found = await w.red.search_many([NEAR, NEAR])
    assert [[match.id for match in matches] for matches in found] == [["a", "b"]] * 2
    return found


async def grouped(w):
    (group,) = await w.red.search_groups(NEAR, "n", group_size=9)
    assert [match.id for match in group.matches] == ["a", "b"]
    return group


async def counted(w):
    assert [(facet.value, facet.count) for facet in await w.red.facet("kind")] == [("x", 2)]


async def taken_in(w):
    report = await w.red.ingest([record("a"), record("b", content="new"), record("c")], run="r")
    assert (report.inserted, report.written, report.failed) == (1, 2, ())
    # Finished, so that it begins anew, and writes nothing.
    report = await w.red.ingest([record("a"), record("b", content="new")], run="r")
    assert (report.resumed_at, report.written, report.unchanged) == (0, 0, 2)
    for nothing in (w.docs.in_domains(["red", "blue"]), w.docs.all_domains()):
        with pytest.raises(ConfigError, match="one domain"):
            await nothing.ingest([record("a")], run="r")


def embed(texts):
    return [[float(len(text)), 1.0, 2.0, 3.0] for text in texts]


async def embedded(w):
    """Models are of the whole table, so that only its owner makes them, for all domains."""
    report = await w.owned.reembed(embed, model="m", options=ReembedOptions(sample=1, k=1))
    assert (report.embedded, report.missing) == (5, 0)
    new = w.red.model("m")
    assert [match.id for match in await new.search([1.0, 1.0, 2.0, 3.0])] == ["a", "b"]
    await w.red.upsert(own("red", "c"))
    assert len(await new.search([1.0, 1.0, 2.0, 3.0])) == 2
    if (await w.client.server()).user != "postgres":
        with pytest.raises(PermissionDenied, match="only to its owner"):
            await w.red.keep_models({"m": embed}, seconds=0)
    with pytest.raises(ModelNotReady, match="1 records"):
        await w.owned.switch_model("m")
    assert await w.owned.keep_models({"m": embed}, seconds=0) == 1
    assert await w.owned.switch_model("m") == "original"
    assert (await (await w.red.current()).search([1.0, 1.0, 2.0, 3.0]))[0].id == "a"
    assert await w.owned.switch_model("original") == "m"
    await w.owned.drop_model("m")
    return [model.name for model in await w.red.models()]


CASES = {
    "add_fields": lambda w: w.owned.add_fields({"n": int}),
    "add_sparse_embeddings": sparse,
    "add_text_search": lambda w: w.owned.add_text_search("en"),
    "all_domains": all_domains,
    "amend": amended,
    "build_due_index": lambda w: w.red.build_due_index(),
    "check": lambda w: w.red.check(sample=2),
    "clear": lambda w: equals(w.red.clear(), 2),
    "copy_domain": copied,
    "copy_to": copy_to,
    "count": lambda w: equals(w.red.count({"n": 1}), 2),
    "count_domains": lambda w: equals(w.red.count_domains(), 1),
    "create_domain": lambda w: unpartitioned(w.owned.create_domain("red")),
    "create_index": lambda w: w.owned.create_index(HNSW(m=4, ef_construction=16)),
    "current": lambda w: w.red.current(),
    "delete": deleted,
    "delete_domain": lambda w: equals(w.red.delete_domain(), 2),
    "delete_returning": lambda w: equals(w.red.delete_returning(["a", "c"]), ["a"]),
    "describe_domains": described,
    "domain": domain,
    "drop_index": lambda w: w.owned.drop_index(),
    "drop_model": embedded,
    "exists": lambda w: equals(w.red.exists(), True),
    "explain": lambda w: w.red.explain(NEAR, filter={"n": 1}, postgres=True),
    "explain_keyword": lambda w: w.red.explain_keyword("secret", postgres=True),
    "explain_sparse": lambda w: w.red.explain_sparse({1: 1.0}, postgres=True),
    "facet": counted,
    "get": lambda w: ids(w.red.get(["a", "b"], include=["embedding"]), ["a", "b"]),
    "grant": lambda w: w.owned.grant("postgres"),
    "in_domains": in_domains,
    "indexes": lambda w: w.red.indexes(),
    "ingest": taken_in,
    "isolate_domain": lambda w: unpartitioned(w.owned.isolate_domain("red")),
    "keep_models": embedded,
    "ledger": ledgers,
    "list": lambda w: page(w.red.list(filter={"n": 1}), 2),
    "list_documents": lambda w: w.red.list_documents(),
    "list_domains": lambda w: equals(w.red.list_domains(), ["red"]),
    "maintain": lambda w: w.owned.maintain(),
    "metadata_keys": lambda w: equals(w.red.metadata_keys(), ["kind", "n"]),
    "model": lambda w: w.red.model("original").count(),
    "models": lambda w: w.red.models(),
    "neighbours": lambda w: w.red.neighbours(own("red"), window=5),
    "recall": lambda w: w.red.recall(k=2),
    "recommend": lambda w: ids(w.red.recommend(["a"]), ["b"]),
    "reembed": embedded,
    "rename_domain": renamed,
    "replace": lambda w: equals(w.red.replace([record("a", content="new"), record("c")]), 1),
    "replace_documents": replaced,
    "search": lambda w: ids(w.red.search(NEAR, filter={"kind": "x"}), ["a", "b"]),
    "search_by_id": lambda w: ids(w.red.search_by_id("a"), ["b"]),
    "search_groups": grouped,
    "search_hybrid": lambda w: ids(w.red.search_hybrid("secret", NEAR), ["a", "b"]),
    "search_keyword": lambda w: ids(w.red.search_keyword("secret"), ["a", "b"]),
    "search_many": many,
    "search_mmr": lambda w: ids(w.red.search_mmr(NEAR), ["a", "b"]),
    "search_range": lambda w: ids(w.red.search_range(NEAR, max_distance=2), ["a", "b"]),
    "search_sparse": found_sparse,
    "secure": lambda w: w.owned.all_domains().count(),
    "stats": lambda w: w.red.stats(),
    "switch_model": embedded,
    "tune": tuned,
    "update": lambda w: equals(w.red.update(["a", "c"], contents=["new", "new"]), 1),
    "update_where": lambda w: equals(w.red.update_where({"kind": "x"}, metadata={"n": 3}), 2),
    "upsert": upserted,
    "using": using,
    "wait_for_index": lambda w: w.red.wait_for_index(1),
}

# Verbs that give all rows a column more, and what each row of blue has in it.
WIDER = {"add_fields": ",x,", "add_sparse_embeddings": ",)"}


def test_no_verb_is_left_out():
    assert verbs(AsyncCollection) == CASES.keys()


@pytest.mark.parametrize("policies", [False, True], ids=["statements", "policies"])
async def test_every_verb_stays_in_its_domain(server, database, policies):
    settings = config(row_level_security=policies)
    async with roles(database, settings) as (boss, runtime), AsyncClient(boss) as owner:
        url = runtime if policies else database.url
        async with AsyncClient(url) as client, AsyncClient(database.url) as superuser:
            blue = superuser.collection(config()).domain("blue")
            await blue.upsert(own("blue", "abc"))
            await blue.ledger("l").mark(["a", "b", "y"], group_ids=["g", "g", "g"])
            await superuser.key_values("n", domain="blue").set({"a": b"of blue"})
            await blue.ingest([record("a", "blue")], run="r")
            secured = database.ask("SELECT count(*) FROM pg_class WHERE relforcerowsecurity")
            assert secured == (4 if policies else 0)
            before = everything_of(database, "blue")
            assert [len(rows) for rows in before.values()] == [3, 3, 1, 1]
            world = World(client, owner, url)
            for verb, case in CASES.items():
                if "sparse" in verb and server.lack(pgvector="0.7"):
                    continue
                await world.seed()
                answer = await case(world)
                assert SECRET not in shown(answer), verb
                for name, rows in everything_of(database, "blue").items():
                    assert verb in WIDER or rows == before[name], verb
                if verb in WIDER:
                    before = everything_of(database, "blue")
                    assert [row.count(WIDER[verb]) for row in before["docs"]] == [1, 1, 1]


@pytest.mark.parametrize("policies", [False, True], ids=["statements", "policies"])
async def test_key_values_stay_in_their_domain(database, policies):
    async with roles(database, config(row_level_security=policies)) as (_, runtime), AsyncClient(runtime) as client:
        red, blue = (client.key_values("n", domain=name) for name in ("red", "blue"))
        await blue.set({"a": b"of blue", "b": b"of blue"})
        await red.set({"a": b"of red"})
        assert await red.get(["a", "b"]) == [b"of red", None]
        assert [key async for key in red.keys()] == ["a"]  # noqa: SIM118 - it is no mapping
        assert await red.page() == ["a"]
        assert await red.delete(["a", "b"]) == 1
        assert await blue.get(["a", "b"]) == [b"of blue"] * 2
    assert verbs(AsyncKeyValues) == {"delete", "get", "keys", "page", "prepare", "set"}
    assert verbs(AsyncLedger) == {"is_same_as", "keys", "mark", "marked", "prepare", "time", "unmark"}


async def test_statements_alone_find_what_is_nearest_in_several_domains(docs):
    for name, at in (("red", 0.0), ("blue", 0.1), ("green", 0.2)):
        far = record("b", name, embedding=[at, 0, 1])
        await docs.domain(name).upsert([record("a", name, embedding=[1, at, 0]), far])
    several = docs.in_domains(["green", "red", "red"])
    found = await several.search([1, 0, 0], k=3)
    assert [(match.domain_id, match.id) for match in found] == [("red", "a"), ("green", "a"), ("green", "b")]
    assert [one.domain_id for one in (await several.list(limit=3)).records] == ["green", "green", "red"]
    after = (await several.list(limit=3)).next
    assert [(one.domain_id, one.id) for one in (await several.list(after=after)).records] == [("red", "b")]
    assert (await several.stats()).domains == {"green": 2, "red": 2}
    assert str(several.scope) == "domains 'green', 'red'"
    with pytest.raises(ConfigError, match="handle of one domain"):
        await several.get(["a"])


def test_blocking_handles_take_several_domains_alike(url):
    with Client(url) as client:
        docs = client.get_or_create_collection("docs", dimensions=3)
        docs.domain("red").upsert(own("red"))
        docs.domain("blue").upsert(own("blue", "abc"))
        assert (docs.in_domains(["red"]).count(), docs.in_domains(["red", "blue"]).count()) == (2, 5)
        assert docs.domain("red").copy_domain("pink") == 2
        assert docs.all_domains().list_domains() == ["blue", "pink", "red"]
        assert docs.all_domains().list_domains(limit=1, after="blue") == ["pink"]
        assert docs.all_domains().count_domains() == 3
        assert [info.rows for info in docs.all_domains().describe_domains()] == [3, 2, 2]
        with pytest.raises(ConfigError, match="about one domain"):
            docs.all_domains().delete_domain()
