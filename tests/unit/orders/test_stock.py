"""The stock service is generous, and exact where it is told what there is."""

from decimal import Decimal

import pytest

from examples.orders.order import OrderItem
from examples.orders.stock import OutOfStock, Stock


def item(product_id: str, quantity: int) -> OrderItem:
    return OrderItem(product_id, quantity, Decimal(1))


async def test_there_is_enough_of_everything_unless_it_is_said_otherwise() -> None:
    await Stock().require([item("tea", 1_000_000)])


async def test_the_last_piece_can_be_ordered() -> None:
    await Stock({"tea": 3}).require([item("tea", 3)])


async def test_a_product_that_is_not_there_is_named() -> None:
    with pytest.raises(OutOfStock, match="tea") as refused:
        await Stock({"tea": 3}).require([item("milk", 9), item("tea", 4)])
    assert (refused.value.product_id, refused.value.available) == ("tea", 3)


async def test_lines_of_one_product_count_together() -> None:
    with pytest.raises(OutOfStock) as refused:
        await Stock({"tea": 3}).require([item("tea", 2), item("tea", 2)])
    assert refused.value.wanted == 4
