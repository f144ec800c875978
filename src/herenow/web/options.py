"""What a site gives an adapter: functions of its own, and settings. Checked here, for every framework.

Pure, but for `make_presence` where a Presence is made of the settings.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from herenow.presence import Presence
from herenow.web.guests import LONGEST_WINDOW
from herenow.web.people import Names
from herenow.web.settings import Settings, make_presence, read_settings
from herenow.web.trouble import Disabled

_log: Final = logging.getLogger("herenow")
_OF_THE_SITE: Final = {
    "online_url", "enabled", "exclude", "secret", "service_url", "max_guests", "max_rooms",
}  # fmt: skip
_OF_THE_SERVICE: Final = {one.name for one in fields(Settings) if one.metadata["of"] == "service"}
_FUNCTIONS: Final = {
    "identify": "a function of the request, or None",
    "names": "a function from a list of ids to a dict of their names",
    "rooms": "a function from a request to the names of rooms",
}


def by_default(request: Any) -> object:
    """Stand for the built-in ``identify``: who is logged in, a bot, else a guest."""
    raise NotImplementedError


class Options:
    """The arguments of an adapter: ``settings`` are those of the fields of `Settings` that were given.

    ``identify(request)`` names who makes a request; `by_default` for the built-in, None marks nobody.
    Raises a ValueError that names what is wrong.
    """

    def __init__(
        self,
        presence: Presence | None,
        identify: Callable[[Any], object] | None,
        names: Names | None,
        rooms: Callable[[Any], object] | None,
        settings: Mapping[str, Any],
    ) -> None:
        if presence is not None and not isinstance(presence, Presence):
            raise ValueError(f"presence is a herenow.Presence, not {type(presence).__name__}")
        given = {"identify": identify, "names": names, "rooms": rooms}
        for name, function in given.items():
            if function is not None and not callable(function):
                raise ValueError(f"{name} is {_FUNCTIONS[name]}")
        theirs = sorted(settings.keys() & _OF_THE_SERVICE)
        if theirs:
            raise ValueError(
                f"{theirs[0]} is a setting of the service: a site does nothing with it"
            )
        own = sorted(settings.keys() - _OF_THE_SITE)
        if presence is not None and own:
            raise ValueError(f"presence has its own {own[0]}: give the one or the other")
        self.identify = identify
        self.names = names
        self.rooms = rooms
        self.presence = presence
        self.settings = settings

    def open(
        self, config: Mapping[str, object], embedded: Path | None
    ) -> tuple[Presence, Settings]:
        """The Presence and the settings of a site, by its framework's ``config``; connects to nothing.

        ``embedded`` is the directory of the embedded store, in debug and testing alone.
        """
        settings = read_settings(self.settings, config)
        if self.identify is by_default and (settings.window or 0) > LONGEST_WINDOW:
            _log.warning("a window of over a day: guests may be counted by the name of each day")
        if not settings.enabled:
            return Disabled(), settings
        if self.presence is not None:
            return self.presence, settings
        return make_presence(settings, embedded=embedded), settings
