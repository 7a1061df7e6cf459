"""Rebuilds that projectors have to finish: each partition for itself; the flip lets it serve."""

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

import pytest

from diptych.errors import ProjectionStopped, ViewChanging
from diptych.operations import Operations
from diptych.read import rebuild
from diptych.read.builder import Candidate, retake
from diptych.read.building import Building
from diptych.read.flip import Flip
from diptych.read.model import Park
from diptych.read.parked import Lot
from diptych.read.query import answer
from diptych.store.memory import MemoryEventStore
from diptych.testing.waiting import wait_until
from tests.integration.accounts import Deposited, append, expected_accounts, head_token, reading
from tests.integration.conftest import AnyDatabase
from tests.integration.parked import parked_keys, parking_view
from tests.integration.rebuilds import caught_up, revisions, some_accounts
from tests.integration.test_partitions import AllAccounts, all_accounts, split

SPLIT: dict[str, Any] = {
    "models": [split],
    "queries": [answer(AllAccounts, all_accounts, reads=[split])],
    "lease_ttl": 0.5,
}
PARKS: dict[str, Any] = {"models": [parking_view()], "queries": [], "lease_ttl": 0.5}
ASKS: dict[str, Any] = {
    "models": [parking_view(rebuild="ask", on_error=Park(keys=1))],
    "queries": [],
}


async def test_partitions_that_are_at_different_places_at_the_flip_each_go_on_from_their_own(
    store: MemoryEventStore, any_database: AnyDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Live work never stops, and projectors are ended one by one: no event may count twice."""
    ids = await some_accounts(store, 10)
    catch_up, calls = Building.catch_up, list[int]()

    async def unevenly(self: Building, candidates: Sequence[Candidate]) -> None:
        (candidate,) = candidates
        candidate.by_projectors = True
        await catch_up(self, candidates)
        calls.append(1)
        if len(calls) == 3:  # the last before the flip
            for account_id in ids[:-1]:
                await append(store, Deposited(account_id, 1))
            await go_on(self, candidate, partition=1, upto=(await store.head()).position)

    monkeypatch.setattr(Building, "catch_up", unevenly)
    async with (
        reading(store, database=any_database(), **SPLIT) as side,
        reading(store, database=any_database(), **SPLIT, operating=True) as other,
    ):
        await caught_up(side, store)
        (rebuilt,) = await Operations(other).rebuild(["accounts"])
        assert rebuilt.serving
        found = await side.query(AllAccounts(), at_least=await head_token(store))
        assert found == await expected_accounts(store)


async def go_on(building: Building, candidate: Candidate, *, partition: int, upto: int) -> None:
    """Only one partition."""
    slot = candidate.target.slots[partition]
    projector = building.means.projector(candidate.target, slot, holder=building.holder)
    running = asyncio.create_task(projector.run())
    await wait_until(lambda: projector.point.position >= upto)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await retake(candidate, building.means, holder=building.holder)


async def test_what_projectors_have_begun_to_build_does_not_serve_before_it_is_complete(
    store: MemoryEventStore, any_database: AnyDatabase
) -> None:
    """A view that asks, whose second bad key is one too many."""
    ids = await some_accounts(store, 3)
    await append(store, Deposited(ids[0], -1))
    await append(store, Deposited(ids[1], -1))
    await append(store, Deposited(ids[0], 1))
    database = any_database()
    async with reading(store, database=database, **ASKS, operating=True) as side:
        with pytest.raises(ProjectionStopped):
            await Operations(side).rebuild(["accounts"])
        assert len(await parked_keys(side)) == 1
        assert await revisions(database) == [(1, "building")]


@pytest.mark.parametrize("acts", ["retry", "discard"])
async def test_what_is_parked_in_a_revision_that_was_replaced_meanwhile_is_left_alone(
    store: MemoryEventStore,
    any_database: AnyDatabase,
    monkeypatch: pytest.MonkeyPatch,
    acts: Literal["retry", "discard"],
) -> None:
    """Else it would be said to be done, and nobody would ever see it."""
    (bad, *_) = await some_accounts(store, 3)
    await append(store, Deposited(bad, -1))
    row = Lot.row

    async def late(self: Lot, *args: Any, **named: Any) -> Any:
        monkeypatch.setattr(Lot, "row", row)
        found = await row(self, *args, **named)
        await operations.rebuild(["accounts"])
        return found

    async with (
        reading(store, database=any_database(), **PARKS) as side,
        reading(store, database=any_database(), **PARKS, operating=True) as other,
    ):
        await caught_up(side, store)
        operations = Operations(other)
        monkeypatch.setattr(Lot, "row", late)
        with pytest.raises(ViewChanging):
            await (
                operations.discard("accounts", bad, reason="a test")
                if acts == "discard"
                else operations.retry("accounts", bad)
            )
        assert await operations.discarded("accounts") == ()
        assert [each.revision for each in await parked_keys(side)] == [1, 2]
        await operations.discard("accounts", bad, reason="a test")
        assert await operations.parked("accounts") == ()


async def test_the_revision_that_serves_is_held_only_once_the_candidate_is_near(
    store: MemoryEventStore, any_database: AnyDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands still from then on, and what came in while both were compared may be a lot."""
    (bad, good, *_) = await some_accounts(store, 3)
    await append(store, Deposited(bad, -1))
    compare, hold = rebuild.verify, Flip._hold
    missing: list[int] = []

    async def slowly(*args: Any, **named: Any) -> Any:
        found = await compare(*args, **named)
        for _ in range(5):
            await append(store, Deposited(good, 1))
        return found

    async def held(self: Flip) -> None:
        missing.append((await store.head()).position - self.candidate.point.position)
        await hold(self)

    monkeypatch.setattr(rebuild, "verify", slowly)
    monkeypatch.setattr(Flip, "_hold", held)
    async with (
        reading(store, database=any_database(), **PARKS) as side,
        reading(store, database=any_database(), **PARKS, operating=True) as other,
    ):
        await caught_up(side, store)
        (rebuilt,) = await Operations(other).rebuild(["accounts"])
        assert rebuilt.serving
    assert missing == [0]
