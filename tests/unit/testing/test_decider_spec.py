"""A spec of a decider passes for what the decider does, and says well what else it did."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import pytest

from diptych import Decider, Events
from diptych.testing import DeciderSpec
from tests.unit.testing.shelf import IsLent, Lend, Lent, Return, Returned, evolve, shelf

spec = DeciderSpec(shelf)
LENT = Lent("Emma", "ann")


def test_a_story_that_is_true_passes() -> None:
    spec.given().when(Lend("Emma", "ann")).then(LENT)
    spec.given(LENT).when(Return("Emma")).then(Returned("Emma"))
    spec.given(LENT, Returned("Emma")).when(Return("Emma")).then_nothing()
    spec.given(LENT).when(Lend("Emma", "bob")).then_rejected(IsLent, match="lent to ann")


def test_a_refusal_is_handed_out_for_a_look_at_its_facts() -> None:
    assert spec.given(LENT).when(Lend("Emma", "bob")).then_rejected(IsLent).to == "ann"


def test_a_decider_may_ask_who_acts() -> None:
    spec.given().when(Lend("Emma"), actor="cy").then(Lent("Emma", "cy"))


@pytest.mark.parametrize(
    ("story", "message"),
    [
        (
            lambda: spec.given().when(Lend("Emma", "ann")).then(Lent("Emma", "bob")),
            (
                "Lend decided other events (- expected, + decided):\n"
                "  Lent(\n      book='Emma',\n-     to='bob',\n+     to='ann',\n  )"
            ),
        ),
        (
            lambda: spec.given().when(Lend("Emma", "ann")).then(),
            (
                "Lend decided other events (- expected, + decided):\n"
                "+ Lent(\n+     book='Emma',\n+     to='ann',\n+ )"
            ),
        ),
        (
            lambda: spec.given(LENT).when(Lend("Emma", "bob")).then(LENT),
            "Lend was refused with IsLent: Emma is lent to ann",
        ),
        (
            lambda: spec.given(LENT).when(Lend("Emma", "bob")).then_nothing(),
            "Lend was refused with IsLent: Emma is lent to ann",
        ),
        (
            lambda: spec.given(LENT).when(Return("Emma")).then_nothing(),
            "Return decided, instead of nothing:\nReturned(\n    book='Emma',\n)",
        ),
        (
            lambda: spec.given().when(Return("Emma")).then_rejected(IsLent),
            "Return decided, instead of a refusal:\nnothing",
        ),
        (
            lambda: spec.given(LENT).when(Lend("Emma", "bob")).then_rejected(IsLent, match="cy"),
            "IsLent: Emma is lent to ann does not match 'cy'",
        ),
    ],
)
def test_a_story_that_is_not_true_says_what_happened_instead(
    story: Callable[[], object], message: str
) -> None:
    with pytest.raises(AssertionError) as failure:
        story()
    assert str(failure.value) == message


def test_another_refusal_is_named_and_its_cause_kept() -> None:
    class IsLost(IsLent):
        pass

    with pytest.raises(AssertionError, match=r"refused with IsLent: .*, not IsLost") as failure:
        spec.given(LENT).when(Lend("Emma", "bob")).then_rejected(IsLost)
    assert isinstance(failure.value.__cause__, IsLent)


def test_a_command_of_another_decider_is_an_error() -> None:
    with pytest.raises(TypeError, match="int is not a command of Decider"):
        spec.given().when(7)  # type: ignore[arg-type]


def test_a_decide_that_is_not_pure_is_found() -> None:
    def dice(command: Lend, _: str) -> Sequence[Lent | Returned]:
        return [Lent(command.book, str(uuid4()))]

    impure = Decider(shelf.events, key="book", initial=str, decide=dice, evolve=evolve)
    with pytest.raises(AssertionError, match="decide is not pure"):
        DeciderSpec(impure).given().when(Lend("Emma"))


def test_an_event_that_is_changed_by_being_stored_is_found() -> None:
    @dataclass(frozen=True)
    class Shouted:
        book: str
        words: list[str] = field(default_factory=list)

        def __eq__(self, other: object) -> bool:
            return self is other

        def __hash__(self) -> int:
            return 1

    def shout(command: Lend, _: object) -> Sequence[Shouted]:
        return [Shouted(command.book)]

    loud = Decider(
        Events("book", Shouted),
        key="book",
        initial=object,
        decide=shout,
        evolve=lambda state, _: state,
    )
    with pytest.raises(AssertionError, match=r"does not come back(.|\n)*look alike"):
        DeciderSpec(loud).given().when(Lend("Emma"))
    with pytest.raises(AssertionError, match="does not come back"):
        DeciderSpec(loud).given(Shouted("Emma"))
