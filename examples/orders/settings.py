"""Where and how the order service runs, as the environment says it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MOST_WORKERS: Final = 64
LOCAL: Final = ("127.0.0.1", "localhost", "[::1]")
"""Were any name answered, one of somebody else's could lead here, and its pages could act here."""
_HOST: Final = re.compile(r"(\*\.)?[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")


@dataclass(frozen=True, slots=True)
class Settings:
    """`workers` is how many processes answer; `project` whether they build the views as well.

    `outbox` is the folder for confirmations of orders; None: nobody gets any. `hosts` are the names
    that requests may be for.
    """

    port: int
    log: str
    read: str
    workers: int
    project: bool
    outbox: Path | None = None
    hosts: tuple[str, ...] = LOCAL

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Raises: ValueError: what a variable says cannot be. OSError: DATA cannot be made."""
        port = _number("PORT", environment.get("PORT") or "8000", least=0, most=65_535)
        workers = _number("WORKERS", environment.get("WORKERS") or "1", least=1, most=MOST_WORKERS)
        log, read = environment.get("DIPTYCH_LOG"), environment.get("DIPTYCH_READ")
        data = Path(environment.get("DATA") or "data")
        if not (log and read):
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(
            port=port,
            log=log or f"sqlite:///{data / 'log.db'}",
            read=read or f"sqlite:///{data / 'read.db'}",
            workers=workers,
            project=_switch("DIPTYCH_PROJECT", environment.get("DIPTYCH_PROJECT") or "on"),
            outbox=Path(outbox) if (outbox := environment.get("OUTBOX")) else None,
            hosts=(*LOCAL, *_hosts(environment.get("HOSTS") or "")),
        )


def _number(name: str, text: str, *, least: int, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
        raise ValueError(f"{name} must be a number from {least} to {most}, not {text!r}")
    return int(text)


def _hosts(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")] if text else []
    if not all(map(_HOST.fullmatch, names)):
        raise ValueError(f"HOSTS must be names with commas between them, not {text!r}")
    return names


def _switch(name: str, text: str) -> bool:
    if text not in ("on", "off"):
        raise ValueError(f"{name} must be on or off, not {text!r}")
    return text == "on"
