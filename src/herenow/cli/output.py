"""What commands print: plain lines into a pipe, a table on a terminal, JSON when asked.

Control and invisible characters in data are escaped (`web.escapes`); lines keep their tabs. Owns every
escape code: there are none unless stdout is a terminal, and none at all with NO_COLOR. rich is imported
only on a terminal, json only when asked.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from herenow.operations.events import Place
from herenow.operations.scope import moment
from herenow.web.escapes import json_text, printable
from herenow.web.json_form import json_form

if TYPE_CHECKING:
    from rich.console import Console

    from herenow.models import Snapshot


def on_terminal() -> bool:
    """Whether a person reads stdout."""
    return sys.stdout.isatty()


def console() -> "Console":
    """Make the console of a terminal: no markup in what users named, no colours with NO_COLOR."""
    from rich.console import Console

    color = None if os.environ.get("NO_COLOR") else "auto"
    return Console(color_system=color, markup=False, emoji=False, highlight=False)  # type: ignore[arg-type]


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows: on a terminal under their columns' names, else tab-separated, a row a line."""
    if not on_terminal():
        for row in rows:
            sys.stdout.write("\t".join(printable(str(cell)) for cell in row) + "\n")
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=None,
        pad_edge=False,
        header_style="bold",
        padding=(0, 2, 0, 0),
        show_header=any(columns),
    )
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    console().print(table)


def show_lines(lines: Iterable[object]) -> None:
    """Print lines."""
    for line in lines:
        sys.stdout.write(printable(str(line), keep="\t") + "\n")


def show_json(value: object, *, hidden: bool = False) -> None:
    """Print one JSON document, in the form of `web.json_form`."""
    print(json_line(value, hidden=hidden, indent=2 if on_terminal() else None))


def json_line(value: object, *, hidden: bool = False, indent: int | None = None) -> str:
    """Write results as JSON; without ``indent`` on one line."""
    import json

    form = json_form(value, hidden=hidden)
    return json_text(json.dumps(form, ensure_ascii=False, indent=indent))


def say(text: str) -> None:
    """Print a message on stderr, after the program's name."""
    print(f"herenow: {printable(text)}", file=sys.stderr, flush=True)


def show_progress(text: str = "") -> None:
    """Show progress on a terminal's stderr, in place of the last; "" clears the line."""
    if sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """Write how long ago a moment was: "3 minutes ago"; a dash for never."""
    if moment is None:
        return "-"
    from herenow.web import people

    return people.ago(moment, now)


def now_of(snapshot: "Snapshot") -> datetime:
    """When a snapshot was taken, by the store's clock: ages are by that, not by this machine's."""
    return moment(Place.parse(snapshot.event_id).moment)


def many(number: int, what: str) -> str:
    """Write a count with its noun: "1 guest", "1,234 guests"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def span(seconds: float) -> str:
    """Write a duration: "5 minutes", "30 days", "1.5 seconds"."""
    from humanize import precisedelta

    return precisedelta(seconds, suppress=("months", "years"), format="%g")


def size(number: int) -> str:
    """Write a number of bytes: "9.1 MB"."""
    import humanize

    return humanize.naturalsize(number, format="%.3g")
