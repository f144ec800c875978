"""Settings: the one place that reads HERENOW_* variables and frameworks' configs.

One flat list, by the same names everywhere: the field ``window`` is the argument ``window=``, the
config key and the environment variable HERENOW_WINDOW. What is given as an argument counts first,
then the framework's config, then the environment, then the default. Each field carries how it is
read and what it means: a test holds the README's table equal to that. Nothing here does I/O, except
that `make_presence` looks for the embedded server's program where no store is named.
"""

import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from herenow import names
from herenow.errors import StoreUnavailable
from herenow.outbox.scopes import DEFAULT_TIMEOUT, DEFAULT_WINDOW
from herenow.presence import Presence
from herenow.web import values
from herenow.web.tokens import clean_secret

_log: Final = logging.getLogger("herenow")
_PREFIX: Final = "HERENOW_"
_MINUTES: Final = "ONLINE_LAST_MINUTES"


def _setting(
    default: Any, read: Callable[[object], Any], shown: str, meaning: str, of: str = "all"
) -> Any:
    metadata = {"read": read, "shown": shown, "meaning": meaning, "of": of}
    return field(default=default, metadata=metadata)


# ------------------------------------------------------------ the list


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be set, clean; durations in seconds. `read_settings` makes it.

    None for ``window``, ``retention`` and ``resolution`` leaves them to what the room has stored.
    """

    url: str | None = _setting(
        None,
        values.url,
        "none",
        "the store, as `redis://localhost:6379/0`; in debug and testing, where none is set and "
        "`herenow[embedded]` is installed, the embedded store in `instance/herenow`",
    )
    prefix: str = _setting("herenow:", names.clean_prefix, "herenow:", "what every key begins with")
    window: float | None = _setting(
        None,
        values.duration("a window"),
        "5m",
        "how long a sighting keeps a user online; where it is not set, the recipe's "
        "`ONLINE_LAST_MINUTES` is read; stored in the room",
    )
    retention: float | None = _setting(
        None,
        values.duration("a retention"),
        "30d",
        "how long a member's last activity is remembered; stored in the room",
    )
    resolution: float | None = _setting(
        None,
        values.resolution,
        "window / 60",
        "how long a repeat sighting is dropped in the process, without a round trip; 0 is exact",
    )
    buffered: bool = _setting(
        default=True,
        read=values.boolean,
        shown="true",
        meaning="marks wait in the process and are sent in batches, twice a second",
    )
    history: bool | float | None = _setting(
        None,
        values.history,
        "31d",
        "how long the history of `site`, and who was there on a day, are kept; true or false; other "
        "rooms keep one where this is set, or `room(history=)` says so; stored in the room",
    )
    timeout: float = _setting(
        DEFAULT_TIMEOUT,
        values.duration("a timeout"),
        "0.25",
        "how long one wait for the store may take",
    )
    online_url: str | None = _setting(
        None,
        values.page_path,
        "false",
        "the page of who is online, as text (the recipe's `Online: alice, bob`), JSON or HTML by "
        "`Accept`: a path, or true for `/online`",
    )
    enabled: bool = _setting(
        default=True,
        read=values.boolean,
        shown="true",
        meaning="false marks nobody and asks no store, which need not be named: all is unknown",
    )
    exclude: tuple[str, ...] = _setting(
        (),
        values.paths,
        "none",
        "paths that mark nobody, beside static files: `/healthz, /api/*`",
    )
    secret: str | None = _setting(
        None,
        clean_secret,
        "none",
        "names guests (each day's key is made from it; without one the store keeps a random key a "
        "day) and signs tokens; at least 16 characters",
    )
    api_key: str | None = _setting(
        None,
        values.api_key,
        "none",
        "what servers show to the service, which gives them every right; at least 16 characters",
        of="service",
    )
    cors: tuple[str, ...] = _setting(
        (),
        values.origins,
        "none",
        "the origins whose pages may ask the service: `https://example.org, https://example.net`",
        of="service",
    )
    rate_limit: str | None = _setting(
        "20/second",
        values.rate,
        "20/second",
        "how often one token may ask the service, and an address ten times as often; the API key has no "
        "limit; false for none at all",
        of="service",
    )
    max_streams: int = _setting(
        10_000,
        values.count,
        "10000",
        "how many streams one process has open at most; one more is told to come back",
        of="service",
    )
    max_streams_per_address: int | None = _setting(
        None,
        values.count,
        "a tenth",
        "how many of them one address may have (IPv6: its /64), at least 100 by default; `--proxy` names "
        "whoever all come through",
        of="service",
    )
    service_url: str | None = _setting(
        None,
        values.address,
        "none",
        "where browsers find the service, as `https://example.org/presence`",
    )
    max_guests: int = _setting(
        50_000,
        values.number,
        "50000",
        "how many guests and bots a process keeps online at once; more are not marked",
    )
    max_rooms: int = _setting(
        10_000,
        values.number,
        "10000",
        "how many rooms beside `site` a process keeps anybody in at once; more are not marked",
    )

    def __post_init__(self) -> None:
        window = DEFAULT_WINDOW if self.window is None else self.window
        if self.resolution is not None and self.resolution >= window:
            raise ValueError("HERENOW_RESOLUTION: a resolution is shorter than HERENOW_WINDOW")


def variable(name: str) -> str:
    """Name the config key and environment variable of a field."""
    return _PREFIX + name.upper()


def read_settings(
    given: Mapping[str, object],
    config: Mapping[str, object],
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Read what is set: ``given`` by the fields' names, a framework's ``config``, the environment.

    None, and an empty environment variable, are not set. Raises a ValueError that names the
    setting, where it was set and the rule.
    """
    known = {one.name: one.metadata["read"] for one in fields(Settings)}
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ValueError(f"no setting {unknown[0]!r}: there are {', '.join(known)}")
    sources = (
        ("given as an argument", {variable(name): value for name, value in given.items()}),
        ("in the config", config),
        ("in the environment", {name: value for name, value in environ.items() if value}),
    )
    clean = {}
    for name, read in known.items():
        readers = {variable(name): read}
        if name == "window":
            readers[_MINUTES] = values.minutes  # only where the setting itself is nowhere set
        for key, where, value in (
            (key, where, source.get(key)) for key in readers for where, source in sources
        ):
            if value is not None:
                try:
                    clean[name] = readers[key](value)
                except ValueError as error:
                    raise ValueError(f"{key}, {where}: {error}") from None
                break
    return Settings(**clean)


def make_presence(settings: Settings, *, embedded: Path | None = None) -> Presence:
    """Make the Presence that settings describe; it connects at its first use.

    ``embedded`` is the directory of the embedded store to use where no store is named: an adapter
    names one in debug and in testing alone, for two hosts with an embedded store each would be two
    truths. Raises a ValueError that names HERENOW_URL where that leaves no store.
    """
    return Presence(
        settings.url or _embedded(embedded),
        prefix=settings.prefix,
        window=settings.window,
        retention=settings.retention,
        resolution=settings.resolution,
        buffered=settings.buffered and _threads_run(),
        history=settings.history,
        timeout=settings.timeout,
    )


def _threads_run() -> bool:
    """Whether what is buffered would be sent: uWSGI runs no threads unless it is told to."""
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is None or {"enable-threads", "threads", "gevent"} & uwsgi.opt.keys():
        return True
    _log.warning("uWSGI runs no threads, so marks go unbuffered: give it --enable-threads")
    return False


def _embedded(directory: Path | None) -> str:
    if directory is None:
        raise _no_store("the embedded store stands in for it in debug and testing only")
    return embedded_url(directory)


def embedded_url(directory: Path) -> str:
    """Name the embedded store of a directory; a ValueError where there is no program to serve it."""
    from herenow.embedded.programs import find_server

    try:
        find_server()
    except StoreUnavailable as error:
        raise _no_store(str(error)) from error
    return f"embedded://{quote(str(directory))}"


def _no_store(why: str) -> ValueError:
    return ValueError(
        f"HERENOW_URL is not set: name the store, as redis://localhost:6379/0 ({why})"
    )
