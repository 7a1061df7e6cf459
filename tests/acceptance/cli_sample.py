"""Applications that the `diptych` command cannot run, and one that takes its time."""

import asyncio
import os
from pathlib import Path

import sqlalchemy as sa

from diptych import Application, Projection, ProjectionTransaction, Reaction, RecordedEvent
from diptych.store.memory import MemoryEventStore
from examples.orders.app import shop
from examples.orders.order import order_events
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

    return Application(log=Surprising())


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
