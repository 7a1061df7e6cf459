"""An in-memory stock service: what a handler asks before an order is decided."""

from collections import Counter
from collections.abc import Mapping, Sequence

from diptych import Rejected
from examples.orders.order import OrderItem


class OutOfStock(Rejected):
    """There is not enough of a product."""

    def __init__(self, product_id: str, *, wanted: int, available: int) -> None:
        super().__init__(f"product {product_id}: {wanted} wanted, {available} available")
        self.product_id, self.wanted, self.available = product_id, wanted, available


class Stock:
    """Has as much as anybody wants of every product, except of those in `available`.

    It only looks, it reserves nothing: two orders may both be told that the last piece is there.
    A service that must not oversell reserves under the command id and releases on cancellation.
    """

    def __init__(self, available: Mapping[str, int] | None = None) -> None:
        self.available = dict(available or {})

    async def require(self, items: Sequence[OrderItem]) -> None:
        """Raises: OutOfStock: with the first product that there is not enough of."""
        wanted: Counter[str] = Counter()
        for item in items:
            wanted[item.product_id] += item.quantity
        for product_id, quantity in wanted.items():
            available = self.available.get(product_id, quantity)
            if quantity > available:
                raise OutOfStock(product_id, wanted=quantity, available=available)
