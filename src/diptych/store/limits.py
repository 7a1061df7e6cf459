"""What no store accepts: refused by the same code everywhere, before anything is queued."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from diptych.errors import InvalidInput, LimitExceeded
from diptych.store.contract import (
    AnyVersion,
    Append,
    CommandKey,
    CommandRecord,
    Criterion,
    Load,
    Point,
    Write,
)

MAX_EVENT_BYTES: Final = 1_000_000
MAX_APPEND_BYTES: Final = 4_000_000
MAX_APPEND_EVENTS: Final = 10_000
MAX_APPEND_WRITES: Final = 500
MAX_METADATA_BYTES: Final = 8_192
MAX_TAGS: Final = 32
"""Tags of one event."""
MAX_NAME_BYTES: Final = 512
"""Bytes in UTF-8 of a stream name, event type, tag, tenant or principal: indexes hold them."""
MAX_VERSION: Final = 2**63 - 1
PAGE_BYTES: Final = 16_000_000
"""Bytes of events at which a page of the log ends, however many were asked for."""


def validate(append: Append) -> int:
    """The bytes of its events; refuses what no store accepts, before anything is queued.

    Raises:
        LimitExceeded: an event over 1 MB, an append over 4 MB, 500 writes or 10,000 events, a name
            over 512 bytes, more than 32 tags, metadata over 8 KB.
        InvalidInput: an empty or unprintable name, a NUL character or lone surrogate, a stream
            twice, a write without events, a version out of range, nothing to do.
    """
    if not append.writes and append.command is None:
        raise InvalidInput("writes", "an append needs a write or a command record")
    if append.tenant:
        check_name("tenant", append.tenant)
    if len(append.metadata) > MAX_METADATA_BYTES:
        raise LimitExceeded("metadata", limit=MAX_METADATA_BYTES, unit="bytes")
    size = _validate_writes(append.writes)
    if append.command is not None:
        _validate_record(append.command, append.tenant)
    if append.condition is not None:
        check_version("condition.after", append.condition.after.position)
        check_criteria(append.condition.criteria)
    return size


def check_read(
    after: Point, limit: int, criteria: tuple[Criterion, ...] | None, tenant: str | None
) -> None:
    """Refuse arguments of `EventStore.read` that no store can look for."""
    check_version("after", after.position)
    if limit < 1:
        raise InvalidInput("limit", "must be at least 1")
    check_criteria(criteria or ())
    check_name("tenant", tenant or "", empty=True)


def check_load(load: Load) -> None:
    """Refuse a load that no store can answer."""
    check_name("stream", load.stream)
    check_name("tenant", load.tenant, empty=True)
    check_version("after", load.after)
    if load.command is not None:
        check_key(load.command)


def check_key(key: CommandKey) -> None:
    tenant, principal, _ = key
    if tenant:
        check_name("tenant", tenant)
    if principal:
        check_name("principal", principal)


def check_criteria(criteria: Iterable[Criterion]) -> None:
    for criterion in criteria:
        for name in criterion.types:
            check_name("type", name)
        for name in criterion.tags:
            check_name("tag", name)


def check_name(field_name: str, name: str, *, empty: bool = False) -> None:
    """Refuse a name that is empty, too long, or not printable text without surrounding blanks."""
    if not name:
        if empty:
            return
        raise InvalidInput(field_name, "must not be empty")
    if not name.isprintable() or name[0] == " " or name[-1] == " ":
        raise InvalidInput(field_name, "must be printable text without blanks around it")
    # A character has four bytes at most.
    if len(name) > MAX_NAME_BYTES // 4 and len(name.encode()) > MAX_NAME_BYTES:
        raise LimitExceeded(field_name, limit=MAX_NAME_BYTES, unit="bytes in UTF-8")


def check_version(field_name: str, version: int) -> None:
    if isinstance(version, bool) or not 0 <= version <= MAX_VERSION:
        raise InvalidInput(field_name, f"must be between 0 and {MAX_VERSION}")


def _validate_writes(writes: tuple[Write, ...]) -> int:
    if len(writes) > 1:
        if len(writes) > MAX_APPEND_WRITES:
            raise LimitExceeded("writes", limit=MAX_APPEND_WRITES, unit="writes an append")
        if len({write.stream for write in writes}) < len(writes):
            raise InvalidInput("writes", "each stream may be written once in an append")
    size = count = 0
    for write in writes:
        size += _validated_size(write)
        count += len(write.events)
    if count > MAX_APPEND_EVENTS:
        raise LimitExceeded("writes", limit=MAX_APPEND_EVENTS, unit="events an append")
    if size > MAX_APPEND_BYTES:
        raise LimitExceeded("writes", limit=MAX_APPEND_BYTES, unit="bytes an append")
    return size


def _validated_size(write: Write) -> int:
    check_name("stream", write.stream)
    if not isinstance(write.expected_version, AnyVersion):
        check_version("expected_version", write.expected_version)
    if not write.events:
        raise InvalidInput("events", "a write needs at least one event")
    size = 0
    for event in write.events:
        _check_type(event.type)
        if event.tags:
            if len(event.tags) > MAX_TAGS:
                raise LimitExceeded("tags", limit=MAX_TAGS, unit="tags an event")
            for tag in event.tags:
                check_name("tag", tag)
        length = len(event.data)
        if length > MAX_EVENT_BYTES:
            raise LimitExceeded("event", limit=MAX_EVENT_BYTES, unit="bytes an event")
        size += length
    return size


@lru_cache(maxsize=4096)
def _check_type(name: str) -> None:
    """There are few types, and every event has one."""
    check_name("type", name)


def _validate_record(record: CommandRecord, tenant: str) -> None:
    check_key(record.key)
    if record.key.tenant != tenant:
        raise InvalidInput("command.tenant", "must be the tenant of the append")
    for stream, version in record.streams:
        check_name("command.stream", stream)
        check_version("command.version", version)
