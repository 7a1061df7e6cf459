"""`diptych run --metrics`: Prometheus can ask a process that projects."""

import re
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from examples.orders.app import shop
from tests.acceptance.conftest import Databases, make
from tests.acceptance.process import run_module, start_module, until
from tests.acceptance.test_orders_readiness import ORDERS, fill

FACTORY = "examples.orders.app:application"


@pytest.fixture
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    return make("sqlite", request, tmp_path)


@pytest.fixture
async def filled(databases: Databases) -> Databases:
    async with shop(databases.log, "sqlite://") as app:
        await fill(app)
    return databases


def urls(databases: Databases) -> dict[str, str]:
    return {"DIPTYCH_LOG": databases.log, "DIPTYCH_READ": databases.read}


def metric(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else -1


def test_prometheus_is_answered_while_views_are_built(filled: Databases) -> None:
    running = start_module("diptych.cli", "run", FACTORY, "--metrics", "0", **urls(filled))
    try:
        assert running.stdout
        line = running.stdout.readline()
        url = line.removeprefix("metrics: ").strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/metrics", url), line

        def is_live() -> bool:
            text = httpx.get(url).text
            return metric(text, 'diptych_view_live{view="order_summaries"}') == 1

        until(is_live)
        text = httpx.get(url).text
        applied = metric(text, 'diptych_projection_events_total{view="order_summaries"}')
        assert applied == ORDERS
        assert metric(text, 'diptych_view_behind{view="order_summaries"}') == 0
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=20)
        assert running.returncode == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)
    finally:
        running.kill()
        running.communicate()


@pytest.mark.parametrize("where", ["somewhere", "1:2:3", "http://localhost:1", "a@b:1", "99999"])
def test_what_is_no_address_is_refused_in_one_line(where: str, databases: Databases) -> None:
    ran: subprocess.CompletedProcess[str] = run_module(
        "diptych.cli", "run", FACTORY, "--metrics", where, **urls(databases)
    )
    assert ran.returncode == 2
    assert ran.stderr.strip() == f"diptych run: --metrics {where}: write PORT, or HOST:PORT"
