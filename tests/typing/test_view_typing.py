"""What type checkers infer of `View`, `Projection` and `Rows`: checked by mypy and pyright."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_type
from uuid import UUID

import sqlalchemy as sa

from diptych.codec import Events
from diptych.messages import RecordedEvent
from diptych.read.page import Page
from diptych.read.projection import Projection, ProjectionTransaction
from diptych.read.rows import Rows, Versioned
from diptych.read.view import View


@dataclass(frozen=True, slots=True)
class Opened:
    order_id: UUID
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Closed:
    order_id: UUID


@dataclass(frozen=True, slots=True)
class Paid:
    order_id: UUID


@dataclass(frozen=True, slots=True)
class Row:
    order_id: UUID


@dataclass(frozen=True, slots=True)
class Tag:
    order_id: UUID
    tag: str


orders = Events("order", Opened, Closed)
payments = Events("payment", Paid)


def project(row: Row | None, event: Opened | Closed, recorded: RecordedEvent) -> Row | None:
    return row


def project_all(
    row: Row | None, event: Opened | Closed | Paid, recorded: RecordedEvent
) -> Row | None:
    return row


def project_opened(row: Row | None, event: Opened, recorded: RecordedEvent) -> Row | None:
    return row


def project_tag(
    row: Tag | None, event: Opened | Closed, recorded: RecordedEvent, tag: str
) -> Tag | None:
    return row


def project_number(
    row: Tag | None, event: Opened | Closed, recorded: RecordedEvent, tag: int
) -> Tag | None:
    return row


def project_over(row: Tag | None, before: Row | None, after: Row | None) -> Tag | None:
    return row


def project_over_tags(row: Row | None, before: Tag | None, after: Tag | None) -> Row | None:
    return row


def tags_of(event: Opened | Closed) -> Iterable[str]:
    return event.tags if isinstance(event, Opened) else ()


async def apply(
    tx: ProjectionTransaction, event: Opened | Closed, recorded: RecordedEvent
) -> None: ...


async def apply_opened(
    tx: ProjectionTransaction, event: Opened, recorded: RecordedEvent
) -> None: ...


table = sa.Table("t", sa.MetaData(), sa.Column("a", sa.Integer))

view = View("view", events=[orders], row=Row, key="order_id", project=project)
both = View("both", events=[orders, payments], row=Row, key="order_id", project=project_all)
tags = View("tags", events=[orders], row=Tag, key="tag", keys=tags_of, project=project_tag)
sticky = View("sticky", events=[orders], row=Row, key="order_id", sticky=True, project=project)
over = View("over", source=view, row=Tag, key="order_id", project=project_over)
over_over = View("over_over", source=over, row=Row, key="order_id", project=project_over_tags)
projection = Projection("projection", events=[orders], tables=[table], apply=apply)


async def infers(rows: Rows) -> None:
    assert_type(view, View[Row])
    assert_type(both, View[Row])
    assert_type(tags, View[Tag])
    assert_type(sticky, View[Row])
    assert_type(over, View[Tag])
    assert_type(over_over, View[Row])
    assert_type(await rows.get(view, 1), Row | None)
    assert_type(await rows.get_versioned(tags, 1), Versioned[Tag] | None)
    assert_type(await rows.page(both), Page[Row])
    assert_type(rows.table(view), sa.FromClause)
    assert_type(rows.table(projection, table), sa.Table)


def refuses() -> None:
    View("v", events=[orders], row=Row, key="order_id", project=project_opened)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    View("v", events=[orders], row=Tag, key="order_id", project=project)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    View("v", events=[orders, payments], row=Row, key="order_id", project=project)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    View("v", events=[orders], row=Tag, key="tag", project=project_tag)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    View("v", events=[orders], row=Tag, key="tag", keys=tags_of, project=project_number)  # type: ignore[misc]  # pyright: ignore[reportArgumentType, reportCallIssue]
    View("v", source=tags, row=Tag, key="tag", project=project_over)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    View("v", source=view, row=Row, key="order_id", project=project_over)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    View("v", source=view, row=Row, key="order_id", project=project)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    Projection("p", events=[orders], tables=[table], apply=apply_opened)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
