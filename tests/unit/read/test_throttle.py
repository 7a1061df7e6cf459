"""The throttle of a rebuild: what it takes, and what it leaves to live work."""

from diptych.read.pace import MOST
from diptych.read.throttle import Throttle


def test_nothing_is_left_to_nobody() -> None:
    throttle = Throttle()
    assert throttle.due(head=100, worked=0.05, now=0.0) == 0.0
    assert throttle.due(head=100, worked=0.05, now=0.1) == 0.0


def test_as_long_as_the_log_moves_half_of_the_time_is_left_to_live_work() -> None:
    throttle = Throttle()
    throttle.due(head=100, worked=0.05, now=0.0)
    assert throttle.due(head=101, worked=0.05, now=0.1) == 0.05
    assert throttle.due(head=101, worked=0.2, now=1.0) == 0.2
    assert throttle.due(head=101, worked=0.05, now=1.2) == 0.0


def test_a_pause_is_long_enough_for_whoever_asks_for_the_lock_now_and_then() -> None:
    throttle = Throttle()
    throttle.due(head=100, worked=0.05, now=0.0)
    assert throttle.due(head=101, worked=0.001, now=0.1) == 0.02


def test_transactions_take_five_to_fifteen_milliseconds() -> None:
    throttle = Throttle()
    before = throttle.limit
    throttle.wrote(before, seconds=0.016)
    assert throttle.limit == before // 2
    throttle.wrote(before // 2, seconds=0.006)
    assert throttle.limit == before // 2
    throttle.wrote(before // 2, seconds=0.004)
    assert throttle.limit == before


def test_at_full_speed_pages_are_large_and_nothing_is_left() -> None:
    throttle = Throttle(full_speed=True)
    throttle.due(head=100, worked=0.05, now=0.0)
    assert throttle.due(head=101, worked=0.05, now=0.1) == 0.0
    throttle.wrote(MOST, seconds=1.0)
    assert throttle.limit == MOST
