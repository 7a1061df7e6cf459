"""Confirmations of orders: one for each that is created, whatever comes twice."""

from pathlib import Path

from diptych.testing.waiting import wait_until
from examples.orders.app import shop
from examples.orders.confirmations import confirmations
from examples.orders.order import OrderCreated, order_events
from tests.unit.orders.test_order import CREATE


def mails(folder: Path) -> list[str]:
    return [each.read_text("utf-8") for each in folder.glob("*.txt")]


async def test_whoever_orders_gets_one_confirmation_and_one_only(tmp_path: Path) -> None:
    outbox = tmp_path / "outbox"
    async with shop("memory://", "sqlite://", outbox=outbox) as app:
        outcome = await app.dispatch(CREATE)
        await wait_until(lambda: len(mails(outbox)) == 1)
        page = await app.log.read()
        ((recorded, event),) = await order_events.decode(page.events)
        assert isinstance(event, OrderCreated)
        assert str(event.order_id) in mails(outbox)[0]
        again = confirmations(outbox)
        await again.handle(event, recorded)
        assert len(mails(outbox)) == 1
        assert outcome.version == 1
        assert not list(outbox.glob(".*"))


async def test_without_an_outbox_nobody_is_told() -> None:
    async with shop("memory://", "sqlite://") as app:
        assert await app.operations.reactions() == ()
