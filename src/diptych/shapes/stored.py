"""`json_codec`: values as the JSON that we store, and back to equal values."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar, cast, overload

import msgspec

from diptych.errors import ConfigurationError
from diptych.shapes.exact import exact, is_suspect, ordered
from diptych.shapes.fields import is_model
from diptych.shapes.mirror import NATIVE, mirrors_of
from diptych.shapes.models import ModelCodec, dump_nested, load_nested
from diptych.shapes.refusals import refusal
from diptych.shapes.times import Timed, all_in_utc

T = TypeVar("T")

_ENCODER: Final = msgspec.json.Encoder(enc_hook=dump_nested)
_REFUSED: Final = (msgspec.MsgspecError, ValueError, RecursionError)


class JsonCodec(Protocol[T]):
    """Values of one type as JSON in UTF-8. What was encoded decodes to an equal value.

    A field holds what its type declares: of an object of a subclass, only what the declared class
    has. Times are stored in UTC.
    """

    def encode(self, value: T) -> bytes:
        """Raises: InvalidInput, LimitExceeded name the field that does not hold what its type
        says, or cannot be stored exactly (a naive time, NaN, a NUL or lone surrogate in text, an
        integer beyond 64 bits).
        """
        ...

    def canonical(self, value: T) -> bytes:
        """As `encode`, with sets and dicts in order: the same in every process, to be hashed.

        Only the sets in a pydantic model come as they are.
        """
        ...

    def decode(self, data: bytes) -> T:
        """Raises: InvalidInput, LimitExceeded name the first field that does not fit."""
        ...

    def read(self, data: bytes, /) -> T:
        """`decode` in a hurry: what does not fit raises anything."""
        ...


@overload
def json_codec(tp: type[T]) -> JsonCodec[T]: ...
@overload
def json_codec(tp: object) -> JsonCodec[Any]: ...
def json_codec(tp: Any) -> JsonCodec[Any]:
    """The codec of a class or annotation; made once.

    Raises: ConfigurationError names the field whose type cannot be stored exactly.
    """
    try:
        return _codecs[tp]
    except KeyError:
        codec = _codecs[tp] = _codec(tp)
        return codec
    except TypeError:  # some metadata in an annotation cannot be a key
        return _codec(tp)


_codecs: dict[Any, JsonCodec[Any]] = {}


class _MirrorCodec(Generic[T]):
    def __init__(self, tp: Any) -> None:
        mirrors = mirrors_of(tp, edge=False)
        self._mirror, self._timed = mirrors.root, mirrors.timed
        self._checked: Callable[[Any], Any] = partial(
            msgspec.convert, type=mirrors.root, from_attributes=True, builtin_types=NATIVE
        )
        self._lower = mirrors.lower if mirrors.choices else None
        self._lift = mirrors.lift if mirrors.choices else None
        self._read = decoder_of(mirrors.root if mirrors.choices else tp).decode
        self.read: Callable[[bytes], T] = self.decode if mirrors.choices else self._read
        self._reread = decoder_of(mirrors.root).decode if mirrors.unordered else None

    def encode(self, value: T) -> bytes:
        try:
            return settled(self._checked(self._lower(value) if self._lower else value), self._timed)
        except _REFUSED as error:
            raise refusal(error, self._mirror, root="value") from None

    def canonical(self, value: T) -> bytes:
        data = self.encode(value)
        return _ENCODER.encode(ordered(self._reread(data))) if self._reread else data

    def decode(self, data: bytes) -> T:
        try:
            read = self._read(data)
            return cast("T", self._lift(read) if self._lift else read)
        except (*_REFUSED, TypeError) as error:
            raise refusal(error, self._mirror, root="value") from None


def settled(mirror: Any, timed: Timed) -> bytes:
    """A checked mirror as JSON, after the last doubts about its text, decimals and times.

    Raises: InvalidInput, or what msgspec raises.
    """
    try:
        data = _ENCODER.encode(mirror)
    except UnicodeEncodeError:
        data = b"\\u0000"  # suspect: the search for the culprit names the field
    if is_suspect(data) or not all_in_utc(mirror, timed):
        return _ENCODER.encode(exact(mirror))
    return data


def decoder_of(
    tp: Any, hook: Callable[[type, Any], object] = load_nested
) -> msgspec.json.Decoder[Any]:
    """Raises: ConfigurationError for what msgspec alone finds wrong with a type."""
    try:
        return msgspec.json.Decoder(tp, dec_hook=hook)
    except (TypeError, NameError) as error:
        raise ConfigurationError(f"{tp} cannot be stored: {error}") from None


def _codec(tp: Any) -> JsonCodec[Any]:
    return ModelCodec(tp) if is_model(tp) else _MirrorCodec(tp)
