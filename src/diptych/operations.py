"""`Operations`: what an operator does with a running system; `app.operations`."""

from diptych.read.side import ReadSide


class Operations:
    """Needs an open application; it may be one that does not project itself (`project=False`).

    Everything here works beside any number of other processes on the same databases.
    """

    def __init__(self, read: ReadSide) -> None:
        self._read = read
