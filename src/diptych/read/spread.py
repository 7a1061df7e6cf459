"""Who should project what: a fair spread of slots over the workers that can project them."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from diptych.read.database import Slot


@dataclass(frozen=True, slots=True)
class Share:
    """What a worker should do: begin to project `take`, and let others have `give`."""

    take: tuple[Slot, ...]
    give: tuple[Slot, ...]


def share_of(
    worker: str, holders: Mapping[Slot, str | None], knows: Mapping[str, AbstractSet[int]]
) -> Share:
    """The share of one of the workers that are alive: those in `knows`, with their revisions.

    Each free slot goes to whoever knows it and has the least; all workers work that out alike, so
    each takes its own only. Whoever has two more than another who knows a slot gives it back.
    That ends with nobody more than one apart, and then nothing moves any more.
    """
    load = dict.fromkeys(knows, 0)
    for holder in holders.values():
        if holder in load:
            load[holder] += 1
    take = [slot for slot in sorted(holders) if holders[slot] not in load]
    take = [slot for slot in take if _assign(slot, load, knows) == worker]
    mine = sorted((slot for slot in holders if holders[slot] == worker), reverse=True)
    give = [slot for slot in mine if _hand_on(slot, worker, load, knows)]
    return Share(tuple(take), tuple(give))


def _assign(slot: Slot, load: dict[str, int], knows: Mapping[str, AbstractSet[int]]) -> str | None:
    able = [each for each in knows if slot.revision in knows[each]]
    if not able:
        return None
    least = min(able, key=lambda each: (load[each], each))
    load[least] += 1
    return least


def _hand_on(
    slot: Slot, worker: str, load: dict[str, int], knows: Mapping[str, AbstractSet[int]]
) -> bool:
    able = [each for each in knows if slot.revision in knows[each]]
    least = min(able, key=lambda each: (load[each], each), default=worker)
    if load[least] + 1 >= load[worker]:
        return False
    load[worker] -= 1
    load[least] += 1
    return True
