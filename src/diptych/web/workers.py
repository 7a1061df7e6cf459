"""`run_workers`: several processes answer on one socket, and this one keeps them running.

Theory of operation
-------------------
The master opens the listener once; every worker accepts from it, so a connection goes to one that
is free, and none is refused while a worker is replaced. Workers are new interpreters (spawned, not
forked: a fork would copy threads' locks and open databases).

Each worker has a pipe to the master. Over it the worker says that it is ready, or in one line why
it cannot be; and it stops when the pipe ends. So no worker outlives its master and keeps the port,
not even after a `kill -9` of the master.

At the start all workers must become ready; if one cannot, all are stopped and its reason is raised,
for it is most likely the same for all (a wrong URL, a missing right). Later a worker that ends, by
whatever cause, is replaced at once; and when its successor does not become ready, again and again
with growing pauses: then the database is away, and it will be back.

SIGTERM and SIGINT stop the master, which passes SIGTERM on. Workers ignore SIGINT: a terminal sends
Ctrl-C to all of them, and to be told twice would cut short the second half of a clean stop.
"""

import asyncio
import logging
import multiprocessing
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final

from diptych.errors import DiptychError

_SPAWN: Final = multiprocessing.get_context("spawn")
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_FIRST: Final = asyncio.FIRST_COMPLETED
_READY: Final = b"+"
_FAILED: Final = b"-"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker process is given.

    It answers on `listener` until `stop` is set, and calls `ready` when it can answer, with a text
    for the master to show.
    """

    listener: socket.socket
    stop: asyncio.Event
    ready: Callable[[str], None]


Work = Callable[[Worker], Awaitable[None]]
"""What a worker does: a function (or a `partial` of one) of a module that can be imported.

One that stands in `__main__` cannot: the worker is a new interpreter, which has another.
"""


class WorkerFailed(DiptychError):
    """A worker could not start; the message is its reason."""


def run_workers(
    work: Work,
    listener: socket.socket,
    *,
    count: int,
    started: Callable[[str], None],
    stop_seconds: float = 20.0,
) -> None:
    """Keep `count` processes at `work` until SIGTERM or SIGINT, then stop them.

    `started` is called once, when all are ready, with what the first of them had to say. A worker
    that has not stopped after `stop_seconds` is killed.

    Raises: WorkerFailed: one could not start; then none is left.
    """
    asyncio.run(_Master(work, listener, stop_seconds).run(count, started))


class _Master:
    def __init__(self, work: Work, listener: socket.socket, stop_seconds: float) -> None:
        self._work, self._listener, self._stop_seconds = work, listener, stop_seconds
        self._stop = asyncio.Event()

    async def run(self, count: int, started: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._stop.set)
        children = [_Child(self._work, self._listener) for _ in range(count)]
        keepers: list[asyncio.Task[None]] = []
        try:
            said = await self._all_ready(children)
            if said is not None:
                started(said)
                keepers = [asyncio.create_task(self._keep(children, at)) for at in range(count)]
                await self._stop.wait()
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)
            await asyncio.gather(*(child.end(self._stop_seconds) for child in children))

    async def _all_ready(self, children: list["_Child"]) -> str | None:
        """What the first said; None if it was stopped before. Raises WorkerFailed."""
        words = [asyncio.create_task(child.word()) for child in children]
        stopping = asyncio.create_task(self._stop.wait())
        pending: set[asyncio.Task[Any]] = set(words)
        try:
            while pending and not self._stop.is_set():
                done, _ = await asyncio.wait({*pending, stopping}, return_when=_FIRST)
                for each in done & pending:
                    each.result()
                pending -= done
            return None if pending else words[0].result()
        finally:
            for each in (*words, stopping):
                each.cancel()
            await asyncio.gather(*words, return_exceptions=True)

    async def _keep(self, children: list["_Child"], at: int) -> None:
        while True:
            await children[at].ended()
            _log.warning("%s; starting another", children[at])
            await self._replace(children, at)

    async def _replace(self, children: list["_Child"], at: int) -> None:
        pause = _FIRST_PAUSE
        while True:
            children[at] = _Child(self._work, self._listener)
            try:
                await children[at].word()
                return
            except WorkerFailed as error:
                _log.warning("a worker could not start, trying again in %.1f s: %s", pause, error)
            await children[at].ended()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


class _Child:
    """A worker, seen from the master."""

    def __init__(self, work: Work, listener: socket.socket) -> None:
        self._pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(
            target=_begin, args=(work, listener, theirs), name="diptych-web-worker"
        )
        self._process.start()
        theirs.close()

    def __str__(self) -> str:
        code = self._process.exitcode
        how = f"exit code {code}" if code is None or code >= 0 else signal.Signals(-code).name
        return f"the worker with process id {self._process.pid} has ended ({how})"

    async def word(self) -> str:
        """What it says when it is ready. Raises WorkerFailed: it is not going to be."""
        await _readable(self._pipe.fileno())
        try:
            word = self._pipe.recv_bytes()
        except (EOFError, OSError):
            await self.ended()
            raise WorkerFailed(str(self)) from None
        if word.startswith(_FAILED):
            raise WorkerFailed(word[1:].decode())
        return word[1:].decode()

    async def ended(self) -> None:
        await _readable(self._process.sentinel)
        self._process.join()

    async def end(self, seconds: float) -> None:
        """Ask it to stop; after `seconds` kill it."""
        if self._process.is_alive():
            self._process.terminate()
        try:
            async with asyncio.timeout(seconds):
                await self.ended()
        except TimeoutError:
            _log.error("the worker with process id %s does not stop: killed", self._process.pid)
            self._process.kill()
            await self.ended()
        self._pipe.close()


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)


def _begin(work: Work, listener: socket.socket, pipe: Connection) -> None:
    """The main function of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(asyncio.run(_work(work, listener, pipe)))


async def _work(work: Work, listener: socket.socket, pipe: Connection) -> int:
    loop, stop, ready = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

    def be_ready(text: str) -> None:
        ready.set()
        _say(pipe, _READY + text.encode())

    doing = asyncio.ensure_future(work(Worker(listener, stop, be_ready)))

    def end() -> None:
        loop.remove_reader(pipe.fileno())
        stop.set()
        if not ready.is_set():
            doing.cancel()  # it may be waiting for a database for as long as that takes

    loop.add_signal_handler(signal.SIGTERM, end)
    loop.add_reader(pipe.fileno(), end)  # the master sends nothing: its end of the pipe is closed
    try:
        await doing
    except asyncio.CancelledError:
        return 0
    except (DiptychError, OSError) as error:
        _say(pipe, _FAILED + str(error).encode())
        return 1
    return 0


def _say(pipe: Connection, word: bytes) -> None:
    with suppress(OSError):  # the master is gone: then `stop` is about to be set
        pipe.send_bytes(word)
