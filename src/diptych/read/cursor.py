"""Cursors: where a page ended, bound to the query that made it."""

import base64
import binascii
from hashlib import blake2b
from types import GenericAlias
from typing import Any, Final

import msgspec

from diptych.errors import InvalidCursor

_CHECK_BYTES: Final = 12
_MAX_PAGE: Final = 2**53


def encode_cursor(binding: object, *, page: int, values: list[object]) -> str:
    """Opaque text for page number `page`, which begins after the row with these values.

    `binding` is all that the query depends on. The checksum finds cursors that were changed or
    belong elsewhere; it is no signature, because a cursor grants nothing.
    """
    body = msgspec.msgpack.encode([page, *values])
    return base64.urlsafe_b64encode(body + _check(body, binding)).decode().rstrip("=")


def decode_cursor(text: str, binding: object, *, types: list[Any]) -> tuple[int, list[Any]]:
    """Page number and values, of these types.

    Raises: InvalidCursor, whatever is wrong with the text.
    """
    try:
        padded = text + "=" * (-len(text) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
        body, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
        if check != _check(body, binding):
            raise InvalidCursor
        page, *values = msgspec.msgpack.decode(body, type=GenericAlias(tuple, (int, *types)))
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise InvalidCursor from None
    if not 1 <= page <= _MAX_PAGE:
        raise InvalidCursor
    return page, values


def _check(body: bytes, binding: object) -> bytes:
    bound = msgspec.msgpack.encode(binding)
    digest = blake2b(
        body, digest_size=_CHECK_BYTES, key=blake2b(bound).digest(), person=b"diptych-cursor"
    )
    return digest.digest()
