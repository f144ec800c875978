"""The one JSON form of the models, which the service, the commands and /online print."""

import json
from datetime import UTC, datetime, timedelta, timezone

from herenow import models
from herenow.web.json_form import json_form

AT = datetime(2026, 1, 3, 16, 0, 0, 123_999, tzinfo=UTC)
WRITTEN = "2026-01-03T16:00:00.123Z"
COUNTS = models.Counts(5, 4, 3, 2)
USER = models.UserPresence(
    "alice", "hidden", True, False, AT, None, {}, (models.Session("tab", False, AT, {}),)
)
SNAPSHOT = models.Snapshot(COUNTS, (USER,), "next", "1-1")
EVERY = {
    "Counts": COUNTS,
    "UserPresence": USER,
    "Page": models.Page((USER,), "next"),
    "Snapshot": SNAPSHOT,
    "Peak": models.Peak(9, AT),
    "Sample": models.Sample(AT, 12, COUNTS),
    "Room": models.Room("doc:1", COUNTS),
    "reset": models.Event("1-1", "reset", "site", None, None, AT, snapshot=SNAPSHOT),
    "leave": models.Event("1-2", "leave", "site", "alice", "member", AT, "left"),
    "Health": models.Health(True, AT, 0.25, 0, "closed"),
}


def _keys(form: object) -> set[str]:
    if isinstance(form, dict):
        return set(form).union(*map(_keys, form.values()))
    return set().union(*map(_keys, form)) if isinstance(form, list) else set()


def test_every_model_has_the_same_names_and_times() -> None:
    forms = {name: json_form(one, hidden=True) for name, one in EVERY.items()}
    assert json.loads(json.dumps(forms)) == forms
    assert not {"next", "next_page"} & _keys(forms)
    assert forms["Room"]["room"] == "doc:1"
    assert [forms[name]["cursor"] for name in ("Page", "Snapshot")] == ["next", "next"]
    assert forms["Peak"] == {"count": 9, "at": WRITTEN}
    assert forms["UserPresence"]["sessions"][0]["last_seen"] == WRITTEN
    assert forms["Health"]["since"] == WRITTEN


def test_a_time_is_written_in_utc_to_the_millisecond() -> None:
    there = AT.astimezone(timezone(timedelta(hours=-5)))
    assert json_form([AT, there, AT.replace(microsecond=0), None]) == [
        WRITTEN,
        WRITTEN,
        "2026-01-03T16:00:00.000Z",
        None,
    ]


def test_an_event_has_only_what_it_says() -> None:
    assert json_form(EVERY["leave"]) == {
        "id": "1-2",
        "type": "leave",
        "room": "site",
        "user": "alice",
        "kind": "member",
        "at": WRITTEN,
        "reason": "left",
    }


def test_what_tells_of_the_hidden_is_there_only_where_it_is_asked_for() -> None:
    for name in ("Counts", "Room", "Snapshot", "Sample", "reset"):
        shown, open_ = json_form(EVERY[name]), json_form(EVERY[name], hidden=True)
        assert not {"hidden", "people"} & _keys(shown), name
        assert "hidden" in _keys(open_), name
    assert "people" in json_form(EVERY["Sample"], hidden=True)
