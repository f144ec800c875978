"""The opponents: the recipe, typed in, and commands as raw as they come.

Each is given a plain redis.Redis that herenow does not use. Nothing here imports herenow.
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import redis

MINUTES = 5


class Recipe:
    """A set a minute, a string a user, all expiring; who is online is the union of five minutes.

    ``now`` may be set, so that what was filled in stays within the five minutes.
    """

    def __init__(self, client: "redis.Redis") -> None:
        self.client = client
        self.now: float | None = None

    def _time(self) -> int:
        return int(time.time() if self.now is None else self.now)

    def mark_online(self, user: str) -> None:
        now = self._time()
        expires = now + MINUTES * 60 + 10
        minute, activity = f"online-users/{now // 60}", f"user-activity/{user}"
        pipeline = self.client.pipeline()
        pipeline.sadd(minute, user)
        pipeline.set(activity, now)
        pipeline.expireat(minute, expires)
        pipeline.expireat(activity, expires)
        pipeline.execute()

    def get_online_users(self) -> Any:
        minute = self._time() // 60
        return self.client.sunion([f"online-users/{minute - ago}" for ago in range(MINUTES)])

    def count(self, _: object = None) -> int:
        return len(self.get_online_users())

    def fill(self, users: Sequence[str], *, active_minutes: int, activity: bool = True) -> None:
        """Be as marks of these users leave it, who were each active in so many of the five minutes.

        Without ``activity`` the strings are left out: a count does not read them.
        """
        self.now = time.time()
        now = self._time()
        expires = now + MINUTES * 60 + 10
        for i, part in enumerate(parts(users)):
            pipeline = self.client.pipeline(transaction=False)
            for ago in range(active_minutes):
                minute = f"online-users/{now // 60 - (ago + i) % MINUTES}"
                pipeline.sadd(minute, *part)
                pipeline.expireat(minute, expires)
            for user in part if activity else ():
                pipeline.execute_command("SET", f"user-activity/{user}", now, "EXAT", expires)
            pipeline.execute()

    def empty(self) -> None:
        """Remove the minutes, and let the present be the present again."""
        if self.now is not None:
            minute = self._time() // 60
            self.client.unlink(*[f"online-users/{minute - ago}" for ago in range(MINUTES)])
        self.now = None


class BareSet:
    """A sorted set and nothing else: user -> last seen, ms."""

    def __init__(self, client: "redis.Redis", key: str) -> None:
        self.client = client
        self.key = key

    def add(self, flat: Sequence[object]) -> None:
        self.client.execute_command("ZADD", self.key, *flat)

    def remove(self, users: Sequence[str]) -> None:
        self.client.execute_command("ZREM", self.key, *users)

    def scores(self, users: Sequence[str]) -> None:
        self.client.execute_command("ZMSCORE", self.key, *users)

    def fill(self, users: Sequence[str]) -> None:
        for part in parts(users):
            self.add(flat_now(part))


def flat_now(users: Sequence[str]) -> list[object]:
    """Make the arguments of a ZADD: each user now."""
    now = time.time_ns() // 1_000_000
    return [one for user in users for one in (now, user)]


def parts(users: Sequence[str], size: int = 1000) -> list[Sequence[str]]:
    """Split users into what one command takes."""
    return [users[i : i + size] for i in range(0, len(users), size)]
