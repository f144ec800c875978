"""``herenow audit``: compare what a site that uses the recipe shows with who is really online."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from herenow.cli.options import checked, json_option, store_url
from herenow.cli.output import (
    many,
    say,
    show_json,
    show_lines,
    show_progress,
    show_table,
    size,
)
from herenow.cli.program import NO, YES
from herenow.cli.source import open_source, with_layout
from herenow.web.json_form import json_form

if TYPE_CHECKING:
    from herenow.recipe import Audit, Layout


@click.command()
@click.argument("url", callback=checked(store_url))
@with_layout
@json_option
def audit(*, url: str, layout: "Layout", in_json: bool) -> int:
    """Compare what a site that uses the recipe shows with the truth, from its store.

    Prints how long its "five minutes" are now, how many users it shows and how many are online, and how
    much memory it takes compared with herenow. Reads in small steps, so it is safe on a live site, and
    writes nothing. Exit code 1 if the store has no key of the recipe.
    """
    from herenow.recipe import audit as read

    with open_source(url, layout) as source:
        found = read(source, lambda users: show_progress(f"{users:,} users read"))
    show_progress()
    if in_json:
        show_json({**json_form(found), "bytes": found.bytes})
    elif not found.found:
        named = f"{layout.sets}<minute> and {layout.activity}<user>"
        say(f"the store has no key of the recipe, named as {named}")
    else:
        show_lines([headline(found)])
        show_table(("", ""), list(_rows(found, layout)))
    return YES if found.found else NO


def headline(found: "Audit") -> str:
    """Summarize the audit in one line."""
    return (
        f"your {many(found.minutes, 'minute')} is {found.seconds:.0f} s now; "
        f"you show {found.shown:,}, true {found.true:,}; "
        f"{size(found.bytes)} where {size(found.herenow_bytes)} would do"
    )


def _rows(found: "Audit", layout: "Layout") -> Iterator[tuple[str, str]]:
    least = layout.window - 60
    yield (
        "window",
        f"{least} to {layout.window} s, as the minute goes by; {layout.window} s in herenow",
    )
    yield "online", f"{many(found.missing, 'user')} of {found.true:,} not shown"
    yield "sets", f"{many(found.sets, 'set')}, {size(found.set_bytes)}"
    yield (
        "activity",
        f"{many(found.remembered, 'key')}, {size(found.activity_bytes)} by {found.sampled:,} sampled",
    )
    yield (
        "tables",
        "unknown: the store does not report its own"
        if found.table_bytes is None
        else f"{size(found.table_bytes)} of the store's own, for these keys and their ends",
    )
    yield "a count", f"transfers {many(found.shown, 'name')}; none in herenow"
    if found.came:
        yield "meanwhile", f"{many(found.came, 'user')} came online, not counted"
    if found.unreadable:
        yield "unreadable", f"{many(found.unreadable, 'key')} of activity hold no Unix time"
    if found.ahead > 1:
        yield "clocks", f"a web server's is {found.ahead:.0f} s ahead of the store's"
