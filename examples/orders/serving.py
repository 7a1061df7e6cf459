"""What one process of the order service does: open the application and answer requests."""

import asyncio
import logging
import socket
from collections.abc import Callable

from diptych.web import Worker, serve
from examples.orders.api import create_api
from examples.orders.app import application
from examples.orders.settings import Settings


async def answer(
    settings: Settings,
    listener: socket.socket,
    started: Callable[[str], None],
    *,
    stop: asyncio.Event | None = None,
) -> None:
    """Answer until `stop`, or SIGTERM. `started` is told what is in force.

    Raises: DiptychError: a database cannot be opened.
    """
    async with application(settings) as app:
        started("\n".join(app.report()))
        await serve(create_api(app, hosts=settings.hosts), listener, stop=stop)


async def work(settings: Settings, worker: Worker) -> None:
    """The same as one of several workers, in a process of its own."""
    log_to_standard_error()
    await answer(settings, worker.listener, worker.ready, stop=worker.stop)


def log_to_standard_error() -> None:
    logging.basicConfig(format="%(asctime)s %(process)d %(levelname)s %(name)s %(message)s")
