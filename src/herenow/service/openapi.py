"""The OpenAPI 3.1 description of the service, made from its endpoints: it can't say anything else."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from msgspec import Struct

from herenow import __version__
from herenow.service.calls import Endpoint
from herenow.service.parameters import Field, fields_of, schemas_of
from herenow.service.problems import TYPE
from herenow.service.shapes import SCHEMAS, reference

Json = dict[str, Any]
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
            "schemas": SCHEMAS,
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
    told: Json = {
        "summary": one.summary,
        "operationId": one.method.lower() + re.sub(r"\W+", "_", one.path).rstrip("_"),
        "responses": answers
        | {str(status): _problem(status) for status in sorted(set(statuses) - set(one.answers))},
    }
    parameters = [_parameter(each, "path") for each in one.path_parameters]
    parameters += [_parameter(each, "query") for each in fields_of(one.query)]
    if parameters:
        told["parameters"] = parameters
    if one.body is not None:
        told["requestBody"] = _body(one.body)
    if one.scope is not None:
        told["description"] = f"Needs the scope {one.scope}."
        ways: list[Json] = [{"bearer": []}]
        if one.stream:
            ways.append({"query": []})
        told["security"] = ways
    return told


def _parameter(one: Field, where: str) -> Json:
    told: Json = {"name": one.name, "in": where, "description": one.about, "schema": one.schema}
    if where == "path" or one.required:
        told["required"] = True
    return told


def _body(body: type[Struct]) -> Json:
    schema = {**schemas_of([body])[body.__name__], "additionalProperties": False}
    content = {"application/json": {"schema": schema}}
    return {"required": bool(schema["required"]), "content": content}


def _answer(status: int, what: str | None) -> Json:
    told: Json = {"description": HTTPStatus(status).phrase}
    if what is None:
        return told
    if what == "text/event-stream":
        told["content"] = {what: {"schema": reference("StreamEvent")}}  # of each event
    elif "/" in what:
        told["content"] = {what: {"schema": {"type": "string"}}}
    else:
        schema = {"type": "object"} if what == "object" else reference(what)
        told["content"] = {"application/json": {"schema": schema}}
    return told


def _problem(status: int) -> Json:
    content = {TYPE: {"schema": reference("Problem")}}
    return {"description": HTTPStatus(status).phrase, "content": content}
