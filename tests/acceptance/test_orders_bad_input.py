"""Whatever strangers send: a problem that names the field, never a 500, and nothing written."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.acceptance.conftest import (
    ADA,
    TEA,
    Service,
    make,
    new_order,
    problem_of,
    serving,
    unknown_id,
)
from tests.unit.web.asgi import call, scope_of

JSON = {"Content-Type": "application/json"}
ORDER = "0196f2c1-0000-7000-8000-000000000001"


pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS = ["sqlite", "postgres"]


@pytest_asyncio.fixture(params=KINDS, loop_scope="module")
async def service(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Service]:
    async with serving(make(request.param, request, tmp_path)) as running:
        yield running


@pytest_asyncio.fixture(params=KINDS, loop_scope="module", scope="module")
async def untouched(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    """One that all tests share which write nothing to it."""
    folder = tmp_path_factory.mktemp("untouched")
    async with serving(make(request.param, request, folder)) as running:
        yield running


@pytest_asyncio.fixture(params=KINDS, loop_scope="module", scope="module")
async def one_order(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    """One with an order, that tests share which only read."""
    folder = tmp_path_factory.mktemp("one-order")
    async with serving(make(request.param, request, folder)) as running:
        await running.create()
        yield running


def text_of(**changes: Any) -> bytes:
    return json.dumps(new_order(**changes)).encode()


def with_raw(name: str, value: bytes) -> bytes:
    """A new order with these very bytes as a value."""
    return text_of(**{name: "@@"}).replace(b'"@@"', value)


def with_item(name: str, value: bytes) -> bytes:
    return text_of(items=[{**TEA, name: "@@"}]).replace(b'"@@"', value)


NOT_JSON: dict[str, bytes] = {
    "truncated": text_of()[:-1],
    "trailing data": text_of() + b"x",
    "two documents": text_of() + text_of(),
    "bare NaN": b"NaN",
    "infinity": b"Infinity",
    "a byte-order mark": b"\xef\xbb\xbf" + text_of(),
    "utf-16": text_of().decode().encode("utf-16"),
    "nothing but blanks": b"   ",
    "single quotes": b"{'customer_id': 1}",
    "a comment": b"/* */" + text_of(),
    "a list": b"[]",
    "a string": b'"order"',
    "a number": b"1",
    "null": b"null",
    "a list 100,000 deep": b"[" * 100_000,
    "an object 100,000 deep": b'{"a":' * 100_000,
    "a closed list 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "a million keys": b"{" + b",".join(b'"%d":1' % number for number in range(90_000)) + b"}",
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
async def test_a_body_that_is_no_order_is_refused(untouched: Service, body: bytes) -> None:
    await refused(untouched, await untouched.client.post("/orders", content=body, headers=JSON))


WRONG_VALUES: dict[str, tuple[bytes, str]] = {
    "a NUL": (with_raw("customer_name", rb'"a\u0000b"'), "customer_name"),
    "a raw control character": (with_raw("customer_name", b'"a\x00b"'), "body"),
    "a lone high surrogate": (with_raw("customer_name", rb'"a\ud800b"'), "body"),
    "a lone low surrogate": (with_raw("customer_name", rb'"a\udc00b"'), "body"),
    "a swapped pair": (with_raw("customer_name", rb'"\udc00\ud800"'), "body"),
    "invalid UTF-8": (with_raw("customer_name", b'"a\xffb"'), "body"),
    "overlong UTF-8": (with_raw("customer_name", b'"\xc0\x80"'), "body"),
    "a surrogate in UTF-8": (with_raw("customer_name", b'"\xed\xa0\x80"'), "body"),
    "a NUL in a key": (with_raw("customer_name", rb'"a","b\u0000":1,"c":1'), "body"),
    "a lone surrogate in a key": (with_raw("customer_name", rb'"a","\ud800":1'), "body"),
    "a name that is too long": (text_of(customer_name="x" * 201), "customer_name"),
    "half a million combining marks": (
        with_raw("customer_name", b'"' + b"\xcc\x81" * 400_000 + b'"'),
        "customer_name",
    ),
    "a blank name": (text_of(customer_name="  "), "customer_name"),
    "a name that is a number": (text_of(customer_name=5), "customer_name"),
    "a name that is null": (text_of(customer_name=None), "customer_name"),
    "no name": (text_of(customer_name=...), "customer_name"),
    "no customer": (text_of(customer_id=...), "customer_id"),
    "a bad id": (text_of(customer_id="ada"), "customer_id"),
    "an empty id": (text_of(customer_id=""), "customer_id"),
    "an id in braces": (text_of(customer_id="{" + str(ADA) + "}"), "customer_id"),
    "an id as URN": (text_of(customer_id=f"urn:uuid:{ADA}"), "customer_id"),
    "an id with a line break": (text_of(customer_id=f"{ADA}\r\n"), "customer_id"),
    "an id that leaves the folder": (text_of(customer_id="../../etc/passwd"), "customer_id"),
    "an unknown field": (text_of(discount="5"), "discount"),
    "a tenant": (text_of(tenant="other"), "tenant"),
    "a user": (text_of(user_id="root"), "user_id"),
    "a field given twice": (text_of()[:-1] + b',"customer_name":"b"}', "customer_name"),
    "no address": (text_of(shipping_address=...), "shipping_address"),
    "no items": (text_of(items=[]), "items"),
    "items that are an object": (text_of(items={}), "items"),
    "too many items": (text_of(items=[TEA] * 2_001), "items"),
    "an empty item": (text_of(items=[{}]), "items.0.product_id"),
    "an item that is a string": (text_of(items=["tea"]), "items.0"),
    "an unknown field of an item": (text_of(items=[{**TEA, "free": 1}]), "items.0.free"),
    "quantity zero": (with_item("quantity", b"0"), "items.0.quantity"),
    "a negative quantity": (with_item("quantity", b"-1"), "items.0.quantity"),
    "a fraction for a quantity": (with_item("quantity", b"1.5"), "items.0.quantity"),
    "a float for a quantity": (with_item("quantity", b"1.0"), "items.0.quantity"),
    "true for a quantity": (with_item("quantity", b"true"), "items.0.quantity"),
    "a string for a quantity": (with_item("quantity", b'"1"'), "items.0.quantity"),
    "NaN for a quantity": (with_item("quantity", b"NaN"), "body"),
    "-Infinity for a quantity": (with_item("quantity", b"-Infinity"), "body"),
    "a quantity of 5,000 digits": (with_item("quantity", b"9" * 5_000), "items.0.quantity"),
    "a quantity over 64 bits": (with_item("quantity", b"9223372036854775808"), "items.0.quantity"),
    "a quantity over the limit": (with_item("quantity", b"1000001"), "items.0.quantity"),
    "a huge exponent": (with_item("quantity", b"1e400"), "items.0.quantity"),
    "a negative price": (with_item("unit_price", b'"-0.01"'), "items.0.unit_price"),
    "minus zero": (with_item("unit_price", b'"-0"'), "items.0.unit_price"),
    "three decimals": (with_item("unit_price", b'"1.005"'), "items.0.unit_price"),
    "a number for a price": (with_item("unit_price", b"3.5"), "items.0.unit_price"),
    "a price that is NaN": (with_item("unit_price", b'"NaN"'), "items.0.unit_price"),
    "a price that is infinite": (with_item("unit_price", b'"Infinity"'), "items.0.unit_price"),
    "a price of 5,000 digits": (
        with_item("unit_price", b'"' + b"9" * 5_000 + b'"'),
        "items.0.unit_price",
    ),
    "a price with an exponent": (with_item("unit_price", b'"1e3"'), "items.0.unit_price"),
    "a price over the limit": (with_item("unit_price", b'"1000000.01"'), "items.0.unit_price"),
    "a blank product": (with_item("product_id", b'" "'), "items.0.product_id"),
}


@pytest.mark.parametrize(("body", "field"), WRONG_VALUES.values(), ids=WRONG_VALUES)
async def test_a_wrong_value_is_refused_and_its_field_named(
    untouched: Service, body: bytes, field: str
) -> None:
    answer = await untouched.client.post("/orders", content=body, headers=JSON)
    await refused(untouched, answer)
    named = answer.json()["errors"][0]["field"]
    assert named == field or (field == "body" and named in ("customer_name", "value"))


@pytest.mark.parametrize(
    ("headers", "status", "field"),
    [
        ({"Content-Type": "text/plain"}, 415, "content-type"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "content-type"),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415, "content-type"),
        ({"Content-Type": "application/json; charset=utf-16"}, 415, "content-type"),
        ({"Content-Type": "application/json; charset=latin-1"}, 415, "content-type"),
        ({}, 415, "content-type"),
        ({**JSON, "Content-Encoding": "gzip"}, 415, "content-encoding"),
        ({**JSON, "Content-Encoding": "gzip, gzip"}, 415, "content-encoding"),
        ({**JSON, "Content-Encoding": "zstd"}, 415, "content-encoding"),
        ({**JSON, "Host": "a b"}, 400, "host"),
        ({**JSON, "Host": "localhost/admin"}, 400, "host"),
        ({**JSON, "X": "y" * 65_536}, 431, "headers"),
        ({**JSON, **{f"X{number}": "1" for number in range(1_000)}}, 431, "headers"),
        ({**JSON, "Idempotency-Key": "k" * 10_240}, 422, "Idempotency-Key"),
        ({**JSON, "Idempotency-Key": ""}, 422, "Idempotency-Key"),
        ({**JSON, "Idempotency-Key": "a b"}, 422, "Idempotency-Key"),
        ({**JSON, "If-Match": "latest"}, 422, "If-Match"),
        ({**JSON, "If-Match": '"-5"'}, 422, "If-Match"),
        ({**JSON, "If-Match": '"9223372036854775808"'}, 422, "If-Match"),
        ({**JSON, "If-Match": 'W/"1"'}, 422, "If-Match"),
        ({**JSON, "Diptych-Token": "garbage"}, 422, "token"),
        ({**JSON, "Diptych-Token": "A" * 64}, 422, "token"),
        ({**JSON, "Diptych-Token": ""}, 422, "token"),
    ],
)
async def test_a_header_that_cannot_be_is_refused(
    untouched: Service, headers: dict[str, str], status: int, field: str
) -> None:
    answer = await untouched.client.post("/orders", content=text_of(), headers=headers)
    await refused(untouched, answer, status)
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize("name", ["Idempotency-Key", "If-Match", "Diptych-Token"])
@pytest.mark.parametrize("value", [b"\xff\xfe", b"a\x00b", b"\r\nX: 1", "ü".encode()])
async def test_bytes_in_a_header_are_refused(untouched: Service, name: str, value: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (name.lower().encode(), value)]
    reply = await call(untouched.api, scope_of("POST", "/orders", headers), [text_of()])
    assert (reply.status, reply.json["errors"][0]["field"]) == (
        422,
        "token" if name == "Diptych-Token" else name,
    )
    assert await untouched.head() == 0


@pytest.mark.parametrize("name", ["Idempotency-Key", "If-Match", "Diptych-Token"])
async def test_a_header_given_twice_is_refused(untouched: Service, name: str) -> None:
    headers = [("Content-Type", "application/json"), (name, '"1"'), (name, '"1"')]
    await refused(
        untouched, await untouched.client.post("/orders", content=text_of(), headers=headers)
    )


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_a_megabyte_is_refused(untouched: Service, declared: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 65_536

    content: Any = b" " * 1_000_001 if declared else chunks()
    answer = await untouched.client.post("/orders", content=content, headers=JSON)
    await refused(untouched, answer, 413)
    assert answer.json()["errors"][0]["limit"] == 1_000_000


BAD_PARAMETERS = [
    ("page=0", "page"),
    ("page=-1", "page"),
    ("page=1.5", "page"),
    ("page=all", "page"),
    ("page=", "page"),
    ("page=%EF%BC%91", "page"),
    (f"page={10**12}", "page"),
    (f"page={10**30}", "page"),
    ("page=" + "9" * 5_000, "page"),
    ("page_size=0", "page_size"),
    ("page_size=-1", "page_size"),
    ("page_size=1000000000", "page_size"),
    ("page_size=all", "page_size"),
    ("status=lost", "status"),
    ("status=", "status"),
    ("status=OPEN", "status"),
    ("cursor=garbage", "cursor"),
    ("cursor=", "cursor"),
    ("cursor=" + "A" * 5_000, "cursor"),
    ("limit=5", "limit"),
    ("tenant=other", "tenant"),
    ("page=1&page=2", "page"),
    ("status", "query"),
    ("a%ff=1", "query"),
    ("page=%ff", "query"),
    ("&".join(f"x{number}=1" for number in range(1_000)), "query"),
]
BAD_SEARCHES = [
    ("sort_by=shipping_address", "sort_by"),
    ("sort_by=_position", "sort_by"),
    ("sort_by=created_at%3B+DROP+TABLE+events", "sort_by"),
    ("sort_by=(SELECT+1)", "sort_by"),
    ("sort_order=asc%3B+drop", "sort_order"),
    ("sort_order=DESC", "sort_order"),
    ("customer_id=ada", "customer_id"),
    ("customer_id=", "customer_id"),
    ("q=%00", "q"),
    ("q=a%00b", "q"),
    ("q=%ED%A0%80", "query"),
    ("q=" + "x" * 7_000, "q"),
    ("q[$ne]=1", "q[$ne]"),
    ("customer_name=Ada", "customer_name"),
]


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        *((f"/customers/{ADA}/orders", query, field) for query, field in BAD_PARAMETERS),
        *(("/orders/search", query, field) for query, field in BAD_PARAMETERS + BAD_SEARCHES),
    ],
)
async def test_a_parameter_that_cannot_be_is_refused(
    untouched: Service, path: str, query: str, field: str
) -> None:
    scope = scope_of("GET", f"{path}?{query}")
    reply = await call(untouched.api, scope)
    assert reply.status == 422, reply.body
    assert reply.problem in ("invalid-input", "limit-exceeded", "invalid-cursor")
    named = reply.json["errors"][0]["field"]
    assert named == field or (named == "query" and "[" in field)


@pytest.mark.parametrize(
    "q",
    [
        "'; DROP TABLE events; --",
        '"',
        "*",
        "a*",
        "(",
        "AND",
        "NEAR(",
        "%",
        "\\",
        "-",
        ":",
        "^x",
        "ü",
        "🎁",
        "x OR 1=1",
        "{a b}: c",
        " ",
        "",
    ],
)
async def test_any_text_can_be_searched_for(one_order: Service, q: str) -> None:
    answer = await one_order.client.get("/orders/search", params={"q": q})
    assert answer.status_code == 200
    assert (await one_order.client.get("/orders/search")).json()["total"] == 1


PATHS = [
    b"/orders/%00",
    b"/orders/%ff",
    b"/orders/%ED%A0%80",
    b"/orders/x",
    b"/orders/%2e%2e",
    b"/orders/{%s}" % ORDER.encode(),
    b"/orders/" + ORDER.encode() + b"%0d%0aX:1",
    b"/orders/" + ORDER.encode() + b"%00",
    b"/orders/-",
    b"/orders/%24all",
    b"/orders/0",
    b"/orders/" + b"9" * 500,
]


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST items", "POST ship"])
@pytest.mark.parametrize("path", PATHS)
async def test_an_id_in_the_path_that_cannot_be_is_refused(
    untouched: Service, method: str, path: bytes
) -> None:
    method, _, under = method.partition(" ")
    raw = path + b"/" + under.encode() if under else path
    decoded = httpx.URL(f"http://h{raw.decode()}").path
    headers = [(b"content-type", b"application/json")] if under else []
    body = [json.dumps(TEA).encode()] if under == "items" else []
    reply = await call(untouched.api, scope_of(method, decoded, headers, raw), body)
    assert (reply.status, reply.json["errors"][0]["field"]) == (422, "order_id"), reply.body
    assert await untouched.head() == 0


@pytest.mark.parametrize("path", ["/orders/../../etc/passwd", "/%2e%2e/orders", "/orders/a/b"])
async def test_a_path_that_leads_nowhere_is_not_found(untouched: Service, path: str) -> None:
    answer = await untouched.client.get(path)
    assert (answer.status_code, problem_of(answer)) == (404, "not-found")


async def test_a_url_over_eight_kilobytes_is_refused(untouched: Service) -> None:
    await refused(untouched, await untouched.client.get("/orders/" + "x" * 60_000), 414)


async def test_an_id_in_the_body_may_not_contradict_the_path(service: Service) -> None:
    order_id = await service.create()
    path = f"/orders/{order_id}/items"
    answer = await service.client.post(path, json={**TEA, "order_id": unknown_id()})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "order_id")
    answer = await service.client.post(path, json={**TEA, "order_id": order_id})
    assert answer.status_code == 200


async def test_a_body_where_none_is_due_is_refused(service: Service) -> None:
    order_id = await service.create()
    ship = await service.client.post(f"/orders/{order_id}/ship", json={"force": True})
    assert (ship.status_code, ship.json()["errors"][0]["field"]) == (422, "force")
    delete = await service.client.request("DELETE", f"/orders/{order_id}", json={"reason": "x"})
    assert (delete.status_code, delete.json()["errors"][0]["field"]) == (422, "body")
    get = await service.client.request("GET", f"/orders/{order_id}", json={})
    assert get.status_code == 422
    assert await service.head() == 1


async def test_parameters_where_none_are_due_are_refused(untouched: Service) -> None:
    answer = await untouched.client.post("/orders?dry_run=1", json=new_order())
    await refused(untouched, answer)


async def test_a_reason_that_is_too_long_is_refused_with_its_limit(service: Service) -> None:
    order_id = await service.create()
    answer = await service.client.delete(f"/orders/{order_id}", params={"reason": "x" * 501})
    error = answer.json()["errors"][0]
    assert (answer.status_code, error["field"], error["limit"]) == (422, "reason", 500)


@pytest.mark.parametrize("secret", ["hunter2"])
async def test_a_problem_repeats_no_value(untouched: Service, secret: str) -> None:
    bodies = [
        text_of(customer_id=secret),
        text_of(items=[{**TEA, "quantity": secret}]),
        text_of(items=[{**TEA, "unit_price": secret}]),
        text_of(customer_name=secret + "x" * 300),
        b'{"customer_name": "' + secret.encode(),
    ]
    for body in bodies:
        answer = await untouched.client.post("/orders", content=body, headers=JSON)
        assert answer.status_code == 422
        assert secret not in answer.text


async def refused(service: Service, answer: httpx.Response, status: int = 422) -> None:
    """A problem with this status that names a field, and nothing in the log."""
    assert answer.status_code == status, answer.text
    problem_of(answer)
    assert answer.json()["errors"][0]["field"]
    assert await service.head() == 0
