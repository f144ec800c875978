"""The store of a site that uses the recipe: its options, and how it is opened and read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import click

from herenow.cli.logstore import open_engine
from herenow.cli.options import Whole, settings_for
from herenow.recipe.layout import Layout

if TYPE_CHECKING:
    from herenow.recipe import Reader

_MOST_MINUTES: Final = 1440


def with_layout(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command ``--minutes``, ``--minute-keys`` and ``--activity-keys``: its ``layout``."""

    @click.option(
        "--minutes",
        metavar="N",
        type=Whole("the number of minutes", 1, _MOST_MINUTES),
        default=Layout.minutes,
        show_default=True,
        help="The site's ONLINE_LAST_MINUTES.",
    )
    @click.option(
        "--minute-keys",
        metavar="PREFIX",
        default=Layout.sets,
        show_default=True,
        help="The prefix of the keys of the minutes' sets.",
    )
    @click.option(
        "--activity-keys",
        metavar="PREFIX",
        default=Layout.activity,
        show_default=True,
        help="The prefix of the keys of users' activity.",
    )
    @wraps(command)
    def run(*args: Any, minutes: int, minute_keys: str, activity_keys: str, **kwargs: Any) -> int:
        return command(*args, layout=Layout(minutes, minute_keys, activity_keys), **kwargs)

    return run


@contextmanager
def open_source(url: str, layout: Layout) -> Iterator["Reader"]:
    """Open the store of a site, to read the recipe's keys."""
    from herenow.recipe import Reader

    with open_engine(url, settings_for(url).timeout) as engine:
        yield Reader(engine, layout)
