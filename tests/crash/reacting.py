"""A process that runs a reaction until it is ended: `python -m tests.crash.reacting LOG WORLD`.

The world is a file, to which each handled event adds a line: process, stream, version. The second
event of the stream `order-bad` is refused, so that its stream is set aside.
"""

import asyncio
import os
import sys
from pathlib import Path

from diptych.backends import open_log
from diptych.clock import SystemClock
from diptych.flow.reaction import Reaction
from diptych.messages import RecordedEvent
from tests.integration.reactions import Refused, order_events, reacting

TTL = 1.0


def reaction(world: Path, *, refuse: bool = True) -> Reaction[object]:
    async def handle(event: object, recorded: RecordedEvent) -> None:
        if refuse and (recorded.stream, recorded.version) == ("order-bad", 2):
            raise Refused
        line = f"{os.getpid()} {recorded.stream} {recorded.version}\n"
        file = os.open(world, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, line.encode())
        os.close(file)

    return Reaction(
        "mail",
        events=[order_events],
        handle=handle,
        start="beginning",
        on_error="park",
        attempts=1,
        concurrency=4,
    )


async def main(log: str, world: str) -> None:
    store = open_log(log, SystemClock())
    await store.open()
    async with reacting(store, reaction(Path(world)), ttl=TTL):
        sys.stdout.write("runs\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
