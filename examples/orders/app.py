"""Where the order service is put together: the one place where things meet."""

import os
from functools import partial
from pathlib import Path
from typing import Final

from diptych import Application, answer, handler
from examples.orders.confirmations import confirmations
from examples.orders.customers import GetCustomer, customers, get_customer
from examples.orders.handlers import add_order_item, create_order
from examples.orders.order import AddOrderItem, CreateOrder, orders
from examples.orders.settings import Settings
from examples.orders.stock import Stock
from examples.orders.summaries import (
    GetCustomerOrders,
    GetOrder,
    SearchOrders,
    get_customer_orders,
    get_order,
    search_orders,
    summaries,
)

SOLD_OUT: Final = "sold-out"
"""A product that is never there, so that everybody can see what a refusal looks like."""


def shop(
    log: str = "sqlite:///data/log.db",
    read: str = "sqlite:///data/read.db",
    *,
    stock: Stock | None = None,
    project: bool = True,
    outbox: Path | None = None,
) -> Application:
    """The order service; `stock` has enough of everything unless it says otherwise.

    With `project=False` it answers only. Confirmations go to the folder `outbox`, if there is one.
    """
    stock = stock or Stock()
    return Application(
        log=log,
        read=read,
        project=project,
        write=[
            orders,
            handler(CreateOrder, partial(create_order, stock=stock)),
            handler(AddOrderItem, partial(add_order_item, stock=stock)),
        ],
        views=[summaries, customers],
        reactions=[confirmations(outbox)] if outbox else [],
        queries=[
            answer(GetOrder, get_order, reads=[summaries]),
            answer(GetCustomerOrders, get_customer_orders, reads=[summaries]),
            answer(SearchOrders, search_orders, reads=[summaries]),
            answer(GetCustomer, get_customer, reads=[customers]),
        ],
    )


def application(settings: Settings | None = None) -> Application:
    """As the settings say, by default those of the environment: `diptych run` is given this."""
    settings = settings or Settings.from_environment(os.environ)
    stock = Stock({SOLD_OUT: 0})
    return shop(
        settings.log, settings.read, stock=stock, project=settings.project, outbox=settings.outbox
    )
