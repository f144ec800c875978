"""The OpenAPI 3.1 description of the service, made from its endpoints: it can't say anything else."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, TypeGuard

from msgspec import Struct

from herenow import __version__
from herenow.service import shapes
from herenow.service.calls import Answer, Endpoint
from herenow.service.inputs import Sighted
from herenow.service.parameters import Field, Json, fields_of, schemas_of
from herenow.service.problems import TYPE

_ABOUT: Final = "Who is online right now, exactly. Times are UTC, ids are opaque, cursors too."
_ALWAYS: Final = (400, 413, 414, 429, 431)
_SECURED: Final = (401, 403)


def describe(endpoints: Sequence[Endpoint]) -> Json:
    """Describe them."""
    paths: dict[str, Json] = {}
    for one in endpoints:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "herenow",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(endpoints),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The API key, or a token of `herenow.sign_token`.",
                },
                "query": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "token",
                    "description": "For EventSource, which can't set headers.",
                },
            },
        },
    }


def _schemas(endpoints: Sequence[Endpoint]) -> Json:
    """Describe what they answer. No object has more than it is said to have, but a problem."""
    answers = {each for one in endpoints for each in one.answers.values() if _is_shape(each)}
    schemas = schemas_of([*answers, shapes.StreamEvent, shapes.Problem, Sighted])
    for name, one in schemas.items():
        one["additionalProperties"] = name == "Problem"
    return dict(sorted(schemas.items()))


def _is_shape(answer: Answer) -> TypeGuard[type]:
    return isinstance(answer, type) and answer is not dict


def _operation(one: Endpoint) -> Json:
    statuses = [*_ALWAYS, *(_SECURED if one.scope or one.method == "POST" else ())]
    if one.body is not None:
        statuses += [408, 415]
    if {"cursor", "days"} & {each.name for each in fields_of(one.query)}:
        statuses.append(404)
    if one.path.startswith("/v1"):
        statuses.append(503)
    if one.conflicts:
        statuses.append(409)
    answers = {str(status): _answer(status, what) for status, what in one.answers.items()}
    made: Json = {
        "summary": one.summary,
        "operationId": one.method.lower() + re.sub(r"\W+", "_", one.path).rstrip("_"),
        "responses": answers
        | {str(status): _problem(status) for status in sorted(set(statuses) - set(one.answers))},
    }
    parameters = [_parameter(each, "path") for each in one.path_parameters]
    parameters += [_parameter(each, "query") for each in fields_of(one.query)]
    if parameters:
        made["parameters"] = parameters
    if one.body is not None:
        made["requestBody"] = _body(one.body)
    if one.scope is not None:
        made["description"] = f"Needs the scope {one.scope}."
        made["security"] = [{"bearer": []}, *([{"query": []}] if one.stream else [])]
    return made


def _parameter(one: Field, where: str) -> Json:
    made: Json = {"name": one.name, "in": where, "description": one.about, "schema": one.schema}
    if where == "path" or one.required:
        made["required"] = True
    return made


def _body(body: type[Struct]) -> Json:
    schema = {**schemas_of([body])[body.__name__], "additionalProperties": False}
    content = {"application/json": {"schema": schema}}
    return {"required": bool(schema["required"]), "content": content}


def _answer(status: int, what: Answer) -> Json:
    made: Json = {"description": HTTPStatus(status).phrase}
    if what == "text/event-stream":  # of each event
        made["content"] = {what: {"schema": _reference(shapes.StreamEvent)}}
    elif isinstance(what, str):
        made["content"] = {what: {"schema": {"type": "string"}}}
    elif what is not None:
        schema = _reference(what) if _is_shape(what) else {"type": "object"}
        made["content"] = {"application/json": {"schema": schema}}
    return made


def _problem(status: int) -> Json:
    content = {TYPE: {"schema": _reference(shapes.Problem)}}
    return {"description": HTTPStatus(status).phrase, "content": content}


def _reference(shape: type) -> Json:
    return {"$ref": f"#/components/schemas/{shape.__name__}"}
