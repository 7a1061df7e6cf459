"""A fair spread of slots: everything is taken, nobody is far ahead, and it comes to rest."""

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from diptych.read.database import Slot
from diptych.read.spread import share_of

Holders = dict[Slot, str | None]
Knows = Mapping[str, frozenset[int]]


def slots(number: int, revision: int = 1) -> list[Slot]:
    return [Slot(f"view{index:02}", revision) for index in range(number)]


def everybody_acts(holders: Holders, knows: Knows) -> Holders:
    """Each in turn does its share, as it sees the others then."""
    found = dict(holders)
    for worker in knows:
        share = share_of(worker, found, knows)
        for slot in share.give:
            found[slot] = None
        for slot in share.take:
            assert found[slot] not in knows
            found[slot] = worker
    return found


def at_rest(holders: Holders, knows: Knows) -> Holders:
    before, after = holders, everybody_acts(holders, knows)
    for _ in range(100):
        if before == after:
            return after
        before, after = after, everybody_acts(after, knows)
    raise AssertionError("it never comes to rest")


def test_who_is_alone_takes_everything() -> None:
    holders: Holders = dict.fromkeys(slots(5))
    share = share_of("a", holders, {"a": frozenset({1})})
    assert share.take == tuple(slots(5))
    assert share.give == ()


def test_what_a_dead_worker_held_is_free() -> None:
    holders: Holders = dict.fromkeys(slots(2), "dead")
    assert share_of("a", holders, {"a": frozenset({1})}).take == tuple(slots(2))


def test_a_newcomer_is_given_its_share() -> None:
    knows = {"a": frozenset({1}), "b": frozenset({1})}
    holders: Holders = dict.fromkeys(slots(5), "a")
    assert share_of("a", holders, knows).give == (slots(5)[4], slots(5)[3])
    assert Counter(at_rest(holders, knows).values()) == {"a": 3, "b": 2}


def test_one_slot_is_not_handed_to_and_fro() -> None:
    knows = {"a": frozenset({1}), "b": frozenset({1})}
    holders: Holders = {slots(1)[0]: "b"}
    assert at_rest(holders, knows) == holders


def test_what_one_does_not_know_is_left_alone() -> None:
    knows = {"old": frozenset({1}), "new": frozenset({2})}
    holders: Holders = dict.fromkeys([*slots(3, revision=1), *slots(1, revision=2)])
    assert share_of("new", holders, knows).take == tuple(slots(1, revision=2))
    rest = at_rest(holders, knows)
    assert {rest[slot] for slot in slots(3, revision=1)} == {"old"}


def test_what_nobody_knows_stays_free() -> None:
    holders: Holders = dict.fromkeys(slots(2, revision=7))
    assert at_rest(holders, {"a": frozenset({1})}) == holders


def test_two_that_look_at_once_do_not_take_the_same() -> None:
    knows = {"a": frozenset({1}), "b": frozenset({1})}
    holders: Holders = dict.fromkeys(slots(5))
    taken = [share_of(worker, holders, knows).take for worker in knows]
    assert sorted([*taken[0], *taken[1]]) == slots(5)


@given(
    st.dictionaries(st.sampled_from("abcde"), st.frozensets(st.integers(1, 3)), min_size=1),
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from(["a", "b", "c", "dead", None]))),
)
def test_it_always_comes_to_rest_with_everything_taken_and_nobody_two_ahead(
    knows: Knows, given_holders: list[tuple[int, str | None]]
) -> None:
    holders: Holders = {
        Slot(f"view{index}", revision): holder
        if holder not in knows or revision in knows[holder]
        else None
        for index, (revision, holder) in enumerate(given_holders)
    }
    rest = at_rest(holders, knows)
    load = Counter(holder for holder in rest.values() if holder in knows)
    for slot, holder in rest.items():
        able = [each for each in knows if slot.revision in knows[each]]
        assert (holder in able) or not able
        if holder in knows:
            assert load[holder] <= min(load[each] for each in able) + 1


def test_workers_that_know_all_differ_by_one_at_most() -> None:
    everything = frozenset({1})
    knows = dict.fromkeys("abcd", everything)
    holders: Holders = dict.fromkeys(slots(10), "a")
    counts = sorted(Counter(at_rest(holders, knows).values()).values())
    assert all(more - less <= 1 for less, more in pairwise(counts))
    assert len(counts) == 4
