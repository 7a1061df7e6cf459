"""`check_upcasters`: everything that was ever stored is read, whatever it holds."""

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from diptych.codec import Events
from diptych.errors import DiptychError
from diptych.evolution.samples import sample
from diptych.evolution.schema import Schema, read, schema_of
from diptych.messages import RecordedEvent
from diptych.testing.clock import START
from diptych.testing.difference import difference

_ID = UUID(int=1)


def check_upcasters(
    family: Events[Any],
    *,
    schema: str | Path | Schema = "events.json",
    given: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    samples: int = 200,
    seed: int = 0,
) -> None:
    """Decode stored events of every shape that the schema file has for the category of `family`.

    For each stored name `samples` events are made up, with every field at its edges now and then;
    or those of `given` are taken, JSON objects by stored name, where a type wants more than its
    fields say. What each stands for today must be objects of the family, must be the same when it
    is read again, and must come back equal when it is stored anew.

        def test_old_orders_are_read() -> None:
            check_upcasters(order_events, schema="events.json")

    Raises:
        AssertionError: names the stored name and the event; `seed` and order are always the same.
        ConfigurationError: the schema file cannot be read, or an event cannot be made up.
    """
    __tracebackhide__ = True
    whole = read(Path(schema)) if isinstance(schema, str | Path) else schema
    shapes = dict(schema_of([family])[family.category]) | dict(whole.get(family.category, {}))
    names: set[str] = {*shapes, *(given or {})}
    for name in sorted(names):
        chance = random.Random(f"{seed}/{name}")  # noqa: S311 - the same each time
        made: Iterator[Mapping[str, Any]] = (sample(shapes[name], chance) for _ in range(samples))
        for stored in (given or {}).get(name) or made:
            _check(family, name, msgspec.json.encode(stored))


def _check(family: Events[Any], name: str, stored: bytes) -> None:
    __tracebackhide__ = True
    first, second = _read(family, name, stored), _read(family, name, stored)
    if first != second:
        raise AssertionError(
            f"{name} is not always read alike, so an upcaster is not pure (- first, + second):\n"
            f"{difference(first, second)}\n{_shown(stored)}"
        )
    for event in first:
        try:
            data = family.encode(event, event_id=_ID)
        except DiptychError as error:
            raise AssertionError(
                f"{name} becomes a {type(event).__name__} that cannot be stored: {error}"
                f"\n{_shown(stored)}"
            ) from error
        back = _read(family, data.type, data.data)
        if back != (event,):
            raise AssertionError(
                f"{name} becomes a {type(event).__name__} that does not come back"
                f" (- before, + after):\n{difference([event], back)}\n{_shown(stored)}"
            )


def _read(family: Events[Any], name: str, data: bytes) -> tuple[Any, ...]:
    __tracebackhide__ = True
    stream = f"{family.category}-1"
    recorded = RecordedEvent(1, "", stream, 1, _ID, name, data, b"{}", START, None, ())
    try:
        return family.decode_all(recorded)
    except DiptychError as error:
        raise AssertionError(f"{error}: {error.__cause__ or error}\n{_shown(data)}") from error


def _shown(data: bytes) -> str:
    return f"stored: {data.decode()}"
