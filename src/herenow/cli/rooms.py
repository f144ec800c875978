"""``herenow rooms``: list the rooms with somebody online."""

from typing import TYPE_CHECKING

import click

from herenow.cli.options import hidden_option, json_option, limit_option, with_presence
from herenow.cli.output import show_json, show_table
from herenow.cli.program import NO, YES

if TYPE_CHECKING:
    from herenow.presence import Presence


@click.command()
@limit_option("50", "Show at most N rooms.")
@hidden_option
@with_presence(room=False)
@json_option
def rooms(presence: "Presence", *, limit: int | None, include_hidden: bool, in_json: bool) -> int:
    """List the rooms with somebody online, busiest first.

    A line each: room, members, guests, bots; with --include-hidden, hidden. Exit code 1 if there is none.
    """
    found = presence.rooms(limit or 50, include_hidden=include_hidden)
    kinds = ("member", "guest", "bot", "hidden")[: 4 if include_hidden else 3]
    rows = [{kind: getattr(room.counts, kind) for kind in kinds} for room in found]
    if in_json:
        show_json(found, hidden=include_hidden)
    elif rows:
        columns = ("room", "members", "guests", "bots", "hidden")[: 1 + len(kinds)]
        show_table(
            columns,
            [(one.name, *row.values()) for one, row in zip(found, rows, strict=True)],
        )
    return YES if found else NO
