"""Values: how what is set is read, strictly; a ValueError names the rule, and repeats no secret.

Each function takes what a person wrote in an environment variable or a config, or an argument's own type.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from herenow import names, store

_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd]?)")
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_YES: Final = ("1", "true", "yes", "on")
_NO: Final = ("0", "false", "no", "off")
_SECRET_LENGTH: Final = 16
_MOST: Final = 10_000_000
_VISIBLE: Final = re.compile(r"[!-~]{1,1024}")
_ORIGIN: Final = re.compile(r"https?://[a-z0-9.\-\[\]:]+")
_ADDRESS: Final = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")
_RATE: Final = re.compile(r"([1-9][0-9]{0,8})/(second|minute|hour)")
_PATH: Final = re.compile(r"/[^\s<>?#]*")  # < begins a variable part in the frameworks' rules


def seconds(value: object) -> Any:
    """Turn a text into seconds; leave a number or a timedelta to whoever checks it."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is None:
            raise ValueError(
                f"a duration is seconds, or a number with s, m, h or d, as 5m or 30d, not {value!r}"
            )
        return float(match[1]) * _UNITS[match[2]]
    return value  # a number or a timedelta, or what `names` refuses


def duration(what: str) -> Callable[[object], float]:
    """Make a reader of durations, in seconds; ``what`` is named where one is bad."""
    return lambda value: names.milliseconds(seconds(value), what) / 1000


def clean_duration(value: object, what: str) -> float:
    """Read a duration as every setting does: seconds, or ``90s``, ``5m``, ``2h``, ``30d``."""
    return duration(what)(value)


def resolution(value: object) -> float:
    """Read a resolution, in seconds; 0 is one."""
    return names.age_milliseconds(seconds(value), "a resolution") / 1000


def history(value: object) -> bool | float:
    """Read whether a history is kept, or for how many seconds."""
    try:
        return boolean(value)
    except ValueError:
        return names.milliseconds(seconds(value), "a history") / 1000


def minutes(value: object) -> float:
    """Read the recipe's number of minutes, in seconds."""
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, str) and not text.endswith(("s", "m", "h", "d")):
        text = seconds(text)
    if isinstance(text, bool) or not isinstance(text, int | float):
        raise ValueError(f"a number of minutes, not {value!r}")
    return names.milliseconds(text * 60, "a window") / 1000


def url(value: object) -> str:
    """Read a store's URL."""
    if not isinstance(value, str):  # not repeated: it may be a URL of bytes, with a password
        raise ValueError(f"a store's URL is a str, not {type(value).__name__}")
    store.check_url(value)
    return value


def boolean(value: object) -> bool:
    """Read true or false, in the words that people use."""
    word = str(value).lower() if isinstance(value, bool | int | str) else None
    if word in _YES or word in _NO:
        return word in _YES
    raise ValueError(f"true or false (1, yes, on; 0, no, off), not {value!r}")


def page_path(value: object) -> str | None:
    """Read the path of a page; None for no page."""
    if isinstance(value, str) and _PATH.fullmatch(value):
        return value
    try:
        return "/online" if boolean(value) else None
    except ValueError:
        raise ValueError(
            f"true, false or a path that begins with / and has no blank, < > ? or #, not {value!r}"
        ) from None


def api_key(value: object) -> str:
    """Read an API key."""
    if isinstance(value, str) and len(value) >= _SECRET_LENGTH and _VISIBLE.fullmatch(value):
        return value
    raise ValueError(  # not repeated
        f"an API key is at least {_SECRET_LENGTH} visible ASCII characters, kept to your servers"
    )


def origins(value: object) -> tuple[str, ...]:
    """Read origins, as a list or with commas between."""
    listed = value.split(",") if isinstance(value, str) else value
    if isinstance(listed, list | tuple | set | frozenset):
        origins = tuple(one.strip() if isinstance(one, str) else one for one in listed)
        if all(isinstance(one, str) and _ORIGIN.fullmatch(one) for one in origins):
            return origins
    raise ValueError(
        f"origins, as a list or with commas between, as https://example.org, not {value!r}"
    )


def rate(value: object) -> str | None:
    """Read a rate, as 20/second; None for no limit."""
    if isinstance(value, str) and (match := _RATE.fullmatch(value.strip())):
        return f"{int(match[1])}/{match[2]}"
    try:
        if not boolean(value):
            return None
    except ValueError:
        pass
    raise ValueError(f"a rate as 20/second or 600/minute, or false for none, not {value!r}")


def address(value: object) -> str:
    """Read where a service is, without a slash at the end."""
    if isinstance(value, str) and _ADDRESS.fullmatch(value.rstrip("/")):
        return value.rstrip("/")
    raise ValueError(f"an address as https://example.org/presence, not {value!r}")


def paths(value: object) -> tuple[str, ...]:
    """Read paths, as a list or with commas between."""
    listed = value.split(",") if isinstance(value, str) else value
    if isinstance(listed, list | tuple | set | frozenset):
        paths = tuple(one.strip() if isinstance(one, str) else one for one in listed)
        if all(isinstance(one, str) and one.startswith(("/", "*")) for one in paths):
            return paths
    raise ValueError(
        f"paths, as a list or with commas between, that begin with / or *, not {value!r}"
    )


def number(value: object) -> int:
    """Read a whole number of 0 or more."""
    return _whole(value, 0)


def count(value: object) -> int:
    """Read a whole number of 1 or more."""
    return _whole(value, 1)


def _whole(value: object, least: int) -> int:
    whole = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
    if isinstance(whole, bool) or not isinstance(whole, int) or not least <= whole <= _MOST:
        raise ValueError(f"a whole number from {least} to {_MOST}, not {value!r}")
    return whole
