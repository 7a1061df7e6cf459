"""Operations in OpenAPI: parameters, bodies, answers and problems, from the types of messages."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, count
from typing import Any, Final, NamedTuple

import msgspec

from diptych.errors import ConfigurationError
from diptych.shapes import edge_decoder
from diptych.shapes.fields import documentation, is_model
from diptych.shapes.models import model_schema, nested_schema
from diptych.web.headers import AS_OF, IDEMPOTENCY_KEY, IF_MATCH, LAST_EVENT_ID, STALE, TOKEN
from diptych.web.problems import MEDIA_TYPE
from diptych.web.routes import PARAMETER, CommandRoute, LiveRoute, QueryRoute, Route

Schema = dict[str, Any]

TEMPLATE: Final = "#/components/schemas/{name}"
PROBLEM: Final[Schema] = {
    "type": "object",
    "description": "RFC 9457. `errors` names the fields; `instance` is also in the service's log.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "format": "uri"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "detail"],
                "properties": {
                    "field": {"type": "string"},
                    "detail": {"type": "string"},
                    "limit": {"type": "integer"},
                },
            },
        },
    },
}
_TEXT: Final[Schema] = {"type": "string"}
_REQUEST_HEADERS: Final[Mapping[str, tuple[str, str]]] = {
    TOKEN: (
        r"^[A-Za-z0-9_-]{64}$",
        "From an earlier answer: this one sees at least what that one saw.",
    ),
    LAST_EVENT_ID: (
        r"^[A-Za-z0-9_-]{64}$",
        "The id of the last event that was seen: the first answer is at least as new.",
    ),
    IDEMPOTENCY_KEY: (
        r"^[!-~]{1,255}$",
        "Sent again with the same request, it takes effect once and answers the same.",
    ),
    IF_MATCH: (
        r'^(\*|"(0|[1-9][0-9]{0,17})")$',
        "The ETag that the client has seen; 412 if there is a newer version.",
    ),
}


Components = dict[str, Schema]


class Operation(NamedTuple):
    """One operation and the schemas that it refers to."""

    described: dict[str, Any]
    components: Components


def operation(route: Route, known: Components, *, guarded: bool) -> Operation:
    """What a declared route takes and answers; `guarded` says that somebody must be allowed to.

    A message that is taken with other fields elsewhere gets another name than those `known`.
    """
    components: Components = {}
    message, in_path = route.message, PARAMETER.findall(route.path)
    described: dict[str, Any] = {
        "operationId": message.__name__,
        "summary": re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", message.__name__).capitalize(),
    }
    if about := documentation(message):
        described["description"] = about
    if isinstance(route, CommandRoute):
        described |= _taken(route, in_path, components, known)
        status = route.status
        problems = [409, 412, *([428] if route.versioned else [])]
    else:
        sent = headers(TOKEN, *([LAST_EVENT_ID] if isinstance(route, LiveRoute) else []))
        described["parameters"] = [*from_text(message, in_path, components), *sent]
        status, problems = 200, []
    problems += [404] if in_path or isinstance(route, QueryRoute) else []
    problems += [429, 503] if isinstance(route, LiveRoute) else []
    problems += [401, 403] if guarded else []
    answers = responses(route.shape, status, problems, components)
    if isinstance(route, LiveRoute):
        answers[status]["content"] = _events(answers[status]["content"])
    described["responses"] = {str(code): found for code, found in answers.items()}
    return Operation(described, components)


def _events(content: Mapping[str, dict[str, Schema]]) -> dict[str, dict[str, Schema]]:
    """The same answer as the data of server-sent events, as FastAPI describes them."""
    answer = content["application/json"]["schema"]
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": answer}
    names = {"type": "string", "enum": ["answer", "stale", "heartbeat", "problem"]}
    properties: Schema = {"event": names, "id": _TEXT, "data": data}
    item: Schema = {"type": "object", "required": ["event", "data"], "properties": properties}
    return {"text/event-stream": {"itemSchema": item}}


def _taken(
    route: CommandRoute, in_path: Sequence[str], components: Components, known: Components
) -> dict[str, Any]:
    sent = headers(TOKEN, IDEMPOTENCY_KEY, IF_MATCH, required=[IF_MATCH] if route.versioned else [])
    if not route.has_body:
        return {"parameters": [*from_text(route.message, in_path, components), *sent]}
    found: dict[str, Any] = {"parameters": [*parameters(route.message, in_path, "path"), *sent]}
    optional = [route.new_id] if route.new_id else []
    own: Components = {}
    schema = body_schema(route.message, in_path, own, optional=optional)
    if schema is not None:
        schema = _named_apart(schema, own, known)
        found["requestBody"] = {"required": True, "content": {"application/json": schema}}
        merge(components, own)
    return found


def _named_apart(content: Schema, own: Components, known: Components) -> Schema:
    name = str(content["schema"].get("$ref", "")).rpartition("/")[2]
    if name not in own:
        return content
    names = chain([name], (f"{name}.{number}" for number in count(2)))
    free = next(each for each in names if known.get(each, own[name]) == own[name])
    own[free] = own.pop(name)
    return {"schema": {"$ref": TEMPLATE.format(name=free)}}


def body_schema(
    kind: type, in_path: Sequence[str], components: Components, *, optional: Sequence[str] = ()
) -> dict[str, Schema] | None:
    """The schema of a JSON body without what is in the path; None if that leaves nothing."""
    schema, found = edge_decoder(kind).schema(ref_template=TEMPLATE, exclude=in_path)
    record = resolve(schema, found)
    if not record.get("properties"):
        return None
    if optional:
        record["required"] = [name for name in record.get("required", ()) if name not in optional]
    merge(components, found)
    return {"schema": schema}


def from_text(kind: type, in_path: Sequence[str], components: Components) -> list[Schema]:
    """The parameters of path and query string."""
    _, found = edge_decoder(kind).schema(ref_template=TEMPLATE)
    found.pop(kind.__name__, None)
    merge(components, found)
    return [*parameters(kind, in_path, "path"), *parameters(kind, in_path, "query")]


def responses(
    answer: Any, status: int, problems: Iterable[int], components: Components
) -> dict[int | str, dict[str, Any]]:
    """The answer and the problems that may come instead; `answer` None has no body."""
    names = (TOKEN, STALE, AS_OF, "ETag")
    done: dict[str, Any] = {
        "description": "Done",
        "headers": {name: {"schema": _TEXT} for name in names},
    }
    if answer is not None:
        done["content"] = {"application/json": {"schema": answer_schema(answer, components)}}
    found: dict[int | str, dict[str, Any]] = {status: done}
    reference = {"schema": {"$ref": TEMPLATE.format(name="Problem")}}
    codes: tuple[int | str, ...] = (*problems, 422, "default")
    for code in codes:
        found[code] = {"description": "A problem", "content": {MEDIA_TYPE: reference}}
    return found


def answer_schema(answer: Any, components: Components) -> Schema:
    """The schema of what is answered."""
    if is_model(answer):
        schema, found = model_schema(answer, TEMPLATE)
    else:
        (schema,), found = msgspec.json.schema_components(
            [answer], ref_template=TEMPLATE, schema_hook=nested_schema
        )
    merge(components, found)
    return schema


def parameters(tp: type, in_path: Sequence[str], within: str) -> list[Schema]:
    """The fields of a type as parameters: those in the path, or the others, in the query string."""
    schema, components = edge_decoder(tp).schema(ref_template=TEMPLATE)
    record = resolve(schema, components)
    return [
        _parameter(name, within, its_schema, required=name in record.get("required", ()))
        for name, its_schema in record.get("properties", {}).items()
        if (name in in_path) == (within == "path")
    ]


def headers(*names: str, required: Sequence[str] = ()) -> list[Schema]:
    """The request headers that a route looks at."""
    found: list[Schema] = []
    for name in names:
        pattern, description = _REQUEST_HEADERS[name]
        schema = {"type": "string", "pattern": pattern}
        parameter = _parameter(name, "header", schema, required=name in required)
        found.append({**parameter, "description": description})
    return found


def _parameter(name: str, where: str, schema: Schema, *, required: bool) -> Schema:
    return {"name": name, "in": where, "required": required, "schema": schema}


def resolve(schema: Schema, components: Mapping[str, Schema]) -> Schema:
    """What a schema refers to, if it refers to one of these."""
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return components.get(name, schema)


def merge(schemas: Components, more: Mapping[str, Schema]) -> None:
    """Add schemas. A class that is there already, in the words of FastAPI, stays as it is.

    Raises: ConfigurationError: two classes have one name.
    """
    for name, schema in more.items():
        there = schemas.setdefault(name, schema)
        if there != schema and _outline(there) != _outline(schema):
            raise ConfigurationError(f"two schemas are named {name}: rename one of the classes")


def _outline(schema: Schema) -> object:
    """What both would say of one class, in whatever words: its fields, or its members."""
    fields, members = schema.get("properties", {}), schema.get("enum", [])
    if not fields and not members:
        return schema
    return schema.get("title"), set(fields), set(schema.get("required", [])), set(members)
