"""Watching rooms: who wants which events, which rooms are to be looked at, and when.

All of it without I/O: a `Hub` belongs to one Presence or AsyncPresence and serves all its watches
(`Watch`); a driver (`watchers`, `aio_watchers`) connects the doorbells that its `Switchboard` says, tells
the hub what rings, and runs what it wants looked at.

The service uses this through `AsyncPresence.watch`: any number of rooms and watches of one AsyncPresence
share one doorbell connection a node, and one read a room. ``await watch.batch()`` gives all events that
wait, as lists shared between the watches that see the same, and is the cheap way to fan out.
"""

from herenow.watching.hub import ANYWAY, DEAF, Feed, Hub
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
