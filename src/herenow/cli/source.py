"""The store of a site that uses the recipe: its options, and how it is opened and read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from herenow.cli.options import Whole, settings_for
from herenow.recipe.layout import MINUTES, Layout

if TYPE_CHECKING:
    from herenow.recipe import Reader

F = TypeVar("F", bound=Callable[..., Any])
_MOST_MINUTES: Final = 1440


def layout_options(command: F) -> F:
    """Give a command ``--minutes``, ``--minute-keys`` and ``--activity-keys``."""
    for option in (
        click.option(
            "--activity-keys",
            metavar="PREFIX",
            default=Layout.activity,
            show_default=True,
            help="The prefix of the keys of users' activity.",
        ),
        click.option(
            "--minute-keys",
            metavar="PREFIX",
            default=Layout.sets,
            show_default=True,
            help="The prefix of the keys of the minutes' sets.",
        ),
        click.option(
            "--minutes",
            metavar="N",
            type=Whole("the number of minutes", 1, _MOST_MINUTES),
            show_default=str(MINUTES),
            help="The site's ONLINE_LAST_MINUTES.",
        ),
    ):
        command = option(command)
    return command


@contextmanager
def open_source(
    url: str, minutes: int | None, minute_keys: str, activity_keys: str
) -> Iterator["Reader"]:
    """Open the store of a site, to read the recipe's keys."""
    from herenow.recipe import Reader
    from herenow.store.engine import Engine
    from herenow.store.opening import opener

    settings = settings_for(url)
    engine = Engine(opener(url, settings.timeout, asynchronous=False))
    try:
        yield Reader(engine, Layout(minutes or MINUTES, minute_keys, activity_keys))
    finally:
        engine.close()
