"""`Targets`: which revision each view of this code is projected into; follows the registry."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from diptych.read.database import Wanted
from diptych.read.model import ReadModel
from diptych.read.revision import Registered, Target


@dataclass(frozen=True, slots=True)
class Retargeted:
    """A view whose revision was replaced by another of the same fingerprint."""

    before: Target
    now: Target


class Targets:
    """Those of one process, by the name of the view.

    `registered` is what the registry says of them. A view that is built by command is projected
    only once it serves.
    """

    def __init__(self, targets: Iterable[Target]) -> None:
        self.by_name = {target.model.name: target for target in targets}
        self._waiting = {name for name, each in self.by_name.items() if _by_command(each.model)}

    @property
    def revisions(self) -> frozenset[int]:
        """Those that may be projected here."""
        known = self.by_name.items()
        return frozenset(each.revision for name, each in known if name not in self._waiting)

    def not_beyond(self, head: int) -> None:
        """Let no view have to be further than the log is."""
        for name, each in self.by_name.items():
            if each.serves_from > head:
                self.by_name[name] = replace(each, serves_from=head)

    def follow(self, registry: Mapping[Wanted, Registered]) -> Sequence[Retargeted]:
        """Aim at what is registered now; what has changed by that."""
        changed: list[Retargeted] = []
        for name, before in self.by_name.items():
            found = registry.get(before.model.wanted)
            if found is None:
                continue
            if found.serving:
                self._waiting.discard(name)
            now = before.at(found.revision)
            if now is not before:
                self.by_name[name] = now
                changed.append(Retargeted(before, now))
        return changed


def _by_command(model: ReadModel) -> bool:
    return model.rebuild != "auto"
