"""`MODULE:FACTORY`: what it finds, and one line for each thing that can be wrong with it."""

import pytest

from diptych import Application, ConfigurationError
from diptych.cli.target import load
from tests.unit.cli import sample

HERE = "tests.unit.cli"


@pytest.mark.parametrize("path", ["with_defaults", "Factories.make"])
def test_a_factory_is_called(path: str) -> None:
    assert isinstance(load(f"{HERE}.sample:{path}"), Application)


def test_an_application_is_taken_as_it_is() -> None:
    assert load(f"{HERE}.sample:held") is sample.held


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("", "write MODULE:FACTORY"),
        ("examples.orders.app", "write MODULE:FACTORY"),
        (":shop", "write MODULE:FACTORY"),
        ("examples.orders.app:", "write MODULE:FACTORY"),
        ("no_such_module:make", "there is no module no_such_module"),
        ("tests.unit.no_such:make", "there is no module tests.unit.no_such"),
        ("tests.unit.cli.sample.deeper:make", "there is no module tests.unit.cli.sample.deeper"),
        (f"{HERE}.broken:make", "ModuleNotFoundError: No module named 'no_such_library' (broken."),
        (f"{HERE}.sample:nedy", "has no nedy; did you mean needy?"),
        (f"{HERE}.sample:number", "is an int: it must be an Application, or a function"),
        (f"{HERE}.sample:needy", "needs log, stock: name a function that needs no arguments"),
        (f"{HERE}.sample:later", "is async: name a plain function"),
        (f"{HERE}.sample:other", "returned a dict, not an Application"),
        (f"{HERE}.sample:wrong_url", "log='mongodb://somewhere'"),
        (f"{HERE}.sample:failing", "failed: KeyError: 'DATABASE' (sample.py:"),
        (f"{HERE}.sample:refusing", "two views or projections are named 'a'"),
        ("diptych:Application", "needs log"),
        ("..:make", "write MODULE:FACTORY"),
        ("examples/orders/app.py:application", "write MODULE:FACTORY"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(target: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(target)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
