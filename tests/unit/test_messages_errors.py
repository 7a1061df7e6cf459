"""Errors: four kinds, facts as attributes, one line each."""

import inspect
from datetime import timedelta
from uuid import UUID

import pytest

from diptych import errors
from diptych.errors import DiptychError

KINDS = (errors.Rejected, errors.TryAgain, errors.ConfigurationError, errors.StoreError)
ALL = [
    error
    for _, error in inspect.getmembers(errors, inspect.isclass)
    if issubclass(error, DiptychError) and error is not DiptychError
]


@pytest.mark.parametrize("error", ALL)
def test_every_error_is_of_one_kind_and_stands_in_the_tree(error: type[DiptychError]) -> None:
    assert sum(issubclass(error, kind) for kind in KINDS) == 1
    assert errors.__doc__
    assert error.__name__ in errors.__doc__


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.InvalidInput("items.0.quantity", "must be at least 1"),
         "items.0.quantity: must be at least 1"),
        (errors.LimitExceeded("name", limit=3, unit="characters"), "name: at most 3 characters"),
        (errors.CommandIdReused(UUID(int=1)),
         f"command id {UUID(int=1)} was used before with other content"),
        (errors.ConcurrencyError("order-1", expected=1, actual=2),
         "stream order-1 is at version 2, not 1"),
        (errors.ConditionFailed(after=3, position=5),
         "an event after 3, at 5, matches the append condition"),
        (errors.Overloaded(waiting=9, limit=8), "9 are waiting already, at most 8 may"),
        (errors.ConsistencyTimeout("v", wanted=9, reached=7, timeout=timedelta(seconds=1.5)),
         "view v is at 7, not yet at 9, after 1.5 s"),
        (errors.SchemaMismatch("log.db", found=2, supported=1),
         "log.db has schema version 2, this is 1: upgrade Diptych"),
        (errors.SchemaMismatch("log.db", found=1, supported=2),
         "log.db has schema version 1, this is 2: migrate it, `diptych migrate`"),
        (errors.UnknownEventType("X", category="order", position=4),
         "category order has no event type 'X' at position 4"),
        (errors.UndecodableEvent("X", path="a.b", position=4),
         "event type 'X' at position 4 cannot be decoded at a.b"),
        (errors.UnknownView("x", known=("b", "a")),
         "there is no view or projection 'x'; there is a, b"),
        (errors.RevisionInUse(3, view="a", reason="it serves"),
         "revision 3 of a cannot be dropped: it serves"),
        (errors.RebuildRunning("a", holder="host/7"),
         "view a is being built by host/7: wait for it, or end it"),
        (errors.NoHandler(int, registered=(str, bool)),
         "nothing handles int; registered: bool, str"),
    ],
)  # fmt: skip
def test_the_message_is_one_line_made_from_the_facts(error: DiptychError, message: str) -> None:
    assert str(error) == message
    assert vars(error)
