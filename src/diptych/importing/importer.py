"""`import_lines`: appends the events of a file, each once, however often it is run.

Theory of operation
-------------------
A batch of lines is one append, under a command id that is made from the name of the import and the
number of the batch's first event, with the digest of the lines as the command's hash. So the log
itself remembers, in the append's own transaction, what was imported, and nothing else has to.

Run again, the import looks up the id of its first event. If it is there, the lines up to the one
at which their digest is the recorded one were imported: they are passed over, and the next line
begins the next batch. Else the lines from here on are new. It does not matter where batches ended,
so a file may be continued at its end, and batches may have other sizes in another version. Lines
that were changed after they were imported never give the recorded digest, and are refused.

An append whose answer was lost is made again under the same id, which is exact. Two imports of one
file at a time share the work: who comes second finds the batch of the first.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid5

from diptych.clock import Clock
from diptych.errors import (
    CommandIdReused,
    ConcurrencyError,
    InvalidInput,
    OutcomeUnknown,
    Overloaded,
)
from diptych.failpoints import failpoint
from diptych.importing.batches import Batch, Digest
from diptych.importing.lines import Item, Lines, Reader
from diptych.log import Log
from diptych.messages import Metadata
from diptych.store.contract import Append, CommandKey, CommandRecord, RecordedCommand
from diptych.store.limits import MAX_APPEND_EVENTS, check_name

_PRINCIPAL: Final = "diptych import"
_NAMESPACE: Final = UUID("5f0f3c1e-6d53-5b1c-9a3e-1c7d3b0a4e21")
_ATTEMPTS: Final = 8
_FIRST_PAUSE: Final = 0.05


File = Iterable[bytes] | AsyncIterable[bytes]
"""Lines, as an open file gives them."""


@dataclass(frozen=True, slots=True)
class Imported:
    """How far an import is: `appended` events by this run, `found` by earlier ones, and the place
    of the last line that was looked at.
    """

    appended: int = 0
    found: int = 0
    line: int = 0

    @property
    def events(self) -> int:
        return self.appended + self.found


async def import_lines(
    log: Log, file: File, *, name: str, tenant: str = "", clock: Clock
) -> AsyncGenerator[Imported]:
    """Append the events of a file, in its order; how far it is, again after each batch.

    `name` stands for the file: under one name a line takes effect once. Nothing else is written
    if it ends early, at whatever point: run it again.

    Raises:
        InvalidInput: a line is no event of this application, was changed after it was imported, or
            gives a version that its stream is not at. The lines before it are in the log.
        OutcomeUnknown, Overloaded, StoreError: as `EventStore.append`.
    """
    check_name("name", name)
    importer = _Importer(log, name, tenant)
    source = Lines(file)
    reader = Reader(log, tenant=tenant, clock=clock)
    done = Imported()
    while await source.there_are_more():
        recorded = await log.store.find(importer.key(done.events + 1))
        if recorded is not None:
            passed, line = await importer.pass_over(source, recorded)
            done = Imported(done.appended, done.found + passed, line)
        else:
            batch = await _next_batch(source, reader)
            if not await importer.append(batch, first=done.events + 1):
                # Another run has imported what begins here: look at that.
                source.give_back(batch.items)
                continue
            count, line = len(batch.items), batch.items[-1].number
            done = Imported(done.appended + count, done.found, line)
        yield done


async def check_lines(
    log: Log, file: File, *, tenant: str = "", clock: Clock
) -> AsyncGenerator[Imported]:
    """Read all lines and refuse what `import_lines` would; nothing is written or looked up."""
    source, reader = Lines(file), Reader(log, tenant=tenant, clock=clock)
    events = 0
    while await source.there_are_more():
        batch = await _next_batch(source, reader)
        events += len(batch.items)
        yield Imported(events, line=batch.items[-1].number)


async def _next_batch(source: Lines, reader: Reader) -> Batch:
    batch = Batch()
    while await source.there_are_more():
        number, raw = source.take()
        if not batch.takes(item := await reader.item(number, raw)):
            source.give_back([item])
            break
    return batch


class _Importer:
    """One import into one log."""

    def __init__(self, log: Log, name: str, tenant: str) -> None:
        self._store, self._name, self._tenant = log.store, name, tenant

    def key(self, event: int) -> CommandKey:
        """What is recorded with the batch that begins with this event of the import."""
        return CommandKey(self._tenant, _PRINCIPAL, uuid5(_NAMESPACE, f"{self._name}\n{event}"))

    async def pass_over(self, source: Lines, recorded: RecordedCommand) -> tuple[int, int]:
        """The number of lines that were imported as this batch, and where the last of them is."""
        digest, first, passed = Digest(), source.number, 0
        while passed < MAX_APPEND_EVENTS and await source.there_are_more():
            number, raw = source.take()
            digest.add(raw)
            passed += 1
            if digest.value == recorded.hash:
                return passed, number
        raise InvalidInput(
            f"line {first}",
            f"was imported as {self._name!r} before, and it or a line after it was other then:"
            " undo the change, or give what is new another name",
        )

    async def append(self, batch: Batch, *, first: int) -> bool:
        """False, and nothing is written, if another run was faster."""
        append = Append(
            batch.writes,
            command=CommandRecord(self.key(first), batch.digest),
            tenant=self._tenant,
            metadata=Metadata().to_json(),
        )
        failpoint("import.before_append")
        try:
            mine = await self._append(append)
        except CommandIdReused:
            return False
        except ConcurrencyError as error:
            raise _at_another_version(batch.items, error) from error
        failpoint("import.after_append")
        return mine

    async def _append(self, append: Append) -> bool:
        """Whether it is this run's; what is repeated after a lost answer counts as such."""
        for attempt in range(_ATTEMPTS):
            try:
                appended = await self._store.append(append)
            except (OutcomeUnknown, Overloaded):
                if attempt == _ATTEMPTS - 1:
                    raise
                await asyncio.sleep(_FIRST_PAUSE * 2**attempt)
            else:
                return not appended.repeated or attempt > 0
        raise AssertionError("unreachable")


def _at_another_version(items: list[Item], error: ConcurrencyError) -> InvalidInput:
    first = next((item.number for item in items if item.stream == error.stream), items[0].number)
    return InvalidInput(f"line {first}", str(error))
