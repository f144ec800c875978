"""``herenow migrate``: a site's recipe keys into herenow, while the site goes on writing them."""

import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from herenow.cli.logstore import open_store
from herenow.cli.options import (
    checked,
    json_option,
    prefix_option,
    room_option,
    store_url,
    url_option,
)
from herenow.cli.output import as_json, many, say, show_json, show_lines, show_progress
from herenow.cli.program import INTERRUPTED, NO, STORE, YES
from herenow.cli.source import layout_options, open_source
from herenow.errors import StoreError
from herenow.store.finalizing import Flag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from herenow.recipe import Moved, Mover

_EVERY: Final = 0.5
_RETRY: Final = 1.0


@click.command()
@click.option(
    "--from",
    "source_url",
    metavar="URL",
    required=True,
    callback=checked(store_url),
    help="The store of the site that counts by the recipe.",
)
@url_option
@prefix_option
@room_option
@click.option(
    "--kind", type=click.Choice(["guest", "bot"]), help="What the users are; else members."
)
@click.option("--follow", is_flag=True, help="Go on bringing what is new, until Ctrl-C or SIGTERM.")
@layout_options
@json_option
def migrate(
    *,
    source_url: str,
    url: str | None,
    prefix: str | None,
    room: str | None,
    kind: Literal["guest", "bot"] | None,
    follow: bool,
    minutes: int | None,
    minute_keys: str,
    activity_keys: str,
    in_json: bool,
) -> int:
    """Bring a site that counts by the recipe into herenow, from its store.

    Who is online comes in with her last activity, and who is not as last seen. The site may go on
    writing; with --follow what it writes is brought over twice a second, so that the new site can take
    over at any moment: end this then. A second run changes nothing, and the source is only read. Exit
    code 1 when there was nobody.
    """
    from herenow.outbox.scopes import DEFAULT_RETENTION
    from herenow.recipe import Mover

    stop = Flag()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    began = time.monotonic()
    with (
        open_store(url, prefix, room, minutes and minutes * 60.0, None) as target,
        open_source(source_url, minutes, minute_keys, activity_keys) as source,
    ):
        set_up = target.settings
        window = target.window or set_up.window
        core = replace(target, window=window).core(set_up.history)
        mover = Mover(source, target.engine, core, set_up.retention or DEFAULT_RETENTION, kind)
        code = YES if _run(mover.everybody(), stop) else INTERRUPTED
        if follow and code == YES:
            code = _follow(mover, stop)
    moved = mover.moved
    if in_json:
        show_json({**as_json(moved), "seconds": round(time.monotonic() - began, 3)})
    else:
        show_lines([_said(moved)])
        for user, why in moved.examples.items():
            say(f"refused '{user}': {why}")
    return code if moved.read or code != YES else NO


def _run(steps: "Iterable[Moved]", stop: Flag) -> bool:
    """Go through a pass, to its end or until it is to stop; whether to its end."""
    try:
        for moved in steps:
            show_progress(f"{moved.read:,} read, {moved.told:,} told")
            if stop.is_set():
                return False
    finally:
        show_progress()
    return True


def _follow(mover: "Mover", stop: Flag) -> int:
    """Go on until it is to stop, and then have a last look; the exit code."""
    say(f"{_said(mover.moved)}; following: switch the site when you like, then end this")
    while not stop.wait(_EVERY):
        _insist(mover, stop)
    try:
        _run(mover.recent(), Flag())
    except StoreError as error:
        say(f"{error}; what the old site wrote last is not brought over")
        return STORE
    return YES


def _insist(mover: "Mover", stop: Flag) -> None:
    """Bring over what is new; wait for a store that is away."""
    told = False
    while True:
        try:
            _run(mover.recent(), stop)
        except StoreError as error:
            if not told:
                say(f"{error}; waiting for it")
            told = True
            if stop.wait(_RETRY):
                return
        else:
            return


def _said(moved: "Moved") -> str:
    online = moved.told - moved.gone
    said = [
        f"{many(moved.told, 'sighting')} told: {online:,} online, {moved.gone:,} last seen",
        f"{moved.known:,} known already",
    ]
    parts: dict[str, Any] = {
        "refused": moved.refused,
        "longer ago than the retention": moved.too_old,
        "without a Unix time": moved.unreadable,
    }
    return "; ".join([*said, *(f"{number:,} {what}" for what, number in parts.items() if number)])
