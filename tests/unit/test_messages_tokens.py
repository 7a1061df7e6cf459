"""Tokens have one spelling, and a changed one is refused."""

from uuid import UUID

import pytest

from diptych.errors import InvalidToken
from diptych.tokens import Token

LOG, EVENT = UUID(int=1), UUID(int=2)


@pytest.mark.parametrize(
    "token", [Token(LOG, 0), Token(LOG, 1, EVENT), Token(LOG, 2**63 - 1, EVENT)], ids=str
)
def test_a_token_comes_back_equal_and_fits_into_a_header(token: Token) -> None:
    text = str(token)
    assert Token.parse(text) == token
    assert len(text) == 64
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_a_token_that_was_changed_anywhere_is_refused() -> None:
    text = str(Token(LOG, 5, EVENT))
    for index, old in enumerate(text):
        for new in {"A", "B", "=", " ", "é"} - {old}:
            with pytest.raises(InvalidToken):
                Token.parse(text[:index] + new + text[index + 1 :])


@pytest.mark.parametrize("text", ["", "A", "latest", "-5", "=" * 64, "A" * 64, "A" * 10_000, "\0"])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidToken, match="token: is not a token that this service gave out"):
        Token.parse(text)


@pytest.mark.parametrize("position", [2**63, 2**64 - 1])
def test_a_position_that_no_log_has_is_refused(position: int) -> None:
    with pytest.raises(InvalidToken):
        Token.parse(str(Token(LOG, position, EVENT)))
