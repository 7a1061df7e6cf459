"""Defects of snapshots: what is found is another's, older, or not what was kept."""

from types import SimpleNamespace

from msgspec.structs import replace

from diptych.store.memory_snapshots import MemorySnapshots
from tests.conformance.defects.opening import Opening

FOUND = "test_a_snapshot_is_found_as_it_was_kept"
OWN_PLACE = "test_a_snapshot_is_found_in_its_own_place_only"
LAST = "test_the_snapshot_that_was_kept_last_is_found"
THIRD = "test_old_and_new_code_have_a_snapshot_each_and_a_third_replaces_the_older"
BESIDE = "test_snapshots_are_kept_beside_appends"
NOT_THERE = "test_a_snapshot_may_be_of_what_is_not_there"


class Snapshots(Opening):
    """Passes on what `kept` and `place` make of it."""

    @property
    def snapshots(self):
        self.must_be_open()
        return SimpleNamespace(find=self.look_up, keep=self.keep)

    def place(self, key):
        return key

    def kept(self, snapshot):
        return snapshot

    async def keep(self, snapshot):
        kept = self.kept(replace(snapshot, key=self.place(snapshot.key)))
        await self.log.snapshots.keep(kept)

    async def look_up(self, key):
        found = await self.log.snapshots.find(self.place(key))
        return found and replace(found, key=key)


class ForgetsWhatWasKept(Snapshots):
    fails = frozenset({FOUND, LAST, THIRD, BESIDE, NOT_THERE})

    async def keep(self, snapshot):
        pass


class CutsStates(Snapshots):
    fails = frozenset({FOUND})

    def kept(self, snapshot):
        return replace(snapshot, state=snapshot.state[:65_535])


class KeepsStatesAsText(Snapshots):
    fails = frozenset({FOUND})

    def kept(self, snapshot):
        return replace(snapshot, state=snapshot.state.decode("utf-8", "replace").encode())


class SharesSnapshotsBetweenTenants(Snapshots):
    fails = frozenset({OWN_PLACE})

    def place(self, key):
        return key._replace(tenant="")


class SharesSnapshotsBetweenRules(Snapshots):
    fails = frozenset({OWN_PLACE, THIRD})

    def place(self, key):
        return key._replace(fingerprint="")


class KeepsTheHighestVersion(Snapshots):
    """So one that is wrong stays for ever."""

    fails = frozenset({LAST})

    async def keep(self, snapshot):
        found = await self.look_up(snapshot.key)
        if found is None or found.version < snapshot.version:
            await super().keep(snapshot)


class KeepsOneOfEachStream(Snapshots):
    fails = frozenset({THIRD})

    async def keep(self, snapshot):
        every = self.disk.notes.setdefault("kept", {})
        every[snapshot.key.tenant, snapshot.key.stream] = snapshot

    async def look_up(self, key):
        found = self.disk.notes.get("kept", {}).get((key.tenant, key.stream))
        return found if found and found.key == key else None


class NeverDropsASnapshot(Snapshots):
    fails = frozenset({THIRD})

    async def keep(self, snapshot):
        self.disk.notes.setdefault(snapshot.key, MemorySnapshots())
        await self.disk.notes[snapshot.key].keep(snapshot)

    async def look_up(self, key):
        kept = self.disk.notes.get(key)
        return await kept.find(key) if kept else None


class WantsTheEventsOfASnapshot(Snapshots):
    """As a foreign key does."""

    fails = frozenset({FOUND, NOT_THERE})

    async def keep(self, snapshot):
        if (await self.log.head()).position >= snapshot.position:
            await super().keep(snapshot)
