"""Schemathesis against a running service: nothing that its own description allows makes it fail."""

import json
from datetime import datetime
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from herenow import names
from herenow.operations.online import encode_cursor
from tests.service.conftest import API_KEY, Serve, bearer

_LETTERS = st.characters(exclude_categories=["Cc", "Cs"], codec="utf-8")


def _named(least: int, most: int) -> st.SearchStrategy[str]:
    return st.text(_LETTERS, min_size=least, max_size=most).filter(
        lambda name: len(name.encode()) <= most
    )


schemathesis.openapi.format("herenow-user", _named(1, 256))
schemathesis.openapi.format("herenow-room", _named(1, 128))
schemathesis.openapi.format("herenow-session", _named(0, 128))
schemathesis.openapi.format(
    "herenow-cursor",
    st.builds(encode_cursor, st.integers(0, 10**13).map(str), _named(1, 200)).filter(
        lambda cursor: len(cursor) <= 400
    ),
)


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
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def check(data: Any) -> None:
        case = data.draw(operation.as_strategy())
        _narrow(case)
        case.call_and_validate(headers=bearer(API_KEY))

    check()


def _narrow(case: Any) -> None:
    """Keep to the rules that no schema can say: those between two values, and the room's own window."""
    query = case.query or {}
    window = query.get("window")
    if isinstance(window, int | float) and window > 0:
        query["window"] = max(1, min(window, 300))
    if isinstance(case.body, dict) and isinstance(case.body.get("info"), dict):
        case.body["info"] = dict(list(case.body["info"].items())[:1])
        if len(json.dumps(case.body["info"])) > names.MAX_INFO_BYTES:
            case.body["info"] = {}
    if query.get("kind") == "guest":
        query.pop("days", None)
    if _is_time(query.get("start")) or _is_time(query.get("end")):
        query.pop("start", None)
        query["end"] = "2026-01-03T16:00:00Z" if _is_time(query.get("end")) else query.get("end")


def _is_time(value: Any) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False
