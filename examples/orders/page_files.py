"""Serves the page: the files of the folder `page`, as they are, under a policy for browsers."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

FOLDER: Final = Path(__file__).with_name("page")
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Only what comes from here runs; no text becomes a script, a style or markup; nobody frames it."""


@dataclass(frozen=True, slots=True)
class File:
    """One file, read once. A browser keeps it, and asks each time whether it is still the same."""

    content: bytes
    headers: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> "File":
        content = path.read_bytes()
        headers = {
            "Content-Type": TYPES[path.suffix],
            "ETag": f'"{sha256(content).hexdigest()[:32]}"',
            "Cache-Control": "private, no-cache",
            "Content-Security-Policy": POLICY,
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        return cls(content, headers)

    async def answer(self, request: Request) -> Response:
        known = request.headers.get("if-none-match", "").split(",")
        if any(each.strip().removeprefix("W/") in ("*", self.headers["ETag"]) for each in known):
            return Response(status_code=304, headers=self.headers)
        return Response(self.content, headers=self.headers)


def add_page(api: FastAPI) -> None:
    """`GET /` is the page, `GET /page/…` what it is made of: these names and no others."""
    for path in sorted(FOLDER.iterdir()):
        if path.suffix in TYPES:
            where = "/" if path.name == "index.html" else f"/page/{path.name}"
            api.add_route(where, File.read(path).answer, include_in_schema=False)
