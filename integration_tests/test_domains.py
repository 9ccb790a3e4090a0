"""Domains: what one tenant does, no other sees."""

import pytest

from pgrecall import Record
from pgrecall.errors import ConfigError, RecordError

pytestmark = pytest.mark.core


def record(row_id="a", **more):
    return Record(**{"id": row_id, "embedding": [1, 2, 3], "metadata": {"n": 1}, "document_id": "d", **more})


@pytest.fixture
async def tenants(docs):
    """Two domains that hold records of the same ids."""
    red, blue = docs.domain("red"), docs.domain("blue")
    await red.upsert([record(content="of red"), record("b", content="of red")])
    await blue.upsert([record(content="of blue"), record("b", content="of blue"), record("c", content="of blue")])
    return red, blue


async def contents(docs):
    return [found.content for found in (await docs.list()).records]


async def test_get_reads_its_own(tenants):
    red, blue = tenants
    assert [found.content for found in await red.get(["a"])] == ["of red"]
    assert [found.content for found in await blue.get(["a"])] == ["of blue"]
    assert await red.get(["c"]) == [None]


async def test_records_say_which_domain_they_are_in(tenants):
    red, blue = tenants
    assert (await red.get(["a"]))[0].domain_id == "red"
    assert {match.domain_id for match in await blue.search([1, 2, 3])} == {"blue"}


async def test_search_count_list_and_stats_see_their_own(tenants):
    red, _ = tenants
    assert {match.content for match in await red.search([1, 2, 3], k=10)} == {"of red"}
    assert await red.count() == await red.count({"n": 1}) == 2
    assert await contents(red) == ["of red", "of red"]
    assert (await red.stats()).rows == 2


async def test_upsert_writes_its_own(tenants):
    red, blue = tenants
    assert (await red.upsert([record(content="new")])).updated == 1
    assert (await red.upsert([record("c", content="new")])).inserted == 1
    assert await contents(blue) == ["of blue"] * 3


@pytest.mark.parametrize("count", [1, 60])
async def test_upsert_of_ids_that_another_domain_has_inserts_them(docs, count):
    given = [record(f"{n}") for n in range(count)]
    assert (await docs.upsert(given)).inserted == count
    assert (await docs.domain("other").upsert(given)).inserted == count
    assert await docs.all_domains().count() == 2 * count


async def test_update_changes_its_own(tenants):
    red, blue = tenants
    assert await red.update(["a", "c"], contents=["new", "new"]) == 1
    assert await contents(red) == ["new", "of red"]
    assert await contents(blue) == ["of blue"] * 3


@pytest.mark.parametrize("given", [{"ids": ["a", "b", "c"]}, {"filter": {"n": 1}}, {"document_ids": ["d"]}])
async def test_delete_takes_its_own(tenants, given):
    red, blue = tenants
    assert await red.delete(**given) == 2
    assert await contents(blue) == ["of blue"] * 3


async def test_clear_takes_its_own(tenants):
    red, blue = tenants
    assert await red.clear() == 2
    assert await contents(blue) == ["of blue"] * 3


async def test_a_filter_cannot_leave_the_domain(tenants):
    red, _ = tenants
    assert await red.count({"domain_id": "blue"}) == 0
    assert await red.search([1, 2, 3], filter={"domain_id": "blue"}) == []
    assert await red.delete(filter={"domain_id": "blue"}) == 0


async def test_domain_id_in_the_metadata_is_only_metadata(tenants):
    red, blue = tenants
    await red.upsert([record("x", metadata={"domain_id": "blue"})])
    assert await blue.get(["x"]) == [None]
    (found,) = await red.get(["x"])
    assert (found.domain_id, found.metadata) == ("red", {"domain_id": "blue"})


async def test_upsert_of_a_record_of_another_domain_is_an_error(tenants):
    red, blue = tenants
    with pytest.raises(RecordError, match=r"belongs to domain 'blue'.*bound to domain 'red'"):
        await red.upsert([record("x", domain_id="red"), record("y", domain_id="blue")])
    assert (await red.count(), await blue.count()) == (2, 3)


async def test_a_record_that_was_read_can_be_written_back(tenants):
    red, _ = tenants
    (found,) = await red.get(["a"], include=["embedding"])
    assert (await red.upsert([found])).unchanged == 1


@pytest.mark.parametrize("domain", [None, "", 5, "a\x00b"])
async def test_a_handle_on_no_domain_is_refused(client, docs, domain):
    with pytest.raises(ConfigError, match=r"all_domains\(\)"):
        docs.domain(domain)
    with pytest.raises(ConfigError, match=r"all_domains\(\)"):
        client.collection("docs", domain=domain)
    with pytest.raises(ConfigError, match=r"all_domains\(\)"):
        await client.get_or_create_collection("docs", domain=domain)


@pytest.mark.parametrize("domain", ["'", '"; --', "é😀", "a b", "$1", "Default", "%", "x" * 500])
async def test_a_domain_may_have_any_name(docs, domain):
    await docs.domain(domain).upsert([record()])
    assert await docs.domain(domain).count() == 1
    assert await docs.count() == 0


async def test_without_a_domain_it_is_the_default_one(client, docs):
    await docs.upsert([record()])
    assert await client.collection("docs", domain="default").count() == 1
    assert (await docs.get(["a"]))[0].domain_id == "default"


async def test_all_domains_see_everything(docs, tenants):
    everyone = docs.all_domains()
    assert await everyone.count() == 5
    matches = await everyone.search([1, 2, 3], k=10)
    assert sorted((match.domain_id, match.id) for match in matches) == [
        ("blue", "a"),
        ("blue", "b"),
        ("blue", "c"),
        ("red", "a"),
        ("red", "b"),
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
async def test_all_domains_are_listed_page_by_page(docs, tenants, limit):
    everyone, found, after = docs.all_domains(), [], None
    for _ in range(6):
        page = await everyone.list(limit=limit, after=after)
        found += [(one.domain_id, one.id) for one in page.records]
        after = page.next
        if after is None:
            break
    assert found == [("blue", "a"), ("blue", "b"), ("blue", "c"), ("red", "a"), ("red", "b")]


@pytest.mark.parametrize(
    "after", ["a", "[]", '["red"]', '["red", "a", "b"]', "5", "null", '["\\u0000", "a"]', '[null, "a"]']
)
async def test_all_domains_listed_from_what_is_no_page_is_an_error(docs, tenants, after):
    with pytest.raises(ConfigError, match=r"Page\.next"):
        await docs.all_domains().list(after=after)


async def test_all_domains_delete_everywhere(docs, tenants):
    assert await docs.all_domains().delete(["a"]) == 2
    assert await docs.all_domains().count() == 3


async def test_all_domains_refuse_to_get_what_can_be_many(docs, tenants):
    with pytest.raises(ConfigError, match="handle of one domain"):
        await docs.all_domains().get(["a"])


async def test_all_domains_write_into_the_domain_of_each_record(docs, tenants):
    red, blue = tenants
    await docs.all_domains().upsert([record("x", domain_id="red"), record("x", domain_id="blue")])
    assert (await red.count(), await blue.count()) == (3, 4)


async def test_all_domains_need_a_domain_of_each_record(docs, tenants):
    with pytest.raises(RecordError, match=r"record 1.*domain_id"):
        await docs.all_domains().upsert([record("x", domain_id="red"), record("y")])
    assert await docs.all_domains().count() == 5


async def test_blocking_handles_are_scoped_alike(blocking_client):
    docs = blocking_client.get_or_create_collection("docs", dimensions=3)
    docs.domain("red").upsert([record()])
    assert (docs.count(), docs.domain("red").count(), docs.all_domains().count()) == (0, 1, 1)


async def test_a_page_of_names_looks_at_no_more_domains_than_it_names(docs, connection):
    names = [f"d{n:02}" for n in range(20)]
    for name in names:
        await docs.domain(name).upsert([record()])
    found = []
    while page := await docs.all_domains().list_domains(limit=3, after=found[-1] if found else None):
        found += page
    assert found == names
    async with connection.transaction():
        await docs.all_domains().using(connection).list_domains(limit=3)
        scans = "SELECT idx_scan + seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'docs'"
        assert await connection.fetchval(scans) == 3
