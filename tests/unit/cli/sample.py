"""Things that `MODULE:FACTORY` may name, rightly and wrongly."""

from diptych import Application, ConfigurationError

held = Application(log="memory://")
number = 8


class Factories:
    @staticmethod
    def make() -> Application:
        return Application(log="memory://")


def with_defaults(log: str = "memory://", *more: str, **others: str) -> Application:
    assert not more
    assert not others
    return Application(log=log)


def needy(log: str, *, stock: object) -> Application:
    assert stock
    return Application(log=log)


async def later() -> Application:
    return Application(log="memory://")


def other() -> dict[str, str]:
    return {}


def wrong_url() -> Application:
    return Application(log="mongodb://somewhere")


def failing() -> Application:
    raise KeyError("DATABASE")


def refusing() -> Application:
    raise ConfigurationError("two views or projections are named 'a'")
