"""Runs the order service: `python -m examples.orders`.

The environment says where: PORT (8000), DATA (the folder of its files, `data`), DIPTYCH_LOG and
DIPTYCH_READ (URLs that replace the files). It listens on this machine only.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from diptych import DiptychError
from diptych.web import listen, serve
from examples.orders.api import create_api
from examples.orders.app import shop
from examples.orders.stock import Stock

SOLD_OUT = "sold-out"
"""A product that is never there, so that everybody can see what a refusal looks like."""


@dataclass(frozen=True, slots=True)
class Settings:
    port: int
    log: str
    read: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Raises: ValueError: PORT is no port. OSError: the folder DATA cannot be made."""
        port = environment.get("PORT") or "8000"
        if not (port.isdecimal() and int(port) < 65_536):
            raise ValueError(f"PORT must be a number below 65536, not {port!r}")
        data = Path(environment.get("DATA") or "data")
        log, read = environment.get("DIPTYCH_LOG"), environment.get("DIPTYCH_READ")
        if not (log and read):
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(
            int(port),
            log or f"sqlite:///{data / 'log.db'}",
            read or f"sqlite:///{data / 'read.db'}",
        )


async def run(settings: Settings) -> None:
    """Raises: DiptychError: a database cannot be opened. OSError: the port is taken."""
    listener = listen(settings.port)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with listener:
        async with shop(settings.log, settings.read, stock=Stock({SOLD_OUT: 0})) as app:
            sys.stdout.write(welcome(url, settings, app.log.durability))
            sys.stdout.flush()
            await serve(create_api(app), listener)
    sys.stdout.write("stopped\n")


def welcome(url: str, settings: Settings, durability: str) -> str:
    return f"""
Diptych order service: {url}

  log         {settings.log}
  read        {settings.read}
  durability  {durability}

Try:

  curl -i {url}/orders -H 'Content-Type: application/json' -d '{{
    "customer_id": "7d444840-9dc0-41d1-b245-5ffdce74fad2", "customer_name": "Ada",
    "items": [{{"product_id": "tea", "quantity": 2, "unit_price": "3.50"}}],
    "shipping_address": "12 St James's Square, London"}}'
  curl -i {url}/customers/7d444840-9dc0-41d1-b245-5ffdce74fad2/orders
  curl -i '{url}/orders/search?q=tea'

Stop it with Ctrl-C.

"""


def main() -> int:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        asyncio.run(run(Settings.from_environment(os.environ)))
    except (DiptychError, OSError, ValueError) as error:
        sys.stderr.write(f"The order service cannot run: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
