"""What is answered: JSON by msgspec, sent as it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec
from starlette.responses import Response
from starlette.types import Send

from diptych.shapes.fields import Model

RawHeaders = tuple[tuple[bytes, bytes], ...]

_JSON: Final = (b"content-type", b"application/json")


def _dump_model(value: object) -> object:
    """msgspec's hook for pydantic models."""
    if not isinstance(value, Model):
        raise NotImplementedError(f"{type(value).__qualname__} cannot be answered as JSON")
    return msgspec.Raw(value.model_dump_json(by_alias=True).encode())


encoded: Final = msgspec.json.Encoder(enc_hook=_dump_model).encode
"""JSON in one line: decimals are strings, times UTC, ids and enums their text."""


class Sendable(Protocol):
    """What an endpoint has found, ready to be sent. Nothing of it is sent yet."""

    async def send(self, send: Send) -> None: ...


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is complete."""

    status: int
    headers: RawHeaders
    body: bytes = b""

    async def send(self, send: Send) -> None:
        headers = list(self.headers)
        if self.status != 204:
            headers.append((b"content-length", b"%d" % len(self.body)))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def json_reply(body: Any, *, status: int, headers: RawHeaders) -> Reply:
    """JSON: decimals are strings, times UTC, ids and enums their text."""
    return Reply(status, (*headers, _JSON), encoded(body))


def json_response(
    body: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """The same for FastAPI."""
    return Response(encoded(body), status, headers, media_type="application/json")
