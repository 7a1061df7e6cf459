"""Headers are read strictly, and written so that they can be read."""

from uuid import UUID

import pytest
from starlette.datastructures import Headers

from diptych.errors import InvalidInput, InvalidToken, LimitExceeded, TokenFromAnotherHistory
from diptych.tokens import Token
from diptych.web.headers import command_id_of, etag, expected_version_of, later, token_of

LOG, OTHER_LOG, EVENT = UUID(int=1), UUID(int=2), UUID(int=3)


def headers(name: str, *values: str) -> Headers:
    return Headers(raw=[(name.lower().encode(), value.encode("latin-1")) for value in values])


def test_an_etag_comes_back_as_the_version() -> None:
    assert expected_version_of(headers("If-Match", etag(17))) == 17


@pytest.mark.parametrize("value", [None, "*"])
def test_no_version_is_expected_without_an_etag(value: str | None) -> None:
    assert expected_version_of(headers("If-Match", value) if value else Headers()) is None


@pytest.mark.parametrize(
    "value",
    [
        "3",
        'W/"3"',
        '"latest"',
        '"-5"',
        '"1.5"',
        '"03"',
        '"3", "4"',
        '""',
        "",
        f'"{2**63}"',
        '"' + "9" * 5_000 + '"',
        '"\uff13"',
        '"3"\x00',
    ],
)
def test_what_is_no_etag_of_ours_is_refused(value: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        expected_version_of(Headers({"If-Match": value}) if value.isascii() else _utf8(value))
    assert refused.value.field == "If-Match"


def test_the_same_key_is_the_same_command_id() -> None:
    one, again = (command_id_of(headers("Idempotency-Key", "order-7")) for _ in range(2))
    assert one == again
    assert one != command_id_of(headers("Idempotency-Key", "order-8"))


def test_a_key_of_255_characters_passes() -> None:
    assert command_id_of(headers("Idempotency-Key", "k" * 255)) is not None


def test_a_longer_key_is_refused() -> None:
    with pytest.raises(LimitExceeded) as refused:
        command_id_of(headers("Idempotency-Key", "k" * 10_240))
    assert refused.value.limit == 255


@pytest.mark.parametrize("key", ["", "a b", "a\tb", "ä", "a\x00"])
def test_a_key_of_other_characters_is_refused(key: str) -> None:
    with pytest.raises(InvalidInput):
        command_id_of(headers("Idempotency-Key", key))


@pytest.mark.parametrize("read", [token_of, command_id_of, expected_version_of])
def test_a_header_that_is_there_twice_is_refused(read: object) -> None:
    assert callable(read)
    name = {
        token_of: "Diptych-Token",
        command_id_of: "Idempotency-Key",
        expected_version_of: "If-Match",
    }[read]
    with pytest.raises(InvalidInput, match="repeated"):
        read(headers(name, '"1"', '"1"'))


def test_a_token_comes_back_whole() -> None:
    token = Token(LOG, 5, EVENT)
    assert token_of(headers("Diptych-Token", str(token))) == token


@pytest.mark.parametrize("text", ["", "x", "ä", "A" * 64, str(Token(LOG, 5, EVENT))[:-1]])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidToken):
        token_of(headers("Diptych-Token", text))


def test_the_later_token_wins() -> None:
    early, late = Token(LOG, 5, EVENT), Token(LOG, 6, EVENT)
    assert later(early, late) == later(late, early) == late
    assert later(None, early) == early


def test_tokens_of_two_logs_cannot_be_compared() -> None:
    with pytest.raises(TokenFromAnotherHistory):
        later(Token(LOG, 5), Token(OTHER_LOG, 6))


def _utf8(value: str) -> Headers:
    return Headers(raw=[(b"if-match", value.encode())])
