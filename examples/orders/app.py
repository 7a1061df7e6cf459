"""Where the order service is put together: the one place where things meet."""

from functools import partial

from diptych import Application, answer, handler
from examples.orders.customers import GetCustomer, customers, get_customer
from examples.orders.handlers import add_order_item, create_order
from examples.orders.order import AddOrderItem, CreateOrder, orders
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


def shop(
    log: str = "sqlite:///data/log.db",
    read: str = "sqlite:///data/read.db",
    *,
    stock: Stock | None = None,
) -> Application:
    """The order service; `stock` has enough of everything unless it says otherwise."""
    stock = stock or Stock()
    return Application(
        log=log,
        read=read,
        write=[
            orders,
            handler(CreateOrder, partial(create_order, stock=stock)),
            handler(AddOrderItem, partial(add_order_item, stock=stock)),
        ],
        views=[summaries, customers],
        queries=[
            answer(GetOrder, get_order, reads=[summaries]),
            answer(GetCustomerOrders, get_customer_orders, reads=[summaries]),
            answer(SearchOrders, search_orders, reads=[summaries]),
            answer(GetCustomer, get_customer, reads=[customers]),
        ],
    )
