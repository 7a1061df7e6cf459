"""What does telemetry cost a durable command, and what does it cost not to have any?

The write side alone, without an application, has nothing of telemetry around it. An application
without telemetry should cost what that costs.
"""

from functools import partial
from pathlib import Path

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

from benchmarks.harness import Bound, Question, rate, report
from benchmarks.workloads import small_orders
from diptych import Application, SqliteEventStore, SystemClock
from diptych.telemetry import OpenTelemetry, Prometheus
from diptych.telemetry.contract import Telemetry
from diptych.write.side import WriteSide
from examples.orders.order import orders

IN_FLIGHT, TOTAL = 256, 15_000
ALONE, NONE = "the write side alone", "no telemetry"
API, SDK = "OpenTelemetry, its API only", "OpenTelemetry, an SDK without exporters"
PROMETHEUS = "Prometheus"


async def alone(folder: Path) -> float:
    async with SqliteEventStore(folder / "log.db") as store:
        side = WriteSide([orders], store=store, clock=SystemClock())

        def dispatch(number: int) -> object:
            return side.dispatch(
                small_orders(number),
                command_id=None,
                actor="",
                tenant="",
                expected_version=None,
                correlation_id=None,
                causation_id=None,
            )

        return await rate(dispatch, total=TOTAL, in_flight=IN_FLIGHT)


async def whole(folder: Path, *, telemetry: list[Telemetry]) -> float:
    async with Application(
        log=f"sqlite:///{folder}/log.db", write=[orders], telemetry=telemetry
    ) as app:
        return await rate(lambda n: app.dispatch(small_orders(n)), total=TOTAL, in_flight=IN_FLIGHT)


def question() -> Question:
    sdk = OpenTelemetry(tracer_provider=TracerProvider(), meter_provider=MeterProvider())
    return Question(
        "telemetry",
        "Durable commands a second on SQLite, small orders, 256 in flight, while somebody observes",
        "commands/s",
        {
            ALONE: alone,
            NONE: partial(whole, telemetry=[]),
            API: partial(whole, telemetry=[OpenTelemetry()]),
            SDK: partial(whole, telemetry=[sdk]),
            PROMETHEUS: partial(whole, telemetry=[Prometheus()]),
        },
        rounds=9,
    )


async def main() -> bool:
    asked = question()
    await asked.run()
    return report(
        asked,
        [
            Bound("no telemetry / the write side alone", asked.ratio(NONE, ALONE), 0.95),
            Bound("OpenTelemetry's API / no telemetry", asked.ratio(API, NONE), 0.7),
            Bound("Prometheus / no telemetry", asked.ratio(PROMETHEUS, NONE), 0.7),
        ],
    )
