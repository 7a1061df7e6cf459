"""What the log in PostgreSQL does beyond the suite: settings, clocks, sizes, locks, wake-ups."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from diptych.errors import OutcomeUnknown, StorageBusy, StorageUnavailable, StoreError
from diptych.store.contract import START, Append, Load, Point
from diptych.store.limits import MAX_EVENT_BYTES
from diptych.store.postgres.appending import Batch
from diptych.store.postgres.statements import statements_for
from diptych.store.postgres.store import PostgresEventStore
from diptych.testing import FixedClock
from diptych.testing.conformance.steps import add, command, happened, load, log_of, settle, to
from diptych.testing.waiting import wait_until
from tests.servers.proxy import proxy_to


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def set_for_role(url: str, setting: str) -> None:
    """As an administrator may have done it for the user of the application."""
    async with connected(url) as connection:
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f"ALTER DATABASE {name} SET {setting}")


async def append_within(connection: Any, append: Append) -> None:
    """What `Committer` sends, in a transaction that is not over then."""
    batch = Batch()
    batch.add(append)
    await connection.fetch(statements_for("diptych")["append"], *batch.parameters(None))


@pytest.mark.parametrize("level", ["off", "local", "remote_write"])
async def test_a_commit_waits_for_the_disk_whatever_the_user_is_set_to(
    postgres_url: str, level: str
) -> None:
    await set_for_role(postgres_url, f"synchronous_commit = '{level}'")
    async with PostgresEventStore(postgres_url) as store, connected(postgres_url) as connection:
        assert await connection.fetchval("SHOW synchronous_commit") == level
        async with connection.transaction():
            await append_within(connection, add(to("order-1")))
            assert await connection.fetchval("SHOW synchronous_commit") == "on"
        assert "synchronous_commit=on" in store.durability


async def test_an_append_leaves_no_other_setting_behind(postgres_url: str) -> None:
    async with PostgresEventStore(postgres_url), connected(postgres_url) as connection:
        settings = "SELECT name, setting FROM pg_settings"
        before = dict(await connection.fetch(settings))
        async with connection.transaction():
            await append_within(connection, add(to("order-1")))
            after = dict(await connection.fetch(settings))
        assert {name for name in before if after[name] != before[name]} <= {"transaction_isolation"}


async def test_a_user_whose_transactions_are_serializable_can_append(postgres_url: str) -> None:
    await set_for_role(postgres_url, "default_transaction_isolation = 'serializable'")
    async with PostgresEventStore(postgres_url) as store:
        await asyncio.gather(*(settle(store, add(to(f"order-{n}"))) for n in range(20)))
        assert len(await log_of(store)) == 20


async def test_an_append_in_another_isolation_level_is_refused(postgres_url: str) -> None:
    async with PostgresEventStore(postgres_url), connected(postgres_url) as connection:
        with pytest.raises(asyncpg.InvalidTransactionStateError, match="READ COMMITTED"):
            async with connection.transaction(isolation="repeatable_read"):
                await append_within(connection, add(to("order-1")))


async def test_a_time_limit_for_statements_is_not_for_ours(postgres_url: str) -> None:
    await set_for_role(postgres_url, "statement_timeout = '1ms'")
    async with PostgresEventStore(postgres_url) as store:
        many = [happened() for _ in range(5000)]
        await settle(store, add(to("order-1", *many)))
        assert len((await load(store, "order-1")).events) == 5000


@pytest.mark.parametrize("table", ["events", "event_tags", "commands"])
@pytest.mark.parametrize("act", ["UPDATE {} SET position = 9", "DELETE FROM {}", "TRUNCATE {}"])
async def test_what_is_recorded_cannot_be_changed_or_deleted(
    postgres_url: str, table: str, act: str
) -> None:
    async with PostgresEventStore(postgres_url) as store, connected(postgres_url) as connection:
        await settle(store, add(to("order-1", happened(tags=("seat:1",)))))
        with pytest.raises(asyncpg.RaiseError, match="never changed or deleted"):
            await connection.execute(act.format(f"diptych.{table}"))
        assert len(await log_of(store)) == 1


async def test_events_can_be_read_in_sql(postgres_url: str) -> None:
    async with PostgresEventStore(postgres_url) as store, connected(postgres_url) as connection:
        await settle(store, add(to("order-1", happened(data=b'{"total": 1.50}', tags=("a", "b")))))
        found = await connection.fetchrow(
            "SELECT data::json->>'total', category, tags FROM diptych.events"
        )
        assert tuple(found) == ("1.50", "order", ["a", "b"])


async def test_a_fresh_database_may_be_opened_by_many_at_once(postgres_url: str) -> None:
    stores = [PostgresEventStore(postgres_url) for _ in range(8)]
    await asyncio.gather(*(store.open() for store in stores))
    assert len({store.log_id for store in stores}) == 1
    await asyncio.gather(*(settle(store, add(to("order-1"))) for store in stores))
    assert [event.version for event in await log_of(stores[0])] == [*range(1, 9)]
    await asyncio.gather(*(store.close() for store in stores))


async def test_logs_in_two_schemas_are_two_logs(postgres_url: str) -> None:
    async with (
        PostgresEventStore(postgres_url) as one,
        PostgresEventStore(f"{postgres_url}?schema=other") as other,
    ):
        assert one.log_id != other.log_id
        await settle(one, add(to("order-1")))
        assert await other.head() == START


async def test_events_are_recorded_at_the_time_of_the_server(postgres_url: str) -> None:
    async with PostgresEventStore(postgres_url) as store, connected(postgres_url) as connection:
        before = await connection.fetchval("SELECT clock_timestamp()")
        await settle(store, add(to("order-1")))
        after = await connection.fetchval("SELECT clock_timestamp()")
        (event,) = await log_of(store)
        assert before <= event.recorded_at <= after


async def test_a_clock_that_is_given_is_used_and_its_times_never_run_backwards(
    postgres_url: str,
) -> None:
    moment = datetime(2026, 11, 21, 12, tzinfo=UTC)
    for time in (moment, moment + timedelta(hours=1), moment):
        async with PostgresEventStore(postgres_url, clock=FixedClock(time)) as store:
            await settle(store, add(to("order-1")))
            times = [event.recorded_at - moment for event in await log_of(store)]
    assert times == [timedelta(0), timedelta(hours=1), timedelta(hours=1)]


async def test_streams_of_any_length_are_loaded_together_to_their_ends(postgres_url: str) -> None:
    async with PostgresEventStore(postgres_url) as store:
        record = command()
        lengths = {f"order-{n}": length for n, length in enumerate((0, 1, 999, 1000, 1001, 2500))}
        for stream, length in lengths.items():
            if length:
                events = [happened() for _ in range(length)]
                await settle(
                    store, add(to(stream, *events), record=record if length > 2000 else None)
                )
        for after in (0, 998, 999, 1000, 4000):
            asked = [Load(stream, after=after, command=record.key) for stream in lengths]
            for stream, loaded in zip(
                lengths, await asyncio.gather(*map(store.load, asked)), strict=True
            ):
                versions = [event.version for event in loaded.events]
                assert versions == [*range(after + 1, lengths[stream] + 1)]
                assert loaded.version == lengths[stream]
                assert loaded.command is not None


async def test_loads_of_many_bytes_are_all_answered(postgres_url: str) -> None:
    big = b'"%s"' % (b"x" * (MAX_EVENT_BYTES - 2))
    async with PostgresEventStore(postgres_url) as store:
        for n in range(6):
            few = [happened(data=big) for _ in range(4)]
            await settle(store, add(to(f"order-{n}", *few)))
        loaded = await asyncio.gather(*(load(store, f"order-{n % 8}") for n in range(16)))
        assert [len(each.events) for each in loaded] == [4 * (n % 8 < 6) for n in range(16)]


async def test_a_lock_that_is_held_for_too_long_is_an_error_that_passes(postgres_url: str) -> None:
    async with PostgresEventStore(postgres_url) as store, connected(postgres_url) as other:
        await other.execute(
            "DO $$ BEGIN EXECUTE 'ALTER FUNCTION ' || 'diptych.append_1'::regproc ||"
            " ' SET lock_timeout = ''50ms'''; END $$"
        )
        holding = other.transaction()
        await holding.start()
        await append_within(other, add(to("order-1")))
        with pytest.raises(StorageBusy, match="idle in transaction"):
            await store.append(add(to("order-2")))
        await holding.rollback()
        await settle(store, add(to("order-3")))
        assert [event.stream for event in await log_of(store)] == ["order-3"]


async def test_who_waits_is_woken_by_another_process_and_not_by_looking(postgres_url: str) -> None:
    async with PostgresEventStore(postgres_url) as one, PostgresEventStore(postgres_url) as other:
        await wait_until(lambda: one._log._listener.live, timeout=10)
        await wait_until(lambda: other._log._listener.live, timeout=10)
        delays = sorted([await _delay(one, other) for _ in range(9)])
        assert delays[4] < 0.2


async def test_a_listener_whose_connection_ends_listens_again(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        PostgresEventStore(postgres_url) as store,
        PostgresEventStore(postgres_url) as other,
        connected(postgres_url) as connection,
    ):
        listener = store._log._listener
        await wait_until(lambda: listener.live, timeout=10)
        with caplog.at_level(logging.ERROR):
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'diptych listen' AND datname = current_database()"
            )
            await wait_until(lambda: not listener.live, timeout=10)
            waiting = asyncio.create_task(store.moved(0))
            await settle(other, add(to("order-1")))
            async with asyncio.timeout(5):
                await waiting
            await wait_until(lambda: listener.live, timeout=10)
        assert caplog.records == []


async def test_a_pooler_that_is_not_named_is_guessed(pgbouncer_url: str) -> None:
    with pytest.raises(StoreError, match="pooler=transaction"):
        await PostgresEventStore(pgbouncer_url).open()


async def test_the_first_host_that_may_write_is_taken(postgres_url: str) -> None:
    user, at, rest = postgres_url.partition("@")
    host, slash, database = rest.partition("/")
    two = f"{user}{at}127.0.0.1:1,{host}{slash}{database}"
    async with PostgresEventStore(two) as store:
        await settle(store, add(to("order-1")))
        assert store.place.startswith("postgresql://postgres@127.0.0.1:1,127.0.0.1:")


async def test_a_server_that_falls_silent_while_it_is_connected_to_keeps_nobody_waiting(
    postgres_url: str,
) -> None:
    async with proxy_to(postgres_url) as (proxy, url):
        store = PostgresEventStore(url, patience=0.3, deadline=0.3)
        await store.open()
        await settle(store, add(to("order-1")))

        def stall(data: bytes) -> bool:
            if b"pg_is_in_recovery" in data:
                proxy.stall()
            return False

        proxy.cut_before_request(stall)
        proxy.cut()
        async with asyncio.timeout(5):
            appended, *read = await asyncio.gather(
                store.append(add(to("order-1"))),
                store.read(),
                store.load(Load("order-1")),
                return_exceptions=True,
            )
            await store.close()
        assert isinstance(appended, StorageUnavailable | OutcomeUnknown)
        assert {type(answer) for answer in read} == {StorageUnavailable}


async def test_a_server_that_was_made_read_only_is_left_for_one_that_may_write(
    postgres_url: str,
) -> None:
    async with PostgresEventStore(postgres_url) as store:
        await settle(store, add(to("order-1")))
        connection = store._log._committer._connection
        await connection.execute("SET default_transaction_read_only = on")
        await settle(store, add(to("order-1")))
        assert len(await log_of(store)) == 2


async def _delay(one: PostgresEventStore, other: PostgresEventStore) -> float:
    loop = asyncio.get_running_loop()
    head = await one.head()
    waiting = asyncio.create_task(one.moved(head.position))
    await wait_until(lambda: bool(one._log.signal._waiting), timeout=10)
    await settle(other, add(to(f"order-{uuid4()}")))
    answered = loop.time()
    async with asyncio.timeout(5):
        await waiting
        while (await one.read(after=Point(head.position))).head == head.position:
            await one.moved(head.position)
    return loop.time() - answered


@pytest.mark.parametrize("analyzed", [False, True], ids=["young tables", "known tables"])
async def test_what_is_read_is_found_along_an_index(postgres_url: str, *, analyzed: bool) -> None:
    async with PostgresEventStore(postgres_url) as store, connected(postgres_url) as other:
        for n in range(4):
            await settle(store, add(to(f"order-{n}", *(happened() for _ in range(2000)))))
        if analyzed:
            await other.execute("ANALYZE")
        async with store._log.reader._pool.connection() as connection:
            for name, values in _READS.items():
                prepared = await connection.prepare(statements_for("diptych")[name])
                found = await connection.fetch(
                    f"EXPLAIN EXECUTE {prepared.get_name()} ({values})".replace(" ()", "")
                )
                plan = "\n".join(line for (line,) in found)
                assert "Index" in plan
                assert "Seq Scan" not in plan
                assert "Bitmap" not in plan


_READS = {
    "head": "",
    "head_position": "",
    "page": "100, 10100, 1000, 16000000, NULL, ARRAY['order']",
    "page_meeting": "100, 10100, 1000, 16000000, NULL, NULL, '[]'",
    "load": "ARRAY[''], ARRAY['order-1'], '{7}', 1000, 16000000, '{}', '{}', '{}'",
    "end_of_stream": "'', 'order-1', '{}', '{}', '{}'",
    "stream_between": "'', 'order-1', 10, 20, 1000, 16000000",
}
