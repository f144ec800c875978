"""``herenow watch``: watch a room: its counts, their curve, the newest users, and events."""

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import click

from herenow.cli.online import counts_text
from herenow.cli.options import Whole, checked, hidden_option, with_presence
from herenow.cli.output import ago, console, json_line, now_of, on_terminal, say
from herenow.cli.plotting import curve
from herenow.cli.program import YES
from herenow.errors import StoreError
from herenow.operations.events import Place
from herenow.web.escapes import printable
from herenow.web.json_form import moment

if TYPE_CHECKING:
    from herenow.models import Event, Snapshot
    from herenow.presence import Presence
    from herenow.watching.watchers import Events

_SHOWN: Final = 10
_CURVE: Final = 300
_CURVE_LINES: Final = 8
_EVERY: Final = 1.0
_FRAME: Final = 0.1


def _event_id(value: str) -> str:
    Place.parse(value)
    return value


@click.command()
@click.option("--after", metavar="ID", callback=checked(_event_id), help="Resume after this event.")
@click.option(
    "--user",
    "users",
    metavar="USER",
    multiple=True,
    show_default="all",
    help="Show only this user's events; repeatable.",
)
@click.option(
    "--events",
    "most",
    metavar="N",
    type=Whole("the number of events", 1),
    help="End after N events.",
)
@click.option("--json", "as_lines", is_flag=True, help="Print JSON, one event a line.")
@hidden_option
@with_presence()
def watch(
    presence: "Presence",
    *,
    after: str | None,
    users: tuple[str, ...],
    most: int | None,
    as_lines: bool,
    include_hidden: bool,
) -> int:
    """Watch a room live, until Ctrl-C.

    On a terminal, shows the counts, their curve, the newest users and events; else prints an event a
    line: time, type, kind, user, reason, and the id for --after. Waits while the store is unavailable.
    """
    with presence.watch(after, users or None, include_hidden=include_hidden) as events:
        if on_terminal() and not as_lines:
            return _Screen(presence, include_hidden=include_hidden).run(events, most)
        if not presence.health().ok:
            say("the store is not available; waiting for it")
        for number, event in enumerate(events, 1):
            print(json_line(event, hidden=include_hidden) if as_lines else _line(event), flush=True)
            if number == most:
                break
    return YES


def _line(event: "Event") -> str:
    cells = (moment(event.at), event.type, event.kind, event.user, event.reason, event.id)
    return "\t".join("-" if one is None else printable(str(one)) for one in cells)


class _Screen:
    """The terminal's screen, redrawn each second and at each event, at most ten times a second."""

    def __init__(self, presence: "Presence", *, include_hidden: bool) -> None:
        self._presence = presence
        self._include_hidden = include_hidden
        self._curve: deque[int] = deque(maxlen=_CURVE)
        self._events: deque[Event] = deque(maxlen=_SHOWN)
        self._snapshot: Snapshot | None = None
        self._trouble = ""
        self._looked = 0.0

    def run(self, events: "Events", most: int | None) -> int:
        """Draw until the end."""
        from rich.live import Live

        shown, drawn = 0, 0.0
        with Live(console=console(), auto_refresh=False) as live:
            while most is None or shown < most:
                self._look()
                if time.monotonic() - drawn > _FRAME:
                    live.update(self._draw(live.console.width), refresh=True)
                    drawn = time.monotonic()
                batch = events.batch(_EVERY)
                shown += len(batch)
                self._events.extend(batch)
            live.update(self._draw(live.console.width), refresh=True)
        return YES

    def _look(self) -> None:
        if time.monotonic() - self._looked < _EVERY / 2:
            return  # however many events: counts are read at most twice a second
        self._looked = time.monotonic()
        try:
            self._snapshot = self._presence.snapshot(_SHOWN, include_hidden=self._include_hidden)
            self._trouble = ""
        except StoreError as error:
            self._trouble = f"waiting for the store: {error}"
            return
        counts = self._snapshot.counts
        self._curve.append(
            counts.member + counts.guest + (counts.hidden if self._include_hidden else 0)
        )

    def _draw(self, width: int) -> Any:
        from rich.columns import Columns
        from rich.console import Group
        from rich.panel import Panel
        from rich.text import Text

        snapshot = self._snapshot
        counts = (
            ""
            if snapshot is None
            else counts_text(snapshot.counts, include_hidden=self._include_hidden)
        )
        newest = [] if snapshot is None else snapshot.users
        now = None if snapshot is None else now_of(snapshot)
        people = [
            f"{printable(one.user)}  {ago(one.last_seen, now)}{'  away' * one.away}"
            for one in newest
        ]
        half = max(20, width // 2 - 2)
        return Group(
            Text(printable(f"{self._presence.name}: {self._trouble or counts}"), style="bold"),
            Text(_curve([*self._curve], width), no_wrap=True),
            Columns(
                [
                    Panel(Text("\n".join(people) or "nobody"), title="newest", width=half),
                    Panel(
                        Text("\n".join(map(_screen_line, self._events)) or "nothing yet"),
                        title="events",
                        width=half,
                    ),
                ]
            ),
        )


def _screen_line(event: "Event") -> str:
    what = printable(event.user or "started over")
    kind = "" if event.kind in (None, "member") else f" ({event.kind})"
    why = " timed out" if event.reason == "timeout" else ""
    return f"{event.at.astimezone():%H:%M:%S} {event.type:<6} {what}{kind}{why}"


def _curve(counts: list[int], width: int) -> str:
    """Draw how many people there were, a second a step."""
    steps = max(30, len(counts)) + 1
    return curve(
        [(steps - len(counts), counts)],
        steps,
        lambda step: f"{steps - 1 - step:.0f}",
        unit="s ago",
        columns=width,
        lines=_CURVE_LINES,
    )
