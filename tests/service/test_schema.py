"""Schemathesis against a running service: nothing that its own description allows makes it fail."""

import json
import re
from typing import Any
from urllib.parse import unquote

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode

from herenow import names
from tests.conftest import LONG
from tests.service.conftest import API_KEY, Serve, bearer


@pytest.fixture
def schema(serve: Serve) -> Any:
    """The description that a running service gives."""
    address = serve(HERENOW_RATE_LIMIT="false")
    return schemathesis.openapi.from_url(f"{address}/openapi.json")


def test_schemathesis_finds_nothing(schema: Any) -> None:
    """Every operation but the streams, which have no end; with data that is allowed, and that is not."""
    for operation in schema.exclude(path_regex="/events$").get_all_operations():
        _check(operation.ok())


def _check(operation: Any) -> None:
    @settings(
        max_examples=300 if LONG else 20, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(data=st.data())
    def check(data: Any) -> None:
        case = data.draw(operation.as_strategy())
        # it makes names by Python's regular expressions, whose $ lets a newline follow
        assume(not any("\n" in str(one) for one in (case.path_parameters, case.query, case.body)))
        assume(not _undone(case))
        _narrow(case)
        case.call_and_validate(headers=bearer(API_KEY))

    check()


def _undone(case: Any) -> bool:
    """Whether an allowed name was turned into another: what looks percent-encoded, it decodes first."""
    allowed = case.meta.generation.mode is GenerationMode.POSITIVE
    values = [unquote(str(one)) for one in (case.path_parameters or {}).values()]
    return allowed and any(re.search(r"[\x00-\x1f\x7f-\x9f]", one) for one in values)


def _narrow(case: Any) -> None:
    """Keep to the rules that no schema can say: a size in bytes, and that nobody replaces themselves."""
    if not isinstance(case.body, dict):
        return
    many = case.body.get("sightings")
    for one in (case.body, *(many if isinstance(many, list) else ())):
        if not isinstance(one, dict):
            continue
        if isinstance(one.get("info"), dict):
            one["info"] = dict(list(one["info"].items())[:1])
            if len(json.dumps(one["info"])) > names.MAX_INFO_BYTES:
                one["info"] = {}
        if "replaces" in one and str(one["replaces"]) == str(one.get("user")):
            del one["replaces"]
