"""Tokens: opaque proof that a client has seen the log up to a position."""

import base64
import binascii
import struct
from dataclasses import dataclass
from hashlib import blake2b
from uuid import UUID

from diptych.errors import InvalidToken

_LAYOUT = struct.Struct(">16sQ16s")
_CHECK_BYTES = 8  # 48 bytes in all: base64 without padding
_NO_EVENT = UUID(int=0)
_LAST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Token:
    """At least this position of this log.

    `event_id` is the event there: if the log is restored from a backup and grows again, the same
    position holds another event and the token is refused instead of believed. Tokens order reads,
    they grant nothing: the checksum finds accidents and guesses, it is no signature.
    """

    log_id: UUID
    position: int
    event_id: UUID | None = None

    def __str__(self) -> str:
        event_id = self.event_id or _NO_EVENT
        return _text(_LAYOUT.pack(self.log_id.bytes, self.position, event_id.bytes))

    @classmethod
    def parse(cls, text: str) -> "Token":
        """Raises: InvalidToken, whatever is wrong with the text."""
        try:
            body = base64.urlsafe_b64decode(text)[: _LAYOUT.size]
        except (binascii.Error, ValueError):
            raise InvalidToken from None
        if len(body) != _LAYOUT.size or _text(body) != text:
            raise InvalidToken
        log, position, event = _LAYOUT.unpack(body)
        if position > _LAST:
            raise InvalidToken
        event_id = UUID(bytes=event)
        return cls(UUID(bytes=log), position, None if event_id == _NO_EVENT else event_id)


def _text(body: bytes) -> str:
    check = blake2b(body, digest_size=_CHECK_BYTES, person=b"diptych-token").digest()
    return base64.urlsafe_b64encode(body + check).decode()
