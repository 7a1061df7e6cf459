"""The machine's clock and ids."""

import time
from datetime import UTC

from diptych.clock import SystemClock, uuid7


def test_the_time_is_aware_and_in_utc() -> None:
    assert SystemClock().now().tzinfo is UTC


def test_ids_are_version_7_unique_and_made_now() -> None:
    before = time.time_ns() // 1_000_000
    ids = [SystemClock().new_id() for _ in range(10_000)]
    after = time.time_ns() // 1_000_000
    assert len(set(ids)) == len(ids)
    assert {id_.version for id_ in ids} == {7}
    assert {id_.variant for id_ in ids} == {uuid7().variant} == {"specified in RFC 4122"}
    assert all(before <= id_.int >> 80 <= after for id_ in ids)


def test_jitter_is_a_part_of_one() -> None:
    assert all(0 <= SystemClock().jitter() < 1 for _ in range(100))
