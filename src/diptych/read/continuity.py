"""Continuity: what the log delivers must follow on what was delivered before.

A store that skips an event, or delivers one twice, would make views wrong without anybody
noticing. As far as it can be told from a page it is: positions rise and lie where the page was
asked for, and without a filter on a dense log none is left out. With a filter, as views read, a
hole cannot be seen in the positions; but a filter by category takes whole streams, and the versions
of a stream have no holes inside a page. A row whose key is that of its stream knows the version
that it has seen last: what comes must be beyond it. It need not be the next one, since a stream may
have events for other keys.

Nothing of such a page is applied. It is read again some times, and then the view stops.
"""

from collections.abc import Sequence
from operator import lt
from typing import Final

from diptych.errors import DeliveryGap
from diptych.messages import RecordedEvent
from diptych.store.contract import LogPage

_NOT_AFTER: Final = "an event came that is not after those before"
_BEYOND: Final = "an event came from beyond the end of the page"
_LEFT_OUT: Final = "an event is left out"
_VERSION: Final = "the event of a stream does not follow on its last one"


def require_page(page: LogPage, *, after: int, view: str, complete: bool = False) -> None:
    """`complete`: nothing was filtered, and the log is dense.

    Raises: DeliveryGap.
    """
    positions = [event.position for event in page.events]
    end = page.scanned.position
    if end < after:
        raise DeliveryGap(view, position=end, problem=_NOT_AFTER)
    if positions and not (positions[0] > after and all(map(lt, positions, positions[1:]))):
        raise DeliveryGap(view, position=_first_wrong(positions, after), problem=_NOT_AFTER)
    if positions and positions[-1] > end:
        raise DeliveryGap(view, position=positions[-1], problem=_BEYOND)
    if complete and len(positions) != end - after:
        missing = set(range(after + 1, end + 1)).difference(positions)
        raise DeliveryGap(view, position=min(missing), problem=_LEFT_OUT)
    _require_streams(page.events, view)


def require_beyond(event: RecordedEvent, version: int | None, *, view: str) -> None:
    """`version` is what a row has seen last of the event's stream.

    Raises: DeliveryGap.
    """
    if version is not None and event.version <= version:
        raise DeliveryGap(view, position=event.position, problem=_VERSION)


def _require_streams(events: Sequence[RecordedEvent], view: str) -> None:
    versions: dict[tuple[str, str], int] = {}
    for event in events:
        stream = (event.tenant, event.stream)
        known = versions.get(stream)
        if known is not None and event.version != known + 1:
            raise DeliveryGap(view, position=event.position, problem=_VERSION)
        versions[stream] = event.version


def _first_wrong(positions: Sequence[int], after: int) -> int:
    for before, position in zip((after, *positions), positions, strict=False):
        if position <= before:
            return position
    return after
