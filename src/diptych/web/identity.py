"""Who asks, and what they may do: `Actor`, the policies, and the two refusals, 401 and 403."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from starlette.requests import Request

from diptych.errors import ConfigurationError, Rejected

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a request, as your authentication says; never as a body says.

    `name` is recorded with every event as its actor, and is empty for somebody unknown. `tenant`
    chooses whose streams and rows are meant. `roles` are for policies only.
    """

    name: str
    tenant: str = ""
    roles: frozenset[str] = frozenset()


Identity = Callable[[Request], Awaitable[Actor]]
"""Tells who makes a request; raises `Unauthorized` where nobody can be told."""

Allow = Callable[[Actor, M], bool | Awaitable[bool]]
"""Whether this actor may have this command done, or this query answered. Only True allows."""

NOBODY: Final = Actor("")


class Unauthorized(Rejected):
    """401: the request does not prove who makes it. `challenge` becomes `WWW-Authenticate`."""

    def __init__(self, challenge: str = "Bearer") -> None:
        super().__init__("The request does not say, in an acceptable way, who makes it.")
        self.challenge = challenge


class Forbidden(Rejected):
    """403: this actor may not do this."""

    def __init__(self) -> None:
        super().__init__("This is not allowed to who makes the request.")


def anyone(actor: Actor, message: object) -> bool:  # noqa: ARG001 - a policy looks so
    """Everybody whom `identity` lets through, known or not."""
    return True


def known(actor: Actor, message: object) -> bool:  # noqa: ARG001
    """Everybody who has a name."""
    return bool(actor.name)


def role(*names: str) -> Allow[Any]:
    """Everybody who has one of these roles."""
    wanted = frozenset(names)

    def has_role(actor: Actor, message: object) -> bool:  # noqa: ARG001
        return not wanted.isdisjoint(actor.roles)

    return has_role


class Policy:
    """Finds the actor of a request, and refuses what they may not do.

    Without an `identity` everybody is nobody and may do everything. With one, nothing is allowed
    that no policy of its type allows.

    Raises: ConfigurationError: policies, but no identity that they could judge.
    """

    def __init__(self, identity: Identity | None, allowed: Mapping[type, Allow[Any]]) -> None:
        if allowed and identity is None:
            raise ConfigurationError("allow= judges an actor: give identity= to tell who that is")
        self._identity, self._allowed = identity, dict(allowed)

    @property
    def asks(self) -> bool:
        return self._identity is not None

    async def actor(self, request: Request) -> Actor:
        """Raises: what the identity raises; ConfigurationError: it returned no actor."""
        if self._identity is None:
            return NOBODY
        actor = await self._identity(request)
        if not isinstance(actor, Actor):
            raise ConfigurationError("identity= must return an Actor, or raise Unauthorized")
        return actor

    async def check(self, actor: Actor, message: object) -> None:
        """Raises: Forbidden."""
        if self._identity is None:
            return
        allow = self._allowed.get(type(message))
        allowed = allow is not None and allow(actor, message)
        if isinstance(allowed, Awaitable):
            allowed = await allowed
        if allowed is not True:
            raise Forbidden
