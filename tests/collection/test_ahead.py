import asyncio

import pytest

from pgrecall.collection.ingesting.ahead import several


async def test_several_keeps_the_order_and_works_on_no_more_than_was_said():
    working, most, read = 0, 0, 0

    async def numbers():
        nonlocal read
        for number in range(20):
            read += 1
            yield number

    async def work(number):
        nonlocal working, most
        working += 1
        most = max(most, working)
        await asyncio.sleep(0.001 * (number % 3))
        working -= 1
        return 10 * number

    found = []
    async for result in several(numbers(), work, 3):
        found.append(result)
        assert read <= len(found) + 3
    assert found == [10 * number for number in range(20)]
    assert most == 3


async def test_several_works_on_what_is_next_while_a_result_is_taken():
    begun = []

    async def numbers():
        for number in range(3):
            yield number

    async def work(number):
        begun.append(number)
        return number

    async for result in several(numbers(), work, 1):
        await asyncio.sleep(0.01)
        assert begun == list(range(min(result + 2, 3)))


async def test_several_left_early_cancels_what_is_worked_on_and_closes_the_stream():
    ended = []

    async def numbers():
        try:
            for number in range(100):
                yield number
        finally:
            ended.append("stream")

    async def work(number):
        if number == 1:
            raise LookupError("the second")
        try:
            await asyncio.sleep(60 * number)
        except asyncio.CancelledError:
            ended.append(number)
            raise

    with pytest.raises(LookupError, match="the second"):
        async for _ in several(numbers(), work, 3):
            pass
    assert 2 in ended
    assert "stream" in ended
