"""A real Chromium, and the order service as a process of its own. Without a browser tests are
skipped, which the summary says with the reason.
"""

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from tests.acceptance.process import Process, process
from tests.browser.visitor import Visitor

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = "there is no Chromium here, so the page is NOT tested: `make browser`, or set CHROMIUM"

Visit = Callable[..., Awaitable[Visitor]]


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where it is."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(MISSING)
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    expect.set_options(timeout=20_000)
    async with async_playwright() as driver:
        quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        browser = await driver.chromium.launch(executable_path=chromium, args=quiet)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One for all tests that leave it as it is: each has customers of its own."""
    with process(tmp_path_factory.mktemp("page") / "data") as running:
        running.start()
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, service: Process) -> AsyncIterator[Visit]:
    """`await visit()` is a visitor of `service`; `at=` of another, the rest is for the browser."""
    visitors: list[Visitor] = []

    async def arrive(at: Process = service, **context: Any) -> Visitor:
        visitors.append(await Visitor.arrived(browser, at.url, **context))
        return visitors[-1]

    yield arrive
    for visitor in visitors:
        await visitor.leave()
    assert [each.trouble for each in visitors if each.trouble] == []
