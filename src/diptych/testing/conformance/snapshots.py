"""Snapshots: what is kept is found, in its own place only, and keeping is in nobody's way."""

import asyncio
from uuid import uuid4

from msgspec.structs import replace

from diptych.store.contract import EventStore
from diptych.store.snapshots import Snapshot, SnapshotKey
from diptych.testing.conformance.steps import Suite, add, deadline, load, settle, to

KEY = SnapshotKey("north", "order-1", "0123456789abcdef")


def snapshot(key: SnapshotKey = KEY, *, version: int = 3, state: bytes = b"{}") -> Snapshot:
    return Snapshot(key, version, 5, uuid4(), state, b"digest")


class SnapshotConformance(Suite):
    async def test_a_snapshot_is_found_as_it_was_kept(self, store: EventStore) -> None:
        for state in (b"", bytes(range(256)), b"\xff" * 1_000_000):
            kept = snapshot(state=state)
            await store.snapshots.keep(kept)
            assert await store.snapshots.find(KEY) == kept

    async def test_a_snapshot_is_found_in_its_own_place_only(self, store: EventStore) -> None:
        await store.snapshots.keep(snapshot())
        for other in ({"tenant": ""}, {"stream": "order-2"}, {"fingerprint": "fedcba9876543210"}):
            assert await store.snapshots.find(KEY._replace(**other)) is None

    async def test_the_snapshot_that_was_kept_last_is_found(self, store: EventStore) -> None:
        for version in (3, 7, 7, 5):
            kept = snapshot(version=version)
            await store.snapshots.keep(kept)
            assert await store.snapshots.find(KEY) == kept

    async def test_old_and_new_code_have_a_snapshot_each_and_a_third_replaces_the_older(
        self, store: EventStore
    ) -> None:
        old, new, newest = (
            snapshot(KEY._replace(fingerprint=name), version=version)
            for name, version in (("old", 3), ("new", 6), ("newest", 5))
        )
        elsewhere = snapshot(KEY._replace(stream="order-2", fingerprint="old"), version=1)
        for each in (elsewhere, old, new, newest):
            await store.snapshots.keep(each)
        found = [await store.snapshots.find(each.key) for each in (elsewhere, old, new, newest)]
        assert found == [elsewhere, None, new, newest]

    async def test_snapshots_are_kept_beside_appends(self, store: EventStore) -> None:
        kept = [snapshot(KEY._replace(stream=f"order-{n}"), version=n) for n in range(1, 21)]
        async with deadline():
            await asyncio.gather(
                *(settle(store, add(to("order-1"))) for _ in range(20)),
                *map(store.snapshots.keep, kept),
            )
        assert (await load(store, "order-1")).version == 20
        assert [await store.snapshots.find(each.key) for each in kept] == kept

    async def test_a_snapshot_may_be_of_what_is_not_there(self, store: EventStore) -> None:
        """Whether it fits the stream is for the reader to see."""
        kept = snapshot(version=9_000_000_000)
        await store.snapshots.keep(replace(kept, position=9_000_000_000))
        found = await store.snapshots.find(KEY)
        assert found == replace(kept, position=9_000_000_000)
