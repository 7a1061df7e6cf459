"""Sides of a question that run as processes of their own: they get ready, then wait for a word."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_PATIENCE = 60.0
_ROOT = Path(__file__).parents[1]


class Child:
    """Speaks in lines: what it prints is heard here, what is said here is its standard input."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    async def hear(self, *, patience: float = _PATIENCE) -> str:
        """The next line. Raises RuntimeError if it ended instead."""
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), patience)
        if not line:
            raise RuntimeError(f"it ended with {await self._process.wait()}")
        return line.decode().strip()

    async def end(self) -> None:
        """Close its input, which ends it; kill it if it does not mind."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 10)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def child(*command: str) -> AsyncIterator[Child]:
    """A process that has said `ready`; it is over when the block is left."""
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, cwd=_ROOT)
    started = Child(process)
    try:
        if (said := await started.hear()) != "ready":
            raise RuntimeError(f"{command[0]} said {said!r} instead of being ready")
        yield started
    finally:
        await started.end()


def itself(module: str, *arguments: object) -> tuple[str, ...]:
    """The command that runs a module of the benchmarks with this Python."""
    return sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)


async def line() -> str:
    """In a child: the next line of standard input, empty when the parent has gone."""
    return (await asyncio.to_thread(sys.stdin.readline)).strip()


def answer(text: object) -> None:
    """In a child: say a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
