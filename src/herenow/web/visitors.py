"""Who a request is: a member, a guest or a bot, out of the facts that any framework has of it.

Pure: no framework, no store. A guest is named by HMAC under the key of the day, over her address (of
IPv6 the /64 that a household has) and her user agent; so the name tells neither, and tomorrow's is
another. While those seen under yesterday's key may still be online, a mark replaces that name: nobody is
counted twice at midnight (UTC). A bot is named by what its user agent says it is.
"""

import hmac
import logging
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date
from fnmatch import translate
from functools import cache, lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple

from herenow import names
from herenow.clocks import steady
from herenow.errors import StoreError
from herenow.models import Visitor
from herenow.operations.marking import Mark

_log: Final = logging.getLogger("herenow")
_DAY: Final = 86_400
_EPOCH: Final = date(1970, 1, 1).toordinal()
LONGEST_WINDOW: Final = _DAY
"""Seconds of a window in which nobody is counted twice: a mark replaces the name of yesterday alone."""
_MOST_AGENT: Final = 512
_MOST_STRANGERS: Final = 8192
_PATTERNS_AT_ONCE: Final = 25
_NAME: Final = re.compile(r"\w[\w.-]{0,39}", re.ASCII)
_NOBODY: Final = "unknown"


def clean_visitor(answer: object) -> Visitor | None:
    """Check what an ``identify`` gave: a user's id, a Visitor, or None for nobody."""
    if answer is None:
        return None
    if not isinstance(answer, Visitor):
        return Visitor(names.clean_user(answer))
    if type(answer.user) is not str and answer.user is not None:
        answer = replace(answer, user=names.clean_user(answer.user))
    names.clean_user(answer.user)
    if answer.kind is not None:
        names.clean_kind(answer.kind)
    return answer


# ------------------------------------------------------------ bots


@cache
def _crawlers() -> tuple[re.Pattern[str], ...]:
    from crawleruseragents import CRAWLER_USER_AGENTS_DATA

    patterns = [one["pattern"] for one in CRAWLER_USER_AGENTS_DATA]
    return tuple(
        re.compile("|".join(patterns[i : i + _PATTERNS_AT_ONCE]))
        for i in range(0, len(patterns), _PATTERNS_AT_ONCE)
    )


def bot_name(user_agent: str | None) -> str | None:
    """Name the bot that a user agent is of, None for a person's. An empty one is a bot's."""
    agent = (user_agent or "")[:_MOST_AGENT].strip()
    return _bot_name(agent) if agent else _NOBODY


@lru_cache(maxsize=8192)
def _bot_name(agent: str) -> str | None:
    for pattern in _crawlers():
        found = pattern.search(agent)
        if found is not None:
            name = _NAME.search(found[0])
            return name[0].rstrip(".-") if name else _NOBODY
    return None


# ------------------------------------------------------------ guests


def network(address: str) -> str:
    """Cut an address to what one household has: IPv4 as it is, of IPv6 the /64."""
    return _network(address) if ":" in address else address


@lru_cache(maxsize=8192)
def _network(address: str) -> str:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address  # a unix socket's, or what a proxy says
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)


def _guest(key: hmac.HMAC, address: str, agent: str) -> str:
    facts = f"{network(address)}\0{agent}".encode(errors="surrogatepass")
    mac = key.copy()  # costs half of what making one from the bytes does
    mac.update(facts)
    return "guest-" + urlsafe_b64encode(mac.digest()[:15]).decode()


class _Day:
    """Who was met on a day, UTC, by address and user agent."""

    __slots__ = ("begins", "ends", "met")

    def __init__(self, number: int) -> None:
        self.begins = number * _DAY
        self.ends = self.begins + _DAY
        self.met: dict[tuple[str | None, str | None], Visitor] = {}


class DayKeys:
    """The keys of yesterday and today: from a secret, or from the store that ``fetch`` asks.

    A mark need not wait for one: it may be of a `Stranger`, for whom the key is learned when it is sent.
    """

    def __init__(self, secret: str | None, fetch: Callable[[date], str]) -> None:
        self._secret = None if secret is None else secret.encode()
        self._fetch = fetch
        self._known: dict[int, hmac.HMAC] = {}
        self.today = _Day(0)

    def knows(self, number: int) -> bool:
        """Whether the key of a day, by its number since 1970, is there without asking the store."""
        return self._secret is not None or number in self._known

    def _get(self, number: int) -> hmac.HMAC | None:
        key = self._known.get(number)
        if key is None and self._secret is not None:
            text = f"herenow guests {_date(number)}"
            key = self._learn(number, hmac.digest(self._secret, text.encode(), "sha256"))
        elif key is None:
            try:
                key = self._learn(number, self._fetch(_date(number)).encode())
            except StoreError as error:
                _log.debug("guests have no names: %s", error)
        return key

    def _learn(self, number: int, key: bytes) -> hmac.HMAC:
        for old in [one for one in self._known if one < number - 1]:
            self._known.pop(old, None)
        made = self._known[number] = hmac.new(key, digestmod="sha256")
        self.today = _Day(number)
        return made

    def learn(self, day: date, key: str) -> None:
        """Take the key of a day."""
        self._learn(day.toordinal() - _EPOCH, key.encode())

    def name(self, number: int, address: str, agent: str) -> str | None:
        """Name the guest of a day; None where the store does not give the key, which is waited for."""
        key = self._get(number)
        return None if key is None else _guest(key, address, agent)


def _date(number: int) -> date:
    return date.fromordinal(number + _EPOCH)


def stranger(
    address: str | None, user_agent: str | None, keys: DayKeys, now: float | None = None
) -> Visitor | None:
    """Name a bot or a guest; None for a guest while the store does not give the day's key."""
    now = time.time() if now is None else now
    today = keys.today
    if today.begins <= now < today.ends:
        known = today.met.get((address, user_agent))
        if known is not None:
            return known
    return _meet(address, user_agent, keys, now)


def _meet(address: str | None, user_agent: str | None, keys: DayKeys, now: float) -> Visitor | None:
    number = int(now // _DAY)
    agent = (user_agent or "")[:_MOST_AGENT]
    bot = bot_name(user_agent)
    if bot is not None:
        met = Visitor(f"bot-{bot}", "bot")
    else:
        name = keys.name(number, address or "", agent)
        if name is None:
            return None
        met = Visitor(name, "guest")
    today = keys.today
    if not today.begins <= now < today.ends or len(today.met) >= _MOST_STRANGERS:
        today = keys.today = _Day(number)
    if len(user_agent or "") <= _MOST_AGENT:
        today.met[address, user_agent] = met
    return met


def before_midnight(
    address: str | None,
    user_agent: str | None,
    keys: DayKeys,
    window: float,
    now: float | None = None,
) -> str | None:
    """Name the same guest as yesterday did, as long as they may be online by that name."""
    now = time.time() if now is None else now
    if now % _DAY > window:
        return None
    number = int(now // _DAY) - 1
    return keys.name(number, address or "", (user_agent or "")[:_MOST_AGENT])


class Naming:
    """How the strangers of a site are named when they are sent: what waits must not hold its app."""

    def __init__(self, keys: DayKeys, guests: "Bound", window: Callable[[], float]) -> None:
        self.keys = keys
        self.guests = guests
        self.window = window


class Stranger(NamedTuple):
    """A guest or bot who is named when their mark is sent: see `herenow.outbox.deferred`."""

    naming: Naming
    address: str | None
    agent: str | None

    def wanted(self, ago: float) -> list[date]:
        """The days whose keys a name takes, and nobody knows yet."""
        keys, now = self.naming.keys, time.time() - ago
        number = int(now // _DAY)
        days = [number, number - 1] if now % _DAY <= self.naming.window() else [number]
        missing = [_date(one) for one in days if not keys.knows(one)]
        return missing if missing and bot_name(self.agent) is None else []

    def learn(self, day: date, key: str) -> None:
        """Take the key of a day."""
        self.naming.keys.learn(day, key)

    def mark(self, ago: float) -> Mark | None:
        """Name them; None for one too many."""
        keys, guests, now = self.naming.keys, self.naming.guests, time.time() - ago
        window = self.naming.window()
        visitor = stranger(self.address, self.agent, keys, now)
        if visitor is None or not guests.admits(visitor.user, window):
            return None
        replaced = None
        if visitor.kind == "guest":
            replaced = before_midnight(self.address, self.agent, keys, window, now)
        return Mark(visitor.user, kind=visitor.kind, replaces=replaced)


# ------------------------------------------------------------ bounds


class Bound:
    """At most so many names within a window, of those that this process marks.

    Two generations, each a window long: a name that was let in stays in while it is seen.
    """

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._new: set[str] = set()
        self._old: set[str] = set()
        self._turned = steady()
        self._told = False

    def holds(self, name: str) -> bool:
        """Whether a name was let in lately: it is let in again, whatever the window."""
        return name in self._new

    def admits(self, name: str, window: float) -> bool:
        """Whether a name may be marked."""
        if name in self._new:
            return True
        now = steady()
        if now - self._turned >= window:
            self._old = self._new if now - self._turned < 2 * window else set()
            self._new, self._turned, self._told = set(), now, False
        if name in self._old:
            self._old.discard(name)
        elif len(self._new) + len(self._old) >= self._most:
            if not self._told:
                self._told = True
                _log.warning("%s: more than %d are not marked", self._what, self._most)
            return False
        self._new.add(name)
        return True


# ------------------------------------------------------------ paths


def excluding(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Make what tells whether a path marks nobody; ``*`` in a pattern stands for anything."""
    many = [translate(one) for one in patterns]
    if not many:
        return lambda _: False
    whole = re.compile("|".join(many))
    return lambda path: whole.match(path) is not None
