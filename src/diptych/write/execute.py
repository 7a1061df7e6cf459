"""Load, decide, append; again on conflict.

Theory of operation
-------------------
The state of a stream is immutable, so it is kept after each commit (never before) and the next
command on it decides without a read. What was kept may be stale, and that is handled on both sides:

- An accepted decision is appended with the version that it was made on, so the store refuses it if
  the stream moved. Then the missing events are folded and the decision is made again.
- A refusal, an empty decision, an `expected_version` mismatch or an error in `decide` or `evolve`
  changes nothing that the store could check. Reached from kept state it is therefore not an answer:
  the tail of the stream is read first, and the decision made again on what is there now.

What is decided is encoded and folded before it is appended, so an event that cannot be written, or
that `evolve` fails on, is never in the log.

A stream that is not kept may be new. Where the last unknown stream of a command type was, the next
one is taken for new as well and decided on without a read; both rules above make that safe. So a
command that begins streams never loads, and one that does not always does.

A command id that the caller supplied is looked up together with the load, before anything else,
and once more whenever the run ends in a refusal or in nothing: its twin may have succeeded in
between. If it is found, the first outcome is the answer. "Nothing" under such an id is recorded;
a refusal is not, a repeat is decided anew.

Within this process the commands of one stream take turns, so only other processes cause conflicts;
they are bounded by `attempts`.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Coroutine
from typing import Any, Generic, TypeVar

from msgspec.structs import replace

from diptych.clock import Clock
from diptych.errors import (
    ConcurrencyError,
    ConfigurationError,
)
from diptych.failpoints import failpoint
from diptych.messages import Envelope
from diptych.store.contract import (
    START,
    Append,
    Appended,
    CommandRecord,
    Load,
    StreamVersion,
    Write,
    WriteStore,
)
from diptych.write.committing import appending, commit, first_outcome, record_of
from diptych.write.decider import Decider
from diptych.write.known import Key, Known
from diptych.write.outcome import Outcome, outcome_of
from diptych.write.snapshots import Keeper
from diptych.write.turns import Turns

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E")


class Executor:
    """Runs deciders against a log. `cached_streams` states are kept, the least used go first.

    With `uncommitted`, what it appends is not in the log yet, so no snapshots are taken of it.
    """

    def __init__(
        self,
        store: WriteStore,
        clock: Clock,
        *,
        cached_streams: int = 10_000,
        attempts: int = 100,
        uncommitted: bool = False,
    ) -> None:
        self.store, self.clock, self.attempts = store, clock, attempts
        self.turns = Turns()
        self.snapshots = Keeper(store, keeps=not uncommitted)
        self.begins_streams: set[type] = set()
        self._size = cached_streams
        self._cache: OrderedDict[Key, Known[Any]] = OrderedDict()

    def execute(
        self, decider: Decider[C, S, E], command: C, envelope: Envelope
    ) -> Coroutine[Any, Any, Outcome]:
        """Decide `command` on the state of its stream and append what was decided; await it.

        Raises:
            Rejected: what `decide` raised, on the stream's present state.
            CommandIdReused: the command id took effect before, with another command.
            ConcurrencyError: the stream is not at `envelope.expected_version`, or other processes
                were faster `attempts` times in a row.
            OutcomeUnknown, Overloaded, StoreError: as `EventStore.append` says.
        """
        return _Run(self, decider, command, envelope).outcome()

    def recall(self, key: Key) -> Known[Any] | None:
        """The state that was kept, perhaps stale."""
        known = self._cache.get(key)
        if known is not None:
            self._cache.move_to_end(key)
        return known

    def remember(self, key: Key, known: Known[Any]) -> None:
        """Keep a state that the log holds; what is not committed must never come here."""
        if key[0].snapshot_every:
            known = self.snapshots.offer(key, known)
        self._cache[key] = known
        if len(self._cache) > self._size:
            self._cache.popitem(last=False)


class _Run(Generic[C, S, E]):
    """One command on one stream, from load to outcome."""

    __slots__ = (
        "_command", "_decider", "_envelope", "_executor", "_first", "_fresh", "_key", "_known",
        "_record", "_store", "_stream",
    )  # fmt: skip

    def __init__(
        self, executor: Executor, decider: Decider[C, S, E], command: C, envelope: Envelope
    ) -> None:
        self._executor, self._store = executor, executor.store
        self._decider, self._command, self._envelope = decider, command, envelope
        self._stream = decider.stream_of(command)
        self._key: Key = (decider, envelope.tenant, self._stream)
        self._record = record_of(command, envelope)
        self._known: Known[S]
        self._fresh = False
        self._first: Outcome | None = None

    async def outcome(self) -> Outcome:
        turns = self._executor.turns
        if not turns.begin(self._key):
            await turns.wait(self._key)
        try:
            return await self._decided()
        finally:
            turns.release(self._key)

    async def _decided(self) -> Outcome:
        executor, kept = self._executor, self._executor.recall(self._key)
        self._known = kept or Known(self._decider.initial(), 0, START)
        begins = kept is not None or type(self._command) in executor.begins_streams
        if not begins or self._envelope.supplied:
            await self._catch_up()
        tried = self._known.version
        for _ in range(executor.attempts):
            tried = self._known.version
            outcome = self._first or await self._attempt()
            if outcome is not None:
                return outcome
        raise ConcurrencyError(self._stream, expected=tried, actual=self._known.version)

    def _attempt(self) -> Awaitable[Outcome | None]:
        """Decide, and begin to append; the result is None if there is more to decide on."""
        try:
            events = self._decide()
            change = self._change(events) if events else None
        except Exception as error:  # noqa: BLE001 - even a bug may be due to what is no longer so
            return self._refused(error)
        return self._append(*change) if change is not None else self._empty()

    async def _refused(self, error: Exception) -> Outcome | None:
        if await self._is_final():
            raise error
        return self._first

    async def _empty(self) -> Outcome | None:
        return await self._nothing() if await self._is_final() else self._first

    def _decide(self) -> tuple[E, ...]:
        expected, known = self._envelope.expected_version, self._known
        if expected is not None and expected != known.version:
            raise ConcurrencyError(self._stream, expected=expected, actual=known.version)
        events = self._decider.decide(self._command, known.state, self._envelope)
        try:
            return tuple(events)
        except TypeError as error:
            raise ConfigurationError(
                f"decide of {self._decider!r} returned {type(events).__qualname__}: return a"
                " sequence of events"
            ) from error

    def _change(self, events: tuple[E, ...]) -> tuple[Write, S]:
        """What to append, and the state after it."""
        known, encode = self._known, self._decider.events.encode
        new_id = self._executor.clock.new_id
        data = tuple([encode(event, event_id=new_id()) for event in events])
        return Write(self._stream, data, known.version), self._decider.fold(events, known.state)

    async def _is_final(self) -> bool:
        """Whether a refusal or an empty decision stands: nothing moved, no twin was faster."""
        if self._fresh and not self._envelope.supplied:
            return True
        moved = await self._catch_up()
        return not moved and self._first is None

    async def _catch_up(self) -> bool:
        """Fold what the stream has beyond the known version; say whether there was anything."""
        tenant, known = self._envelope.tenant, self._known
        command = self._record.key if self._envelope.supplied else None
        load = Load(self._stream, tenant, known.version, command)
        if known.version or not self._decider.snapshot_every:
            loaded = await self._store.load(load)
        else:
            known, loaded = await self._executor.snapshots.load(self._key, load)
        self._fresh = True
        if self._known.version == 0:
            self._learn(is_new=loaded.version == 0)
        moved = loaded.version > self._known.version
        if moved:
            events = [event for _, event in await self._decider.events.decode(loaded.events)]
            state = self._decider.fold(events, known.state)
            self._known = Known(state, loaded.version, loaded.point, known.kept)
            self._executor.remember(self._key, self._known)
        if loaded.command is not None:
            self._first = first_outcome(self._record, loaded.command, self._store)
        return moved

    def _learn(self, *, is_new: bool) -> None:
        begins, kind = self._executor.begins_streams, type(self._command)
        if is_new:
            begins.add(kind)
        else:
            begins.discard(kind)

    async def _append(self, write: Write, state: S) -> Outcome | None:
        failpoint("execute.before_append")
        try:
            appended = await commit(self._store, self._appending((write,), self._record))
        except ConcurrencyError:
            await self._catch_up()
            return self._first
        failpoint("execute.after_append")
        if not appended.repeated:
            version = self._known.version + len(write.events)
            known = Known(state, version, appended.point, self._known.kept)
            self._executor.remember(self._key, known)
        return self._outcome(appended)

    async def _nothing(self) -> Outcome:
        streams = (StreamVersion(self._stream, self._known.version),)
        if not self._envelope.supplied:
            return self._outcome(Appended(self._known.point, streams))
        record = replace(self._record, streams=streams)
        return self._outcome(await commit(self._store, self._appending((), record)))

    def _appending(self, writes: tuple[Write, ...], record: CommandRecord) -> Append:
        return appending(writes, record, self._envelope)

    def _outcome(self, appended: Appended) -> Outcome:
        return outcome_of(self._envelope.command_id, appended, self._store.log_id)
