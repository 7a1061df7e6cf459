"""Compare what the order service says with what the invoices say; the rule is in README.md.

    python -m examples.orders.verify FILE --url http://127.0.0.1:8000

It shares no code with the replay or the service: it reads the file by the written rule once more,
asks for every order and every customer with GET, and ends with 0 only if all of it is equal.
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import httpx


@dataclass
class Expected:
    """One order as the rule says it must be."""

    customer: str
    total: Decimal = Decimal(0)
    lines: int = 0
    status: str = "open"


@dataclass
class Findings:
    """Everything that was compared, and every difference."""

    compared: int = 0
    differences: list[str] = field(default_factory=list)

    def compare(self, what: str, expected: object, found: object) -> None:
        self.compared += 1
        if expected != found:
            self.differences.append(f"{what}: expected {expected}, the service says {found}")


def expected_orders(path: str) -> dict[str, Expected]:
    """Invoice number to order, in the order of the file."""
    orders: dict[str, Expected] = {}
    with open(path, encoding="utf-8-sig", newline="") as file:  # noqa: PTH123 - nothing but this
        for row in csv.DictReader(file, restval=""):
            if row["InvoiceNo"].startswith("C"):
                continue
            order = orders.setdefault(
                row["InvoiceNo"], Expected(row["CustomerID"].strip() or "guest")
            )
            if int(row["Quantity"]) > 0 and Decimal(row["UnitPrice"]) > 0:
                order.lines += 1
                order.total += int(row["Quantity"]) * Decimal(row["UnitPrice"])
    orders = {number: order for number, order in orders.items() if order.lines}
    for order in list(orders.values())[9::10]:
        order.status = "cancelled"
    return orders


def order_id(number: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"urn:online-retail:invoice:{number}"))


def customer_id(customer: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"urn:online-retail:customer:{customer}"))


def name_of(customer: str) -> str:
    return "guest" if customer == "guest" else f"Customer {customer}"


def check_orders(client: httpx.Client, orders: dict[str, Expected], findings: Findings) -> None:
    for number, order in orders.items():
        answer = get(client, f"/orders/{order_id(number)}")
        compare_order(number, order, answer, findings)


def check_customers(client: httpx.Client, orders: dict[str, Expected], findings: Findings) -> None:
    for customer in dict.fromkeys(order.customer for order in orders.values()):
        theirs = {n: order for n, order in orders.items() if order.customer == customer}
        path = f"/customers/{customer_id(customer)}"
        found = {each["order_id"]: each for each in pages(client, f"{path}/orders", findings)}
        wanted = {order_id(number) for number in theirs}
        findings.compare(f"orders of {customer}", wanted, set(found))
        for number, order in theirs.items():
            compare_order(number, order, found.get(order_id(number), {}), findings)
        listed = sum((Decimal(each["total_amount"]) for each in found.values()), Decimal(0))
        total = sum((order.total for order in theirs.values()), Decimal(0))
        findings.compare(f"total of {customer}", total, listed)
        spent = (order.total for order in theirs.values() if order.status != "cancelled")
        still_open = sum(order.status == "open" for order in theirs.values())
        answer = get(client, path)
        findings.compare(f"{customer}: number of orders", len(theirs), answer["number_of_orders"])
        findings.compare(f"{customer}: open orders", still_open, answer["open_orders"])
        total_spent = Decimal(answer["total_spent"])
        findings.compare(f"{customer}: total spent", sum(spent, Decimal(0)), total_spent)


def compare_order(number: str, order: Expected, found: dict[str, Any], findings: Findings) -> None:
    what = f"invoice {number}"
    findings.compare(f"{what}, total", order.total, Decimal(found.get("total_amount", "NaN")))
    findings.compare(f"{what}, status", order.status, found.get("status"))
    findings.compare(f"{what}, lines", order.lines, found.get("item_count"))
    findings.compare(f"{what}, name", name_of(order.customer), found.get("customer_name"))
    findings.compare(f"{what}, customer", customer_id(order.customer), found.get("customer_id"))


def pages(client: httpx.Client, path: str, findings: Findings) -> Iterator[dict[str, Any]]:
    """All items of a list, page by page; each page must agree on how many there are."""
    parameters: dict[str, str] = {"page_size": "20"}
    seen = 0
    while True:
        answer = get(client, path, parameters)
        yield from answer["items"]
        seen += len(answer["items"])
        if not answer["next_cursor"]:
            findings.compare(f"{path}, total", seen, answer["total"])
            return
        parameters["cursor"] = answer["next_cursor"]


def get(
    client: httpx.Client, path: str, parameters: dict[str, str] | None = None
) -> dict[str, Any]:
    response = client.get(path, params=parameters)
    if response.status_code == 404:
        return {"number_of_orders": 0, "open_orders": 0, "total_spent": "NaN"}
    response.raise_for_status()
    if response.headers.get("Diptych-Stale"):
        raise SystemExit(f"{path}: the view lags behind; run this again in a moment")
    answer: dict[str, Any] = response.json()
    return answer


def report(orders: dict[str, Expected], findings: Findings) -> str:
    customers = {order.customer for order in orders.values()}
    cancelled = sum(order.status == "cancelled" for order in orders.values())
    lines = sum(order.lines for order in orders.values())
    total = sum((order.total for order in orders.values()), Decimal(0))
    summary = (
        f"expected: {len(orders):,} orders of {len(customers):,} customers, {cancelled:,}"
        f" cancelled, {lines:,} lines, {total:,} in all"
    )
    found = findings.differences
    shown = [f"DIFFERENT  {each}" for each in found[:20]]
    verdict = f"{len(found):,} differences" if found else "all equal"
    return "\n".join([summary, *shown, f"compared: {findings.compared:,} values, {verdict}"])


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m examples.orders.verify",
        description="Compare every order and customer of the service with the CSV file.",
    )
    parser.add_argument("file", help="the CSV file that was replayed")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    options = parser.parse_args()
    findings = Findings()
    try:
        orders = expected_orders(options.file)
        with httpx.Client(base_url=options.url, timeout=30) as client:
            check_orders(client, orders, findings)
            check_customers(client, orders, findings)
    except (OSError, KeyError, ValueError, ArithmeticError, httpx.HTTPError) as error:
        sys.stderr.write(f"cannot compare: {type(error).__name__}: {error}\n")
        return 2
    sys.stdout.write(report(orders, findings) + "\n")
    return 1 if findings.differences else 0


if __name__ == "__main__":
    sys.exit(main())
