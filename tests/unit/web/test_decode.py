"""Query strings become parameters strictly."""

import pytest

from diptych.errors import InvalidInput, LimitExceeded
from diptych.web.decode import parameters_of


def test_parameters_are_decoded_once() -> None:
    found = parameters_of(b"q=caf%C3%A9+au%20lait&status=open&empty=&percent=%2541")
    assert found == {"q": "café au lait", "status": "open", "empty": "", "percent": "%41"}


def test_no_query_string_is_no_parameters() -> None:
    assert parameters_of(b"") == {}


@pytest.mark.parametrize(
    "query", [b"q", b"=&q", b"a=1&&b=2", b"q=%ff", b"q=\xff", b"q=%ed%a0%80", b"%ff=1", b"q=%c3"]
)
def test_what_is_no_text_is_refused(query: bytes) -> None:
    with pytest.raises(InvalidInput) as refused:
        parameters_of(query)
    assert refused.value.field == "query"


def test_a_parameter_that_comes_twice_is_named() -> None:
    with pytest.raises(InvalidInput) as refused:
        parameters_of(b"a=1&page=1&b=2&page=1")
    assert refused.value.field == "page"


def test_parameters_have_a_greatest_number() -> None:
    assert len(parameters_of(b"&".join(b"x%d=1" % number for number in range(50)))) == 50
    with pytest.raises(LimitExceeded) as refused:
        parameters_of(b"&".join(b"x%d=1" % number for number in range(51)))
    assert refused.value.limit == 50
