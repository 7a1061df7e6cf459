"""Runs the order service: `python -m examples.orders`.

The environment says where: PORT (8000), DATA (the folder of its files, `data`), DIPTYCH_LOG and
DIPTYCH_READ (URLs that replace the files), WORKERS (how many processes answer, 1) and
DIPTYCH_PROJECT (`off`: they answer only, and `diptych run` builds the views), OUTBOX (a folder
that gets a confirmation of each new order), HOSTS (names that requests may be for, besides those of
this machine). It listens on this machine only.
"""

import asyncio
import os
import sys
from functools import partial

from diptych import DiptychError
from diptych.web import listen, run_workers
from examples.orders.serving import answer, log_to_standard_error, work
from examples.orders.settings import Settings


def run(settings: Settings) -> None:
    """Raises: DiptychError: a database cannot be opened. OSError: the port is taken."""
    with listen(settings.port) as listener:
        started = partial(welcome, f"http://127.0.0.1:{listener.getsockname()[1]}", settings)
        if settings.workers == 1:
            asyncio.run(answer(settings, listener, started))
        else:
            count = settings.workers
            run_workers(partial(work, settings), listener, count=count, started=started)
    sys.stdout.write("stopped\n")


def welcome(url: str, settings: Settings, report: str) -> None:
    lines = (line.partition(": ") for line in report.splitlines())
    facts = "\n".join(f"  {name:14} {fact}" for name, _, fact in lines)
    sys.stdout.write(f"""
Diptych order service: {url}

{facts}
  {"web workers":14} {settings.workers}

Open {url} in a browser, in two windows at once. Or try:

  curl -i {url}/orders -H 'Content-Type: application/json' -d '{{
    "customer_id": "7d444840-9dc0-41d1-b245-5ffdce74fad2", "customer_name": "Ada",
    "items": [{{"product_id": "tea", "quantity": 2, "unit_price": "3.50"}}],
    "shipping_address": "12 St James's Square, London"}}'
  curl -i {url}/customers/7d444840-9dc0-41d1-b245-5ffdce74fad2/orders
  curl -i '{url}/orders/search?q=tea'

Stop it with Ctrl-C.

""")
    sys.stdout.flush()


def main() -> int:
    log_to_standard_error()
    try:
        run(Settings.from_environment(os.environ))
    except (DiptychError, OSError, ValueError) as error:
        sys.stderr.write(f"The order service cannot run: {error}\n")
        return 1
    except KeyboardInterrupt:  # before it could answer; afterwards it is a clean stop
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
