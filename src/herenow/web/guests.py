"""Guests: people who are not logged in, named without keeping who they are.

Pure. A guest's name is an HMAC, under the key of the day (UTC), of the address (of IPv6 the /64 that a
household has) and the user agent: the name gives neither away, and tomorrow's is another. While a guest
of yesterday's name may still be online, a mark replaces that name: nobody is counted twice at midnight.

The key comes from HERENOW_SECRET, else from the store. No request waits for the store: a `Stranger` keeps
the facts, and is named when the mark is sent (see `herenow.outbox.deferred`).
"""

import hmac
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple

from herenow.models import Visitor
from herenow.operations.marking import Mark
from herenow.web.bots import LONGEST_AGENT, bot_name
from herenow.web.bounds import Bound

_DAY: Final = 86_400
_EPOCH: Final = date(1970, 1, 1).toordinal()
LONGEST_WINDOW: Final = _DAY
"""Seconds of a window in which nobody is counted twice: a mark replaces the name of yesterday alone."""
_MOST_REMEMBERED: Final = 8192


def network(address: str) -> str:
    """Cut an address to what one household has: IPv4 unchanged, of IPv6 the /64."""
    return _network(address) if ":" in address else address


@lru_cache(maxsize=_MOST_REMEMBERED)
def _network(address: str) -> str:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address  # a unix socket's, or what a proxy wrote
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)


class DayKeys:
    """The keys of today and yesterday: made from a secret, or learned from the store."""

    def __init__(self, secret: str | None) -> None:
        self._secret = None if secret is None else secret.encode()
        self._known: dict[int, hmac.HMAC] = {}
        self._names: tuple[int, dict[tuple[str | None, str | None], str]] = (0, {})

    def get(self, number: int) -> hmac.HMAC | None:
        """Get the key of a day, by its number since 1970; None while it must be learned."""
        key = self._known.get(number)
        if key is None and self._secret is not None:
            text = f"herenow guests {_date(number)}"
            key = self._keep(number, hmac.digest(self._secret, text.encode(), "sha256"))
        return key

    def learn(self, day: date, key: str) -> None:
        """Take the key of a day, as the store has it."""
        self._keep(day.toordinal() - _EPOCH, key.encode())

    def _keep(self, number: int, key: bytes) -> hmac.HMAC:
        for old in [one for one in self._known if one < number - 1]:
            self._known.pop(old, None)
        made = self._known[number] = hmac.new(key, digestmod="sha256")
        return made

    def guest(self, number: int, address: str | None, agent: str | None) -> str | None:
        """Name the guest of a day; None while its key must be learned."""
        day, named = self._names
        who = (address, agent)
        if day == number and who in named:
            return named[who]
        key = self.get(number)
        if key is None:
            return None
        mac = key.copy()  # half the cost of making one from the key's bytes
        mac.update(f"{network(address or '')}\0{agent or ''}".encode(errors="surrogatepass"))
        name = "guest-" + urlsafe_b64encode(mac.digest()[:15]).decode()
        if day < number or (day == number and len(named) >= _MOST_REMEMBERED):
            day, named = self._names = (number, {})
        if day == number:
            named[who] = name
        return name


def _date(number: int) -> date:
    return date.fromordinal(number + _EPOCH)


class Guests:
    """How the guests and bots of a site are named, and how many of them are marked.

    ``window`` gives the site's, in seconds. What waits in a buffer holds this, so it must hold no app.
    """

    def __init__(self, keys: DayKeys, bound: Bound, window: Callable[[], float]) -> None:
        self.keys = keys
        self.bound = bound
        self.window = window

    def stranger(self, address: str | None, agent: str | None) -> "Stranger":
        """Take the facts of somebody who is not logged in; no more of a user agent than is looked at."""
        return Stranger(self, address, agent[:LONGEST_AGENT] if agent else agent)


class Stranger(NamedTuple):
    """A guest or bot who is named when their mark is sent; `Guests.stranger` makes it.

    Times are in seconds before now.
    """

    guests: Guests
    address: str | None
    agent: str | None

    def wanted(self, ago: float = 0.0) -> list[date]:
        """The days whose keys must be learned before `mark` can name them."""
        if bot_name(self.agent) is not None:
            return []
        days = [one for one in self._days(ago) if one is not None]
        return [_date(one) for one in days if self.guests.keys.get(one) is None]

    def learn(self, day: date, key: str) -> None:
        """Take the key of a day that was wanted."""
        self.guests.keys.learn(day, key)

    def mark(self, ago: float = 0.0) -> Mark | None:
        """Name them, as a mark; None where it marks nobody: one too many."""
        visitor = self.visitor(ago)
        if visitor is None or not self.guests.bound.admits(visitor.user):
            return None
        return Mark(visitor.user, kind=visitor.kind, replaces=self.before_midnight(ago))

    def visitor(self, ago: float = 0.0) -> Visitor | None:
        """Name them; None for a guest while the day's key must be learned."""
        bot = bot_name(self.agent)
        if bot is not None:
            return Visitor(f"bot-{bot}", "bot")
        name = self.guests.keys.guest(self._days(ago)[0], self.address, self.agent)
        return None if name is None else Visitor(name, "guest")

    def before_midnight(self, ago: float = 0.0) -> str | None:
        """Name the guest as yesterday did, as long as they may be online by that name."""
        yesterday = self._days(ago)[1]
        if yesterday is None or bot_name(self.agent) is not None:
            return None
        return self.guests.keys.guest(yesterday, self.address, self.agent)

    def _days(self, ago: float) -> tuple[int, int | None]:
        """The day of a moment, and the one before where its names may be online yet."""
        moment = time.time() - ago
        number = int(moment // _DAY)
        return number, number - 1 if moment % _DAY <= self.guests.window() else None
