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
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from fnmatch import translate
from functools import cache, lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

from herenow import names
from herenow.errors import StoreError
from herenow.names import Kind

_log: Final = logging.getLogger("herenow")
_DAY: Final = 86_400
_MOST_AGENT: Final = 512
_MOST_STRANGERS: Final = 8192
_PATTERNS_AT_ONCE: Final = 25
_NAME: Final = re.compile(r"\w[\w.-]{0,39}", re.ASCII)
_NOBODY: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who makes a request; ``kind`` None is a member, hidden where she hid herself."""

    user: str
    kind: Kind | None = None

    @property
    def shown(self) -> "Visitor":
        """The same, with a kind for sure."""
        return self if self.kind else replace(self, kind="member")


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


def _guest(key: bytes, address: str, agent: str) -> str:
    facts = f"{network(address)}\0{agent}".encode(errors="surrogatepass")
    return "guest-" + urlsafe_b64encode(hmac.digest(key, facts, "sha256")[:15]).decode()


class DayKeys:
    """The keys of yesterday and today: from a secret, or from the store that ``fetch`` asks."""

    def __init__(self, secret: str | None, fetch: Callable[[date], str]) -> None:
        self._secret = None if secret is None else secret.encode()
        self._fetch = fetch
        self._known: dict[int, bytes] = {}
        self.strangers: dict[tuple[int, str, str], Visitor] = {}

    def get(self, number: int) -> bytes | None:
        """Get the key of a day, by its number since 1970; None where the store does not tell."""
        key = self._known.get(number)
        if key is None:
            day = datetime.fromtimestamp(number * _DAY, UTC).date()
            if self._secret is not None:
                key = hmac.digest(self._secret, f"herenow guests {day}".encode(), "sha256")
            else:
                try:
                    key = self._fetch(day).encode()
                except StoreError as error:
                    _log.debug("guests have no names: %s", error)
                    return None
            for old in [one for one in self._known if one < number - 1]:
                self._known.pop(old, None)
            self._known[number] = key
            self.strangers = {}
        return key


def stranger(
    address: str | None, user_agent: str | None, keys: DayKeys, now: float | None = None
) -> Visitor | None:
    """Name a bot or a guest; None for a guest while the store does not tell the day's key."""
    day = int((time.time() if now is None else now) // _DAY)
    facts = day, address or "", (user_agent or "")[:_MOST_AGENT]
    known = keys.strangers.get(facts)
    if known is not None:
        return known
    bot = bot_name(user_agent)
    if bot is not None:
        known = Visitor(f"bot-{bot}", "bot")
    else:
        key = keys.get(day)
        if key is None:
            return None
        known = Visitor(_guest(key, facts[1], facts[2]), "guest")
    if len(keys.strangers) >= _MOST_STRANGERS:
        keys.strangers = {}
    keys.strangers[facts] = known
    return known


def before_midnight(
    address: str | None,
    user_agent: str | None,
    keys: DayKeys,
    window: float,
    now: float | None = None,
) -> str | None:
    """Name the same guest as yesterday did, as long as she may be online by that name."""
    now = time.time() if now is None else now
    if now % _DAY > window:
        return None
    key = keys.get(int(now // _DAY) - 1)
    return None if key is None else _guest(key, address or "", (user_agent or "")[:_MOST_AGENT])


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
        self._turned = time.monotonic()
        self._told = False

    def admits(self, name: str, window: float) -> bool:
        """Whether a name may be marked."""
        if name in self._new:
            return True
        now = time.monotonic()
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
