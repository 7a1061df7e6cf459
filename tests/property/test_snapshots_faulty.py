"""Faulty snapshots, at random: every answer is what it is without any."""

import asyncio
import random
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from diptych.errors import StorageFull
from diptych.store.memory import MemoryEventStore
from diptych.store.snapshots import Snapshot
from diptych.write.execute import Executor
from tests.soak import SOAK
from tests.unit.write.account import Close, Deposit, NotEnough, Withdraw, accounts
from tests.unit.write.test_snapshots import SPOILT, Watched, clock, keeping, run


class Faulty(Watched):
    """Loses, refuses, spoils and mixes up snapshots."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.chance = random.Random(seed)
        self.all: list[Snapshot] = []

    async def keep(self, snapshot: Snapshot) -> None:
        self.all.append(snapshot)
        match self.chance.randrange(6):
            case 0:
                raise StorageFull("no room")
            case 1:
                return
            case 2:
                other = self.chance.choice(self.all)
                await super().keep(replace(other, key=snapshot.key))
            case 3:
                how = self.chance.choice(list(SPOILT.values()))
                await super().keep(how(snapshot))
            case _:
                await super().keep(snapshot)


def some_command(chance: random.Random) -> object:
    account, amount = chance.choice("ab"), chance.randrange(1, 20)
    return chance.choice(
        [Deposit(account, amount)] * 5 + [Withdraw(account, amount)] * 5 + [Close(account)]
    )


async def answer(executor: Executor, command: object, by: Any, command_id: UUID | None) -> object:
    try:
        outcome = await run(executor, command, by=by, command_id=command_id)
    except NotEnough:
        return NotEnough
    return outcome.streams, outcome.repeated


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(60 * SOAK))
async def test_with_faulty_snapshots_every_answer_is_what_it_is_without(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diptych.write.snapshots._REST", 0.0)
    chance = random.Random(seed)
    by, ids = keeping(chance.randrange(1, 6)), [clock.new_id() for _ in range(5)]
    async with Faulty(seed) as store, MemoryEventStore() as plain:
        reference = Executor(plain, clock)
        several = [Executor(store, clock, cached_streams=1) for _ in range(3)]
        for _ in range(120):
            command, command_id = some_command(chance), None
            if chance.random() < 0.1:
                command_id = ids[chance.randrange(len(ids))]
                command = Deposit("ab"[command_id.int % 2], 3)
            if chance.random() < 0.2:
                several[chance.randrange(3)] = Executor(store, clock, cached_streams=1)
            got = await answer(chance.choice(several), command, by, command_id)
            assert got == await answer(reference, command, accounts, command_id)
            if chance.random() < 0.3:
                await asyncio.sleep(0.001)
        for executor in several:
            await executor.snapshots.close()
