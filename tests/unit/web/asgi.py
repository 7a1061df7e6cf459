"""A few lines of ASGI, to drive applications with requests that no client library would send."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Scope

RawHeaders = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def problem(self) -> str:
        """The code of a problem; fails if this is none."""
        assert self.headers["content-type"] == "application/problem+json"
        assert self.json["status"] == self.status
        code: str = self.json["type"]
        return code.removeprefix("urn:problem:")


def scope_of(
    method: str, path: str, headers: RawHeaders = (), raw_path: bytes | None = None
) -> Scope:
    path, _, query = path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": raw_path or path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"localhost"), *headers],
        "server": ("localhost", 80),
        "client": ("127.0.0.1", 1),
    }


async def call(app: ASGIApp, scope: Scope, chunks: Iterable[bytes] = ()) -> Reply:
    """One request. The body arrives in `chunks`; after them the client waits."""
    waiting = list(chunks) or [b""]
    sent: list[Message] = []

    async def receive() -> Message:
        if not waiting:
            return {"type": "http.disconnect"}
        body = waiting.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    head = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Reply(sent[0]["status"], head, body)
