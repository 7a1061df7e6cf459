"""From a decision to the log: what an append carries of its command, and how it is committed."""

from hashlib import blake2b

from msgspec.structs import replace

from diptych.errors import CommandIdReused, OutcomeUnknown, Overloaded, StoreError
from diptych.messages import Envelope, metadata_json
from diptych.shapes import json_codec
from diptych.store.contract import (
    Append,
    Appended,
    CommandKey,
    CommandRecord,
    RecordedCommand,
    Write,
    WriteStore,
)
from diptych.write.outcome import Outcome, outcome_of

_HASH_BYTES = 16


def appending(writes: tuple[Write, ...], record: CommandRecord, envelope: Envelope) -> Append:
    metadata = metadata_json(
        envelope.command_id,
        envelope.correlation_id,
        envelope.causation_id,
        envelope.actor,
        trace=envelope.trace,
    )
    return Append(writes, None, record, envelope.tenant, metadata)


async def commit(store: WriteStore, append: Append) -> Appended:
    """Append; if the answer is lost, append the same once more.

    That is exact: the command record takes effect once, and a repeat gets what the first attempt
    came to, even if that was still under way. A mere look-up could miss it.

    Raises: as `EventStore.append`; OutcomeUnknown if the second attempt did not find out.
    """
    try:
        return await store.append(append)
    except OutcomeUnknown as unknown:
        try:
            return await store.append(append)
        except (Overloaded, StoreError) as error:
            # It says that the second attempt wrote nothing; the first may have.
            raise unknown from error


def record_of(command: object, envelope: Envelope) -> CommandRecord:
    """The record of a command: a digest of its content where a repeat can come."""
    key = CommandKey(envelope.tenant, envelope.actor, envelope.command_id)
    if not envelope.supplied:
        return CommandRecord(key)
    kind = type(command)
    content = kind.__qualname__.encode() + b"\0" + json_codec(kind).canonical(command)
    return CommandRecord(key, blake2b(content, digest_size=_HASH_BYTES).digest())


def first_outcome(record: CommandRecord, found: RecordedCommand, store: WriteStore) -> Outcome:
    """What came of the command the first time.

    Raises: CommandIdReused: it was another command.
    """
    command_id = record.key.command_id
    if found.hash != record.hash:
        raise CommandIdReused(command_id)
    return outcome_of(command_id, replace(found.outcome, repeated=True), store.log_id)
