"""How many events a second does a view read, decode, fold and store, all of it on PostgreSQL?

The log is filled once; each round projects it into a schema of its own in the same database.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from uuid import UUID

from benchmarks.harness import Bound, Question, Side, report
from benchmarks.orders_log import write_orders
from benchmarks.server import Server, about, postgres
from diptych import Application, PostgresEventStore, RecordedEvent, View
from examples.orders.order import OrderCreated, OrderEvent, OrderItemAdded, order_events
from examples.orders.summaries import summaries

EVENTS = 200_000
READ_ONLY = "read and decode only"
SMALL, LARGE = "customers (a row for many orders)", "order_summaries (a row for each, searchable)"


@dataclass(frozen=True, slots=True)
class Customer:
    customer_id: UUID
    customer_name: str
    number_of_orders: int
    open_orders: int
    last_order_id: UUID
    last_order_at: datetime


def count(row: Customer | None, event: OrderEvent, recorded: RecordedEvent) -> Customer | None:
    match event:
        case OrderCreated(order_id=order_id, customer_id=customer_id, customer_name=name):
            orders, still_open = (row.number_of_orders, row.open_orders) if row else (0, 0)
            return Customer(customer_id, name, orders + 1, still_open + 1, order_id, recorded.at)
        case OrderItemAdded():
            return row
        case _:
            return row and replace(row, open_orders=row.open_orders - 1)


customers = View("customers", events=[order_events], row=Customer, key="customer_id", project=count)


async def project(log: str, rows: str, *, views: list[View]) -> float:
    """From a process that starts beside a full log to all views at its head."""
    app = Application(log=log, read=rows, views=views)
    started = time.perf_counter()
    async with app:
        await app.caught_up()
        return EVENTS / (time.perf_counter() - started)


async def read_log(log: str, rows: str) -> float:
    """Reading the log and decoding its events, without folding."""
    async with Application(log=log, read=rows, views=[]) as app:
        started, seen = time.perf_counter(), 0
        async for page in app.log.follow(categories=summaries.categories):
            seen += len(await summaries.decode(page.events))
            if page.scanned.position >= page.head:
                break
        return seen / (time.perf_counter() - started)


class Rounds:
    """Gives each round an empty schema for its rows beside the one full log."""

    def __init__(self, server: Server) -> None:
        self._server, self._log = server, server.create_database()

    async def fill(self) -> None:
        async with PostgresEventStore(self._log) as store:
            await write_orders(store, events=EVENTS)
        await self._execute("VACUUM ANALYZE", "CHECKPOINT")  # as a log that has been there a while

    def side(self, measure: Callable[[str, str], Awaitable[float]]) -> Side:
        async def run(_: Path) -> float:
            try:
                return await measure(self._log, f"{self._log}?schema=rows")
            finally:
                await self._execute("DROP SCHEMA rows CASCADE", "CHECKPOINT")

        return run

    async def _execute(self, *statements: str) -> None:
        name = self._log.rpartition("/")[2]
        await asyncio.to_thread(self._server.execute, *statements, database=name)


async def main() -> bool:
    with postgres() as server:
        rounds = Rounds(server)
        await rounds.fill()
        sides = {
            READ_ONLY: read_log,
            SMALL: partial(project, views=[customers]),
            LARGE: partial(project, views=[summaries]),
        }
        asked = Question(
            "postgres_folding",
            f"Events a second into a view, from a PostgreSQL log of {EVENTS:,} events",
            "events/s",
            {name: rounds.side(measure) for name, measure in sides.items()},
            about=about(server),
        )
        await asked.run()
    return report(asked, [Bound(SMALL, asked.median(SMALL), 60_000)])
