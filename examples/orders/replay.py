"""Turn real invoices into orders through the HTTP API; the written rule is in README.md.

    python -m examples.orders.replay FILE --url http://127.0.0.1:8000 [--concurrency 8]

It can be stopped, or the service killed, at any time: order ids and idempotency keys follow from
the invoice numbers, so running it again does what is missing and repeats nothing.
"""

import argparse
import asyncio
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from examples.orders.invoices import Invoice, ReplayFailed, Report, read_invoices


@dataclass(slots=True)
class Service:
    """The service over HTTP. While it cannot be reached it is tried again, for `patience` s."""

    client: httpx.AsyncClient
    console: Console
    patience: float
    _waiting: bool = False

    async def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Raises: ReplayFailed: nothing but failures for `patience` seconds."""
        deadline = time.monotonic() + self.patience
        pause = 0.1
        while True:
            trouble = await self._try(method, path, request)
            if isinstance(trouble, httpx.Response):
                self._say_that_it_is_back()
                return trouble
            if time.monotonic() > deadline:
                raise ReplayFailed(
                    f"{self.client.base_url} gave no answer for {self.patience:g} s ({trouble});"
                    " start it with `make run` and run this again: nothing is done twice"
                )
            self._say_that_it_waits(trouble)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)

    async def _try(self, method: str, path: str, request: dict[str, Any]) -> httpx.Response | str:
        try:
            response = await self.client.request(method, path, **request)
        except httpx.TransportError as error:
            return type(error).__name__
        return f"HTTP {response.status_code}" if response.status_code >= 500 else response

    def _say_that_it_waits(self, trouble: str) -> None:
        if not self._waiting:
            self._waiting = True
            url = self.client.base_url
            self.console.print(f"[yellow]{url} does not answer ({trouble}); trying again…")

    def _say_that_it_is_back(self) -> None:
        if self._waiting:
            self._waiting = False
            self.console.print(f"[green]{self.client.base_url} answers again")


async def replay(invoices: list[Invoice], service: Service, report: Report, lanes: int) -> None:
    """Place all orders, `lanes` at a time, and cancel those that are to be cancelled."""
    queue = iter(invoices)
    with _progress(service.console) as progress:
        task = progress.add_task("orders", total=len(invoices))

        async def lane() -> None:
            for invoice in queue:
                await _place(invoice, service, report)
                progress.advance(task)

        async with asyncio.TaskGroup() as group:
            for _ in range(lanes):
                group.create_task(lane())


async def _place(invoice: Invoice, service: Service, report: Report) -> None:
    key = f"online-retail-{invoice.number}"
    response = await service.send(
        "POST", "/orders", json=invoice.body(), headers={"Idempotency-Key": f"{key}-create"}
    )
    if not _accepted(response, invoice, report):
        return
    report.counts["orders placed"] += 1
    report.counts["lines ordered"] += len(invoice.items)
    if invoice.cancelled:
        response = await service.send(
            "DELETE",
            f"/orders/{invoice.order_id}",
            params={"reason": "every tenth order is cancelled"},
            headers={"Idempotency-Key": f"{key}-cancel"},
        )
        report.counts["orders cancelled"] += _accepted(response, invoice, report)


def _accepted(response: httpx.Response, invoice: Invoice, report: Report) -> bool:
    if response.is_success:
        return True
    report.refused.append(f"invoice {invoice.number}: {response.status_code} {response.text}")
    return False


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TextColumn("left:"), TimeRemainingColumn(), console=console)


def _print(report: Report, console: Console, seconds: float) -> None:
    table = Table(show_header=False, title="Replay")
    table.add_column()
    table.add_column(justify="right")
    for name, count in report.counts.items():
        table.add_row(name, f"{count:,}")
    table.add_row("refused by the service", f"{len(report.refused):,}")
    table.add_row("seconds", f"{seconds:.1f}")
    table.add_row("orders a second", f"{report.counts['orders placed'] / seconds:,.0f}")
    console.print(table)
    for refusal in report.refused[:20]:
        console.print(f"[red]{escape(refusal)}", highlight=False, soft_wrap=True)


async def run(options: argparse.Namespace, console: Console) -> int:
    """Read, replay, report; 1 if the service refused an order, 2 if it could not be done."""
    report = Report()
    start = time.monotonic()
    try:
        invoices = read_invoices(options.file, report)
        limits = httpx.Limits(max_connections=options.concurrency)
        async with httpx.AsyncClient(base_url=options.url, timeout=30, limits=limits) as client:
            service = Service(client, console, options.patience)
            await replay(invoices, service, report, options.concurrency)
    except* ReplayFailed as failures:
        console.print(
            f"[red]{escape(str(failures.exceptions[0]))}", highlight=False, soft_wrap=True
        )
        report.failed = True
    _print(report, console, time.monotonic() - start)
    return 2 if report.failed else min(len(report.refused), 1)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m examples.orders.replay",
        description="Turn the invoices of a CSV file into orders, over HTTP.",
    )
    parser.add_argument("file", type=Path, help="a CSV file of the Online Retail data set")
    parser.add_argument("--url", type=_url, default="http://127.0.0.1:8000")
    parser.add_argument("--concurrency", type=_positive, default=8, help="orders at a time")
    parser.add_argument("--patience", type=float, default=60, help="seconds to wait for an answer")
    try:
        return asyncio.run(run(parser.parse_args(), Console()))
    except KeyboardInterrupt:
        sys.stderr.write("stopped; run it again to go on\n")
        return 130


def _url(text: str) -> str:
    parts = urlsplit(text)
    _ = parts.port  # raises ValueError: it is none
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(text)
    return text


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


if __name__ == "__main__":
    sys.exit(main())
