"""The clauses of a history that are about what readers, subscribers and queries were shown."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from tests.history.records import History, Latest, Truth


def prefix(history: History, truth: Truth) -> Iterator[str]:
    """A stream that is read is the beginning of what it is at the end."""
    for each in history.loadings:
        events = truth.streams[each.stream][: len(each.seen)]
        if tuple(event.event_id for event in events) != each.seen:
            yield f"{each.stream} was shown to be {each.seen}"


def fresh(history: History, truth: Truth) -> Iterator[str]:
    """It has all that was acknowledged before the reading began."""
    for each in history.loadings:
        wanted = truth.acknowledged[each.stream].before(each.began)
        if len(each.seen) < wanted:
            yield f"{each.stream} was shown up to {len(each.seen)}, not {wanted}"


def shrinking(history: History, _: Truth) -> Iterator[str]:
    """It has all that was shown to anybody before the reading began."""
    shown = defaultdict(list)
    for each in history.loadings:
        shown[each.stream].append((each.ended, len(each.seen)))
    latest = {stream: Latest(known) for stream, known in shown.items()}
    for each in history.loadings:
        wanted = latest[each.stream].before(each.began)
        if len(each.seen) < wanted:
            yield f"{each.stream} was shown up to {len(each.seen)}, after {wanted}"


def early(history: History, truth: Truth) -> Iterator[str]:
    """Nobody is shown what nobody has asked for yet."""
    shown = [(each.ended, event) for each in history.loadings for event in each.seen]
    shown += [(each.ended, event) for each in history.pagings for _, event in each.seen]
    shown += [(moment, event) for each in history.followings for _, event, moment in each.seen]
    for moment, event in shown:
        if truth.began.get(event, moment) > moment:
            yield f"{event} was shown before it was asked for"


def pages(history: History, truth: Truth) -> Iterator[str]:
    """A page of the log is what the log has there at the end."""
    places = [event.position for event in truth.log]
    for each in history.pagings:
        part = truth.log[bisect_right(places, each.after) : bisect_right(places, each.scanned)]
        if tuple((event.position, event.event_id) for event in part) != each.seen:
            yield f"the page behind {each.after} up to {each.scanned} was another"


def head(history: History, truth: Truth) -> Iterator[str]:
    """The head of the log is not before what was acknowledged before the reading began."""
    for each in history.pagings:
        wanted = truth.acknowledged_position.before(each.began)
        if each.head < wanted:
            yield f"the head was {each.head}, after {wanted} was acknowledged"


def skipped(history: History, truth: Truth) -> Iterator[str]:
    """A subscriber is shown every event up to the last one that it is shown."""
    for each in history.followings:
        shown = {event for _, event, _ in each.seen}
        last = max((position for position, _, _ in each.seen), default=0)
        missing = [e for e in truth.log if e.position < last and e.event_id not in shown]
        if missing:
            yield f"a subscriber was not shown {missing[0].event_id}"


def again(history: History, _: Truth) -> Iterator[str]:
    """A subscriber is shown each event once, in the order of positions."""
    for each in history.followings:
        for (before, _, _), (position, event, _) in pairwise(each.seen):
            if position <= before:
                yield f"a subscriber was shown {event}, at {position}, behind {before}"


def vanished(history: History, truth: Truth) -> Iterator[str]:
    """What a subscriber was shown is there at the end, at the same position."""
    there = {(event.position, event.event_id) for event in truth.log}
    for each in history.followings:
        for position, event, _ in each.seen:
            if (position, event) not in there:
                yield f"a subscriber was shown {event} at {position}, and it is not there"


def own_writes(history: History, _: Truth) -> Iterator[str]:
    """An answer is at least as new as the token that it was asked with."""
    for each in history.askings:
        if each.as_of < each.at_least:
            yield f"client {each.client} was answered as of {each.as_of}, not {each.at_least}"


def folded(history: History, truth: Truth) -> Iterator[str]:
    """An answer is what the log is at the position that it is of: each event applied once."""
    places = {
        stream: [event.position for event in events] for stream, events in truth.streams.items()
    }
    for each in history.askings:
        wanted = bisect_right(places.get(each.stream, []), each.as_of)
        if each.value != wanted:
            yield f"{each.stream} had {wanted} events at {each.as_of}, not {each.value}"


def unwritten(history: History, truth: Truth) -> Iterator[str]:
    """No answer is of a position that nobody can have reached yet."""
    asked = sorted((truth.began.get(e.event_id, 0.0), e.position) for e in truth.log)
    latest = Latest(asked)
    for each in history.askings:
        if each.as_of > latest.before(each.ended):
            yield f"client {each.client} was answered as of {each.as_of}, which is yet to come"


def sessions(history: History, _: Truth) -> Iterator[str]:
    """No client is given an older answer than the one before."""
    by_client = defaultdict(list)
    for each in history.askings:
        by_client[each.client].append(each)
    for asked in by_client.values():
        for before, each in pairwise(sorted(asked, key=lambda each: each.began)):
            if before.ended <= each.began and each.as_of < before.as_of:
                yield f"client {each.client} went back from {before.as_of} to {each.as_of}"
