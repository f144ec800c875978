"""``herenow online``: who is online now, or how many."""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final

import click

from herenow import names
from herenow.cli.ages import now_of
from herenow.cli.options import (
    duration_option,
    hidden_option,
    json_option,
    limit_option,
    with_presence,
)
from herenow.cli.output import ago, many, on_terminal, show_json, show_lines, show_table
from herenow.cli.program import NO, YES

if TYPE_CHECKING:
    from herenow.models import Counts, UserPresence
    from herenow.presence import Presence

_AT_ONCE: Final = 1000
_ON_TERMINAL: Final = 50


@click.command()
@click.option("--count", is_flag=True, help="Their number alone.")
@click.option("--kind", default="member", type=click.Choice(names.KINDS), help="Else members.")
@duration_option("--window", "a window", help="Seen within this, as 30 or 2m; else the room's own.")
@limit_option("The newest of them; else all, and 50 on a terminal.")
@hidden_option
@with_presence()
@json_option
def online(
    presence: "Presence",
    *,
    count: bool,
    kind: names.Kind,
    window: float | None,
    limit: int | None,
    include_hidden: bool,
    in_json: bool,
) -> int:
    """Show who is online, newest first: a user a line.

    On a terminal with when each was last seen, and what each shows. Exit code 1 when nobody is.
    """
    if count or in_json:
        number = presence.count_online_users(window, kind, include_hidden=include_hidden)
        if not in_json:
            show_lines([number])
            return YES if number else NO
        document = {"room": presence.name, "kind": kind, "count": number}
        if not count:
            users = _users(presence, kind, window, limit, include_hidden=include_hidden)
            document["users"] = list(users)
        show_json(document)
        return YES if number else NO
    if on_terminal():
        shown = limit or _ON_TERMINAL
        return _show(presence, kind, window, shown, include_hidden=include_hidden)
    listed = presence.get_online_users(window, kind, limit, include_hidden=include_hidden)
    show_lines(listed)
    return YES if listed else NO


def _users(
    presence: "Presence",
    kind: names.Kind,
    window: float | None,
    limit: int | None,
    *,
    include_hidden: bool,
) -> Iterator["UserPresence"]:
    def pages() -> Iterator["UserPresence"]:
        cursor: str | None = None
        while True:
            page = presence.page_online_users(
                min(limit or _AT_ONCE, _AT_ONCE),
                cursor,
                window,
                kind,
                include_hidden=include_hidden,
            )
            yield from page.users
            if (cursor := page.cursor) is None:
                return

    return islice(pages(), limit)


def _show(
    presence: "Presence",
    kind: names.Kind,
    window: float | None,
    limit: int,
    *,
    include_hidden: bool,
) -> int:
    users = list(_users(presence, kind, window, limit, include_hidden=include_hidden))
    snapshot = presence.snapshot(1, include_hidden=include_hidden)
    now = now_of(snapshot)
    if users:
        show_table(
            ("user", "last seen", "", "shows"),
            [(one.user, ago(one.last_seen, now), _remark(one), _info(one)) for one in users],
        )
    number = presence.count_online_users(window, kind, include_hidden=include_hidden)
    more = f"{number - len(users):,} more (--limit); " if number > len(users) else ""
    show_lines([more + said_counts(snapshot.counts, include_hidden=include_hidden)])
    return YES if users else NO


def said_counts(counts: "Counts", *, include_hidden: bool) -> str:
    """Say counts as forums do: "12 members, 34 guests, 3 bots"; of the hidden only where asked."""
    told = [many(counts.member, "member")]
    if include_hidden:
        told.append(f"{counts.hidden:,} hidden")
    told += [many(counts.guest, "guest"), many(counts.bot, "bot")]
    return ", ".join(told)


def _remark(user: "UserPresence") -> str:
    return " ".join(["hidden"] * (user.kind == "hidden") + ["away"] * user.away)


def _info(user: "UserPresence") -> str:
    return ", ".join(f"{key}: {value}" for key, value in user.info.items())
