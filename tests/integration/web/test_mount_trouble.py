"""When the service is in trouble, a client is told what to do next, and nothing is done twice."""

import logging
from typing import Any

import pytest

from diptych import Overloaded
from diptych.store.memory import Hostile, MemoryEventStore
from tests.acceptance.conftest import problem_of
from tests.integration.web.doors import house, serving


def shedding(handle: Any) -> Any:
    """What a service does that knows how much it can take."""

    def shed(command: object, envelope: object) -> object:
        raise Overloaded(waiting=9, limit=9, retry_after=2.5)

    return shed


async def test_who_is_too_much_is_told_when_to_come_again(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(house(middleware=[shedding])) as service:
        answered = await service.client.post("/doors", json={"colour": "red"})
        assert (answered.status_code, problem_of(answered)) == (503, "overloaded")
        assert answered.headers["retry-after"] == "3"
        assert answered.json()["instance"].removeprefix("urn:uuid:") in caplog.text
        assert await service.head() == 0


@pytest.mark.parametrize("seed", range(5))
async def test_a_command_of_unknown_outcome_is_safe_to_repeat_under_its_key(seed: int) -> None:
    log = MemoryEventStore(hostile=Hostile(seed=seed, unknown_outcomes=0.7))
    key = {"Idempotency-Key": "once"}
    async with serving(house(log=log)) as service:
        answered = await service.client.post("/doors", json={"colour": "red"}, headers=key)
        while answered.status_code != 201:
            assert (answered.status_code, problem_of(answered)) == (504, "outcome-unknown")
            assert "retry-after" not in answered.headers
            answered = await service.client.post("/doors", json={"colour": "red"}, headers=key)
        assert len((await service.app.log.read()).events) == 1


async def test_a_bug_is_found_in_the_log_by_the_id_in_the_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as service:
        rust = {"colour": "rust"}
        answered = await service.client.put(f"{await service.hang()}/colour", json=rust)
        assert (answered.status_code, problem_of(answered)) == (500, "internal-error")
        instance = answered.json()["instance"].removeprefix("urn:uuid:")
        (told,) = [each for each in caplog.records if each.levelno == logging.ERROR]
        assert instance in told.getMessage()
        assert told.exc_info
        assert "the secret in the exception" in str(told.exc_info[1])
