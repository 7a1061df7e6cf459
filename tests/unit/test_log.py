"""`Log`: decoding with all that an application declares."""

from dataclasses import dataclass
from uuid import uuid4

import pytest

from diptych.codec import Events
from diptych.errors import UnknownEventType
from diptych.log import Log
from diptych.store.contract import Append, Write
from diptych.store.memory import MemoryEventStore


@dataclass(frozen=True, slots=True)
class Opened:
    name: str


@dataclass(frozen=True, slots=True)
class Closed:
    name: str


whole = Events("account", Opened, Closed)
ignoring = Events("account", Opened, ignore=["Closed"])
part = Events("account", Opened)


@pytest.mark.parametrize("families", [[whole, ignoring], [ignoring, whole], [part, whole]])
async def test_an_event_is_decoded_if_any_family_knows_it(families: list[Events[object]]) -> None:
    assert await decoded_by(families) == (Closed("a"),)


async def test_what_is_only_ignored_is_nothing_and_what_nobody_declares_is_unknown() -> None:
    assert await decoded_by([part, ignoring]) == ()
    with pytest.raises(UnknownEventType, match="position 1"):
        await decoded_by([part, Events("order", Closed)])


async def decoded_by(families: list[Events[object]]) -> object:
    async with MemoryEventStore() as store:
        write = Write("account-a", (whole.encode(Closed("a"), event_id=uuid4()),), 0)
        await store.append(Append((write,)))
        (recorded,) = (await store.read()).events
        return await Log(store, families).decode(recorded)
