"""How many durable commands a second on PostgreSQL, beside plain code and beside other frameworks?

All sides use one server with its defaults: a command is on disk when it is acknowledged. Plain
code is in `benchmarks.plain`; what the peers do alike and what they do not is in their programs in
`benchmarks/peers`. Each peer runs as its documentation shows it, and once more on its fastest
path, which is not the bound: `eventsourcing` takes no lock there (its followers may miss events),
Emmett does not read the stream (nothing is decided).
"""

from collections.abc import Awaitable, Callable
from functools import partial

from benchmarks import plain
from benchmarks.harness import Bound, Question, report, warm_rate
from benchmarks.peers import EMMETT, EVENTSOURCING
from benchmarks.server import about, on, postgres
from benchmarks.workloads import small_orders
from diptych import Application
from examples.orders.order import orders

MANY, FEW = 256, 16
OURS = "diptych, {} in flight"
PLAIN = "plain transactions on 16 connections, 256 in flight"
EVENTSOURCING_SIDE = f"eventsourcing {EVENTSOURCING.release}, 16 threads"
EMMETT_SIDE = f"Emmett {EMMETT.release}, 16 promises"

Measure = Callable[[str], Awaitable[float]]


async def ours(url: str, *, in_flight: int, total: int) -> float:
    async with Application(log=url, write=[orders]) as app:
        return await warm_rate(
            lambda n: app.dispatch(small_orders(n)), total=total, in_flight=in_flight
        )


def sides() -> dict[str, Measure]:
    one_by_one = partial(plain.commands, in_flight=MANY)
    few = {"in_flight": FEW}
    measures: dict[str, Measure] = {
        OURS.format(MANY): partial(ours, in_flight=MANY, total=15_000),
        PLAIN: partial(one_by_one, commit=plain.transaction, total=4_000),
        "plain, under a lock for the order, 256 in flight": partial(
            one_by_one, commit=plain.in_order, total=2_000
        ),
        "plain, in one statement, 256 in flight": partial(
            one_by_one, commit=plain.one_statement, total=6_000
        ),
        OURS.format(FEW): partial(ours, in_flight=FEW, total=10_000),
    }
    if not EVENTSOURCING.missing:
        run = partial(EVENTSOURCING.commands, **few)
        measures[EVENTSOURCING_SIDE] = partial(run, total=1_000)
        measures["eventsourcing, without its lock"] = partial(run, total=3_000, mode="functions")
    if not EMMETT.missing:
        run = partial(EMMETT.commands, **few)
        measures[EMMETT_SIDE] = partial(run, total=2_000)
        measures["Emmett, appending without reading"] = partial(run, total=3_000, mode="append")
    return measures


def bounds(asked: Question) -> list[Bound]:
    few = OURS.format(FEW)
    told = [
        Bound("256 in flight / plain transactions", asked.ratio(OURS.format(MANY), PLAIN), 5),
    ]
    if EVENTSOURCING_SIDE in asked.sides:
        ratio = asked.ratio(few, EVENTSOURCING_SIDE)
        told.append(Bound("16 in flight / eventsourcing", ratio, 8))
    if EMMETT_SIDE in asked.sides:
        told.append(Bound("16 in flight / Emmett", asked.ratio(few, EMMETT_SIDE), 4))
    return told


async def main() -> bool:
    missing = [peer.missing for peer in (EVENTSOURCING, EMMETT) if peer.missing]
    with postgres() as server:
        asked = Question(
            "postgres_commands",
            "Durable commands a second on PostgreSQL (fsync=on, synchronous_commit=on)",
            "commands/s",
            {name: on(server, measure) for name, measure in sides().items()},
            about={**about(server), "missing": "; ".join(missing)},
        )
        await asked.run()
    met = report(asked, bounds(asked))
    for what in missing:
        print(f"  {what}")
    return met
