"""`Primary`: of several servers that all let themselves be written to, the newest is the one."""

from diptych.postgres_library.primary import Primary


class FakeConnection:
    """A connection to a server that says `timeline`, or has no such function."""

    def __init__(self, timeline: str | None) -> None:
        self._timeline = timeline
        self.ended = False

    async def fetchval(self, query: str) -> str:
        if self._timeline is None:
            raise ValueError("no such function")
        return self._timeline

    def terminate(self) -> None:
        self.ended = True


async def accepted(primary: Primary, connection: FakeConnection) -> bool:
    return await primary.accepts(connection)  # type: ignore[arg-type]


async def test_a_newer_primary_ends_the_connections_to_the_older_one() -> None:
    primary, older, newer = Primary(), FakeConnection("0000000F"), FakeConnection("00000010")
    assert await accepted(primary, older)
    assert await accepted(primary, newer)
    assert (older.ended, newer.ended) == (True, False)


async def test_an_older_primary_is_refused_once_a_newer_one_was_met() -> None:
    primary, newer = Primary(), FakeConnection("00000003")
    assert await accepted(primary, newer)
    assert not await accepted(primary, FakeConnection("00000002"))
    assert not newer.ended


async def test_connections_to_the_same_primary_do_not_end_each_other() -> None:
    primary, one, other = Primary(), FakeConnection("00000003"), FakeConnection("00000003")
    assert await accepted(primary, one)
    assert await accepted(primary, other)
    assert [one.ended, other.ended] == [False, False]


async def test_a_server_that_does_not_tell_is_accepted_and_changes_nothing() -> None:
    primary, known, silent = Primary(), FakeConnection("00000003"), FakeConnection(None)
    assert await accepted(primary, known)
    assert await accepted(primary, silent)
    assert [known.ended, silent.ended] == [False, False]
