"""The mount's routes are in the app's own OpenAPI document, which stays what it was otherwise."""

from typing import Any

import pydantic
import pytest
from fastapi import Depends, FastAPI
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.testclient import TestClient

from diptych import ConfigurationError
from diptych.web import command_route, mount
from tests.integration.web.doors import HangDoor, PaintDoor, Seen, house, routes
from tests.integration.web.test_mount_identity import bearer


class Window(pydantic.BaseModel):
    width: int


def app_of(**options: Any) -> FastAPI:
    api = FastAPI()

    @api.post("/windows")
    async def add(window: Window) -> Window:
        return window

    mount(api, house(), **{"routes": routes(), **options})
    return api


def test_routes_of_both_are_in_one_document() -> None:
    alone = FastAPI()
    alone.post("/windows")(lambda: None)
    document = app_of().openapi()
    assert set(document["paths"]) == {
        "/windows",
        "/doors",
        "/doors/count",
        "/doors/{door_id}",
        "/doors/{door_id}/colour",
    }
    assert set(document["paths"]["/doors"]) == {"get", "post"}
    assert {"Window", "HTTPValidationError", "HangDoor", "Problem"} <= set(
        document["components"]["schemas"]
    )


def test_constraints_and_decimals_are_there() -> None:
    schemas = app_of().openapi()["components"]["schemas"]
    painted = schemas["PaintDoor"]
    assert painted["properties"]["coats"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 9,
        "default": 1,
    }
    assert painted["properties"]["colour"] == {"type": "string", "minLength": 1, "maxLength": 20}
    assert (painted["required"], painted["additionalProperties"]) == (["colour"], False)
    price = schemas["HangDoor"]["properties"]["price"]
    assert (price["type"], price["format"], price["maxLength"]) == ("string", "decimal", 30)
    assert schemas["HangDoor"]["description"] == "A door is hung where there was none."


def test_what_may_be_left_out_is_not_required() -> None:
    hung = app_of().openapi()["components"]["schemas"]["HangDoor"]
    assert "door_id" in hung["properties"]
    assert hung["required"] == ["colour"]


def test_answers_and_demands_are_there() -> None:
    paths = app_of().openapi()["paths"]
    created = paths["/doors"]["post"]["responses"]["201"]
    assert created["content"]["application/json"]["schema"]["$ref"].endswith("/Hung")
    assert "content" not in paths["/doors/{door_id}/colour"]["put"]["responses"]["204"]
    removal = paths["/doors/{door_id}"]["delete"]
    if_match = next(each for each in removal["parameters"] if each["name"] == "If-Match")
    assert if_match["required"]
    assert {"412", "428", "default"} <= set(removal["responses"])
    assert {"409", "412", "422"} <= set(paths["/doors"]["post"]["responses"])
    assert "401" not in removal["responses"]
    page = paths["/doors"]["get"]["parameters"]
    assert next(each for each in page if each["name"] == "page_size")["schema"]["maximum"] == 100


def test_an_identity_is_to_be_seen() -> None:
    responses = app_of(identity=bearer).openapi()["paths"]["/doors"]["get"]["responses"]
    assert {"401", "403"} <= set(responses)


def test_an_identity_says_what_it_looks_at_as_fastapi_does() -> None:
    document = app_of(identity=bearer, security=HTTPBearer()).openapi()
    schemes = document["components"]["securitySchemes"]
    assert schemes == {"HTTPBearer": {"type": "http", "scheme": "bearer"}}
    paths = document["paths"]
    assert paths["/doors"]["get"]["security"] == [{"HTTPBearer": []}]
    assert paths["/doors/{door_id}"]["delete"]["security"] == [{"HTTPBearer": []}]
    assert "security" not in paths["/windows"]["post"]


def test_a_scheme_of_the_app_itself_may_be_the_same_but_not_another() -> None:
    own = FastAPI()
    own.get("/key", dependencies=[Depends(HTTPBearer())])(lambda: None)
    mount(own, house(), routes=routes(), identity=bearer, security=HTTPBearer())
    assert set(own.openapi()["components"]["securitySchemes"]) == {"HTTPBearer"}
    clash = FastAPI()
    clash.get("/key", dependencies=[Depends(HTTPBearer())])(lambda: None)
    security = APIKeyHeader(name="X-Key", scheme_name="HTTPBearer")
    mount(clash, house(), routes=routes(), identity=bearer, security=security)
    with pytest.raises(ConfigurationError, match="HTTPBearer"):
        clash.openapi()


def test_a_scheme_without_an_identity_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="identity="):
        app_of(security=HTTPBearer())


def test_a_route_that_comes_later_is_in_the_document_too() -> None:
    api = app_of()
    api.openapi()
    api.get("/later")(lambda: None)
    assert {"/later", "/doors"} <= set(api.openapi()["paths"])
    assert api.openapi() is api.openapi()


def test_the_document_of_the_app_itself_is_not_touched() -> None:
    api = app_of()
    own = api.openapi_schema
    api.openapi()
    assert api.openapi_schema is not api.openapi()
    assert own is None
    assert api.openapi_schema
    assert "/doors" not in api.openapi_schema["paths"]


def test_the_pages_that_show_the_document_stay() -> None:
    with TestClient(app_of()) as client:
        assert client.get("/docs").status_code == 200
        assert "/doors" in client.get("/openapi.json").json()["paths"]


def clashing() -> FastAPI:
    api = app_of(prefix="/house")

    class HangDoor(pydantic.BaseModel):
        other: int

    @api.post("/clash")
    async def clash(door: HangDoor) -> None: ...

    return api


def test_two_schemas_of_one_name_are_refused_when_the_app_starts() -> None:
    with pytest.raises(ConfigurationError, match="HangDoor"):
        clashing().openapi()
    with pytest.raises(ConfigurationError, match="HangDoor"), TestClient(clashing()):
        pass


def test_a_class_that_routes_of_both_answer_with_is_described_once() -> None:
    api = app_of()

    @api.get("/seen")
    async def seen() -> Seen:
        raise NotImplementedError

    schemas = api.openapi()["components"]["schemas"]
    assert set(schemas["Seen"]["properties"]) == {"door_id", "colour"}


def test_two_routes_of_one_address_are_refused_when_the_app_starts() -> None:
    api = app_of()
    api.post("/doors")(lambda: None)
    with pytest.raises(ConfigurationError, match="POST /doors"):
        api.openapi()


def test_the_same_message_at_two_addresses_has_two_names() -> None:
    more = [
        command_route("POST /doors", HangDoor),
        command_route("PUT /doors/{door_id}", HangDoor),
        command_route("PUT /doors/{door_id}/colour", PaintDoor),
    ]
    document = app_of(routes=more).openapi()
    ids = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert len(ids) == len(set(ids))
    body = document["paths"]["/doors/{door_id}"]["put"]["requestBody"]
    name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert name == "HangDoor.2"
    schemas = document["components"]["schemas"]
    assert "door_id" in schemas["HangDoor"]["properties"]
    assert "door_id" not in schemas[name]["properties"]
