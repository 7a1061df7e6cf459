"""Connections are given out in turn, none is lost, and nobody waits for ever."""

import asyncio

import pytest

from diptych.errors import StoreClosed
from diptych.read.sqlite.connection import Connection
from diptych.read.sqlite.pool import Pool


class Idle:
    def close(self) -> None:
        pass


def connect() -> Connection:
    return Idle()  # type: ignore[return-value]


async def test_who_waits_gets_the_next_one_and_not_who_came_later() -> None:
    pool, got = Pool(connect, limit=1), list[str]()
    first = await pool.take()

    async def wait() -> None:
        connection = await pool.take()
        got.append("who waited")
        pool.give(connection)

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    pool.give(first)
    pool.give(await pool.take())
    got.append("who came later")
    await waiting
    assert got == ["who waited", "who came later"]


async def test_a_place_that_was_promised_to_a_cancelled_task_is_passed_on() -> None:
    pool = Pool(connect, limit=1)
    first = await pool.take()
    cancelled, next_one = asyncio.create_task(pool.take()), asyncio.create_task(pool.take())
    await asyncio.sleep(0)
    pool.give(first)
    cancelled.cancel()
    async with asyncio.timeout(5):
        pool.give(await next_one)
        pool.give(await pool.take())
    assert cancelled.cancelled()


async def test_closing_wakes_everybody() -> None:
    pool = Pool(connect, limit=1)
    await pool.take()
    waiting = [asyncio.create_task(pool.take()) for _ in range(3)]
    await asyncio.sleep(0)
    pool.close()
    for each in waiting:
        with pytest.raises(StoreClosed):
            await each
