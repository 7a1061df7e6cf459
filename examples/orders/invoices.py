"""Reads invoices of the Online Retail data set, by the rule that is written in README.md."""

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

_COLUMNS = {
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "UnitPrice",
    "CustomerID",
    "Country",
}
_COUNTED = (
    "lines",
    "invoices",
    "invoices starting with C, left out",
    "lines of those, left out",
    "lines without a positive quantity, left out",
    "lines without a positive price, left out",
    "invoices without a line to order, left out",
    "orders to place",
    "orders to place for guests",
    "orders placed",
    "lines ordered",
    "orders cancelled",
)
_GUEST = "guest"
_CANCEL_EVERY = 10


class ReplayFailed(Exception):
    """It cannot go on; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Invoice:
    """One order to be: its lines of positive quantity and price, in the order of the file."""

    number: str
    customer: str
    country: str
    items: tuple[dict[str, Any], ...]
    cancelled: bool

    @property
    def order_id(self) -> str:
        return str(uuid5(NAMESPACE_URL, f"urn:online-retail:invoice:{self.number}"))

    def body(self) -> dict[str, Any]:
        customer = self.customer
        return {
            "order_id": self.order_id,
            "customer_id": str(uuid5(NAMESPACE_URL, f"urn:online-retail:customer:{customer}")),
            "customer_name": customer if customer == _GUEST else f"Customer {customer}",
            "items": self.items,
            "shipping_address": self.country,
        }


@dataclass(slots=True)
class Report:
    """What was read, and what became of it."""

    counts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(_COUNTED, 0)))
    refused: list[str] = field(default_factory=list)
    failed: bool = False


def read_invoices(path: Path, report: Report) -> list[Invoice]:
    """Raises: ReplayFailed: the file is not there, or is not such a file."""
    lines: dict[str, list[dict[str, str]]] = {}
    for line in _lines(path):
        report.counts["lines"] += 1
        lines.setdefault(line["InvoiceNo"], []).append(line)
    invoices: list[Invoice] = []
    for number, its_lines in lines.items():
        report.counts["invoices"] += 1
        if number.startswith("C"):
            report.counts["invoices starting with C, left out"] += 1
            report.counts["lines of those, left out"] += len(its_lines)
        elif items := _items(its_lines, report):
            cancelled = (len(invoices) + 1) % _CANCEL_EVERY == 0
            customer = its_lines[0]["CustomerID"].strip() or _GUEST
            report.counts["orders to place"] += 1
            report.counts["orders to place for guests"] += customer == _GUEST
            country = its_lines[0]["Country"]
            invoices.append(Invoice(number, customer, country, items, cancelled))
        else:
            report.counts["invoices without a line to order, left out"] += 1
    return invoices


def _lines(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            if missing := _COLUMNS - set(reader.fieldnames or ()):
                raise ReplayFailed(f"{path} has no column {', '.join(sorted(missing))}")
            yield from reader
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReplayFailed(f"{path} cannot be read: {error}") from error


def _items(lines: list[dict[str, str]], report: Report) -> tuple[dict[str, Any], ...]:
    items: list[dict[str, Any]] = []
    for line in lines:
        try:
            quantity, price = int(line["Quantity"]), Decimal(line["UnitPrice"])
        except (ValueError, InvalidOperation) as error:
            raise ReplayFailed(f"invoice {line['InvoiceNo']} has a line without numbers") from error
        if quantity <= 0:
            report.counts["lines without a positive quantity, left out"] += 1
        elif price <= 0:
            report.counts["lines without a positive price, left out"] += 1
        else:
            items.append(
                {
                    "product_id": line["StockCode"],
                    "description": line["Description"].strip(),
                    "quantity": quantity,
                    "unit_price": line["UnitPrice"],
                }
            )
    return tuple(items)
