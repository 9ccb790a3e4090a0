"""Reading by id and page by page, counting, statistics."""

import pytest

from pgrecall import Record
from pgrecall.errors import ConfigError, FilterError, RecordError


def records(ids, **more):
    return [Record(id=row_id, embedding=[1, 2, 3], metadata={"n": n}, **more) for n, row_id in enumerate(ids)]


async def pages(docs, **arguments):
    """Return all ids, and the size of each page."""
    ids, sizes, after = [], [], None
    while True:
        page = await docs.list(after=after, **arguments)
        ids += [record.id for record in page.records]
        sizes.append(len(page.records))
        if page.next is None:
            return ids, sizes
        after = page.next


async def test_get_keeps_the_order_of_the_ids(docs):
    await docs.upsert(records("abc"))
    assert [record.id for record in await docs.get(["c", "a", "b"])] == ["c", "a", "b"]


async def test_get_of_a_missing_id_is_none(docs):
    await docs.upsert(records("a"))
    missing, found = await docs.get(["b", "a"])
    assert missing is None
    assert found.id == "a"


async def test_get_of_an_id_twice_gives_it_twice(docs):
    await docs.upsert(records("a"))
    assert [record.id for record in await docs.get(["a", "a"])] == ["a", "a"]


async def test_get_of_nothing_is_nothing(docs):
    assert await docs.get([]) == []


async def test_get_reads_neither_embedding_nor_envelope_unless_asked(docs):
    await docs.upsert(records("a", envelope={"x": 1}))
    (plain,) = await docs.get(["a"])
    (full,) = await docs.get(["a"], include=["embedding", "envelope"])
    assert (plain.embedding, plain.envelope) == (None, None)
    assert (full.embedding.tolist(), full.envelope) == ([1, 2, 3], {"x": 1})


async def test_get_of_an_unknown_extra_is_an_error(docs):
    with pytest.raises(ConfigError, match="vectors"):
        await docs.get(["a"], include=["vectors"])


@pytest.mark.parametrize("ids", ["abc", b"abc", [5.0], [None], [""], ["a\x00"], ["\ud800"], ["x" * 2_001]])
async def test_get_of_what_is_no_id_is_an_error(docs, ids):
    with pytest.raises(ConfigError, match="id"):
        await docs.get(ids)


async def test_get_names_the_id_that_is_none(docs):
    with pytest.raises(RecordError, match=r"ids\[1\]"):
        await docs.get(["a", ""])


async def test_list_gives_all_records_in_the_order_of_their_ids(docs):
    wanted = [f"{n:03}" for n in range(25)]
    await docs.upsert(records(reversed(wanted)))
    assert await pages(docs, limit=10) == (wanted, [10, 10, 5])


@pytest.mark.parametrize(("limit", "sizes"), [(5, [5, 5]), (9, [9, 1]), (10, [10]), (11, [10]), (10_000, [10])])
async def test_list_ends_with_the_last_record(docs, limit, sizes):
    await docs.upsert(records("abcdefghij"))
    assert (await pages(docs, limit=limit))[1] == sizes


async def test_list_orders_by_bytes_whatever_the_locale(docs):
    ids = ["Z", "a", "é", "ä", "z", "~", "😀", "A b"]
    await docs.upsert(records(ids))
    assert (await pages(docs, limit=3))[0] == sorted(ids, key=str.encode)


async def test_list_goes_on_behind_a_record_that_was_deleted_meanwhile(docs):
    await docs.upsert(records("abcdef"))
    page = await docs.list(limit=2)
    await docs.delete([page.next])
    assert [record.id for record in (await docs.list(limit=2, after=page.next)).records] == ["c", "d"]


@pytest.mark.parametrize("prefix", ["%", "_", "\\", "'", '"', "a%", "é", "😀", "$1", "{", "a_b\\'%"])
async def test_list_takes_a_prefix_literally(docs, prefix):
    await docs.upsert(records([prefix + "1", prefix + "2", "a1", "zzz", "x" + prefix]))
    wanted = sorted(
        row_id for row_id in {prefix + "1", prefix + "2", "a1", "zzz", "x" + prefix} if row_id.startswith(prefix)
    )
    assert (await pages(docs, prefix=prefix, limit=1))[0] == sorted(wanted, key=str.encode)


async def test_list_under_a_filter_gives_what_passes(docs):
    await docs.upsert([Record(id=f"{n:02}", embedding=[1, 2, 3], metadata={"half": n % 2}) for n in range(20)])
    assert await pages(docs, filter={"half": 1}, limit=4) == ([f"{n:02}" for n in range(1, 20, 2)], [4, 4, 2])


async def test_list_reads_what_it_is_asked_for(docs):
    await docs.upsert(records("a", envelope={"x": 1}))
    (full,) = (await docs.list(include=["embedding", "envelope"])).records
    assert (full.embedding.tolist(), full.envelope) == ([1, 2, 3], {"x": 1})


@pytest.mark.parametrize("limit", [0, -1, True, "5", 10_001, None])
async def test_list_with_an_impossible_limit_is_an_error(docs, limit):
    with pytest.raises(ConfigError, match="limit"):
        await docs.list(limit=limit)


@pytest.mark.parametrize(
    "given", [{"after": ""}, {"after": 5}, {"after": "\x00"}, {"prefix": "\x00"}, {"prefix": 5}, {"prefix": "\ud800"}]
)
async def test_list_from_what_is_no_text_is_an_error(docs, given):
    with pytest.raises(ConfigError, match=next(iter(given))):
        await docs.list(**given)


async def test_count_counts_what_passes(docs):
    await docs.upsert(records("abc"))
    assert await docs.count() == 3
    assert await docs.count({"n": 1}) == 1
    assert await docs.count({"n": 99}) == 0


async def test_count_with_an_empty_filter_counts_all(docs):
    await docs.upsert(records("abc"))
    assert await docs.count({}) == 3


async def test_count_with_what_is_no_filter_is_an_error(docs):
    with pytest.raises(FilterError):
        await docs.count("n = 1")


async def test_stats_say_what_there_is(docs):
    await docs.upsert(records("abc"))
    await docs.domain("other").upsert(records("ab"))
    built = await docs.create_index()
    mine, all_of_it = await docs.stats(), await docs.all_domains().stats()
    assert (mine.rows, mine.domains, mine.dimensions) == (3, {"default": 3}, 3)
    assert (all_of_it.rows, all_of_it.domains) == (5, {"default": 3, "other": 2})
    assert [(index.name, index.valid) for index in mine.indexes] == [(built.name, True)]
    assert mine.table_bytes > 0
    assert mine.index_bytes > built.size > 0
