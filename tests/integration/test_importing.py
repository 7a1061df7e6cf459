"""Importing events: in the order of the file, each once, and nothing that the code cannot read."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from diptych.clock import SystemClock, uuid7
from diptych.codec import Events
from diptych.errors import InvalidInput, OutcomeUnknown, Overloaded
from diptych.failpoints import FailpointError, armed, fail
from diptych.importing import batches
from diptych.importing.importer import Imported, check_lines, import_lines
from diptych.importing.lines import LONGEST
from diptych.log import Log
from diptych.messages import EventData, RecordedEvent
from diptych.store.contract import ANY_VERSION, Append, EventStore, Write
from diptych.store.memory import Hostile, MemoryEventStore
from diptych.store.postgres.store import PostgresEventStore
from diptych.upcast import Upcast
from tests.integration.accounts import Closed, Deposited, Opened
from tests.servers.postgres import PostgresServer

ONE, TWO = UUID(int=1), UUID(int=2)
Line = dict[str, Any]

account_events = Events(
    "account",
    Opened,
    Deposited,
    Closed,
    upcasters=[Upcast("Begun", "Opened", change=lambda data: {**data, "owner": "nobody"})],
    tags=lambda event: [f"account:{event.account_id}"],
    ignore=["Tidied"],
)


@pytest.fixture
async def log(any_store: EventStore) -> Log:
    return Log(any_store, [account_events])


def opened(account: UUID = ONE, **more: Any) -> Line:
    data = {"account_id": str(account), "owner": "Ada"}
    return {"stream": f"account-{account}", "type": "Opened", "data": data, **more}


def deposited(account: UUID = ONE, amount: object = 5, **more: Any) -> Line:
    data = {"account_id": str(account), "amount": amount}
    return {"stream": f"account-{account}", "type": "Deposited", "data": data, **more}


def many(accounts: int = 40, deposits: int = 6) -> list[Line]:
    """Streams that are mixed, as in the export of a log."""
    ids = [UUID(int=number + 1) for number in range(accounts)]
    first = [opened(each) for each in ids]
    return first + [deposited(each, turn) for turn in range(deposits) for each in ids]


def file_of(lines: list[Line]) -> list[bytes]:
    return [json.dumps(line).encode() + b"\n" for line in lines]


async def run(log: Log, lines: list[Line], **options: Any) -> Imported:
    return await last(import_lines(log, file_of(lines), **defaults(options)))


async def last(steps: AsyncIterator[Imported]) -> Imported:
    done = Imported()
    async for each in steps:
        done = each
    return done


def defaults(options: dict[str, Any]) -> dict[str, Any]:
    return {"name": "file", "clock": SystemClock(), **options}


async def recorded(log: Log) -> list[RecordedEvent]:
    found, after, head = [], 0, (await log.head()).position
    async for page in log.follow():
        found.extend(page.events)
        after = page.scanned.position
        if after >= head:
            break
    return found


async def lines_in(log: Log) -> list[tuple[str, str, Any]]:
    return [(each.stream, each.type, json.loads(each.data)) for each in await recorded(log)]


def as_written(lines: list[Line]) -> list[tuple[str, str, Any]]:
    return [(line["stream"], line["type"], line["data"]) for line in lines]


async def test_events_stand_in_the_order_of_the_file(log: Log) -> None:
    lines = many()
    assert await run(log, lines) == Imported(appended=280, line=280)
    assert await lines_in(log) == as_written(lines)


async def test_what_a_line_says_is_kept(log: Log) -> None:
    given = opened(event_id=str(TWO), occurred_at="2020-01-02T03:04:05+02:00", tags=["a", "b"])
    exported = deposited(
        recorded_at="2021-01-01T00:00:00Z", position=8, metadata={"actor": "Ada"}, version=2
    )
    await run(log, [given, exported])
    first, second = await recorded(log)
    assert (first.event_id, first.tags) == (TWO, ("a", "b"))
    assert first.occurred_at == datetime(2020, 1, 2, 1, 4, 5, tzinfo=UTC)
    assert (second.tags, second.metadata_json) == ((f"account:{ONE}",), b"{}")
    assert second.at == datetime(2021, 1, 1, tzinfo=UTC)


async def test_old_and_ignored_types_are_imported_as_they_are(log: Log) -> None:
    begun = {"stream": "account-1", "type": "Begun", "data": {"account_id": str(ONE)}}
    await run(log, [begun, {"stream": "account-1", "type": "Tidied", "data": {}}])
    first, second = await recorded(log)
    assert (first.type, json.loads(first.data)) == ("Begun", {"account_id": str(ONE)})
    assert first.tags == (f"account:{ONE}",)
    assert (second.type, second.tags) == ("Tidied", ())


async def test_each_line_takes_effect_once(log: Log) -> None:
    lines = many()
    await run(log, lines)
    assert await run(log, lines) == Imported(found=280, line=280)
    assert await lines_in(log) == as_written(lines)
    assert (await run(log, lines, name="other name")).appended == 280


async def test_a_file_may_be_continued_at_its_end(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = many()
    await run(log, lines[:99])
    monkeypatch.setattr(batches, "_EVENTS", 7)
    assert await run(log, lines) == Imported(appended=181, found=99, line=280)
    monkeypatch.undo()
    assert (await run(log, lines)).found == 280
    assert await lines_in(log) == as_written(lines)


async def test_blank_lines_and_line_ends_make_no_difference(log: Log) -> None:
    lines = file_of(many(3, 2))
    await last(import_lines(log, lines, **defaults({})))
    other = [b"\xef\xbb\xbf \n", b"\n", *(line.replace(b"\n", b" \r\n\n") for line in lines), b" "]
    assert (await last(import_lines(log, other, **defaults({})))).found == 9


@pytest.mark.parametrize("change", ["changed", "taken out", "put in", "put first", "shortened"])
async def test_lines_that_were_changed_since_are_refused(log: Log, change: str) -> None:
    lines = many(5, 2)
    await run(log, lines)
    other = [*lines]
    match change:
        case "changed":
            other[3] = opened(UUID(int=77))
        case "taken out":
            del other[3]
        case "put in":
            other.insert(3, opened(UUID(int=77)))
        case "put first":
            other.insert(0, opened(UUID(int=77)))
        case _:
            del other[-1]
    with pytest.raises(InvalidInput, match="was imported as 'file' before"):
        await run(log, other)
    assert await lines_in(log) == as_written(lines)


WRONG: list[tuple[Line | bytes, str]] = [
    (b"{", "truncated"),
    (b"[]", "Expected `object`, got `array`"),
    (b"\xff", "malformed|UTF-8"),
    ({"stream": "account-1", "type": "Opened"}, "missing required field `data`"),
    (opened(extra=1), "unknown field `extra`"),
    (opened(stream=1), "`str`"),
    (opened(stream=""), "stream: must not be empty"),
    (opened(stream="account-" + "x" * 600), "at most 512 bytes"),
    (opened(stream="account-a\nb"), "printable"),
    (opened(stream="note-1"), "category note has no event type 'Opened'"),
    (opened(type="Burnt"), "category account has no event type 'Burnt'"),
    (opened(data=[]), "data: must be an object"),
    (opened(data={"owner": "Ada"}), "'Opened' cannot be decoded at"),
    (deposited(amount="much"), "cannot be decoded at amount"),
    (deposited(amount=2**70), "amount: must be at most"),
    (deposited(padding="x" * 10), "unknown field `padding`"),
    (opened(data={"account_id": str(ONE), "owner": "x" * 1_000_001}), "at most 1000000 bytes"),
    (
        opened(data={"account_id": str(ONE), "owner": "a\x00b"}),
        "owner: must not contain the NUL character",
    ),
    (opened(data={"account_id": str(ONE), "owner": "\ud800"}), "truncated|surrogate"),
    (opened(event_id="none"), "UUID"),
    (opened(occurred_at="2020-01-01T00:00:00"), "must have a time zone"),
    (opened(occurred_at="soon"), "RFC3339"),
    (opened(tags=["x"] * 40), "at most 32 tags"),
    (opened(tags=[""]), "tag: must not be empty"),
    (opened(version=0), "version: must be at least 1"),
    (opened(tenant="other"), "tenant: is not the one of this import"),
    (b'{"a":' * 5000 + b"1" + b"}" * 5000, "unknown field `a`"),
    (b'{"stream":"account-1","type":"Opened","data":' + b"[" * 9999 + b"]" * 9999 + b"}", "nested"),
    (b'{"x": "' + b"y" * LONGEST + b'"}', "at most 4000000 bytes"),
]


@pytest.mark.parametrize(("line", "says"), WRONG, ids=[says for _, says in WRONG])
async def test_the_first_wrong_line_ends_it_and_is_named(line: Line | bytes, says: str) -> None:
    log = Log(MemoryEventStore(), [account_events])
    raw = line if isinstance(line, bytes) else json.dumps(line).encode()
    good = file_of([opened(), deposited()])
    async with log.store as store:
        with pytest.raises(InvalidInput, match=says) as refused:
            await last(import_lines(log, [*good, raw, *good], **defaults({})))
        assert refused.value.field == "line 3"
        assert "\n" not in str(refused.value)
        assert len((await store.read()).events) in {0, 2}
        with pytest.raises(InvalidInput, match=says):
            await last(check_lines(log, [raw], clock=SystemClock()))
        mended = [*good, *file_of([deposited(amount=8), deposited(amount=9)])]
        assert (await last(import_lines(log, mended, **defaults({})))).events == 4
        assert len((await store.read()).events) == 4


async def test_versions_must_be_what_the_stream_comes_to(log: Log) -> None:
    await run(log, [opened(version=1), deposited(version=2)])
    with pytest.raises(InvalidInput, match=f"stream account-{ONE} is at version 2, not 4") as far:
        await run(log, [opened(TWO), deposited(version=5)], name="b")
    assert far.value.field == "line 2"
    with pytest.raises(InvalidInput, match="line 3: version 5 follows on 3"):
        await run(log, [opened(TWO), deposited(version=3), deposited(version=5)], name="c")
    assert len(await recorded(log)) == 2


@pytest.mark.parametrize("point", ["import.before_append", "import.after_append"])
@pytest.mark.parametrize("hit", [1, 3])
async def test_an_import_that_ends_at_any_point_is_taken_up(log: Log, point: str, hit: int) -> None:
    lines = many(20, 3)
    with armed(point, fail, on=hit), pytest.raises(FailpointError):
        await run(log, lines)
    assert (await run(log, lines)).events == 80
    assert await lines_in(log) == as_written(lines)


async def test_two_imports_of_one_file_at_a_time_share_the_work(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = many(20, 5)

    async def other() -> Imported:
        monkeypatch.setattr(batches, "_EVENTS", 11)
        return await run(log, lines)

    one, two = await asyncio.gather(run(log, lines), other())
    assert one.events == two.events == 120
    assert one.appended + two.appended == 120
    assert await lines_in(log) == as_written(lines)


async def test_a_lost_answer_is_asked_for_again() -> None:
    store = MemoryEventStore(hostile=Hostile(seed=5, unknown_outcomes=0.3))
    log, lines = Log(store, [account_events]), many(20, 5)
    async with store:
        assert (await run(log, lines)).appended == 120
        assert await lines_in(log) == as_written(lines)


@pytest.mark.parametrize("error", [OutcomeUnknown(), Overloaded(waiting=9, limit=9)])
async def test_it_gives_up_when_nothing_is_answered_for_long(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diptych.importing.importer._FIRST_PAUSE", 0.0)

    class Silent(MemoryEventStore):
        async def append(self, append: Append) -> Any:
            raise error

    async with Silent() as store:
        with pytest.raises(type(error)):
            await run(Log(store, [account_events]), [opened()])


async def test_an_import_waits_for_no_stream_that_others_write(log: Log) -> None:
    await run(log, [opened()])
    event = EventData("Deposited", json.dumps(deposited()["data"]).encode(), uuid7())
    await log.store.append(Append((Write(f"account-{ONE}", (event,), ANY_VERSION),)))
    await run(log, [opened(), deposited(amount=7)])
    assert [each.version for each in await recorded(log)] == [1, 2, 3]


async def test_tenants_are_kept_apart(log: Log) -> None:
    await run(log, [opened()])
    await run(log, [opened(tenant="acme")], tenant="acme")
    assert [(each.tenant, each.version) for each in await recorded(log)] == [("", 1), ("acme", 1)]


async def test_on_postgresql_too(postgres: PostgresServer) -> None:
    url = f"{postgres.create_database()}?schema=log_{uuid4().hex[:12]}"
    lines = many(20, 3)
    async with PostgresEventStore(url) as store:
        log = Log(store, [account_events])
        with armed("import.after_append", fail, on=2), pytest.raises(FailpointError):
            await run(log, lines)
        assert (await run(log, lines)).events == 80
        assert (await run(log, lines)).found == 80
        assert await lines_in(log) == as_written(lines)
