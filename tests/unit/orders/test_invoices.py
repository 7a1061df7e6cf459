"""Invoices become orders by the rule in examples/orders/README.md."""

from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import pytest

from examples.orders.invoices import Invoice, ReplayFailed, Report, read_invoices
from examples.orders.verify import expected_orders

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join([HEADER, *lines]), encoding="utf-8-sig")
    return path


def read(path: Path) -> tuple[list[Invoice], Report]:
    report = Report()
    return read_invoices(path, report), report


def test_the_lines_of_an_invoice_become_one_order(tmp_path: Path) -> None:
    file = write(
        tmp_path / "f.csv",
        "1,a,  TEA ,2,1/12/2010,3.5,17850,France",
        "2,b,MILK,1,1/12/2010,1,17850,France",
        '1,c,"SALT, FINE",1,1/12/2010,0.1,17850,France',
    )
    invoices, _ = read(file)
    assert [invoice.number for invoice in invoices] == ["1", "2"]
    assert invoices[0].body() == {
        "order_id": str(uuid5(NAMESPACE_URL, "urn:online-retail:invoice:1")),
        "customer_id": str(uuid5(NAMESPACE_URL, "urn:online-retail:customer:17850")),
        "customer_name": "Customer 17850",
        "items": (
            {"product_id": "a", "description": "TEA", "quantity": 2, "unit_price": "3.5"},
            {"product_id": "c", "description": "SALT, FINE", "quantity": 1, "unit_price": "0.1"},
        ),
        "shipping_address": "France",
    }


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    file = write(
        tmp_path / "f.csv",
        "C1,a,TEA,-2,1/12/2010,3.5,17850,France",
        "2,a,TEA,-2,1/12/2010,3.5,17850,France",
        "2,a,TEA,2,1/12/2010,0,17850,France",
        "3,a,TEA,2,1/12/2010,1,,France",
        "3,a,TEA,0,1/12/2010,1,,France",
    )
    invoices, report = read(file)
    assert [(invoice.number, invoice.customer) for invoice in invoices] == [("3", "guest")]
    assert +report.counts == {
        "lines": 5,
        "invoices": 3,
        "invoices starting with C, left out": 1,
        "lines of those, left out": 1,
        "invoices without a line to order, left out": 1,
        "lines without a positive quantity, left out": 2,
        "lines without a positive price, left out": 1,
        "orders to place": 1,
        "orders to place for guests": 1,
    }


def test_every_tenth_order_is_cancelled(tmp_path: Path) -> None:
    lines = [f"{number},a,TEA,1,1/12/2010,1,1,France" for number in range(25)]
    invoices, _ = read(write(tmp_path / "f.csv", *lines))
    assert [each.number for each in invoices if each.cancelled] == ["9", "19"]


def test_the_verification_reads_the_same_rule(tmp_path: Path) -> None:
    lines = [
        f"{'C' * (number % 7 == 3)}{number // 2},p{number},T,{number % 5 - 1},d,0.{number},{c},X"
        for number in range(200)
        for c in ["", "5"][number % 3 == 0 :][:1]
    ]
    file = write(tmp_path / "f.csv", *lines)
    expected, (invoices, _) = expected_orders(str(file)), read(file)
    assert [(each.number, len(each.items)) for each in invoices] == [
        (number, order.lines) for number, order in expected.items()
    ]
    assert [each.cancelled for each in invoices] == [
        order.status == "cancelled" for order in expected.values()
    ]
    assert [each.customer for each in invoices] == [each.customer for each in expected.values()]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n", "has no column"),
        (b"", "has no column"),
        (b"\xff\xfe", "cannot be read"),
        (f"{HEADER}\n1,a,T,x,d,1,2,F\n".encode(), "without numbers"),
        (f"{HEADER}\n1,a,T,1,d,,2,F\n".encode(), "without numbers"),
        (f"{HEADER}\n1,a,T,1,d,1,2,F\n1,a".encode(), "without numbers"),
    ],
)
def test_another_file_is_refused_with_a_reason(
    tmp_path: Path, content: bytes, message: str
) -> None:
    file = tmp_path / "f.csv"
    file.write_bytes(content)
    with pytest.raises(ReplayFailed, match=message):
        read(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReplayFailed, match=r"f\.csv"):
        read(tmp_path / "f.csv")
