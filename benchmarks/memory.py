"""Does the projector's memory stay flat over a million events?

The log is filled by one process and projected by another, whose memory has seen nothing before.
"""

import asyncio
import resource
import sys
from pathlib import Path

from benchmarks.harness import Bound, Question, report
from benchmarks.orders_log import fill
from diptych import Application
from examples.orders.summaries import summaries

EVENTS = 1_000_000
WARM = 0.4
"""The share of the log after which the page caches of SQLite, whose size is set, are full."""
_PAGE = resource.getpagesize()


def resident(pid: int | str = "self") -> float:
    """Megabytes of a process, by default this one, in memory now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1e6


async def project(folder: Path) -> float:
    """Megabytes that this process grows by, from two fifths of the log to its end."""
    app = Application(
        log=f"sqlite:///{folder}/log.db", read=f"sqlite:///{folder}/read.db", views=[summaries]
    )
    async with app:
        await app.caught_up(int(EVENTS * WARM))
        warm = resident()
        await app.caught_up()
        return resident() - warm


async def growth(folder: Path) -> float:
    await fill(folder / "log.db", events=EVENTS)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.memory", str(folder), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await child.communicate()
    return float(output)


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
    return report(asked, [Bound("growth over the last 600,000, MB", grown, 4, at_least=False)])


if __name__ == "__main__":
    print(asyncio.run(project(Path(sys.argv[1]))))
