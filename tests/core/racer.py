"""A program: several processes mark and leave the same users at once, for a time or until its input ends.

``python racer.py URL MODE [SECONDS]``; MODE is plain or buffered. Prints the workers' pids, then forks no
more; ends with 0 when each worker ended well or was killed.
"""

import contextlib
import os
import random
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, Final

import redis  # noqa: F401 - once, before the forks: it takes a third of a second

import herenow

ROOMS: Final = ("race", "doc:{42} %", "ü")
USERS: Final = tuple(f"u{i}" for i in range(40))
WINDOW: Final = 0.2
WORKERS: Final = 8
KINDS: Final[tuple[Any, ...]] = ("member", "member", "hidden", "guest", "bot")
_SLICE = 0.3
_TABS = ("t1", "t2", "t3")
_INFOS: Final[tuple[dict[str, Any], ...]] = ({"page": "/a"}, {"page": "/b", "ü": [1, None]}, {})


def active(user: str) -> bool:
    """Whether a user is let act just now: the same in every process, so that some time out.

    At every fourth look at the clock nobody is: then more are due at once than a touch sweeps.
    """
    now = int(time.monotonic() / _SLICE)
    return now % 4 != 0 and hash((int(user[1:]), now)) % 2 == 1


def mark(room: herenow.Presence, user: str, dice: random.Random) -> None:
    room.mark_online(user)


def mark_tab(room: herenow.Presence, user: str, dice: random.Random) -> None:
    away, info = dice.choice((None, True, False)), dice.choice((None, *_INFOS))
    room.mark_online(user, session=dice.choice(_TABS), away=away, info=info)


def mark_kind(room: herenow.Presence, user: str, dice: random.Random) -> None:
    room.mark_online(user, kind=dice.choice(KINDS))


def mark_many(room: herenow.Presence, user: str, dice: random.Random) -> None:
    others = [one for one in dice.sample(USERS, 6) if active(one)]
    aged = [
        herenow.Sighting(one, dice.choice((None, "guest", "hidden")), age=dice.random() * WINDOW)
        for one in others
    ]
    room.mark_online_many([user, *others, *aged])


def log_in(room: herenow.Presence, user: str, dice: random.Random) -> None:
    other = dice.choice(USERS)
    if other != user:
        room.mark_online(user, kind="member", replaces=other)


def leave(room: herenow.Presence, user: str, dice: random.Random) -> None:
    room.mark_offline(user)


def leave_tab(room: herenow.Presence, user: str, dice: random.Random) -> None:
    room.mark_offline(user, session=dice.choice(_TABS))


def sweep(room: herenow.Presence, user: str, dice: random.Random) -> None:
    room.sweep()


def read(room: herenow.Presence, user: str, dice: random.Random) -> None:
    room.lookup([user])


ACTIONS: Final[dict[Callable[[herenow.Presence, str, random.Random], None], int]] = {
    mark: 30,
    mark_tab: 15,
    mark_kind: 12,
    mark_many: 8,
    log_in: 3,
    leave: 10,
    leave_tab: 10,
    sweep: 4,
    read: 4,
}


def _ended(deadline: float | None) -> bool:
    if deadline is None:
        return bool(select.select([sys.stdin], [], [], 0)[0])
    return time.monotonic() >= deadline


def work(url: str, number: int, deadline: float | None, *, buffered: bool) -> None:
    """Do one thing after another to anybody, until the deadline or (None) until the input ends."""
    dice = random.Random(number)
    with herenow.Presence(
        url,
        buffered=buffered and number % 4 != 0,
        resolution=None if number % 2 else 0,
        timeout=10,
    ) as presence:
        rooms = [presence.room(name, window=WINDOW) for name in ROOMS]
        weights = list(ACTIONS.values())
        while not _ended(deadline):
            [act] = dice.choices(list(ACTIONS), weights)
            users = [one for one in USERS if active(one)]
            if users:
                act(dice.choice(rooms), dice.choice(users), dice)
            else:
                time.sleep(0.001)


def main() -> int:
    url, mode, *seconds = sys.argv[1:]
    deadline = time.monotonic() + float(seconds[0]) if seconds else None
    pids = []
    for number in range(WORKERS):
        pid = os.fork()
        if not pid:
            try:
                work(url, number, deadline, buffered=mode == "buffered")
            except BaseException:  # noqa: BLE001 - whatever it is, the test is told
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        pids.append(pid)
    print(*pids, flush=True)  # noqa: T201 - how the test learns whom to kill
    well = (0, -signal.SIGKILL)
    return int(any(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) not in well for pid in pids))


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
