"""The lifespan of an application inside FastAPI, and what a load balancer asks it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI

from diptych.app import Application


def lifespan(app: Application) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Opens `app` when the server starts, and closes it when it stops: `FastAPI(lifespan=...)`."""

    @asynccontextmanager
    async def run(_: FastAPI) -> AsyncIterator[None]:
        async with app:
            yield

    return run
