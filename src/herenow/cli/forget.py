"""``herenow forget``: erase a user."""

import sys
from typing import TYPE_CHECKING

import click

from herenow.cli.options import json_option, user_argument, with_presence
from herenow.cli.output import many, show_json, show_lines
from herenow.cli.program import NO, YES

if TYPE_CHECKING:
    from herenow.presence import Presence


@click.command()
@user_argument
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@with_presence(room=False)
@json_option
def forget(presence: "Presence", *, user: str, yes: bool, in_json: bool) -> int:
    """Erase everything that is recorded of a user, in every room.

    Asks for confirmation. Exit code 1 if nothing was recorded, or the answer was no.
    """
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(
                "forget asks for confirmation, and stdin is no terminal: give --yes"
            )
        if not click.confirm(f"Erase everything that is recorded of {user!r}?", err=True):
            return NO
    found = presence.forget(user)
    if in_json:
        show_json({"user": user, "rooms": found})
    else:
        show_lines([f"forgotten in {many(found, 'room')}"])
    return YES if found else NO
