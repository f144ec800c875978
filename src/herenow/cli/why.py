"""``herenow why``: explain why a user is, or is not, online."""

from datetime import datetime
from typing import TYPE_CHECKING

import click

from herenow.cli.options import hidden_option, json_option, user_argument, with_presence
from herenow.cli.output import as_json, show_json, show_lines
from herenow.cli.program import NO, YES

if TYPE_CHECKING:
    from herenow.models import Event, Session
    from herenow.presence import Presence


@click.command()
@user_argument
@hidden_option
@with_presence()
@json_option
def why(presence: "Presence", *, user: str, include_hidden: bool, in_json: bool) -> int:
    """Explain why a user is, or is not, online.

    Prints the reason, their sessions and their last events, newest first. Exit code 1 if they are
    offline.
    """
    found = presence.explain(user, include_hidden=include_hidden)
    if in_json:
        show_json(found)
    else:
        show_lines(
            [
                str(found),
                f"now {_time(found.now)}, window {found.window:g} s, retention {found.retention:g} s",
                *map(_session, found.presence.sessions),
                *map(_event, found.events),
            ]
        )
    return YES if found.presence.online else NO


def _time(moment: datetime) -> str:
    return str(as_json(moment))


def _session(session: "Session") -> str:
    shows = "".join(f", {name}: {value}" for name, value in session.info.items())
    away = ", away" if session.away else ""
    return f"session {session.name!r} last seen {_time(session.last_seen)}{away}{shows}"


def _event(event: "Event") -> str:
    return f"{_time(event.at)} {event.type}{f' ({event.reason})' if event.reason else ''}"
