"""What people do on the page: place, add, ship, cancel, look; and that others see it."""

import re
from decimal import Decimal
from typing import Any

import httpx
import pytest
from playwright.async_api import expect

from tests.acceptance.conftest import new_order
from tests.acceptance.process import Process
from tests.browser.conftest import Visit
from tests.browser.visitor import somebody, word_of

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser")]


def stored(service: Process, name: str) -> list[dict[str, Any]]:
    """The orders that the service has of a customer."""
    asked = {"q": word_of(name)}
    found = httpx.get(f"{service.url}/orders/search", params=asked, timeout=30)
    items: list[dict[str, Any]] = found.json()["items"]
    return items


def order_tea(service: Process, name: str, *, quantity: int) -> None:
    item = {"product_id": "tea", "quantity": quantity, "unit_price": "1.00"}
    order = new_order(customer_name=name, items=[item])
    assert httpx.post(f"{service.url}/orders", json=order, timeout=30).status_code == 201


def cancel(service: Process, name: str) -> None:
    """As somebody else does it, elsewhere."""
    [order] = stored(service, name)
    path = f"/orders/{order['order_id']}"
    assert httpx.delete(f"{service.url}{path}", timeout=30).status_code == 200


async def test_an_order_of_several_items_is_placed_and_listed(
    visit: Visit, service: Process
) -> None:
    name, visitor = somebody(), await visit()
    await visitor.fill(name)
    await visitor.press("Add another item")
    second = visitor.page.locator("#items .item").nth(1)
    await second.get_by_label("Product").fill("cup")
    await expect(second.get_by_label("Unit price")).to_have_value("7.90")  # as the list offers it
    await second.get_by_label("Quantity").fill("3")
    await expect(visitor.page.locator("#total")).to_have_text("30.70")
    await visitor.press("Place order")
    await visitor.sees(name, status="open", amount="30.70")
    await expect(visitor.order(name).locator(".lines")).to_have_text("2 lines")
    await expect(visitor.log).to_have_text(
        re.compile(rf"Order for {name} accepted after [\d.]+ m?s, in the list [\d.]+ m?s later")
    )
    await expect(visitor.page.locator("#items .item")).to_have_count(1)
    [order] = stored(service, name)
    assert (order["item_count"], Decimal(order["total_amount"])) == (2, Decimal("30.70"))


async def test_items_are_added_and_orders_shipped_and_cancelled(
    visit: Visit, service: Process
) -> None:
    visitor = await visit()
    shipped, cancelled = somebody(), somebody()
    for name in (shipped, cancelled):
        await visitor.place(name)
        await visitor.sees(name, status="open", amount="7.00")
    await visitor.press("Add item", on=shipped)
    dialog = visitor.page.get_by_role("dialog")
    await dialog.get_by_label("Product").fill("kettle")
    await dialog.get_by_role("button", name="Add item").click()
    await visitor.sees(shipped, status="open", amount="46.00")
    await visitor.press("Ship", on=shipped)
    await visitor.sees(shipped, status="shipped", amount="46.00")
    await visitor.press("Cancel", on=cancelled)
    await dialog.get_by_label("Reason").fill("changed my mind")
    await dialog.get_by_role("button", name="Cancel order").click()
    await visitor.sees(cancelled, status="cancelled")
    for name in (shipped, cancelled):
        await expect(visitor.order(name).locator(".acts")).to_be_hidden()
    assert [stored(service, name)[0]["status"] for name in (shipped, cancelled)] == [
        "shipped",
        "cancelled",
    ]


async def test_two_browsers_see_what_the_other_does(visit: Visit) -> None:
    one, other, name = await visit(), await visit(), somebody()
    await one.place(name)
    await other.sees(name, status="open", amount="7.00")
    await other.press("Ship", on=name)
    await one.sees(name, status="shipped")


async def test_the_list_is_searched_and_filtered_and_a_reload_looks_at_the_same(
    visit: Visit,
) -> None:
    visitor, name, other = await visit(), somebody(), somebody()
    for each in (name, other):
        await visitor.place(each)
        await visitor.sees(each, status="open")
    await visitor.page.get_by_label("Search").fill(word_of(name))
    await expect(visitor.page.locator("#orders > li")).to_have_count(1)
    await visitor.page.get_by_label("Status").select_option("shipped")
    await expect(visitor.page.get_by_text("Nothing is found.")).to_be_visible()
    await visitor.page.reload()
    await expect(visitor.page.get_by_label("Status")).to_have_value("shipped")
    await expect(visitor.page.get_by_text("Nothing is found.")).to_be_visible()
    await visitor.page.get_by_label("Status").select_option("open")
    await visitor.sees(name, status="open")
    await visitor.press("Ship", on=name)
    await expect(visitor.order(name)).to_have_count(0)
    await expect(visitor.page.locator("#orders-title")).to_be_focused()


async def test_the_list_is_sorted_and_has_pages(visit: Visit, service: Process) -> None:
    visitor, name = await visit(), somebody()
    for count in range(1, 24):
        order_tea(service, name, quantity=count)
    page = visitor.page
    await page.get_by_label("Search").fill(word_of(name))
    await page.get_by_role("combobox", name="Order", exact=True).select_option("Highest total")
    await expect(page.locator("#orders .amount").first).to_have_text("23.00")
    await expect(page.locator("#where")).to_have_text("Page 1 of 2, 23 orders")
    await visitor.press("Next")
    await expect(page.locator("#orders .amount")).to_have_text(["3.00", "2.00", "1.00"])
    await visitor.press("Previous")
    await expect(page.locator("#orders .amount").first).to_have_text("23.00")


async def test_a_customer_has_totals_that_follow(visit: Visit) -> None:
    visitor, name = await visit(), somebody()
    await visitor.place(name)
    await visitor.sees(name, status="open")
    await visitor.press(name, on=name)
    totals = visitor.page.locator("#customer")
    await expect(totals.locator("dd")).to_have_text(["1", "1", "7.00"])
    await visitor.place(name, product="coffee", price="4.20")
    await expect(totals.locator("dd")).to_have_text(["2", "2", "15.40"])
    await visitor.order(name).first.get_by_role("button", name="Ship").click()
    await expect(totals.locator("dd")).to_have_text(["2", "1", "15.40"])
    await visitor.press("Show all customers")
    await expect(totals).to_be_hidden()


async def test_a_refused_order_is_shown_and_taken_back_and_says_why(
    visit: Visit, service: Process
) -> None:
    visitor, name = await visit(), somebody()
    let_go = await visitor.hold("**/orders")
    await visitor.place(name, product="sold-out")
    await expect(visitor.order(name)).to_contain_text("sending …")
    let_go()
    await expect(visitor.order(name)).to_have_count(0)
    await expect(visitor.page.locator("#place .problem")).to_contain_text("sold-out: 2 wanted")
    await expect(visitor.log).to_contain_text("refused: Product sold-out")
    await expect(visitor.page.locator("#place").get_by_label("Customer")).to_have_value(name)
    assert stored(service, name) == []


async def test_an_act_that_is_refused_is_taken_back(visit: Visit, service: Process) -> None:
    visitor, name = await visit(), somebody()
    await visitor.place(name)
    await visitor.sees(name, status="open")
    let_go = await visitor.hold("**/ship")
    await visitor.press("Ship", on=name)
    await expect(visitor.order(name).locator(".status")).to_have_text("shipped")
    await expect(visitor.order(name)).to_have_attribute("aria-busy", "true")
    cancel(service, name)
    let_go()
    await visitor.sees(name, status="cancelled")
    await expect(visitor.order(name)).to_contain_text("Refused: It has been cancelled")


async def test_an_item_is_in_the_list_though_the_one_before_it_was_refused(visit: Visit) -> None:
    visitor, name = await visit(), somebody()
    await visitor.place(name)
    await visitor.sees(name, status="open", amount="7.00")
    let_go = await visitor.hold("**/items")
    dialog = visitor.page.get_by_role("dialog")
    for product in ("sold-out", "kettle"):
        await visitor.press("Add item", on=name)
        await dialog.get_by_label("Product").fill(product)
        await dialog.get_by_label("Unit price").fill("1.00")
        await dialog.get_by_role("button", name="Add item").click()
    await expect(visitor.order(name).locator(".amount")).to_have_text("9.00")
    let_go()
    await visitor.sees(name, status="open", amount="8.00")
    await expect(visitor.log).to_contain_text("in the list")


async def test_what_a_field_lacks_is_said_beside_it(visit: Visit) -> None:
    visitor = await visit()
    await visitor.place("  ")
    field = visitor.page.locator("#place").get_by_label("Customer")
    await expect(field).to_be_focused()
    await expect(field).to_have_attribute("aria-invalid", "true")
    await expect(field).to_have_accessible_description("must not be blank")
    name = somebody()
    await visitor.place(name)
    await visitor.sees(name, status="open")
    await expect(field).not_to_have_attribute("aria-invalid", "true")
