"""How long does a reader wait who brings the token of a write that was just acknowledged?"""

import time
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.harness import Bound, Question, report
from benchmarks.workloads import order_id, small_orders
from diptych import Application
from examples.orders.app import shop
from examples.orders.summaries import GetOrder

READS = 300


def service(folder: Path) -> Application:
    return shop(f"sqlite:///{folder}/log.db", f"sqlite:///{folder}/read.db")


async def wait(folder: Path, *, with_token: bool) -> float:
    """Milliseconds from acknowledgement to answer, the median of many, in one process."""
    waits: list[float] = []
    async with service(folder) as app:
        for number in range(READS):
            outcome = await app.dispatch(small_orders(number))
            started = time.perf_counter()
            token = outcome.token if with_token else None
            answer = await app.ask(GetOrder(order_id(number)), at_least=token)
            waits.append((time.perf_counter() - started) * 1000)
            if with_token and answer.value is None:
                raise AssertionError("a read with its token did not see its own write")
    return median(waits)


async def main() -> bool:
    asked = Question(
        "waiting",
        "Milliseconds from the acknowledgement of a write to the answer of a read",
        "ms",
        {
            "with the token of the write": partial(wait, with_token=True),
            "without a token (may not see it)": partial(wait, with_token=False),
        },
    )
    await asked.run()
    waited = asked.median("with the token of the write")
    return report(asked, [Bound("median wait of a reader, ms", waited, 5, at_least=False)])
