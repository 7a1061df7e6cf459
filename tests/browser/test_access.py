"""The page for everybody: by keyboard, read aloud, in the dark, on a telephone, without motion."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.acceptance.process import Process
from tests.browser.conftest import Visit
from tests.browser.visitor import Visitor, somebody, word_of

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser")]

NAME = "(it) => it.ariaLabel || (it.labels?.[0]?.firstChild ?? it).textContent.trim()"
AUDIT = (Path(__file__).parent / "audit.js").read_text()


async def press(visitor: Visitor, *keys: str) -> None:
    for key in keys:
        await visitor.page.keyboard.press(key)


async def tab_to(visitor: Visitor, name: str) -> None:
    """Press Tab until what has this accessible name has the focus."""
    for _ in range(80):
        await press(visitor, "Tab")
        focused = visitor.page.locator(":focus")
        described = await focused.evaluate(NAME)
        if described.startswith(name):
            shown = await focused.evaluate("(it) => getComputedStyle(it).outlineStyle")
            assert shown != "none", f"{name} does not show that it has the focus"
            return
    raise AssertionError(f"Tab does not lead to {name}")


async def test_everything_can_be_done_by_keyboard(visit: Visit) -> None:
    visitor, name = await visit(), somebody()
    await press(visitor, "Tab", "Enter")
    await expect(visitor.page.locator("#orders-title")).to_be_focused()
    await visitor.page.reload()
    for label, text in (("Customer", name), ("Shipping", "here"), ("Product", "cup")):
        await tab_to(visitor, label)
        await visitor.page.keyboard.type(text)
    await press(visitor, "Escape", "Enter")
    await visitor.sees(name, status="open", amount="7.90")
    await tab_to(visitor, "Search")
    await visitor.page.keyboard.type(word_of(name))
    await expect(visitor.page.locator("#orders > li")).to_have_count(1)
    await tab_to(visitor, "Add item: ")
    await press(visitor, "Enter")
    await expect(visitor.page.get_by_role("dialog").get_by_label("Product")).to_be_focused()
    await press(visitor, "Escape")
    await expect(visitor.page.locator("[data-act=add]:visible")).to_be_focused()
    await tab_to(visitor, "Cancel: ")
    await press(visitor, "Enter")
    await visitor.page.keyboard.type("a reason")
    await press(visitor, "Enter")
    await visitor.sees(name, status="cancelled")
    await expect(visitor.order(name)).to_be_focused()


async def test_an_update_leaves_the_focus_where_it_is(visit: Visit) -> None:
    visitor, other, name = await visit(), await visit(), somebody()
    await visitor.place(name)
    await other.sees(name, status="open")
    button = other.order(name).get_by_role("button", name="Ship")
    await button.focus()
    for each in (somebody(), somebody()):
        await visitor.place(each)
        await other.sees(each, status="open")
    await expect(button).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
async def test_the_page_can_be_read_by_everybody(visit: Visit, scheme: str, width: int) -> None:
    size = {"width": width, "height": 800}
    visitor, name = await visit(color_scheme=scheme, viewport=size), somebody()
    await visitor.place(name, product="sold-out")
    await expect(visitor.page.locator("#place .problem")).to_be_visible()
    for _ in range(3):
        await visitor.place(name)
        await expect(visitor.log).to_contain_text("in the list")
    await visitor.order(name).nth(0).get_by_role("button", name="Ship").click()
    await visitor.order(name).nth(1).get_by_role("button", name="Cancel").click()
    await visitor.press("Cancel order")
    await expect(visitor.page.locator("[data-status=cancelled]").first).to_be_visible()
    await visitor.order(name).first.locator(".who button").click()
    await expect(visitor.page.locator("#customer")).to_be_visible()
    assert await faults(visitor) == []
    await visitor.order(name).last.get_by_role("button", name="Add item").click()
    assert await faults(visitor) == []


async def faults(visitor: Visitor) -> list[str]:
    found: list[str] = await visitor.page.evaluate(AUDIT)
    return found


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        ("document.querySelector('#filters label').firstChild.remove()", "no name: input"),
        ("document.querySelector('.live').style.setProperty('color', '#ccc')", "contrast"),
        ("document.querySelector('#where').id = 'note'", "id note is there twice"),
        ("document.querySelector('h2').style.setProperty('width', '3000px')", "wider"),
        ("document.documentElement.removeAttribute('lang')", "no language"),
        ("document.querySelector('#more').style.setProperty('zoom', '0.4')", "small: button"),
    ],
)
async def test_the_audit_finds_what_it_looks_for(visit: Visit, spoil: str, found: str) -> None:
    visitor = await visit()
    await expect(visitor.page.locator("#live")).to_have_text("Live")
    await visitor.page.evaluate(f"() => {{ {spoil} }}")
    assert found in " ".join(await faults(visitor))


async def test_nothing_moves_for_those_who_want_no_motion(visit: Visit) -> None:
    running: Any = {}
    for motion in ("reduce", "no-preference"):
        visitor, name = await visit(reduced_motion=motion), somebody()
        await visitor.place(name)
        await visitor.sees(name, status="open")
        running[motion] = await visitor.page.evaluate("document.getAnimations().length")
    assert running["reduce"] == 0
    assert running["no-preference"] > 0


async def test_what_becomes_of_things_is_told_to_screen_readers(
    visit: Visit, service: Process
) -> None:
    visitor = await visit()
    page = visitor.page
    await expect(page.get_by_role("log", name="What happened")).to_be_visible()
    await expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
    await expect(page.get_by_role("search", name="Orders")).to_be_visible()
    await expect(page.get_by_role("list", name="Orders")).to_have_attribute("aria-busy", "false")
    await visitor.place(somebody(), product="sold-out")
    await expect(page.get_by_role("alert")).to_have_text(re.compile("sold-out"))
