"""`Shown`: what OpenAPI says of a field that is checked elsewhere."""

from dataclasses import dataclass, fields
from typing import Final

from msgspec import Meta

SHOWN: Final = "x-shown"
"""Where it stands in a schema at first: msgspec would let our own, wider limits overwrite it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Limits that `decide` holds commands to, for OpenAPI: `Annotated[int, Shown(minimum=1)]`.

    It tells and checks nothing. So types that events share may carry it: a limit that is lowered
    later makes no stored event unreadable, as msgspec's `Meta` would.
    """

    minimum: int | None = None
    maximum: int | None = None
    min_length: int | None = None
    max_length: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    pattern: str | None = None
    description: str | None = None

    @property
    def meta(self) -> Meta:
        """For msgspec, which knows keywords of JSON Schema."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        told = {_keyword(name): value for name, value in given.items() if value is not None}
        return Meta(extra_json_schema={SHOWN: told})


def _keyword(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))
