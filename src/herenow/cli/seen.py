"""``herenow seen``: show whether users are online, and when each was last seen."""

from typing import TYPE_CHECKING

import click

from herenow import names
from herenow.cli.options import checked, hidden_option, json_option, with_presence
from herenow.cli.output import ago, now_of, on_terminal, show_json, show_table
from herenow.cli.program import NO, YES
from herenow.web.json_form import moment

if TYPE_CHECKING:
    from herenow.presence import Presence


def _clean_users(users: tuple[str, ...]) -> list[str]:
    return list(dict.fromkeys(map(names.clean_user, users)))


@click.command()
@click.argument("users", metavar="USER...", nargs=-1, required=True, callback=checked(_clean_users))
@hidden_option
@with_presence()
@json_option
def seen(presence: "Presence", *, users: list[str], include_hidden: bool, in_json: bool) -> int:
    """Show when users were last seen.

    A line each: the user, online or offline, and the time (UTC), or - if nothing is recorded. Exit code 1
    if nothing is recorded of one of them.
    """
    known = list(presence.lookup(users, include_hidden=include_hidden).values())
    if in_json:
        show_json(known)
    else:
        now = now_of(presence.snapshot(1)) if on_terminal() else None
        show_table(
            ("user", "", "last seen"),
            [
                (
                    one.user,
                    "online" if one.online else "offline",
                    ago(one.last_seen, now) if now else moment(one.last_seen) or "-",
                )
                for one in known
            ],
        )
    return YES if all(one.last_seen for one in known) else NO
