"""Does the projector's memory stay flat over a million events?"""

import resource
from pathlib import Path

from benchmarks.harness import Bound, Question, report
from benchmarks.orders_log import fill
from diptych import Application
from examples.orders.summaries import summaries

EVENTS = 1_000_000
WARM = 0.2
_PAGE = resource.getpagesize()


def resident() -> float:
    """Megabytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 1e6


async def growth(folder: Path) -> float:
    """Megabytes that the process grew by, from a fifth of the log to its end."""
    await fill(folder / "log.db", events=EVENTS)
    app = Application(
        log=f"sqlite:///{folder}/log.db", read=f"sqlite:///{folder}/read.db", views=[summaries]
    )
    async with app:
        await app.caught_up(int(EVENTS * WARM))
        warm = resident()
        await app.caught_up()
        return resident() - warm


async def main() -> bool:
    asked = Question(
        "memory",
        f"Megabytes by which a projecting process grows over {EVENTS:,} events",
        "MB",
        {"order_summaries": growth},
        rounds=1,
    )
    await asked.run()
    grown = asked.median("order_summaries")
    return report(asked, [Bound("growth after the first fifth, MB", grown, 16, at_least=False)])
