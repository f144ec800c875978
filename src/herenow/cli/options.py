"""The options that commands share, and what they open: one meaning each, in one place.

``@with_presence()`` gives a command its ``presence``, open for as long as it runs; ``settings_for`` gives
`Settings` to one that makes its own. `web.settings` reads the rest from the environment.
"""

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from herenow import names, store
from herenow.cli.output import say
from herenow.outbox.scopes import DEFAULT_ROOM

if TYPE_CHECKING:
    from herenow.web.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])
_TIMEOUT: Final = "5"
"""Seconds: a person at a terminal waits longer than a page may; HERENOW_TIMEOUT overrides it."""


def checked(check: Callable[[Any], Any]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Make a checking function, such as those of `names`, the callback of an option or an argument."""

    def callback(_: click.Context, parameter: click.Parameter, value: Any) -> Any:
        try:
            return value if value is None else check(value)
        except ValueError as error:
            raise click.BadParameter(str(error), param=parameter) from None

    return callback


class Whole(click.ParamType[int]):
    """A whole number within limits, in words."""

    name = "number"

    def __init__(self, what: str, least: int, most: int | None = None) -> None:
        self._what, self._least, self._most = what, least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the number."""
        text = str(value)
        number = int(text) if text.isascii() and text.isdigit() else -1
        if number < self._least or (self._most is not None and number > self._most):
            limits = f"of at least {self._least}"
            if self._most is not None:
                limits = f"from {self._least} to {self._most}"
            self.fail(f"{self._what} is a whole number {limits}; got {text!r}", param, ctx)
        return number


def port_option(**words: Any) -> Callable[[F], F]:
    """Make the option ``--port``."""
    return click.option(
        "--port",
        default=8000,
        metavar="PORT",
        show_default=True,
        type=Whole("a port", 0, 65_535),
        help="The port to listen on; 0 picks a free one.",
        **words,
    )


def listen(host: str, port: int) -> socket.socket:
    """Listen at an address, before it is printed; ValueError with the reason if that fails.

    The socket names its protocol: asyncio turns Nagle's delay off for those that do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        known = error.errno is not None and error.errno > 0
        why = os.strerror(error.errno or 0) if known else error.strerror
        raise ValueError(
            f"cannot listen on {host}:{port}: {why}; choose another --port, or 0 for a free one"
        ) from None
    return socket.socket(family, bound.type, socket.IPPROTO_TCP, bound.detach())


def store_url(value: str) -> str:
    """Check a store's URL and return it unchanged."""
    store.check_url(value)
    return value


url_option: Final = click.option(
    "--url",
    metavar="URL",
    callback=checked(store_url),
    show_default="HERENOW_URL, else the embedded store",
    help="The store, such as redis://localhost:6379/0.",
)
prefix_option: Final = click.option(
    "--prefix",
    metavar="PREFIX",
    callback=checked(names.clean_prefix),
    show_default="HERENOW_PREFIX, else herenow:",
    help="The prefix of every key.",
)
room_option: Final = click.option(
    "--room",
    metavar="ROOM",
    callback=checked(names.clean_room),
    default=DEFAULT_ROOM,
    show_default=True,
    help="The room.",
)
json_option: Final = click.option(
    "--json", "in_json", is_flag=True, help="Print one JSON document."
)
hidden_option: Final = click.option(
    "--include-hidden", is_flag=True, help="Show hidden members too."
)


def duration_option(name: str, what: str, **words: Any) -> Callable[[F], F]:
    """Make an option for a duration in seconds: 90, 5m, 30d."""

    def check(value: object) -> float:
        from herenow.web.values import clean_duration

        return clean_duration(value, what)

    return click.option(name, metavar="DURATION", callback=checked(check), **words)


def limit_option(default: str, text: str) -> Callable[[F], F]:
    """Make the option ``--limit``."""
    rule = Whole("a limit", 1)
    return click.option("--limit", metavar="N", type=rule, show_default=default, help=text)


user_argument: Final = click.argument("user", callback=checked(names.clean_user))


def settings_for(
    url: str | None,
    prefix: str | None = None,
    *,
    needed: bool = True,
    terminal: bool = True,
    **given: object,
) -> "Settings":
    """Read a command's settings; if a store is ``needed``, their ``url`` names one.

    Without any URL it is this directory's embedded store (of its Flask project, if that has one), and a
    line on stderr names it. ``terminal=False`` keeps a site's timeout: nobody waits at a terminal.
    """
    from herenow.web.settings import read_settings

    given |= {"url": url, "prefix": prefix}
    waits = {"HERENOW_TIMEOUT": _TIMEOUT} if terminal else {}
    named = {name: value for name, value in os.environ.items() if value}
    settings = read_settings(given, {}, waits | named)
    return settings if settings.url or not needed else replace(settings, url=_embedded())


def _embedded() -> str:
    from herenow.embedded import default_directory, project_directory
    from herenow.web.settings import embedded_url

    directory = project_directory() or default_directory()
    url = embedded_url(directory)
    say(f"using the embedded store in {directory} (--url names another)")
    return url


def with_presence(*, room: bool = True) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command ``--url``, ``--prefix`` and ``--room``, and its first argument: a Presence there.

    It sends every mark at once, and is closed when the command returns. ``room=False`` for what concerns
    the whole store.
    """

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        @wraps(command)
        def run(
            url: str | None, prefix: str | None, *args: Any, room: str = DEFAULT_ROOM, **kwargs: Any
        ) -> int:
            from herenow.web.settings import make_presence

            settings = settings_for(url, prefix, buffered=False, resolution=0)
            with make_presence(settings) as presence:
                there = presence if room == DEFAULT_ROOM else presence.room(room)
                return command(there, *args, **kwargs)

        decorated: Any = url_option(prefix_option(run))
        return room_option(decorated) if room else decorated  # type: ignore[no-any-return]

    return decorate
