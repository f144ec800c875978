"""Rates: how often a token and an address may ask. `limits` counts, in this process's memory."""

import ipaddress
import math
import time
from typing import Final

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from herenow.service.problems import ProblemError
from herenow.visitors import network

ADDRESS_TIMES: Final = 10
"""How much more than one token an address may: a school is behind one."""


class Rates:
    """Limits by ``rule``, as 20/second; None is no limit."""

    def __init__(self, rule: str | None) -> None:
        self._item: RateLimitItem | None = None if rule is None else parse(rule)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    async def address(self, address: str | None) -> None:
        """Count a request of an address (IPv6: of its /64); a 429 for one too many."""
        if address is not None and self._item is not None:
            item = type(self._item)(
                self._item.amount * ADDRESS_TIMES, self._item.multiples, "address"
            )
            await self._hit(item, _network(address))

    async def token(self, key: str) -> None:
        """Count a request of a token; a 429 for one too many."""
        if self._item is not None:
            await self._hit(self._item, key)

    async def _hit(self, item: RateLimitItem, key: str) -> None:
        if not await self._limiter.hit(item, key):
            reset = (await self._limiter.get_window_stats(item, key)).reset_time
            wait = max(1, math.ceil(reset - time.time()))
            raise ProblemError(
                429,
                f"at most {item.amount} requests in {item.get_expiry()} s",
                {"Retry-After": str(wait)},
            )


def _network(address: str) -> str:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return address  # a unix socket's peer, a test's
    return network(address)
