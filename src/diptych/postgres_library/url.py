"""PostgreSQL URLs: what they may say, and how they are shown without what is secret."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from diptych.errors import ConfigurationError
from diptych.postgres_library.primary import Primary

_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,47}")
"""Needs no quotes in SQL, and leaves room for what is named after it (63 bytes)."""
_PASSED_ON: Final = frozenset({
    *("host", "port", "user", "password", "dbname", "passfile", "service", "krbsrvname", "gsslib"),
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "sslnegotiation"),
    *("ssl_min_protocol_version", "ssl_max_protocol_version"),
})  # fmt: skip
_HOSTS: Final = re.compile(r"[^/?#]*")
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]*)(:(?P<port>\d+))?")
_SCHEMES: Final = frozenset({"postgresql", "postgres"})


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """A checked URL: `postgresql://user:password@host:port/database?schema=name`.

    Of several hosts, `h1:5432,h2:5432`, the one that may write is taken; if an old primary is back
    that does not know it was replaced, the newest, which `primary` remembers. So a failover needs
    no other URL. `pooler` says that connections go through PgBouncer in
    transaction mode (`?pooler=transaction`): no prepared statements, no LISTEN. `more` holds the
    parameters that the caller of `parse` has asked for.
    """

    shown: str
    schema: str
    pooler: bool
    dsns: tuple[str, ...] = field(repr=False)
    more: Mapping[str, str] = field(repr=False)
    primary: Primary = field(default_factory=Primary, repr=False, compare=False)

    @classmethod
    def parse(
        cls, argument: str, url: str, *, schema: str, also: frozenset[str] = frozenset()
    ) -> "PostgresUrl":
        """`argument` is what the URL was given as; `schema` where it says none; `also` are names of
        further parameters that may stand in it.

        Raises: ConfigurationError: it is none; the message says why, and shows no password.
        """
        try:
            parts = _split(url)
            _refuse_torn_login(parts)
            given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
            shown = _shown(parts)
            dsns = tuple(_dsns(parts, [each for each in given if each[0] in _PASSED_ON]))
        except ValueError:  # which may quote a piece of the password
            raise ConfigurationError(f"{argument}= is not a URL: {_ADVICE}") from None
        ours = {name: value for name, value in given if name not in _PASSED_ON}
        schema, pooler = ours.pop("schema", schema), ours.pop("pooler", "")
        problem = _problem(parts, schema, pooler, ours.keys() - also)
        if problem:
            raise ConfigurationError(f"{argument}={shown}: {problem}; {_ADVICE}")
        return cls(shown, schema, pooler == "transaction", dsns, ours)


_ADVICE: Final = (
    "write postgresql://user:password@host:5432/database, with special characters of user and"
    " password percent-encoded, then ?schema=name, &pooler=transaction (PgBouncer) or sslmode"
)


def _split(url: str) -> SplitResult:
    """Hosts by themselves: `urlsplit` of some versions of Python takes no address among several."""
    scheme, slashes, rest = url.partition("://")
    hosts = _HOSTS.match(rest if slashes else "")
    length = hosts.end() if hosts else 0
    return urlsplit(f"{scheme}{slashes}{rest[length:]}")._replace(netloc=rest[:length])


def _problem(parts: SplitResult, schema: str, pooler: str, unknown: set[str]) -> str:
    if parts.scheme not in _SCHEMES:
        return "another kind of database"
    if parts.fragment:
        return "has a #"
    if unknown:
        return f"has no parameter {', '.join(sorted(unknown))}"
    if not _SCHEMA.fullmatch(schema):
        return "a schema is named with a-z, 0-9 and _, in at most 48 characters"
    if pooler not in {"", "transaction"}:
        return "a pooler is 'transaction', or none"
    return ""


def _refuse_torn_login(parts: SplitResult) -> None:
    """A password with a bare `/`, `?` or `#` ends up in what follows, and would be shown.

    Raises: ValueError.
    """
    if any("@" in part for part in (parts.path, parts.query, parts.fragment)):
        raise ValueError("an @ where none can be")


def _dsns(parts: SplitResult, parameters: list[tuple[str, str]]) -> list[str]:
    """One for each host, so that each is given its own time."""
    user, at, hosts = parts.netloc.rpartition("@")
    query = f"?{urlencode(parameters, quote_via=quote)}" if parameters else ""
    for host in hosts.split(","):
        _check_host(host)
    return [f"postgresql://{user}{at}{host}{parts.path}{query}" for host in hosts.split(",")]


def _check_host(host: str) -> None:
    """Raises: ValueError."""
    found = _HOST.fullmatch(host)
    if found is None or not 0 < int(found["port"] or 5432) < 65536:
        raise ValueError("no such host or port")


def _shown(parts: SplitResult) -> str:
    """The user, hosts and database: what an operator looks for."""
    login, at, hosts = parts.netloc.rpartition("@")
    user = unquote(login.partition(":")[0])
    return f"{parts.scheme}://{user}{at}{hosts}{parts.path}"
