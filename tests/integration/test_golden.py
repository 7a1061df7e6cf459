"""Logs of every released version are read by the code of today, on every read path."""

from pathlib import Path
from uuid import UUID

import pytest

from diptych import Application, RecordedEvent, Rejected
from diptych.flow.reaction import Reaction
from diptych.testing.waiting import wait_until
from examples.orders.app import shop
from examples.orders.order import (
    CancelOrder,
    OrderAlreadyCancelled,
    OrderAlreadyShipped,
    OrderCancelled,
    OrderCreated,
    OrderEvent,
    OrderItemAdded,
    OrderShipped,
    ShipOrder,
    order_events,
)
from examples.orders.stock import Stock
from examples.orders.summaries import GetOrder
from tests.golden.logs import events_of, postgres_log, sqlite_log, versions
from tests.golden.make import ACTOR, TENANT, command_id, commands

KINDS = [OrderCreated, OrderCreated, OrderItemAdded, OrderShipped, OrderCancelled]


@pytest.fixture(params=["sqlite", "postgres"])
def log(request: pytest.FixtureRequest, tmp_path: Path, version: int) -> str:
    if request.param == "sqlite":
        return sqlite_log(version, tmp_path / "log.db")
    url: str = request.getfixturevalue("postgres_url")
    return postgres_log(version, url, request.getfixturevalue("postgres"))


def order_ids(version: int) -> list[UUID]:
    found = dict.fromkeys(event["data"]["order_id"] for event in events_of(version))
    return [UUID(each) for each in found]


async def refusal(app: Application, command: object) -> type[Rejected]:
    with pytest.raises(Rejected) as caught:
        await app.dispatch(command, tenant=TENANT)
    return caught.type


def test_every_golden_log_has_every_event_type() -> None:
    assert versions()
    assert set(KINDS) == set(order_events.types)
    for version in versions():
        assert {event["type"] for event in events_of(version)} == set(order_events.names.values())


@pytest.mark.parametrize("version", versions())
async def test_events_of_old_logs_become_objects_of_today(log: str, version: int) -> None:
    async with shop(log, "sqlite://", project=False) as app:
        events = (await app.log.read()).events
        objects = [await app.log.decode(event) for event in events]
        assert [[type(each) for each in found] for found in objects] == [[kind] for kind in KINDS]


@pytest.mark.parametrize("version", versions())
async def test_views_are_built_from_old_logs(log: str, version: int) -> None:
    async with shop(log, "sqlite://", stock=Stock()) as app:
        await app.caught_up()
        shipped, cancelled = [
            await app.query(GetOrder(order_id), tenant=TENANT) for order_id in order_ids(version)
        ]
    assert shipped
    assert (shipped.status.value, shipped.item_count, str(shipped.total_amount)) == (
        "shipped",
        2,
        "159.80",
    )
    assert cancelled
    assert (cancelled.status.value, cancelled.customer_name) == ("cancelled", "Zoë Ångström")


@pytest.mark.parametrize("version", versions())
async def test_reactions_follow_old_logs(log: str, version: int) -> None:
    handled: list[type] = []

    async def handle(event: OrderEvent, recorded: RecordedEvent) -> None:
        handled.append(type(event))

    reaction = Reaction("watch", events=[order_events], handle=handle, start="beginning")
    async with Application(log=log, reactions=[reaction]):
        await wait_until(lambda: len(handled) == len(KINDS))
    assert sorted(handled, key=str) == sorted(KINDS, key=str)


@pytest.mark.parametrize("version", versions())
async def test_commands_are_decided_on_old_logs(log: str, version: int) -> None:
    async with shop(log, "sqlite://", project=False) as app:
        shipped, cancelled = order_ids(version)
        assert await refusal(app, CancelOrder(shipped)) is OrderAlreadyShipped
        assert await refusal(app, ShipOrder(cancelled)) is OrderAlreadyCancelled


@pytest.mark.parametrize("version", versions())
async def test_commands_in_old_logs_are_not_done_again(tmp_path: Path, version: int) -> None:
    async with shop(sqlite_log(version, tmp_path / "log.db"), "sqlite://", project=False) as app:
        for number, command in enumerate(commands()):
            outcome = await app.dispatch(
                command, command_id=command_id(number), actor=ACTOR, tenant=TENANT
            )
            assert outcome.repeated
        assert (await app.log.head()).position == len(commands())
