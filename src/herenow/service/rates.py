"""Rates: how often a token and an address may ask, counted in this process's memory.

`limits` reads the rule. It does not count: what it keeps in memory is walked at each request, 17 ms with
100,000 addresses, so that whoever has an IPv6 network would stop the service with it. Here a request
costs the same however many have asked: each key has a window that begins with its first request, all are
equally long, so those that are over lie in front.
"""

import ipaddress
import math
from time import monotonic
from typing import Final

from limits import parse

from herenow.service.problems import ProblemError
from herenow.web.guests import network

ADDRESS_TIMES: Final = 10
"""How much more than one token an address may: a school is behind one."""
MOST_KEYS: Final = 100_000
"""Of how many addresses and tokens is known how often they asked; of more, the oldest are forgotten."""


class Rates:
    """Limits by ``rule``, as 20/second; None is no limit."""

    def __init__(self, rule: str | None) -> None:
        item = None if rule is None else parse(rule)
        self._amount = math.inf if item is None else item.amount
        self._seconds = 0 if item is None else item.get_expiry()
        self._windows: dict[tuple[str, str], list[float]] = {}  # when it ends, how many came

    def __len__(self) -> int:
        return len(self._windows)

    def address(self, address: str | None) -> None:
        """Count a request of an address (IPv6: of its /64); a 429 for one too many."""
        if address is not None:
            self._hit("address", household(address), self._amount * ADDRESS_TIMES)

    def token(self, key: str) -> None:
        """Count a request of a token; a 429 for one too many."""
        self._hit("token", key, self._amount)

    def _hit(self, what: str, key: str, amount: float) -> None:
        if amount == math.inf:
            return
        windows, now = self._windows, monotonic()
        while windows and next(iter(windows.values()))[0] <= now:
            del windows[next(iter(windows))]
        if (found := windows.get((what, key))) is None:
            if len(windows) >= MOST_KEYS:
                del windows[next(iter(windows))]
            found = windows[what, key] = [now + self._seconds, 0]
        found[1] += 1
        if found[1] > amount:
            wait = max(1, math.ceil(found[0] - now))
            detail = f"at most {amount:g} requests in {self._seconds} s"
            raise ProblemError(429, detail, {"Retry-After": f"{wait}"})


def is_loopback(peer: str) -> bool:
    """Whether a peer's address is of this machine; what a proxy on it passes on is, too."""
    try:
        return ipaddress.ip_address(peer).is_loopback
    except ValueError:
        return False


def household(address: str) -> str:
    """Cut an address to what one household has; what is none stays as it is."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return address  # a unix socket's peer, a test's
    return network(address)
