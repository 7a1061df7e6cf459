"""How long does it take to load an order of 10,000 events, with a snapshot and without?

Each figure is the median of many loads, each by an executor that has kept nothing: the snapshot is
looked for, checked and decoded, the events beyond it are read, decoded and folded.
"""

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal
from statistics import median
from uuid import UUID

from benchmarks.harness import Bound, Question, Side, report
from benchmarks.server import about, on, postgres
from diptych import Decider, EventStore, PostgresEventStore, SqliteEventStore
from diptych.clock import SystemClock
from diptych.store.contract import ANY_VERSION, Append, Load, Write
from diptych.write.execute import Executor
from diptych.write.known import Key, Known
from examples.orders.order import (
    Order,
    OrderCreated,
    OrderItem,
    OrderItemAdded,
    decide,
    evolve,
    order_events,
    orders,
)

EVENTS, EVERY = 10_000, 100
LOADS, LOADS_IN_FULL = 50, 5
_ORDER = UUID(int=1)
_ITEM = OrderItem("lamp", 2, Decimal("19.90"), "a lamp that stands on the floor")
FRESH, WORST = "snapshot of the last event", f"snapshot {EVERY - 1} events ago"
NONE = "no snapshot"

keeping = Decider(
    order_events, key="order_id", initial=Order, decide=decide, evolve=evolve, snapshot_every=EVERY
)


async def add(store: EventStore, stream: str, *, first: int, last: int) -> None:
    clock = SystemClock()
    created = OrderCreated(_ORDER, _ORDER, "Zoë", (_ITEM,), "1 Main Street")
    added = OrderItemAdded(_ORDER, _ORDER, _ITEM)
    for start in range(first, last + 1, 1_000):
        events = tuple(
            order_events.encode(added if n > 1 else created, event_id=clock.new_id())
            for n in range(start, min(start + 1_000, last + 1))
        )
        await store.append(Append((Write(stream, events, ANY_VERSION),)))


async def load(store: EventStore, key: Key) -> float:
    """Seconds for one load, as a command or a handler does it."""
    decider, _, stream = key
    executor = Executor(store, SystemClock(), uncommitted=True)
    started = time.perf_counter()
    known, loaded = await executor.snapshots.load(key, Load(stream))
    events = [event for _, event in await decider.events.decode(loaded.events)]
    state = decider.fold(events, known.state)
    took = time.perf_counter() - started
    if (loaded.version, state.item_count) != (EVENTS, EVENTS):
        raise AssertionError("the state is not the fold of all events")
    return took


async def keep(store: EventStore, key: Key) -> None:
    """As behind a commit; returns when it is there."""
    decider, _, stream = key
    snapshots = Executor(store, SystemClock()).snapshots
    known, loaded = await snapshots.load(key, Load(stream))
    events = [event for _, event in await decider.events.decode(loaded.events)]
    state = decider.fold(events, known.state)
    snapshots.offer(key, Known(state, loaded.version, loaded.point))
    async with asyncio.timeout(10):
        while True:
            if await store.snapshots.find(decider.states.key("", stream)):
                return
            await asyncio.sleep(0.01)


async def measure(store: EventStore, *, decider: Decider, behind: int) -> float:
    """Milliseconds."""
    key = decider, "", "order-long"
    async with store:
        await add(store, key[2], first=1, last=EVENTS - behind)
        if decider.snapshot_every:
            await keep(store, key)
        await add(store, key[2], first=EVENTS - behind + 1, last=EVENTS)
        times = LOADS if decider.snapshot_every else LOADS_IN_FULL
        return 1000 * median([await load(store, key) for _ in range(times)])


def sides(database: str, side: Callable[..., Side]) -> dict[str, Side]:
    return {
        f"{database}, {FRESH}": side(decider=keeping, behind=0),
        f"{database}, {WORST}": side(decider=keeping, behind=EVERY - 1),
        f"{database}, {NONE}": side(decider=orders, behind=0),
    }


def in_a_file(**given: object) -> Side:
    return lambda folder: measure(SqliteEventStore(folder / "log.db"), **given)


async def main() -> bool:
    with postgres() as server:

        def in_postgres(**given: object) -> Side:
            return on(server, lambda url: measure(PostgresEventStore(url), **given))

        asked = Question(
            "snapshots",
            f"Milliseconds to load a stream of {EVENTS:,} events",
            "ms",
            {**sides("SQLite", in_a_file), **sides("PostgreSQL", in_postgres)},
            about=about(server),
        )
        await asked.run()
    bounds = [
        Bound(side, asked.median(side), 2, at_least=False)
        for side in asked.sides
        if not side.endswith(NONE)
    ]
    return report(asked, bounds)
