"""`edge_decoder`: what strangers send, decoded strictly or refused with the field named."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

import msgspec

from diptych.errors import InvalidInput, LimitExceeded
from diptych.shapes.exact import exact, is_suspect
from diptych.shapes.fields import is_model
from diptych.shapes.mirror import mirrors_of
from diptych.shapes.models import (
    STRICT,
    Schema,
    check_nested,
    model_schema,
    nested_schema,
    validated,
)
from diptych.shapes.refusals import refusal
from diptych.shapes.shown import SHOWN
from diptych.shapes.stored import decoder_of, json_codec, settled
from diptych.shapes.times import all_in_utc

T = TypeVar("T")

MAX_DEPTH: Final = 64
_STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NOT_STRUCTURE: Final = bytes(byte for byte in range(256) if chr(byte) not in '"[]{}')
_NAME: Final = re.compile(r"[\w$.-]{1,64}")
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class EdgeDecoder(Generic[T]):
    """Decodes untrusted input to values of one type.

    Strict: no unknown, missing or repeated fields, no value of another JSON type, decimals as
    strings of at most 30 characters without exponent, times with a zone (they become UTC),
    integers of 64 bits, text without NUL, at most 64 levels. A field with a default may be left
    out. Errors name the field (`items.0.quantity`) and the limit, and never repeat a value.
    """

    def __init__(self, tp: Any) -> None:
        self._read: Callable[[bytes], T]
        if is_model(tp):
            self._type, self._read = tp, self._read_model
            fields: dict[str, Any] = getattr(tp, "model_fields", {})
            self._types = {field.alias or name: field.annotation for name, field in fields.items()}
        else:
            mirrors = mirrors_of(tp, edge=True)
            self._type, self._timed = mirrors.root, mirrors.timed
            # The defaults of choices come from the mirror; models are looked into when written
            self._plain = not (mirrors.choices or mirrors.models)
            self._codec = json_codec(tp)
            self._decoder = decoder_of(self._type, check_nested)
            self._read, self._types = self._read_mirror, _types_of(self._type)

    def decode(
        self,
        data: bytes,
        *,
        extra: Mapping[str, object] = _NOTHING,
        fill: Mapping[str, object] = _NOTHING,
    ) -> T:
        """The value in a JSON body, with `extra` fields from elsewhere (the path of a URL).

        Text in `extra` is converted to the type of its field. A body may repeat such a field with
        the same value, and may be empty if there are any. `fill` has values for fields that the
        body may leave out.

        Raises: InvalidInput, LimitExceeded.
        """
        check_depth(data)
        sent = b"" if data == b"{}" else data
        if extra or fill:
            data = self._merged(data or b"{}", extra, fill)
        elif not data:
            raise InvalidInput("body", "is empty; it must be JSON")
        try:
            value = self._read(data)
            if sent:
                _refuse_repeated_keys(sent)
            return value
        except (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError) as error:
            raise refusal(error, self._type, root="body") from None

    def decode_text(
        self,
        values: Mapping[str, str | Sequence[str]],
        *,
        extra: Mapping[str, object] = _NOTHING,
    ) -> T:
        """The value whose fields come as text, such as a query string; `extra` as in `decode`."""
        for name in values.keys() & extra.keys():
            if self._given(name, values[name]) != self._given(name, extra[name]):
                raise InvalidInput(name, "contradicts the value in the path")
        given: dict[str, object] = {**values, **extra}
        return self.decode(b"{}", extra=given)

    def schema(
        self,
        *,
        ref_template: str = "#/components/schemas/{name}",
        exclude: Collection[str] = (),
    ) -> tuple[Schema, dict[str, Schema]]:
        """The JSON Schema of what is accepted, and the components that it refers to.

        Fields in `exclude` are left out of it: those that come from elsewhere.
        """
        if is_model(self._type):
            whole, components = model_schema(self._type, ref_template)
        else:
            (whole,), components = msgspec.json.schema_components(
                [self._type], ref_template=ref_template, schema_hook=nested_schema
            )
            _show([whole, components])
        name = str(whole.get("$ref", "")).rpartition("/")[2]
        _leave_out(exclude, components.get(name, whole))
        return whole, components

    def _read_mirror(self, data: bytes) -> T:
        """Checked as its mirror, then read as what it is: mostly from what was sent."""
        mirror = self._decoder.decode(data)
        as_sent = self._plain and not is_suspect(data) and all_in_utc(mirror, self._timed)
        value: T = self._codec.decode(data if as_sent else settled(mirror, self._timed))
        return value

    def _read_model(self, data: bytes) -> T:
        msgspec.json.decode(data)
        value: Any = validated(self._type, data, root="body", **STRICT)
        exact(value)
        model: T = value
        return model

    def _merged(
        self, data: bytes, extra: Mapping[str, object], fill: Mapping[str, object]
    ) -> bytes:
        """The body with the extra fields at its end: so both are checked by the same code."""
        if not data.lstrip().startswith(b"{"):
            raise InvalidInput("body", "must be an object")
        try:
            body = {} if data == b"{}" else _FIELDS.decode(data)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise refusal(error, self._type, root="body") from None
        lacking = [(name, value) for name, value in fill.items() if name not in body]
        added = [_member(name, msgspec.json.encode(value)) for name, value in lacking]
        for name, value in extra.items():
            text = self._given(name, value)
            if name not in body:
                added.append(_member(name, text))
            elif self._contradicts(name, body[name], text):
                raise InvalidInput(name, "contradicts the value in the path")
        if not added:
            return data
        start = [data.rstrip()[:-1]] if body else [b"{"]
        return b",".join(start + added) + b"}" if body else b"{" + b",".join(added) + b"}"

    def _given(self, name: str, value: object) -> bytes:
        tp = self._types.get(name)
        if tp is None:
            raise InvalidInput(name, "is not a known field")
        try:
            plain = value if isinstance(value, str) else msgspec.to_builtins(value)
            return msgspec.json.encode(_lax(plain, tp))
        except (msgspec.ValidationError, UnicodeError) as error:
            refused = refusal(error, tp, root="")
            path = f"{name}.{refused.field}".removesuffix(".")
            raise InvalidInput(path, refused.problem) from None

    def _contradicts(self, name: str, value: msgspec.Raw, text: bytes) -> bool:
        tp = self._types[name]
        try:
            return bool(msgspec.json.decode(value, type=tp) != msgspec.json.decode(text, type=tp))
        except (msgspec.MsgspecError, UnicodeError):
            return False  # it is no value of its type, and the decoder will say why


def edge_decoder(tp: type[T]) -> EdgeDecoder[T]:
    """The decoder of a class; made once.

    Raises: ConfigurationError names the field whose type cannot be stored exactly.
    """
    found = _decoders.get(tp)
    if found is None:
        found = _decoders[tp] = EdgeDecoder(tp)
    return found


_decoders: dict[Any, EdgeDecoder[Any]] = {}


def check_depth(data: bytes) -> None:
    """Before anything parses it: the depth of a parser's stack must not be a stranger's choice.

    Raises: LimitExceeded.
    """
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return
    # Without escaped backslashes and quotes, every other part between quotes is inside a string.
    plain = data.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, _NOT_STRUCTURE)
    outside = b"".join(plain.split(b'"')[::2])
    if any(depth > MAX_DEPTH for depth in accumulate(map(_STEPS.__getitem__, outside))):
        raise LimitExceeded("body", limit=MAX_DEPTH, unit="levels of nesting")


def _unique(pairs: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise InvalidInput(key if _NAME.fullmatch(key) else "body", "is given twice")
        seen.add(key)


_NESTED: Final = frozenset([dict, list])
_REPEATS: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_int=str, parse_float=str)


def _refuse_repeated_keys(data: bytes) -> None:
    """msgspec takes the last of two equal keys; a proxy in front may have checked the first.

    Each key has a colon of its own: as many colons as different keys, and none is repeated.
    """
    try:
        found = msgspec.json.decode(data)
        if type(found) in _NESTED and data.count(b":") == _keys(found):
            return
    except msgspec.MsgspecError:
        pass  # a number that is too large, of which the types of the fields have an opinion
    _REPEATS.decode(data.decode())


def _keys(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(_keys(each) for each in value.values() if type(each) in _NESTED)
    return sum(_keys(each) for each in value if type(each) in _NESTED)


def _lax(value: Any, tp: Any) -> Any:
    """Text as the type says; numbers and booleans too, which JSON would not allow as strings."""
    try:
        return msgspec.convert(value, tp)
    except msgspec.ValidationError:
        found = msgspec.convert(value, tp, strict=False)
        if isinstance(found, datetime | timedelta):  # from seconds; nobody means that
            raise
        return found


def _types_of(mirror: Any) -> dict[str, Any]:
    if not (isinstance(mirror, type) and issubclass(mirror, msgspec.Struct)):
        return {}
    return {field.encode_name: field.type for field in msgspec.structs.fields(mirror)}


def _show(schema: Any) -> None:
    """Let what is `Shown` win over our limits, which are only wider."""
    if isinstance(schema, dict):
        schema.update(schema.pop(SHOWN, {}))
    if type(schema) in _NESTED:
        for each in schema.values() if isinstance(schema, dict) else schema:
            _show(each)


def _member(name: str, value: bytes) -> bytes:
    return msgspec.json.encode(name) + b":" + value


def _leave_out(names: Collection[str], schema: Schema) -> None:
    for name in names:
        schema.get("properties", {}).pop(name, None)
    if "required" in schema:
        schema["required"] = [name for name in schema["required"] if name not in names]
