"""Handlers that gather a fact, is it in stock, and then let the decider decide."""

from diptych import Outcome, Writer
from examples.orders.order import AddOrderItem, CreateOrder, orders
from examples.orders.stock import Stock


async def create_order(command: CreateOrder, write: Writer, *, stock: Stock) -> Outcome:
    await stock.require(command.items)
    return await write(orders, command)


async def add_order_item(command: AddOrderItem, write: Writer, *, stock: Stock) -> Outcome:
    await stock.require([command.item])
    return await write(orders, command)
