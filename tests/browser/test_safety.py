"""What somebody types is text and never a program; and the policy that stands behind that."""

import pytest
from playwright.async_api import Error, expect

from tests.browser.conftest import Visit
from tests.browser.visitor import Visitor, somebody

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser")]

ATTACKS = (
    "<img src=x onerror=alert(1)>",
    '"><script>alert(2)</script>{{7*7}}<svg onload=alert(3)><!--',
)
PARTS = "document.querySelectorAll('img, script, svg, iframe, style, link').length"


@pytest.mark.parametrize("attack", ATTACKS)
async def test_markup_in_any_field_is_shown_as_it_was_typed(visit: Visit, attack: str) -> None:
    visitor, other, name = await visit(), await visit(), f"{somebody()} {attack}"
    parts = await visitor.page.evaluate(PARTS)
    form = visitor.page.locator("#place")
    await visitor.fill(name, product=attack)
    await form.get_by_label("Shipping address").fill(attack)
    await form.get_by_label("Description").fill(attack)
    await visitor.press("Place order")
    for each in (visitor, other):
        await each.sees(name, status="open")
        await expect(each.order(name).locator(".who button")).to_have_text(name)
    await expect(visitor.log).to_contain_text(attack)
    await add_and_cancel(visitor, name, attack)
    await visitor.order(name).locator(".who button").click()
    await expect(visitor.page.locator("#customer-name")).to_have_text(name)
    await visitor.page.get_by_label("Search").fill(attack)
    await visitor.page.wait_for_url("**/?*q=*")
    await visitor.page.reload()
    await expect(visitor.page.get_by_label("Search")).to_have_value(attack)
    await expect(visitor.page.locator("#live")).to_have_text("Live")
    assert await visitor.page.evaluate(PARTS) == parts
    assert await other.page.evaluate(PARTS) == parts


async def add_and_cancel(visitor: Visitor, name: str, attack: str) -> None:
    dialog = visitor.page.get_by_role("dialog")
    await visitor.press("Add item", on=name)
    await dialog.get_by_label("Product").fill(attack)
    await dialog.get_by_label("Unit price").fill("1.00")
    await dialog.get_by_label("Description").fill(attack)
    await dialog.get_by_role("button", name="Add item").click()
    await visitor.sees(name, status="open", amount="8.00")
    await visitor.press("Cancel", on=name)
    await dialog.get_by_label("Reason").fill(attack)
    await dialog.get_by_role("button", name="Cancel order").click()
    await visitor.sees(name, status="cancelled")


async def test_what_an_address_of_the_page_says_is_text_too(visit: Visit) -> None:
    visitor = await visit()
    parts = await visitor.page.evaluate(PARTS)
    await visitor.page.goto(f"{visitor.url}/?q=%3Cimg+src%3Dx+onerror%3Dalert(1)%3E&sort=x&page=2")
    await expect(visitor.page.get_by_label("Search")).to_have_value(ATTACKS[0])
    assert await visitor.page.evaluate(PARTS) == parts


@pytest.mark.parametrize(
    "breach",
    [
        "document.body.append(Object.assign(document.createElement('script'), {src: 'data:,1'}))",
        "document.body.insertAdjacentHTML('beforeend', '<b>markup</b>')",
        "document.body.append(Object.assign(document.createElement('img'), {src: 'http://127.0.0.1:9/'}))",
        "document.body.setAttribute('style', 'color: red')",
        "eval('1')",
        "setTimeout('1')",
    ],
)
async def test_the_policy_stops_what_text_could_become(visit: Visit, breach: str) -> None:
    """With this each of the above would be stopped, even if the page made a mistake."""
    visitor = await visit()
    try:
        await visitor.page.add_script_tag(url=f"{visitor.url}/page/dom.js", type="module")
        await visitor.page.evaluate(f"() => {{ {breach} }}")
    except Error:
        pass  # most of them throw
    await visitor.page.wait_for_function("window.violations.length > 0")
    await visitor.page.evaluate("window.violations.length = 0")
    visitor.trouble.clear()
