"""Why a view stands still when a network is cut, as seen from both sides of the cut."""

from datetime import timedelta
from uuid import uuid4

import pytest

from diptych.read.explanation import Cause, Why
from diptych.read.postgres import database as postgres_database
from diptych.read.postgres.database import PostgresReadDatabase
from diptych.read.side import ReadSide
from diptych.store.memory import MemoryEventStore
from diptych.store.postgres.store import PostgresEventStore
from diptych.testing import wait_until
from tests.integration.accounts import Opened, append, reading
from tests.servers.proxy import proxy_to

LONG = timedelta(seconds=10)


async def explained(side: ReadSide, why: Why) -> str:
    found: list[Cause] = []

    async def is_so() -> bool:
        found.append((await side.why("accounts")).cause)
        return found[-1].why is why

    await wait_until(is_so, timeout=30)
    return found[-1].says


async def test_a_log_that_is_cut_off_from_who_projects(
    postgres_url: str, schema_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Others see it by the error that is written down, and who is cut off by asking itself."""
    log = f"{postgres_url}?schema=log"
    async with (
        proxy_to(log) as (proxy, through),
        PostgresEventStore(log) as store,
        PostgresEventStore(through, patience=0.2) as far,
        reading(far, database=PostgresReadDatabase(schema_url)) as holder,
        reading(store, database=PostgresReadDatabase(schema_url), project=False) as other,
    ):
        await append(store, Opened(uuid4(), "Ann"))
        await holder.reached(1, timeout=LONG)
        proxy.refuse()
        await append(store, Opened(uuid4(), "Bea"))
        assert "StorageUnavailable" in await explained(other, Why.CONNECTION_LOST)
        await explained(holder, Why.LOG_UNREACHABLE)


async def test_a_read_database_that_is_cut_off_from_who_projects(
    store: MemoryEventStore,
    schema_url: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It can tell nobody; but its lease runs out."""
    monkeypatch.setattr(postgres_database, "_PATIENCE", 0.2)
    async with (
        proxy_to(schema_url) as (proxy, through),
        reading(store, database=PostgresReadDatabase(through), lease_ttl=0.5) as holder,
        reading(store, database=PostgresReadDatabase(schema_url), project=False) as other,
    ):
        await append(store, Opened(uuid4(), "Ann"))
        await holder.reached(1, timeout=LONG)
        proxy.refuse()
        await append(store, Opened(uuid4(), "Bea"))
        assert "has said nothing" in await explained(other, Why.HOLDER_SILENT)
        await explained(holder, Why.READ_DATABASE_UNREACHABLE)
        proxy.resume()
        await other.reached(2, timeout=LONG)
        await explained(other, Why.NOTHING_TO_DO)
