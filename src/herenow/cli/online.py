"""``herenow online``: list who is online now, or count them."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import click

from herenow import names
from herenow.cli.options import (
    duration_option,
    hidden_option,
    json_option,
    limit_option,
    with_presence,
)
from herenow.cli.output import ago, many, now_of, on_terminal, show_json, show_lines, show_table
from herenow.cli.program import NO, YES

if TYPE_CHECKING:
    from herenow.models import Counts, UserPresence
    from herenow.presence import Presence

_AT_ONCE: Final = 1000
_ON_TERMINAL: Final = 50


@click.command()
@click.option("--count", is_flag=True, help="Print only the count.")
@click.option(
    "--kind",
    default="member",
    show_default=True,
    type=click.Choice(names.KINDS),
    help="The kind of users.",
)
@duration_option(
    "--window", "a window", show_default="the room's", help="Seen within this, such as 30 or 2m."
)
@limit_option("all; 50 on a terminal", "Show only the newest N.")
@hidden_option
@with_presence()
@json_option
def online(
    presence: "Presence", *, count: bool, limit: int | None, in_json: bool, **asked: Any
) -> int:
    """List who is online, newest first: a user a line.

    On a terminal with their last sighting and info. Exit code 1 if nobody is online.
    """
    if count or in_json:
        number = presence.count_online_users(**asked)
        if in_json:
            document = {"room": presence.name, "kind": asked["kind"], "count": number}
            if not count:
                document["users"] = list(_users(presence, limit, asked))
            show_json(document)
        else:
            show_lines([number])
        return YES if number else NO
    if on_terminal():
        return _show(presence, limit or _ON_TERMINAL, asked)
    listed = presence.get_online_users(limit=limit, **asked)
    show_lines(listed)
    return YES if listed else NO


def _users(
    presence: "Presence", limit: int | None, asked: Mapping[str, Any]
) -> Iterator["UserPresence"]:
    def pages() -> Iterator["UserPresence"]:
        cursor: str | None = None
        while True:
            page = presence.page_online_users(min(limit or _AT_ONCE, _AT_ONCE), cursor, **asked)
            yield from page.users
            if (cursor := page.cursor) is None:
                return

    return islice(pages(), limit)


def _show(presence: "Presence", limit: int, asked: Mapping[str, Any]) -> int:
    users = list(_users(presence, limit, asked))
    include_hidden = asked["include_hidden"]
    snapshot = presence.snapshot(1, include_hidden=include_hidden)
    now = now_of(snapshot)
    if users:
        show_table(
            ("user", "last seen", "", "info"),
            [(one.user, ago(one.last_seen, now), _remark(one), _info(one)) for one in users],
        )
    number = presence.count_online_users(**asked)
    more = f"{number - len(users):,} more (--limit); " if number > len(users) else ""
    show_lines([more + counts_text(snapshot.counts, include_hidden=include_hidden)])
    return YES if users else NO


def counts_text(counts: "Counts", *, include_hidden: bool) -> str:
    """Write counts as forums do: "12 members, 34 guests, 3 bots"; the hidden only on request."""
    parts = [many(counts.member, "member")]
    if include_hidden:
        parts.append(f"{counts.hidden:,} hidden")
    parts += [many(counts.guest, "guest"), many(counts.bot, "bot")]
    return ", ".join(parts)


def _remark(user: "UserPresence") -> str:
    return " ".join(["hidden"] * (user.kind == "hidden") + ["away"] * user.away)


def _info(user: "UserPresence") -> str:
    return ", ".join(f"{key}: {value}" for key, value in user.info.items())
