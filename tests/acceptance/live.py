"""A client of live queries, and a service on a socket for it: in-process clients do not stream."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.types import ASGIApp

from diptych.web import listen, serve


@dataclass(frozen=True)
class Event:
    name: str
    data: Any
    id: str = ""


@dataclass
class Client:
    """What comes on one stream."""

    response: httpx.Response
    _lines: AsyncIterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self._lines = self.response.aiter_lines()

    async def next(self, *, heartbeats: bool = False) -> Event:
        """Raises: StopAsyncIteration: the server has ended the stream."""
        async with asyncio.timeout(20):
            while True:
                event = await self._event()
                if event.name not in ("", "heartbeat") or heartbeats:
                    return event

    async def _event(self) -> Event:
        fields: dict[str, str] = {}
        while line := await anext(self._lines):
            name, _, value = line.partition(":")
            assert name not in fields, fields
            fields[name] = value.removeprefix(" ")
        data = fields.get("data")
        parsed = None if data is None else json.loads(data)
        return Event(fields.get("event", ""), parsed, fields.get("id", ""))


@asynccontextmanager
async def following(
    client: httpx.AsyncClient, path: str, headers: Mapping[str, str] | None = None
) -> AsyncIterator[Client]:
    async with client.stream("GET", path, headers=headers) as response:
        if response.status_code != 200:
            await response.aread()
        yield Client(response)


@asynccontextmanager
async def on_a_socket(api: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    """A client of `api`, which is served until the block ends."""
    listener, stop = listen(0), asyncio.Event()
    port: int = listener.getsockname()[1]
    serving = asyncio.create_task(serve(api, listener, stop=stop))
    try:
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            yield client
    finally:
        stop.set()
        await serving
