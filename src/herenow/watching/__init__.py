"""Watching rooms: who wants which events, which rooms are to be looked at, and when.

A `Hub`, without I/O, belongs to one Presence or AsyncPresence and serves all its watches (`Watch`). The
`doorbells` are connected as the `Switchboard` says, and ring at the hub; `watchers` run what it wants
looked at. Both are written for asyncio (``aio_…``) and generated from that for threads.

The service uses this through `AsyncPresence.watch`: any number of rooms and watches of one AsyncPresence
share one doorbell connection a node, and one read a room. ``await watch.batch()`` gives all events that
wait, as lists shared between the watches that see the same, and is the cheap way to fan out.
"""

from herenow.watching.feed import Feed
from herenow.watching.hub import ANYWAY, DEAF, Hub
from herenow.watching.switchboard import Switchboard
from herenow.watching.watch import MOST_WAITING, SNAPSHOT_USERS, Watch

__all__ = [
    "ANYWAY",
    "DEAF",
    "MOST_WAITING",
    "SNAPSHOT_USERS",
    "Feed",
    "Hub",
    "Switchboard",
    "Watch",
]
