"""Applications that the `diptych` command cannot run, and some that take their time or share."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa

from diptych import Application, Projection, ProjectionTransaction, Reaction, RecordedEvent, View
from diptych.store.memory import MemoryEventStore
from examples.orders.app import shop
from examples.orders.customers import customers
from examples.orders.order import OrderEvent, order_events
from examples.orders.summaries import summaries


def folder() -> Path:
    return Path(os.environ["FOLDER"])


def nothing_to_do() -> Application:
    return Application(log="memory://")


def same_file() -> Application:
    return shop(f"sqlite:///{folder() / 'one.db'}", f"sqlite:///{folder() / 'one.db'}")


def no_database() -> Application:
    """There is a text where the log should be."""
    (folder() / "there.db").write_text("this is not a database" * 1_000)
    return shop(f"sqlite:///{folder() / 'there.db'}", "sqlite://")


def unreachable() -> Application:
    """What a driver says of a URL has all of it."""
    raise ValueError("no such database: postgresql://shop:hunter2@db/shop")


def surprising() -> Application:
    """What nobody foresaw happens when it is opened."""

    class Surprising(MemoryEventStore):
        async def open(self) -> None:
            raise RuntimeError("the password is hunter2")

    return Application(log=Surprising(), views=[summaries])


def slow() -> Application:
    """It comes to its first event, says so, and never to the second."""

    async def apply(tx: ProjectionTransaction, event: object, recorded: RecordedEvent) -> None:
        (folder() / "projecting").touch()
        await asyncio.Event().wait()

    table = sa.Table("slow_rows", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))
    slow = Projection("slow", events=[order_events], tables=[table], apply=apply)
    return Application(
        log=os.environ["DIPTYCH_LOG"], read=os.environ["DIPTYCH_READ"], projections=[slow]
    )


@dataclass(frozen=True, slots=True)
class Length:
    """How many events an order has."""

    order_id: UUID
    events: int


def lengthen(row: Length | None, event: OrderEvent, recorded: RecordedEvent) -> Length:
    return Length(event.order_id, row.events + 1 if row else 1)


def shared() -> Application:
    """The views of the order service, which are projected as one, and one more: work for two."""
    lengths = View("lengths", events=[order_events], row=Length, key="order_id", project=lengthen)
    return Application(
        log=os.environ["DIPTYCH_LOG"],
        read=os.environ["DIPTYCH_READ"],
        views=[summaries, customers, lengths],
    )


async def refuse(event: object, recorded: RecordedEvent) -> None:
    """What is to happen outside does not."""
    raise RuntimeError("the mail server says no")


def reacting() -> Application:
    """A reaction that parks the stream of whatever it meets."""
    mails = Reaction(
        "mails", events=[order_events], handle=refuse, on_error="park", start="beginning"
    )
    return Application(
        log=os.environ["DIPTYCH_LOG"],
        read=os.environ["DIPTYCH_READ"],
        views=[summaries],
        reactions=[mails],
    )


async def note(event: object, recorded: RecordedEvent) -> None:
    """It leaves a file."""
    (folder() / "noted").touch()


def only_reacting() -> Application:
    """It has nothing to show, and something to do."""
    reaction = Reaction("note", events=[order_events], handle=note, start="beginning")
    return Application(log=os.environ["DIPTYCH_LOG"], reactions=[reaction])
