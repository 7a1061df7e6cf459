"""Appends one event, from a process of its own."""

import asyncio

from examples.orders.app import application
from tests.acceptance.test_cli_events import append


async def main() -> None:
    app = application()
    await app.log.store.open()
    try:
        await append(app, "note-late", ("Noted", b"{}"))
    finally:
        await app.log.store.close()


if __name__ == "__main__":
    asyncio.run(main())
