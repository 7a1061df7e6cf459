"""The commands that benchmarks send: small orders, and the orders of a real shop."""

from collections.abc import Callable
from decimal import Decimal
from itertools import cycle, islice
from pathlib import Path
from uuid import UUID

from examples.orders.invoices import Report, read_invoices
from examples.orders.order import AddOrderItem, CreateOrder, OrderItem

DATA = Path(__file__).parents[2] / "shared" / "data" / "online-retail-10k.csv"
"""Online Retail (UCI, CC BY 4.0), where somebody has put it beside the project."""

_CUSTOMER = UUID(int=7)
_LINE = OrderItem("85123A", 6, Decimal("2.55"), "WHITE HANGING HEART T-LIGHT HOLDER")
_ADDRESS = "1 Long Street, London"

_SCATTER = 0x9E3779B97F4A7C15F39CC0605CEDC835
"""Odd, and far from any simple fraction of 2**128 (Knuth, volume 3, section 6.4)."""

Commands = Callable[[int], CreateOrder]
"""The n-th command; each begins a stream of its own."""


def order_id(number: int) -> UUID:
    """Scattered over the index, as the ids of orders are."""
    return UUID(int=(number + 1) * _SCATTER % 2**128)


def small_orders(number: int) -> CreateOrder:
    """Three lines each."""
    return CreateOrder(order_id(number), _CUSTOMER, "Ann Example", (_LINE,) * 3, _ADDRESS)


def added(number: int) -> AddOrderItem:
    return AddOrderItem(order_id(number), "22752", 2, Decimal("7.65"), "BABUSHKA BOXES")


def real_orders() -> tuple[str, Commands]:
    """What they are, and the orders of the data set over and over.

    Without the file: orders with as many lines as its orders have, all alike.
    """
    if DATA.exists():
        invoices = read_invoices(DATA, Report())
        items = [tuple(_item(line) for line in invoice.items) for invoice in invoices]
        name = f"{len(items)} real invoices, {sum(map(len, items)) / len(items):.0f} lines each"
    else:
        items = [(_LINE,) * size for size in _SIZES]
        name = f"orders as long as real invoices ({DATA.name} is not there)"
    many = list(islice(cycle(items), 1000))

    def command(number: int) -> CreateOrder:
        lines = many[number % len(many)]
        return CreateOrder(order_id(number), _CUSTOMER, "Ann Example", lines, _ADDRESS)

    return name, command


def _item(line: dict[str, object]) -> OrderItem:
    price = Decimal(str(line["unit_price"])).quantize(Decimal("0.01"))
    return OrderItem(
        str(line["product_id"]), int(str(line["quantity"])), price, str(line["description"])[:200]
    )


_SIZES = (7, 2, 12, 4, 1, 18, 23, 31, 9, 16, 1, 2, 45, 14, 20, 6, 27, 11, 62, 3)
