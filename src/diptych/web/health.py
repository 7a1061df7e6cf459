"""The lifespan of an application inside FastAPI, and what load balancers and Prometheus ask it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Protocol

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from diptych.app import Application
from diptych.read.readiness import Readiness
from diptych.web.problems import Problem
from diptych.web.reply import json_response


def lifespan(app: Application) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Opens `app` when the server starts, and closes it when it stops: `FastAPI(lifespan=...)`."""

    @asynccontextmanager
    async def run(_: FastAPI) -> AsyncGenerator[None]:
        async with app:
            yield

    return run


class Metrics(Protocol):
    """`diptych.telemetry.Prometheus`, or what else can tell its metrics."""

    def text(self, accept: str = "") -> tuple[bytes, str]: ...


def add_metrics_route(api: FastAPI, metrics: Metrics, *, path: str = "/metrics") -> None:
    """`GET /metrics` for Prometheus. It names commands and views: let only your own network ask.

    Of several workers on one socket any may answer: see `Prometheus` for how they share.
    """

    @api.get(path, include_in_schema=False)
    async def metrics_(request: Request) -> Response:
        text, content_type = metrics.text(request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": content_type, "Cache-Control": "no-store"})


def add_health_routes(api: FastAPI, app: Application) -> None:
    """`GET /livez`: 200 while this process works, 503 if it must be started anew; it asks no
    database. `GET /readyz`: 200 if it should get requests, else 503."""

    @api.get("/livez", include_in_schema=False)
    async def livez() -> Response:
        if app.alive:
            return json_response({"alive": True})
        return Problem(
            status=503, code="not-alive", detail="A part of this process has ended: start it anew."
        ).response()

    @api.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        found = await app.ready()
        views = _views(found)
        if found.ready:
            return json_response({"ready": True, "head": found.head, "views": views})
        waiting = [
            f"{view['name']} is {view['state']}" for view in views if view["state"] != "live"
        ]
        return Problem(
            status=503,
            code="not-ready",
            detail=f"Not ready: {', '.join(waiting)}.",
            more={"head": found.head, "views": views},
            headers={"Retry-After": "1"},
        ).response()


def _views(found: Readiness) -> list[dict[str, object]]:
    """How each view stands. An `error` is in the log; it is not for everybody who can ask."""
    return [
        {
            "name": view.name,
            "state": view.state.value,
            "position": view.position,
            "behind": view.behind,
            "lag_seconds": round(view.lag.total_seconds(), 3),
            "max_lag_seconds": view.max_lag.total_seconds(),
            "parked_keys": view.parked_keys,
            "seconds_left": _seconds(view.time_left),
        }
        for view in found.views
    ]


def _seconds(left: timedelta | None) -> float | None:
    return None if left is None else round(left.total_seconds(), 1)
