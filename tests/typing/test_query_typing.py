"""What type checkers infer of queries and refuse as their handlers: checked by mypy and pyright."""

from dataclasses import dataclass
from typing import assert_type

import msgspec
import pydantic

from diptych.read.query import Answer, Query, answer
from diptych.read.rows import Rows
from diptych.read.side import ReadSide


@dataclass(frozen=True, slots=True)
class Get(Query[int | None]):
    a: int


class Find(msgspec.Struct, Query[str], frozen=True):
    a: int


class All(pydantic.BaseModel, Query[list[str]], frozen=True):
    a: int


async def get(query: Get, rows: Rows) -> int | None:
    return query.a


async def get_some(query: Get, rows: Rows) -> int:
    return query.a


async def find(query: Find, rows: Rows) -> str:
    return str(query.a)


async def list_all(query: All, rows: Rows) -> list[str]:
    return []


class GetHandler:
    async def handle(self, query: Get, rows: Rows) -> int | None:
        return query.a


def accepts() -> None:
    answer(Get, get, reads=[])
    answer(Get, get_some, reads=[])
    answer(Get, GetHandler(), reads=[])
    answer(Find, find, reads=[])
    answer(All, list_all, reads=[])


def refuses() -> None:
    answer(Get, find, reads=[])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    answer(Find, get, reads=[])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    answer(Find, GetHandler(), reads=[])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    answer(All, find, reads=[])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def infers(side: ReadSide) -> None:
    assert_type(await side.query(Get(1)), int | None)
    assert_type(await side.query(Find(a=1)), str)
    assert_type(await side.query(All(a=1)), list[str])
    assert_type(await side.ask(Get(1)), Answer[int | None])
