"""The page when something is away: the projector, the service, an answer. Nothing done is lost."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from playwright.async_api import Page, Route, expect

from tests.acceptance.conftest import new_order
from tests.acceptance.process import Process, process, run_module
from tests.browser.conftest import Visit
from tests.browser.visitor import somebody, word_of

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser")]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Process]:
    """A service for one test, which may stop it."""
    with process(tmp_path / "data") as running:
        running.start()
        yield running


def views(service: Process, act: str, data: Path) -> None:
    """`diptych pause` or `resume`, of all views of the service."""
    ended = run_module("diptych.cli", act, "--all", DATA=str(data))
    assert ended.returncode == 0, ended.stderr


def place_elsewhere(service: Process, name: str) -> None:
    order = new_order(customer_name=name)
    httpx.post(f"{service.url}/orders", json=order, timeout=30).raise_for_status()


def number_of_orders(service: Process, **parameters: str) -> int:
    found = httpx.get(f"{service.url}/orders/search", params=parameters, timeout=30)
    total: int = found.json()["total"]
    return total


async def test_while_the_projector_is_paused_the_page_says_that_it_is_behind(
    visit: Visit, own: Process, tmp_path: Path
) -> None:
    visitor, first, second = await visit(own), somebody(), somebody()
    await visitor.place(first)
    await visitor.sees(first, status="open")
    views(own, "pause", tmp_path / "data")
    await visitor.place(second)
    await expect(visitor.order(second)).to_contain_text("accepted, not in the list yet")
    await expect(visitor.note).to_contain_text("behind")
    await expect(visitor.page.locator("#live")).to_have_text("Behind")
    await visitor.page.reload()  # it must have seen its own order, so an older list is no answer
    await expect(visitor.note).to_contain_text("behind")
    views(own, "resume", tmp_path / "data")
    await visitor.sees(second, status="open")
    await visitor.sees(first, status="open")
    await expect(visitor.note).to_be_hidden()


async def test_what_is_done_while_the_service_is_away_is_done_when_it_is_back(
    visit: Visit, own: Process
) -> None:
    one, other = await visit(own), await visit(own)
    before, away, directly = somebody(), somebody(), somebody()
    await one.place(before)
    await other.sees(before, status="open")
    own.kill()
    await expect(one.note).to_contain_text("connection is lost")
    await expect(one.page.locator("#live")).to_have_text("Reconnecting")
    await expect(one.order(before)).to_be_visible()
    await one.place(away)
    await expect(one.order(away)).to_contain_text("sending …")
    await expect(one.log).to_contain_text("trying again")
    own.start()
    place_elsewhere(own, directly)
    for name in (before, away, directly):
        await one.sees(name, status="open")
        await other.sees(name, status="open")
    await expect(one.note).to_be_hidden()
    assert number_of_orders(own) == 3


async def test_a_service_that_begins_anew_is_shown_as_it_is(
    visit: Visit, own: Process, tmp_path: Path
) -> None:
    """The page comes with tokens of a log that is no more: in its cookie, and as the last event."""
    visitor, old, new = await visit(own), somebody(), somebody()
    await visitor.place(old)
    await visitor.sees(old, status="open")
    own.kill()
    shutil.rmtree(tmp_path / "data")
    own.start()
    await expect(visitor.page.locator("#empty")).to_contain_text("No orders yet")
    await visitor.place(new)
    await visitor.sees(new, status="open")
    await expect(visitor.note).to_be_hidden()


async def test_what_cannot_be_looked_at_is_said_as_the_service_says_it(visit: Visit) -> None:
    visitor = await visit()
    await visitor.page.goto(f"{visitor.url}/?customer=nobody")
    await expect(visitor.note).to_contain_text("must be a UUID")
    await visitor.page.goto(f"{visitor.url}/?customer={uuid4()}")
    await expect(visitor.note).to_contain_text("There is no such customer")


async def test_with_several_workers_a_browser_reads_its_own_writes_too(
    visit: Visit, tmp_path: Path
) -> None:
    with process(tmp_path / "data", WORKERS="2") as own:
        own.start()
        one, other = await visit(own), await visit(own)
        for name in (somebody(), somebody(), somebody()):
            async with one.page.expect_response("**/orders"):
                await one.place(name)
            await one.page.reload()
            await one.page.wait_for_selector("#orders > li")
            assert await one.order(name).count() == 1
            await other.sees(name, status="open")


async def test_a_command_whose_answer_is_lost_takes_effect_once(
    visit: Visit, service: Process
) -> None:
    visitor, name = await visit(), somebody()
    keys = []

    async def lose_the_first_answer(route: Route) -> None:
        keys.append(await route.request.header_value("idempotency-key"))
        if len(keys) > 1:
            await route.continue_()
            return
        await route.fetch()
        await route.abort()

    await visitor.page.route("**/orders", lose_the_first_answer)
    await visitor.place(name)
    await expect(visitor.log).to_contain_text("accepted")
    await visitor.sees(name, status="open", amount="7.00")
    assert len(keys) == 2
    assert keys[0] == keys[1]
    assert number_of_orders(service, q=word_of(name)) == 1


async def test_a_reload_reads_what_was_just_written(visit: Visit) -> None:
    visitor = await visit()
    for _ in range(3):
        name = somebody()
        async with visitor.page.expect_response("**/orders"):
            await visitor.place(name)
        await visitor.page.reload()
        await visitor.page.wait_for_selector("#orders > li")
        assert await visitor.order(name).count() == 1  # in the first answer, not in a later one


async def test_a_page_that_nobody_looks_at_gives_its_connections_up(visit: Visit) -> None:
    visitor, other, name = await visit(), await visit(), somebody()
    await hide(visitor.page, hidden=True)
    await other.place(name)
    await other.sees(name, status="open")
    await expect(visitor.order(name)).to_have_count(0)
    await hide(visitor.page, hidden=False)
    await visitor.sees(name, status="open")


async def test_a_page_that_is_shown_again_is_live_only_with_a_new_answer(visit: Visit) -> None:
    visitor = await visit()
    live = visitor.page.locator("#live")
    await expect(live).to_have_text("Live")
    await hide(visitor.page, hidden=True)
    let_go = await visitor.hold("**/events?*")
    await hide(visitor.page, hidden=False)
    await expect(live).to_have_text("Loading", timeout=2_000)
    let_go()
    await expect(live).to_have_text("Live")


async def test_a_connection_on_which_nothing_comes_any_more_is_given_up(visit: Visit) -> None:
    """Heartbeats keep it; without them it may be half dead, which a browser does not notice."""
    visitor = await visit()
    live, page = visitor.page.locator("#live"), visitor.page
    await page.clock.install()
    await page.reload()
    await expect(live).to_have_text("Live")
    let_go = await visitor.hold("**/events?*")
    await page.clock.run_for(30_000)
    await expect(live).to_have_text("Live")
    await page.clock.run_for(10_000)
    await expect(live).to_have_text("Reconnecting", timeout=2_000)
    let_go()
    await expect(live).to_have_text("Live")


async def hide(page: Page, *, hidden: bool) -> None:
    await page.evaluate(
        """(hidden) => {
          Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )
