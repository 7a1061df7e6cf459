"""The files of the page, as they are served: strict headers, entity tags, and nothing but them."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from examples.orders.api import create_api
from examples.orders.app import shop
from examples.orders.page_files import FOLDER
from tests.acceptance.conftest import client_of, problem_of


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = shop("memory://", "sqlite://")
    async with app, client_of(create_api(app)) as client:
        yield client


def served() -> dict[str, Path]:
    files = {f"/page/{path.name}": path for path in FOLDER.iterdir() if path.name != "index.html"}
    return {"/": FOLDER / "index.html", **files}


async def test_each_file_is_served_as_it_is_under_the_policy(client: httpx.AsyncClient) -> None:
    for path, file in served().items():
        answer = await client.get(path)
        assert (answer.status_code, answer.content) == (200, file.read_bytes())
        policy = answer.headers["content-security-policy"].split("; ")
        assert policy[0] == "default-src 'none'"
        assert {"script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"} < set(policy)
        assert "unsafe" not in " ".join(policy)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"


async def test_browsers_are_told_what_each_file_is(client: httpx.AsyncClient) -> None:
    found = {
        path: (await client.get(path)).headers["content-type"]
        for path in ("/", "/page/style.css", "/page/main.js", "/page/icon.svg")
    }
    assert list(found.values()) == [
        "text/html; charset=utf-8",
        "text/css; charset=utf-8",
        "text/javascript; charset=utf-8",
        "image/svg+xml",
    ]


async def test_a_file_that_a_browser_has_is_not_sent_again(client: httpx.AsyncClient) -> None:
    first = await client.get("/page/main.js")
    assert first.headers["cache-control"] == "private, no-cache"
    for known in (first.headers["etag"], f'"other", W/{first.headers["etag"]}', "*"):
        again = await client.get("/page/main.js", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        assert "content-security-policy" in again.headers
    other = await client.get("/page/main.js", headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


async def test_head_has_no_body_and_other_methods_are_refused(client: httpx.AsyncClient) -> None:
    head = await client.head("/")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len((await client.get("/")).content)
    refused = await client.post("/")
    assert (refused.status_code, problem_of(refused)) == (405, "method-not-allowed")


@pytest.mark.parametrize(
    "path", ["/page/", "/page/index.html", "/page/../app.py", "/page/%2e%2e/app.py", "/page/x.js"]
)
async def test_nothing_else_is_served(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, problem_of(answer)) == (404, "not-found")


def test_the_page_needs_nothing_from_elsewhere_and_makes_no_markup_of_text() -> None:
    for path in FOLDER.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//cdn", text), path.name
        forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function"
        assert not re.search(forbidden, text), path.name
        assert not re.search(r"<[^>]+\s(on\w+|style)\s*=", text), path.name


async def test_a_browser_carries_the_token_in_a_cookie_that_no_script_reads(
    client: httpx.AsyncClient,
) -> None:
    cookie = (await client.get("/orders/search")).headers["set-cookie"]
    assert cookie.startswith("diptych-token=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
