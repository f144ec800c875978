"""The rights that herenow needs of a store: its commands, its keys, its channels; and no more.

Owns the list of every command that the scripts call and the clients send, and how a server is told of
them. A test runs the whole API as a user with these rights, and finds it lacking without any one of them.
"""

import re
from typing import Final

SCRIPTS: Final = ("EVAL", "EVALSHA")
"""What operations are sent by."""

KEYED: Final = (
    *("GET", "SET", "STRLEN", "PEXPIRE", "PTTL"),
    *("HDEL", "HEXISTS", "HGET", "HGETALL", "HKEYS", "HLEN", "HMGET", "HSET"),
    *("PFADD", "PFCOUNT"),
    *("XADD", "XDEL", "XLEN", "XRANGE", "XREVRANGE", "XTRIM"),
    *("ZADD", "ZCARD", "ZCOUNT", "ZMSCORE", "ZRANDMEMBER", "ZRANGEBYSCORE", "ZREM"),
    *("ZREMRANGEBYRANK", "ZREVRANGE", "ZREVRANGEBYSCORE", "ZREVRANK", "ZSCORE"),
)
"""What the scripts do to keys that they are given."""

KEYLESS: Final = ("TIME", "INFO")
"""What else the scripts ask: the clock, and whose data it is (without INFO no failover is noticed)."""

CLIENTS: Final = ("PING", "EXISTS")
"""What is sent outside of scripts: to see whether a store answers, and by those who read logs."""

SINGLE: Final = ("SELECT",)
"""What a client of a server that is no cluster sends, where its URL names a database."""

RINGING: Final = ("SPUBLISH", "PUBLISH")
"""The doorbell, rung by scripts: within a shard, and on Redis 6.2."""

HEARING: Final = ("SSUBSCRIBE", "SUNSUBSCRIBE", "SUBSCRIBE", "UNSUBSCRIBE")
"""The doorbell, heard by whoever watches."""

CLUSTER: Final = ("ASKING", "CLUSTER|SLOTS", "COMMAND")
"""What a client of a cluster asks for itself."""

_NOT_IN_6: Final = frozenset(("SPUBLISH", "SSUBSCRIBE", "SUNSUBSCRIBE"))
_ONLY_IN_6: Final = frozenset(("PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE"))
_GLOB: Final = re.compile(r"([*?\[\]\\^])")


def commands(*, redis_6: bool, cluster: bool = False) -> list[str]:
    """Name every command that herenow needs of a server; Redis 6.2 has no shard channels."""
    by_kind = CLUSTER if cluster else SINGLE
    every = (*SCRIPTS, *KEYED, *KEYLESS, *CLIENTS, *RINGING, *HEARING, *by_kind)
    lacking = _NOT_IN_6 if redis_6 else _ONLY_IN_6
    return [one for one in every if one not in lacking]


def rules(prefix: str, *, redis_6: bool, cluster: bool = False) -> list[str]:
    """Make the words of ACL SETUSER, after the user's name and passwords: least rights."""
    pattern = _GLOB.sub(r"\\\1", prefix) + "*"
    allowed = [f"+{one.lower()}" for one in commands(redis_6=redis_6, cluster=cluster)]
    return ["resetkeys", f"~{pattern}", "resetchannels", f"&{pattern}", "-@all", *allowed]
