"""What an application tells a load balancer and Prometheus over HTTP."""

from datetime import timedelta
from uuid import uuid4

import pytest
from fastapi import FastAPI

from diptych import Application
from diptych.telemetry import Prometheus
from diptych.testing import wait_until
from diptych.web import add_health_routes, add_metrics_route
from tests.integration.accounts import Deposited, Opened, account_view, append
from tests.unit.web.asgi import call, scope_of


def api_of(app: Application) -> FastAPI:
    api = FastAPI()
    add_health_routes(api, app)
    return api


async def test_a_process_is_alive_while_it_is_open() -> None:
    app = Application(log="memory://", views=[account_view()])
    api = api_of(app)
    closed = await call(api, scope_of("GET", "/livez"))
    assert (closed.status, closed.problem) == (503, "not-alive")
    async with app:
        opened = await call(api, scope_of("GET", "/livez"))
        assert (opened.status, opened.json) == (200, {"alive": True})


async def test_a_process_whose_supervision_has_ended_must_be_started_anew() -> None:
    """Only a bug could do that; but then nothing would be projected here, and nobody told."""
    async with Application(log="memory://", views=[account_view()]) as app:
        assert app._right._running
        assert app._right._running.projecting
        watch = app._right._running.projecting._watch
        assert watch
        watch.cancel()
        await wait_until(watch.done)
        assert (await call(api_of(app), scope_of("GET", "/livez"))).problem == "not-alive"


async def test_a_view_that_is_stopped_makes_a_process_not_ready_but_leaves_it_alive(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """To start it anew would not help, and would take its queries away as well."""
    view = account_view(max_lag=timedelta(milliseconds=1))
    async with Application(log="memory://", views=[view]) as app:
        api = api_of(app)
        await append(app.log.store, Opened(account_id := uuid4(), "Ann"))
        await app.caught_up()
        await append(app.log.store, Deposited(account_id, -1))

        async def is_not_ready() -> bool:
            return (await call(api, scope_of("GET", "/readyz"))).status == 503

        await wait_until(is_not_ready)
        answer = await call(api, scope_of("GET", "/readyz"))
        (found,) = answer.json["views"]
        assert (found["state"], found["behind"], found["max_lag_seconds"]) == ("stopped", 1, 0.001)
        assert (await call(api, scope_of("GET", "/livez"))).status == 200
        await wait_until(lambda: "its max_lag is 0.001 s" in caplog.text)
        assert "view accounts: stopped at 1: Poisoned" in caplog.text
        events = [getattr(each, "diptych_event", "") for each in caplog.records]
        assert (events.count("stopped"), events.count("max_lag_broken")) == (1, 1)


async def test_metrics_are_told_in_both_formats_that_prometheus_asks_for() -> None:
    prometheus = Prometheus()
    api = FastAPI()
    add_metrics_route(api, prometheus)
    app = Application(log="memory://", views=[account_view()], telemetry=[prometheus])
    async with app:
        await append(app.log.store, Opened(uuid4(), "Ann"))
        await app.caught_up()
        plain = await call(api, scope_of("GET", "/metrics"))
        asked = [(b"accept", b"application/openmetrics-text; version=1.0.0")]
        open_metrics = await call(api, scope_of("GET", "/metrics", asked))
    line = b'diptych_projection_events_total{view="accounts"} 1.0'
    assert plain.headers["content-type"].startswith("text/plain")
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text")
    assert line in plain.body
    assert line in open_metrics.body
    assert open_metrics.body.endswith(b"# EOF\n")
