"""The proxy cuts exactly where it is told, so that tests around a commit mean what they say."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.servers.proxy import Proxy, proxy_to

LOST = (asyncpg.ConnectionDoesNotExistError, ConnectionError)


class Both:
    """One connection through the proxy and one past it."""

    def __init__(
        self, url: str, proxy: Proxy, through: asyncpg.Connection, past: asyncpg.Connection
    ) -> None:
        self.url, self.proxy, self.through, self.past = url, proxy, through, past

    async def rows(self) -> int:
        return int(await self.past.fetchval("SELECT count(*) FROM kept"))


@pytest.fixture
async def both(postgres_url: str) -> AsyncIterator[Both]:
    async with proxy_to(postgres_url) as (proxy, url):
        past = await asyncpg.connect(postgres_url)
        await past.execute("CREATE TABLE kept (n int)")
        through = await asyncpg.connect(url)
        yield Both(url, proxy, through, past)
        through.terminate()
        await past.close()


async def insert(both: Both) -> None:
    await both.through.execute("INSERT INTO kept VALUES (1)")


def inserting(data: bytes) -> bool:
    return b"INSERT INTO kept" in data


async def test_a_cut_before_the_request_leaves_nothing_done(both: Both) -> None:
    trap = both.proxy.cut_before_request(inserting)
    with pytest.raises(LOST):
        await insert(both)
    assert trap.sprung.is_set()
    assert await both.rows() == 0


async def test_a_cut_before_the_answer_leaves_it_done(both: Both) -> None:
    both.proxy.cut_before_answer(inserting)
    with pytest.raises(LOST):
        await insert(both)
    assert await both.rows() == 1


async def test_a_stalled_proxy_keeps_connections_and_goes_on_when_resumed(both: Both) -> None:
    both.proxy.stall()
    inserting_now = asyncio.create_task(insert(both))
    done, _ = await asyncio.wait([inserting_now], timeout=0.2)
    assert not done
    both.proxy.resume()
    await inserting_now
    assert await both.rows() == 1


async def test_a_refusing_proxy_lets_nobody_in_until_it_is_resumed(both: Both) -> None:
    both.proxy.refuse()
    with pytest.raises(LOST):
        await insert(both)
    with pytest.raises(LOST):
        await asyncpg.connect(both.url)
    both.proxy.resume()
    connection = await asyncpg.connect(both.url)
    await connection.close()
