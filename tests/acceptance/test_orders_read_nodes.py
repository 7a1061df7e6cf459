"""Three nodes with SQLite read files behind one PostgreSQL log: reads scale, and stay right."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from examples.orders.api import create_api
from examples.orders.app import shop
from tests.acceptance.conftest import ADA, client_of, new_order
from tests.acceptance.process import Process, process

NODES = 3


@pytest.fixture
def log_url(shared_database: str) -> str:
    return f"{shared_database}?schema=log_{uuid4().hex[:12]}"


class Node:
    """An application with a read file of its own, over HTTP."""

    def __init__(self, log: str, read: Path) -> None:
        self._log, self._read = log, read
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        app = shop(self._log, f"sqlite:///{self._read}")
        client = client_of(create_api(app))
        await self._stack.enter_async_context(app)
        self.client = await self._stack.enter_async_context(client)

    async def stop(self) -> None:
        await self._stack.aclose()

    async def create(self) -> httpx.Response:
        answer = await self.client.post("/orders", json=new_order())
        assert answer.status_code == 201, answer.text
        return answer

    async def read(self, path: str, token: str) -> httpx.Response:
        answer = await self.client.get(path, headers={"Diptych-Token": token})
        assert answer.status_code == 200, answer.text
        assert "diptych-stale" not in answer.headers
        return answer


@pytest.fixture
async def nodes(log_url: str, tmp_path: Path) -> AsyncIterator[list[Node]]:
    found = [Node(log_url, tmp_path / f"read-{number}.db") for number in range(NODES)]
    for node in found:
        await node.start()
    yield found
    for node in found:
        await node.stop()


async def test_each_node_reads_its_own_writes_and_those_of_the_others(nodes: list[Node]) -> None:
    async def order(number: int) -> None:
        writer, other = nodes[number % NODES], nodes[(number + 1) % NODES]
        answer = await writer.create()
        path, token = answer.headers["location"], answer.headers["diptych-token"]
        assert (await writer.read(path, token)).json()["status"] == "open"
        assert (await other.read(path, token)).json()["total_amount"] == "7.00"

    await asyncio.gather(*(order(number) for number in range(90)))


async def test_a_client_that_moves_between_nodes_never_goes_back(nodes: list[Node]) -> None:
    chance = random.Random(7)
    created = await nodes[0].create()
    path, token = created.headers["location"], created.headers["diptych-token"]
    for items in range(2, 22):
        item = {"product_id": "milk", "quantity": 1, "unit_price": "0.33"}
        added = await chance.choice(nodes).client.post(f"{path}/items", json=item)
        token = added.headers["diptych-token"]
        for _ in range(2):
            seen = await chance.choice(nodes).read(path, token)
            assert seen.json()["item_count"] == items
            token = seen.headers["diptych-token"]


async def test_racers_on_one_order_through_different_nodes_are_told_apart(
    nodes: list[Node],
) -> None:
    created = await nodes[0].create()
    path = created.headers["location"]

    async def ship(node: Node) -> int:
        answer = await node.client.post(f"{path}/ship", headers={"If-Match": '"1"'})
        return answer.status_code

    codes = await asyncio.gather(*(ship(node) for node in nodes))
    assert sorted(codes) == [200, 412, 412]


async def test_all_nodes_come_to_the_same_answer(nodes: list[Node]) -> None:
    for number in range(30):
        last = await nodes[number % NODES].create()
    token = last.headers["diptych-token"]
    found = [await node.read("/orders/search?page_size=100", token) for node in nodes]
    assert found[0].json() == found[1].json() == found[2].json()
    assert found[0].json()["total"] == 30


async def test_a_node_that_was_away_catches_up_before_it_answers(nodes: list[Node]) -> None:
    await nodes[2].stop()
    for _ in range(10):
        last = await nodes[0].create()
    await nodes[2].start()
    await nodes[2].read(last.headers["location"], last.headers["diptych-token"])
    seen = await nodes[2].read(f"/customers/{ADA}", last.headers["diptych-token"])
    assert seen.json()["number_of_orders"] == 10


def test_a_node_that_lost_its_file_is_built_again_while_the_others_answer(
    log_url: str, tmp_path: Path
) -> None:
    with (
        process(tmp_path / "one", DIPTYCH_LOG=log_url) as one,
        process(tmp_path / "two", DIPTYCH_LOG=log_url) as two,
    ):
        one.start()
        two.start()
        created = [_create(one) for _ in range(5)]
        one.kill()
        created += [_create(two) for _ in range(5)]
        for file in (tmp_path / "one").glob("read.db*"):
            file.unlink()
        one.start()
        token = {"Diptych-Token": created[-1].headers["diptych-token"]}
        answers = [one.get(f"{each.headers['location']}", headers=token) for each in created]
        assert {answer.status_code for answer in answers} == {200}
        assert _search(one, token) == _search(two, token)


def _create(node: Process) -> httpx.Response:
    answer = node.post("/orders", json=new_order())
    assert answer.status_code == 201
    return answer


def _search(node: Process, token: dict[str, str]) -> Any:
    return node.get("/orders/search", headers=token).json()
