"""`Opening`: one of several openings of a log, right in everything; each defect derives from it."""

import asyncio

from msgspec.structs import replace

from diptych.errors import StoreClosed
from diptych.store.contract import START
from diptych.store.memory import MemoryEventStore


class Disk:
    """What outlives an opening: the log. A defect may keep more in `notes`."""

    def __init__(self) -> None:
        self.log = MemoryEventStore()
        self.openings = 0
        self.notes: dict = {}

    async def open(self) -> None:
        self.openings += 1
        if self.openings == 1:
            await self.log.open()


class Kept:
    """Passes every call on to the cursors of the log."""

    def __init__(self, opening) -> None:
        self.opening, self.inner = opening, opening.log.cursors

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def row(self, name):
        return self.inner._row(name)

    def now(self, held):
        """As if it had not been superseded."""
        return replace(held, epoch=self.row(held.name).epoch)


class Opening:
    """Passes every call on to the log of its disk.

    `written` and `seen` change what goes in and what comes out, in one place for all calls.
    """

    fails: frozenset[str] = frozenset()
    hangs = False
    Kept = Kept

    def __init__(self, disk: Disk) -> None:
        self.disk, self.log = disk, disk.log
        self.is_open, self.working = False, 0

    def written(self, append):
        return append

    def seen(self, event):
        return event

    @property
    def log_id(self):
        return self.log.log_id

    @property
    def dense(self):
        return self.log.dense

    @property
    def durability(self):
        return self.log.durability

    @property
    def snapshots(self):
        self.must_be_open()
        return self.log.snapshots

    @property
    def cursors(self):
        self.must_be_open()
        return self.Kept(self)

    async def open(self):
        await self.disk.open()
        self.number = self.disk.openings
        self.closing = asyncio.Event()
        self.is_open = True

    async def close(self):
        self.is_open = False
        self.closing.set()
        while self.working:  # noqa: ASYNC110 - as short as can be
            await asyncio.sleep(0)

    def must_be_open(self):
        if not self.is_open:
            raise StoreClosed("closed")

    async def append(self, append):
        self.must_be_open()
        self.working += 1
        try:
            return await self.log.append(self.written(append))
        finally:
            self.working -= 1

    async def load(self, load):
        self.must_be_open()
        return self.shown(await self.log.load(load))

    async def find(self, command):
        self.must_be_open()
        return await self.log.find(command)

    async def read(self, *, after=START, limit=1000, categories=None, criteria=None, tenant=None):
        self.must_be_open()
        await asyncio.sleep(0)  # a defect that makes a reader spin must not stop the loop
        page = await self.log.read(
            after=after, limit=limit, categories=categories, criteria=criteria, tenant=tenant
        )
        return self.shown(page)

    def shown(self, answer):
        return replace(answer, events=[self.seen(event) for event in answer.events])

    async def head(self):
        self.must_be_open()
        return await self.log.head()

    async def moved(self, after):
        self.must_be_open()
        calls = self.log.moved(after), self.closing.wait()
        tasks = [asyncio.ensure_future(call) for call in calls]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        self.must_be_open()
