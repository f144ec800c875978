"""``herenow why``: explain why a user is, or is not, online."""

from typing import TYPE_CHECKING

import click

from herenow.cli.options import hidden_option, json_option, user_argument, with_presence
from herenow.cli.output import show_json, show_lines, span
from herenow.cli.program import NO, YES
from herenow.web.json_form import moment

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
                f"now {moment(found.now)}",
                f"window {span(found.window)}, retention {span(found.retention)}",
                *map(_session, found.presence.sessions),
                *map(_event, found.events),
            ]
        )
    return YES if found.presence.online else NO


def _session(session: "Session") -> str:
    shows = "".join(f", {name}: {value}" for name, value in session.info.items())
    away = ", away" if session.away else ""
    return f"session {session.name!r} last seen {moment(session.last_seen)}{away}{shows}"


def _event(event: "Event") -> str:
    return f"{moment(event.at)} {event.type}{f' ({event.reason})' if event.reason else ''}"
