"""`eventsourcing` 9.5 on PostgreSQL: creates orders, each an aggregate of its own, from threads.

Set up as its documentation says: `PERSISTENCE_MODULE=eventsourcing.postgres`, a pool of as many
connections as there are threads, the compiled psycopg, its default JSON transcoder.

The same as ours: the server and its durability, one transaction and one event a command, the
order's data in JSON, a unique key over aggregate and version, one order of positions for all
readers (it locks its table for that; we take one lock for a whole batch), NOTIFY.
Not the same: a command is a call of a method, there is no record of it (a repeated command is not
recognized), no metadata beside the event, and its rules check nothing.

Usage: python eventsourcing_orders.py URL TOTAL THREADS [functions]
It says `ready`, waits for a line, and prints how many commands a second it did. With `functions`
it appends through its function in the database (`POSTGRES_ENABLE_DB_FUNCTIONS`).
"""

import gc
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from urllib.parse import urlsplit
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

WARM_UP = 200
LINE = {
    "product_id": "85123A",
    "quantity": 6,
    "unit_price": Decimal("2.55"),
    "description": "WHITE HANGING HEART T-LIGHT HOLDER",
}


class Order(Aggregate):
    @event("Created")
    def __init__(
        self,
        *,
        customer_id: UUID,
        customer_name: str,
        items: list[dict[str, object]],
        shipping_address: str,
    ) -> None:
        self.customer_id = customer_id
        self.customer_name = customer_name
        self.items = items
        self.shipping_address = shipping_address


class Orders(Application[UUID]):
    def create(self) -> None:
        order = Order(
            customer_id=UUID(int=7),
            customer_name="Ann Example",
            items=[LINE, LINE, LINE],
            shipping_address="1 Long Street, London",
        )
        self.save(order)


def settings(url: str, threads: int, *, functions: bool) -> dict[str, str]:
    parts = urlsplit(url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts.path.removeprefix("/"),
        "POSTGRES_HOST": str(parts.hostname),
        "POSTGRES_PORT": str(parts.port),
        "POSTGRES_USER": str(parts.username),
        "POSTGRES_PASSWORD": parts.password or "not asked for",
        "POSTGRES_POOL_SIZE": str(threads),
        "POSTGRES_ENABLE_DB_FUNCTIONS": "yes" if functions else "no",
    }


def run(orders: Orders, total: int, threads: int) -> None:
    numbers = iter(range(total))

    def worker() -> None:
        for _ in numbers:
            orders.create()

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(worker) for _ in range(threads)]:
            done.result()


def main() -> None:
    url, total, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    orders = Orders(env=settings(url, threads, functions=sys.argv[4:] == ["functions"]))
    run(orders, WARM_UP, threads)
    gc.collect()
    gc.freeze()
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.perf_counter()
    run(orders, total, threads)
    print(total / (time.perf_counter() - started), flush=True)
    orders.close()


if __name__ == "__main__":
    main()
