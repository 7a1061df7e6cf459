"""The document says of each route what it decodes and answers."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI

from diptych.errors import ConfigurationError
from diptych.web import Document


@dataclass(frozen=True)
class Paint:
    door_id: UUID
    colour: str
    coats: int = 1


@dataclass(frozen=True)
class Door:
    colour: str


@dataclass(frozen=True)
class Knock:
    door_id: UUID


def described(method: str, path: str, **options: Any) -> dict[str, Any]:
    """The document of an application with one route."""
    api, document = FastAPI(), Document()
    made = {
        "post": lambda: document.command(path, **options),
        "get": lambda: document.query(path, **options),
        "delete": lambda: document.deletion(path, **options),
    }[method]()

    async def route() -> None: ...

    api.add_api_route(path, route, methods=[method.upper()], **made)
    document.install(api)
    return api.openapi()


def parameters(document: dict[str, Any], method: str) -> dict[str, tuple[str, bool]]:
    [operations] = document["paths"].values()
    found = operations[method]["parameters"]
    return {each["name"]: (each["in"], each["required"]) for each in found}


def test_a_command_comes_from_body_and_path() -> None:
    document = described("post", "/doors/{door_id}/paint", body=Paint, answer=Door)
    assert parameters(document, "post") == {
        "door_id": ("path", True),
        "Diptych-Token": ("header", False),
        "Idempotency-Key": ("header", False),
        "If-Match": ("header", False),
    }
    paint = document["components"]["schemas"]["Paint"]
    assert set(paint["properties"]) == {"colour", "coats"}
    assert (paint["required"], paint["additionalProperties"]) == (["colour"], False)


def test_a_command_that_is_all_in_the_path_has_no_body() -> None:
    document = described("post", "/doors/{door_id}/knock", body=Knock, answer=Door)
    assert "requestBody" not in document["paths"]["/doors/{door_id}/knock"]["post"]


@pytest.mark.parametrize("method", ["get", "delete"])
def test_the_others_come_from_query_string_and_path(method: str) -> None:
    kind = "query" if method == "get" else "command"
    document = described(method, "/doors/{door_id}", **{kind: Paint, "answer": Door})
    found = parameters(document, method)
    assert found["door_id"] == ("path", True)
    assert found["colour"] == ("query", True)
    assert found["coats"] == ("query", False)


def test_answers_and_problems_are_described() -> None:
    document = described("get", "/doors", query=Knock, answer=Door, problems=[404])
    responses = document["paths"]["/doors"]["get"]["responses"]
    assert set(responses) == {"200", "404", "422", "default"}
    assert responses["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/Door")
    assert set(responses["404"]["content"]) == {"application/problem+json"}


def test_two_types_of_one_name_are_refused() -> None:
    other = dataclass(frozen=True)(type("Door", (), {"__annotations__": {"height": int}}))
    document = Document()
    document.query("/a", Knock, Door)
    with pytest.raises(ConfigurationError, match="Door"):
        document.query("/b", Knock, other)


def test_the_document_is_made_once() -> None:
    api, document = FastAPI(), Document()
    document.install(api)
    assert api.openapi() is api.openapi()
