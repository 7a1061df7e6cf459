"""`Mark`: up to where all is done, while events are handled out of order."""

from collections import deque

from diptych.store.contract import Point


class Mark:
    """The point of a cursor that may be saved: never beyond an event that is not done.

    `point` is where it stands; `handled` counts what was done, `waiting` is what has begun and was
    not.
    """

    def __init__(self, point: Point) -> None:
        self.point, self.handled = point, 0
        self._begun: deque[Point] = deque()
        self._done: set[int] = set()
        self._scanned = point

    @property
    def waiting(self) -> int:
        return len(self._begun) - len(self._done)

    def begin(self, point: Point) -> None:
        """The event there is to be done; it comes behind all that have begun."""
        self._begun.append(point)

    def passed(self, scanned: Point) -> None:
        """Up to `scanned` there is nothing but what has begun."""
        self._scanned = scanned
        self._move()

    def done(self, position: int) -> None:
        self._done.add(position)
        self.handled += 1
        self._move()

    def _move(self) -> None:
        while self._begun and self._begun[0].position in self._done:
            self.point = self._begun.popleft()
            self._done.discard(self.point.position)
        if not self._begun and self._scanned.position > self.point.position:
            self.point = self._scanned
