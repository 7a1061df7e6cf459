"""The clauses of a history that are about the log, and what was appended to it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from tests.history.records import History, Outcome, Stored, Truth


def positions(_: History, truth: Truth) -> Iterator[str]:
    """They increase."""
    for before, event in pairwise(truth.log):
        if event.position <= before.position:
            yield f"{event.position} stands behind {before.position}"


def versions(_: History, truth: Truth) -> Iterator[str]:
    """Those of a stream are 1, 2, 3 and so on, in the order of the log."""
    for stream, events in truth.streams.items():
        if [event.version for event in events] != list(range(1, len(events) + 1)):
            yield f"{stream} has {[event.version for event in events]}"


def clock(_: History, truth: Truth) -> Iterator[str]:
    """Time does not run backwards from one position to the next."""
    for before, event in pairwise(truth.log):
        if event.recorded_at < before.recorded_at:
            yield f"at {event.position} it is earlier than before"


def strangers(_: History, truth: Truth) -> Iterator[str]:
    """Somebody asked for each event."""
    for event in truth.log:
        if event.event_id not in truth.began:
            yield f"nobody asked for {event.event_id}, at {event.position}"


def twice(_: History, truth: Truth) -> Iterator[str]:
    """Each event is there once, however often it was sent."""
    for event_id, found in truth.there.items():
        if len(found) > 1:
            yield f"{event_id} is at {[event.position for event in found]}"


def lost(_: History, truth: Truth) -> Iterator[str]:
    """What was acknowledged is there."""
    for command in truth.commands:
        if command.done and command.events and not truth.found(command):
            yield f"{command.name} was acknowledged"


def refused(_: History, truth: Truth) -> Iterator[str]:
    """What was refused is not there."""
    for command in truth.commands:
        if command.refused and truth.found(command):
            yield f"{command.name} was refused"


def parts(_: History, truth: Truth) -> Iterator[str]:
    """An append is there as a whole, or not at all."""
    for command in truth.commands:
        if truth.found(command) and not truth.is_whole(command):
            yield f"{command.name} is there in part"


def together(_: History, truth: Truth) -> Iterator[str]:
    """The events of an append stand together, in the order in which they were given."""
    rank = {event.position: number for number, event in enumerate(truth.log)}
    for command in truth.commands:
        ranks = [rank[event.position] for event in truth.found(command)]
        if truth.is_whole(command) and any(b - a != 1 for a, b in pairwise(ranks)):
            yield f"{command.name} is scattered"


def content(_: History, truth: Truth) -> Iterator[str]:
    """An event is as it was given."""
    for command in truth.commands:
        given = {each.event_id: (each.stream, each.content) for each in command.events}
        for event in truth.found(command):
            if given[event.event_id] != (event.stream, event.content):
                yield f"{event.event_id} is not what was given"


def places(_: History, truth: Truth) -> Iterator[str]:
    """An acknowledgement says where the events are."""
    for command in truth.commands:
        found = truth.found(command)
        if not command.done or not found or not truth.is_whole(command):
            continue
        ends = {event.stream: event.version for event in found}
        first = command.done[0]
        if (first.position, dict(first.versions)) != (found[-1].position, ends):
            yield f"{command.name} was said to be at {first.position}, {first.versions}"


def repeats(_: History, truth: Truth) -> Iterator[str]:
    """An append that is sent again is answered as it was at first."""
    for command in truth.commands:
        answers = {(each.position, each.versions) for each in command.done}
        if len(answers) > 1:
            yield f"{command.name} was answered in {len(answers)} ways"


def expected(_: History, truth: Truth) -> Iterator[str]:
    """A stream was at its expected version when it was appended to."""
    for command in truth.commands:
        first = _first_versions(truth.found(command))
        for stream, version in command.expected:
            if stream in first and first[stream] != version + 1:
                yield f"{command.name} expected {stream} at {version}, and is at {first[stream]}"


def unjust(history: History, truth: Truth) -> Iterator[str]:
    """Who was refused met a stream that was not at its expected version at some moment between."""
    for each in history.appendings:
        if each.outcome is Outcome.REFUSED and all(
            truth.acknowledged[stream].before(each.began) == version
            and not _may_have_moved(truth, stream, version, each.ended)
            for stream, version in each.expected
        ):
            yield f"{each.command} was refused, and every stream was where it was expected"


def order(_: History, truth: Truth) -> Iterator[str]:
    """What was acknowledged before another append began stands before it."""
    for command in truth.commands:
        found = truth.found(command)
        if found and found[0].position < truth.acknowledged_position.before(command.began):
            yield f"{command.name} stands before what was acknowledged before it began"


def _first_versions(found: Sequence[Stored]) -> dict[str, int]:
    by_stream = defaultdict(list)
    for event in found:
        by_stream[event.stream].append(event.version)
    return {stream: min(versions_) for stream, versions_ in by_stream.items()}


def _may_have_moved(truth: Truth, stream: str, version: int, moment: float) -> bool:
    """Whether the event behind `version` had been asked for."""
    behind = truth.streams[stream][version : version + 1]
    return any(truth.began.get(event.event_id, 0.0) < moment for event in behind)
