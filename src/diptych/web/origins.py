"""`Origins`: whose pages may have a browser change something here.

A browser may send the cookies of its user with requests that pages of other sites begin, and any
page may begin one without a body, such as `POST /orders/{order_id}/ship`. So what may change
something is refused unless a page of this service begins it: `Sec-Fetch-Site` tells, which browsers
send to https and to their own machine, and `Origin` elsewhere. Programs send neither of them.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from diptych.errors import ConfigurationError, Rejected

_SAFE: Final = frozenset(["GET", "HEAD", "OPTIONS"])
_OWN: Final = frozenset([b"same-origin", b"none"])  # none: the user did it, and no page
_PATTERN: Final = re.compile(r"https?://([A-Za-z0-9._\-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


class CrossSiteRequest(Rejected):
    """403: a page of another site would have a browser change something."""

    def __init__(self) -> None:
        super().__init__("A page of another site made this request, and may change nothing here.")


class Origins:
    """Those of this service itself, by the `Host` of the request, and those that are trusted:
    `https://admin.shop.example`.

    Raises: ConfigurationError: one of them is no origin.
    """

    def __init__(self, trusted: Sequence[str] = ()) -> None:
        for origin in trusted:
            if not _PATTERN.fullmatch(origin):
                raise ConfigurationError(f"origins= has {origin!r}: write https://shop.example")
        self._trusted = frozenset(origin.lower().encode() for origin in trusted)

    def check(self, method: str, headers: Mapping[bytes, bytes]) -> None:
        """Raises: CrossSiteRequest."""
        if method in _SAFE:
            return
        origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site")
        if origin is not None and origin.lower() in self._trusted:
            return
        if site is not None:
            own = site in _OWN
        else:
            host = headers.get(b"host", b"localhost").lower()
            own = origin is None or origin.lower().partition(b"://")[2] == host
        if not own:
            raise CrossSiteRequest
