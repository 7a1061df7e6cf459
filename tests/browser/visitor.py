"""Somebody with a browser on the order service's page: what they do there, and what they see."""

import asyncio
import re
from collections.abc import Callable
from typing import Any, Self
from uuid import uuid4

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Route, expect

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""


class Visitor:
    """One browser with cookies of its own. `trouble` is what a page must not have: errors of
    scripts, complaints on the console, dialogs of the browser, breaches of the policy.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.trouble: list[str] = []
        page.on("pageerror", lambda error: self.trouble.append(str(error)))
        page.on("console", self._console)
        page.on("dialog", lambda dialog: self.trouble.append(f"dialog {dialog.message}"))

    @classmethod
    async def arrived(cls, browser: Browser, url: str, **context: Any) -> Self:
        opened = await browser.new_context(locale="en-GB", timezone_id="UTC", **context)
        await opened.add_init_script(WATCH)
        visitor = cls(await opened.new_page(), url)
        await visitor.page.goto(url)
        return visitor

    async def leave(self) -> None:
        self.trouble += await self.page.evaluate("window.violations")
        await self.page.context.close()

    def order(self, name: str) -> Locator:
        """The order of this customer in the list; names in tests are of one order each."""
        return self.page.locator("#orders > li").filter(has_text=name)

    @property
    def note(self) -> Locator:
        return self.page.locator("#note")

    @property
    def log(self) -> Locator:
        """The newest line of what happened."""
        return self.page.locator("#log > li").first

    async def fill(self, name: str, *, product: str = "tea", price: str = "3.50") -> None:
        form = self.page.locator("#place")
        await form.get_by_label("Customer").fill(name)
        await form.get_by_label("Shipping address").fill("12 St James's Square, London")
        await form.get_by_label("Product").first.fill(product)
        await form.get_by_label("Quantity").first.fill("2")
        await form.get_by_label("Unit price").first.fill(price)

    async def place(self, name: str, **item: str) -> None:
        await self.fill(name, **item)
        await self.press("Place order")

    async def press(self, name: str, *, on: str = "") -> None:
        """A button; one of the order of the customer `on`."""
        within = self.order(on) if on else self.page.locator("body")
        await within.get_by_role("button", name=re.compile(rf"^{name}\b")).click()

    async def sees(self, name: str, *, status: str, amount: str | None = None) -> None:
        """The order of `name` comes to be in the list like this, and not only as a hope."""
        row = self.order(name)
        await expect(row.locator(".status")).to_have_text(status)
        await expect(row).to_have_attribute("aria-busy", "false")
        if amount is not None:
            await expect(row.locator(".amount")).to_have_text(amount)

    async def hold(self, pattern: str) -> Callable[[], None]:
        """Keep back the requests of this pattern, until what is returned is called."""
        go = asyncio.Event()

        async def keep(route: Route) -> None:
            await go.wait()
            await route.continue_()

        await self.page.route(pattern, keep)
        return go.set

    def _console(self, message: ConsoleMessage) -> None:
        refused = message.text.startswith("Failed to load resource")  # every refusal is one
        if message.type in ("error", "warning") and not refused:
            self.trouble.append(message.text)


def somebody() -> str:
    """The name of a customer whom no other test knows."""
    return f"Ada {uuid4().hex[:10]}"


def word_of(name: str) -> str:
    """The part of `somebody()` that nobody else has, to search for."""
    return name.split()[1]
