"""What is put into the wrong place is said where the parts meet, with what belongs there."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI

from diptych import (
    Application,
    ConfigurationError,
    Decider,
    Events,
    Query,
    Reaction,
    RecordedEvent,
    Rows,
    View,
    answer,
)
from diptych.web import command_route, mount


@dataclass(frozen=True)
class Open:
    door: str


@dataclass(frozen=True)
class Opened:
    door: str


@dataclass(frozen=True)
class GetDoor(Query[Opened | None]):
    door: str


def decide(command: Open, state: bool) -> Sequence[Opened]:
    return [Opened(command.door)]


def evolve(state: bool, event: Opened) -> bool:
    return True


def project(row: Opened | None, event: Opened, recorded: RecordedEvent) -> Opened:
    return event


async def get_door(query: GetDoor, rows: Rows) -> Opened | None:
    return await rows.get(doors, query.door)


opened = Events("door", Opened)
doors = View("doors", events=[opened], row=Opened, key="door", project=project)
asked = answer(GetDoor, get_door, reads=[doors])
app: Callable[..., Any] = Application
view: Callable[..., Any] = View
decider: Callable[..., Any] = Decider
reaction: Callable[..., Any] = Reaction
asks: Callable[..., Any] = answer
mounted: Callable[..., Any] = mount


def door_view(events: Any) -> object:
    return view("doors", events=events, row=Opened, key="door", project=project)


@pytest.mark.parametrize(
    ("wired", "says"),
    [
        (lambda: app(log="memory://", views=doors), "views= takes a list: write views=[...]"),
        (
            lambda: app(log="memory://", views=[project]),
            "project in it: write views=[View(...)]",
        ),
        (lambda: app(log="memory://", projections=[doors]), "write projections=[Projection(...)]"),
        (lambda: app(log="memory://", queries=asked), "queries= takes a list"),
        (lambda: app(log="memory://", queries=[get_door]), "write queries=[answer(...)]"),
        (lambda: app(log="memory://", reactions=[decide]), "write reactions=[Reaction(...)]"),
        (lambda: door_view(opened), "events= takes a list"),
        (lambda: door_view([Opened]), "events= has Opened in it: write events=[Events(...)]"),
        (lambda: reaction("mail", events=[Opened], handle=decide), "write events=[Events(...)]"),
        (lambda: asks(GetDoor, get_door, reads=doors), "reads= takes a list"),
        (lambda: asks(GetDoor, get_door, reads=[Opened]), "reads= has Opened in it"),
        (
            lambda: decider(Opened, key="door", initial=bool, decide=decide, evolve=evolve),
            "write Decider(Events(...), ...)",
        ),
        (
            lambda: decider(opened, key="door", initial=False, decide=decide, evolve=evolve),
            "write initial=lambda: ...",
        ),
        (
            lambda: mounted(FastAPI(), Application(log="memory://"), routes=[Open]),
            "routes= has Open in it",
        ),
        (
            lambda: mounted(FastAPI(), app(log="memory://"), routes=command_route("POST /", Open)),
            "routes= takes a list",
        ),
    ],
)
def test_it_is_said_what_belongs_there(wired: Callable[[], object], says: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        wired()
