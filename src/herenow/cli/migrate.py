"""``herenow migrate``: import the users of a site that uses the recipe, while it is running."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

import click
from click.core import ParameterSource

from herenow.cli.logstore import open_store
from herenow.cli.options import (
    checked,
    json_option,
    prefix_option,
    room_option,
    store_url,
    url_option,
)
from herenow.cli.output import many, say, show_json, show_lines, show_progress
from herenow.cli.program import INTERRUPTED, NO, STORE, YES
from herenow.cli.source import open_source, with_layout
from herenow.cli.stopping import insist, stop_on_signals
from herenow.errors import StoreError
from herenow.store.finalizing import Flag
from herenow.web.json_form import json_form

if TYPE_CHECKING:
    from collections.abc import Iterable

    from herenow.recipe import Layout, Moved, Mover

_EVERY: Final = 0.5


@click.command()
@click.option(
    "--from",
    "source_url",
    metavar="URL",
    required=True,
    callback=checked(store_url),
    help="The store of the site that uses the recipe.",
)
@url_option
@prefix_option
@room_option
@click.option(
    "--kind", type=click.Choice(["guest", "bot"]), show_default="member", help="The users' kind."
)
@click.option("--follow", is_flag=True, help="Keep importing what is new, until Ctrl-C or SIGTERM.")
@with_layout
@json_option
def migrate(
    *,
    source_url: str,
    url: str | None,
    prefix: str | None,
    room: str,
    kind: Literal["guest", "bot"] | None,
    follow: bool,
    layout: "Layout",
    in_json: bool,
) -> int:
    """Import the users of a site that uses the recipe into herenow, from its store.

    Users keep their last activity, whether they are online or not. The site may stay up: with --follow
    its changes are imported twice a second, so that the new site can take over at any moment; end this
    command then. A second run changes nothing, and the source is only read. Exit code 1 if nobody was
    found.
    """
    from herenow.outbox.scopes import DEFAULT_RETENTION
    from herenow.recipe import Mover

    stop = stop_on_signals()
    began = time.monotonic()
    named = click.get_current_context().get_parameter_source("minutes")
    window = float(layout.window) if named is ParameterSource.COMMANDLINE else None
    with (
        open_store(url, prefix, room, window) as target,
        open_source(source_url, layout) as source,
    ):
        set_up = target.settings
        core = replace(target, window=window or set_up.window).core(set_up.history)
        mover = Mover(source, target.engine, core, set_up.retention or DEFAULT_RETENTION, kind)
        code = YES if _run(mover.everybody(), stop) else INTERRUPTED
        if follow and code == YES:
            code = _follow(mover, stop)
    moved = mover.moved
    if in_json:
        show_json({**json_form(moved), "seconds": round(time.monotonic() - began, 3)})
    else:
        show_lines([_report(moved)])
        for user, why in moved.examples.items():
            say(f"refused '{user}': {why}")
    return code if moved.read or code != YES else NO


def _run(steps: "Iterable[Moved]", stop: Flag) -> bool:
    """Go through a pass, to its end or until ``stop``; whether to its end."""
    try:
        for moved in steps:
            show_progress(f"{moved.read:,} read, {moved.marked:,} marked")
            if stop.is_set():
                return False
    finally:
        show_progress()
    return True


def _follow(mover: "Mover", stop: Flag) -> int:
    """Import what is new until ``stop``, and once more at the end; the exit code."""
    say(f"{_report(mover.moved)}; following: switch the site when you like, then end this")
    while not stop.wait(_EVERY):
        insist(lambda: _run(mover.recent(), stop), stop)
    try:
        _run(mover.recent(), Flag())
    except StoreError as error:
        say(f"{error}; what the old site wrote last is not imported")
        return STORE
    return YES


def _report(moved: "Moved") -> str:
    online = moved.marked - moved.gone
    done = [
        f"{many(moved.marked, 'sighting')} marked: {online:,} online, {moved.gone:,} last seen",
        f"{moved.known:,} known already",
    ]
    parts: dict[str, Any] = {
        "refused": moved.refused,
        "older than the retention": moved.too_old,
        "without a Unix time": moved.unreadable,
    }
    return "; ".join([*done, *(f"{number:,} {what}" for what, number in parts.items() if number)])
