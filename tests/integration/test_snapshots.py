"""Snapshots in the databases of logs: disposable, in nobody's way, for one stream each."""

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from diptych import Application
from diptych.sqlite_library import sqlite
from diptych.testing.waiting import wait_until
from tests.servers.postgres import PostgresServer
from tests.unit.write.account import Close, Deposit, NotEnough, Withdraw
from tests.unit.write.test_snapshots import keeping


@dataclass
class Kind:
    """A log of one kind: its URL, and a way to ask its database."""

    url: str
    ask: Callable[[str], Any]
    table: str

    def count(self) -> int:
        return int(self.ask(f"SELECT count(*) FROM {self.table}"))


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    if request.param == "sqlite":
        path = tmp_path / "log.db"

        def ask(sql: str) -> Any:
            with closing(sqlite.connect(str(path), isolation_level=None)) as db:
                row = db.execute(sql).fetchone()
                return row and row[0]

        return Kind(f"sqlite:///{path}", ask, "snapshots")
    server: PostgresServer = request.getfixturevalue("postgres")
    url: str = request.getfixturevalue("postgres_url")
    database = url.rpartition("/")[2]
    return Kind(url, lambda sql: server.execute(sql, database=database), "diptych.snapshots")


def bank(kind: Kind, every: int = 50) -> Application:
    return Application(log=kind.url, write=[keeping(every)], project=False)


async def fill(kind: Kind, deposits: int = 120) -> None:
    async with bank(kind) as app:
        for _ in range(deposits):
            await app.dispatch(Deposit("a", 1))
        await wait_until(lambda: kind.count() > 0)


async def balance_is(kind: Kind, balance: int) -> None:
    async with bank(kind) as app:
        with pytest.raises(NotEnough):
            await app.dispatch(Withdraw("a", balance + 1))
        await app.dispatch(Withdraw("a", balance))
        await app.dispatch(Deposit("a", balance))


async def test_a_snapshot_stands_in_for_its_events(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(kind)
    folded = 0
    evolve = keeping().evolve

    def counted(account: Any, event: Any) -> Any:
        nonlocal folded
        folded += 1
        return evolve(account, event)

    async with bank(kind) as app:
        (decider,) = (each for each in app._left._parts)  # type: ignore[attr-defined]
        monkeypatch.setattr(decider, "evolve", counted)
        with pytest.raises(NotEnough):
            await app.dispatch(Withdraw("a", 121))
    assert folded <= 70
    await balance_is(kind, 120)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM {}",
        "UPDATE {} SET version = version + 1000",
        "UPDATE {} SET version = version - 1",
        "UPDATE {} SET position = 0",
        "UPDATE {} SET digest = state",
        "UPDATE {} SET stream = 'account-b'",
        "UPDATE {} SET fingerprint = 'another'",
    ],
)
async def test_whatever_is_done_to_the_table_no_answer_changes(kind: Kind, change: str) -> None:
    await fill(kind)
    async with bank(kind) as app:
        await app.dispatch(Deposit("b", 7))
    kind.ask(change.format(kind.table))
    await balance_is(kind, 120)
    async with bank(kind) as app:
        with pytest.raises(NotEnough):
            await app.dispatch(Withdraw("b", 8))


async def test_a_state_changed_by_hand_is_not_believed(kind: Kind) -> None:
    await fill(kind)
    rich = '{"balance":1000000,"closed":false}'
    as_bytes = f"CAST('{rich}' AS BLOB)" if kind.table == "snapshots" else f"'{rich}'::bytea"
    kind.ask(f"UPDATE {kind.table} SET state = {as_bytes}")
    await balance_is(kind, 120)


async def test_without_their_table_commands_work(
    kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    await fill(kind)
    async with bank(kind, every=10) as app:
        kind.ask(f"DROP TABLE {kind.table}")
        with caplog.at_level(logging.WARNING), pytest.raises(NotEnough):
            await app.dispatch(Withdraw("a", 121))
        for _ in range(30):
            await app.dispatch(Deposit("a", 1))
        await app.dispatch(Close("a"))
    assert "no snapshots are kept" in caplog.text


async def test_a_user_without_rights_on_them_works_without(
    postgres: PostgresServer, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    database = postgres_url.rpartition("/")[2]
    kind = Kind(
        postgres_url, lambda sql: postgres.execute(sql, database=database), "diptych.snapshots"
    )
    await fill(kind)
    postgres.execute("CREATE ROLE teller LOGIN")
    try:
        postgres.execute(
            "GRANT USAGE ON SCHEMA diptych TO teller",
            "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA diptych TO teller",
            "REVOKE ALL ON diptych.snapshots FROM teller",
            database=database,
        )
        await balance_is(
            Kind(postgres_url.replace("postgres@", "teller@"), kind.ask, kind.table), 120
        )
    finally:
        postgres.execute("DROP OWNED BY teller CASCADE", database=database)
        postgres.execute("DROP ROLE teller")
    assert "snapshot" in caplog.text


async def test_keeping_does_not_wait_for_the_disk_and_appends_still_do(tmp_path: Path) -> None:
    kind = Kind(f"sqlite:///{tmp_path / 'log.db'}", lambda sql: None, "snapshots")
    async with bank(kind, every=1) as app:
        committer = app._store._log._appender._committer  # type: ignore[attr-defined]
        said: list[str] = []
        committer._db.set_trace_callback(lambda sql: said.append(sql.partition("\n")[0][:40]))
        await app.dispatch(Deposit("a", 1))
        await wait_until(lambda: "PRAGMA synchronous = 2" in said)
        assert committer._db.execute("PRAGMA synchronous").fetchone() == (2,)
    said = [sql for sql in said if sql.startswith(("PRAGMA synchronous =", "INSERT"))]
    kept = next(n for n, sql in enumerate(said) if sql.startswith("INSERT INTO snapshots"))
    assert said[kept - 1] == "PRAGMA synchronous = NORMAL"
    assert said[kept + 1] == "PRAGMA synchronous = 2"
