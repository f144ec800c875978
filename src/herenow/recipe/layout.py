"""How the recipe names its keys, and what it takes for online."""

import re
from dataclasses import dataclass
from typing import Final

_GLOB: Final = re.compile(rb"([*?\[\]\\^])")
_SLACK: Final = 2


@dataclass(frozen=True)
class Layout:
    """Names of the keys: a prefix and the minute since 1970, a prefix and the user.

    ``minutes`` is the site's ONLINE_LAST_MINUTES: of so many sets it shows the union.
    """

    minutes: int = 5
    sets: str = "online-users/"
    activity: str = "user-activity/"

    @property
    def window(self) -> int:
        """What the site means by online, in seconds."""
        return self.minutes * 60

    def set_key(self, minute: int) -> bytes:
        """Name the set of one minute."""
        return f"{self.sets}{minute}".encode()

    def shown_minutes(self, now: float) -> range:
        """The minutes whose sets the site joins now, the first of them to the current one."""
        current = int(now) // 60
        return range(current - self.minutes + 1, current + 1)

    def kept_minutes(self, now: float) -> range:
        """The minutes whose sets may still be there: they outlive what is shown by 70 s."""
        shown = self.shown_minutes(now)
        return range(shown.start - _SLACK, shown.stop + _SLACK)

    def shown_seconds(self, now: float) -> float:
        """How long ago the first shown minute began: what "the last five minutes" are just now."""
        return now - self.shown_minutes(now).start * 60

    def activity_key(self, user: bytes) -> bytes:
        """Name the string of one user."""
        return self.activity.encode() + user

    def user_of(self, key: bytes) -> bytes:
        """Take the user out of the name of their string."""
        return key[len(self.activity.encode()) :]

    @property
    def activity_pattern(self) -> bytes:
        """What SCAN is to match."""
        return _GLOB.sub(rb"\\\1", self.activity.encode()) + b"*"
