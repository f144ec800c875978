"""The circuit breaker: when calls stop waiting for a store that does not answer, and start again.

`Breaker` is the state of one store in one process, or of one node of a cluster, and pure: it is informed
when calls began and how they ended, on a clock that it is given, and says who may try. A prober, a thread
or a task, tries meanwhile; what a try is, the engine knows. This module talks to nothing but the log: one
warning when an outage begins and one when it is over, both of which name the store.

The theory:

- **Closed**, calls go through. `TRIPS` failures in a row open it: timeouts, lost or refused connections,
  a store that loads or has lost its master. Whatever was under way together fails for one reason, so
  only a call that began after the last failure was known counts again. A refusal is an answer: a store
  that takes no writes still answers who is online, and nobody waits for its refusals.
- **Open**, a call fails at once, and a prober tries in the background: after a quarter of a second, then
  twice that, up to `MOST`, each with jitter, for a hundred processes should not try together. No request
  waits for it, and the first answer, of whatever call, closes the breaker.
- A failure that came at once (a refused connection) cost nobody a wait. Then one call in `PAUSE` may try
  by itself, so that a store that is back is found at once, and one that must be booted is.
- Where no thread runs (uWSGI without them, a process that is ending), one call tries in the prober's
  stead when that is overdue.
- **Half-open**, one try is under way, and all others fail at once.
"""

import logging
import random
import threading
import weakref
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal

from herenow.store import forking

_log: Final = logging.getLogger("herenow")
_dice: Final = random.SystemRandom()  # whoever seeds the common one wants the next one
TRIPS: Final = 3
"""Failures in a row that open it."""
FIRST: Final = 0.25
MOST: Final = 5.0
"""Seconds between tries in the background: at first, and at most; up to a quarter less by jitter."""
QUICK: Final = 0.02
"""Seconds within which a failure came at once."""
PAUSE: Final = 0.02
"""Seconds between the tries of callers, while failures come at once."""
OVERDUE: Final = 1.0
"""Seconds after which a prober that did not come is not waited for."""
LONG: Final = 2.0
"""Seconds after which a call under way counts as lost, where a client may wait for ever."""
LOST: Final = 60.0
"""Seconds after which a try that has not ended is one no more."""

_OPEN: Final = "the breaker is open, no call waits for the store any more"
State = Literal["closed", "open", "half-open"]


class Breaker:
    """One store as one process finds it. ``now`` and ``began`` are seconds on a monotonic clock.

    ``name`` is what the log calls the store, or the node.
    """

    def __init__(self, name: str = "the store", dice: Callable[[], float] = _dice.random) -> None:
        self._dice = dice
        self.name = name
        self.key: Any = (
            None  # what was asked for when it was last not answered: a node is tried by it
        )
        self.closed = True
        self.ok = True  # whether the last call was answered
        self.since = datetime.now(UTC)  # when that became so
        self.why = ""  # what the last failure was
        self.seeker: Any = None  # who tries in the background
        self._failures = 0
        self._failed = float("-inf")
        self._cost = 0.0
        self._delay = FIRST
        self._due = 0.0
        self.start_anew()
        forking.register(self)

    def start_anew(self) -> None:
        """Have a lock of its own, and nobody who tries: what a forked child needs."""
        self._lock = threading.Lock()
        self._try: float | None = None  # when the one that is under way began
        self._under_way: dict[object, float] = {}
        self.seeker = None

    @property
    def state(self) -> State:
        """What it is now."""
        if self.closed:
            return "closed"
        return "open" if self._try is None else "half-open"

    def admits(self, now: float) -> bool:
        """Whether a call may go through now."""
        return self.closed or self._admits(now)

    def _admits(self, now: float) -> bool:
        if self._try is not None and now - self._try < LOST:
            return False
        quick = self._cost < QUICK and now - self._failed >= PAUSE
        return quick or now - self._due >= OVERDUE

    def admit(self, now: float) -> bool:
        """Let a call through, or not; where it is open, the call is the try."""
        with self._lock:
            if not self.closed:
                if not self._admits(now):
                    return False
                self._try = now
            return True

    def due_in(self, now: float) -> float:
        """Seconds until the next try in the background."""
        if self._try is not None:  # a caller's, which ends soon; nobody waits for its end
            return FIRST if now - self._try < LOST else 0.0
        return max(0.0, self._due - now)

    def take(self, now: float) -> bool:
        """Begin a try in the background, where one is due."""
        with self._lock:
            if self.closed or self.due_in(now) > 0:
                return False
            self._try = now
            return True

    def hasten(self) -> None:
        """Let the next call try: it may be the last chance to send what waits."""
        with self._lock:
            self._try, self._due = None, float("-inf")

    # how calls end

    def answered(self) -> None:
        """A call was answered, if only by a refusal."""
        with self._lock:
            if self.ok:
                return
            gone = (datetime.now(UTC) - self.since).total_seconds()
            was_open, self.closed = not self.closed, True
            self._failures, self._delay, self._try = 0, FIRST, None
            self.ok, self.since = True, datetime.now(UTC)
        if was_open and self.seeker is not None:
            self.seeker.stop()
        self._log(logging.WARNING, f"the store answers again, after {gone:.1f} s")

    def failed(self, began: float, now: float, why: str) -> None:
        """A call was not answered."""
        with self._lock:
            first, opened = self.ok, False
            if first:
                self.ok, self.since = False, datetime.now(UTC)
            self.why = why
            if self.closed:
                if first or began >= self._failed:
                    self._failures += 1
                    self._failed, self._cost = now, now - began
                opened = self._failures >= TRIPS
                if opened:
                    self._open(now)
            elif self._try is not None and began >= self._try:
                self._failed, self._cost = now, now - began
                self._delay = min(2 * self._delay, MOST)
                self._wait(now)
        if first:
            self._log(logging.WARNING, why)
        if opened:
            self._log(logging.INFO, _OPEN)

    def _log(self, level: int, what: str) -> None:
        _log.log(level, "herenow: %s: %s", self.name, what, extra={"herenow_breaker": id(self)})

    def interrupted(self, began: float) -> None:
        """A call ended without showing anything: cancelled, or the caller's own error."""
        with self._lock:
            if self._try is not None and began >= self._try:
                self._wait(began)

    def _open(self, now: float) -> None:
        self.closed, self._delay = False, FIRST
        self._wait(now)

    def _wait(self, now: float) -> None:
        self._try = None
        self._due = now + self._delay * (1 - self._dice() / 4)

    # calls of a client that may wait for ever

    def watch(self, call: object, began: float) -> None:
        """Know of a call under way; `unwatch` it, however it ends."""
        self._under_way[call] = began

    def unwatch(self, call: object) -> None:
        """Forget a call that ended."""
        self._under_way.pop(call, None)

    def notice(self, now: float) -> None:
        """Open where a call has been under way too long: others need not find out for themselves."""
        longest = now - min(list(self._under_way.values()), default=now)
        if longest > LONG and self.closed:
            first = self.ok
            if self._opens(now, longest):
                if first:
                    self._log(logging.WARNING, self.why)
                self._log(logging.INFO, _OPEN)

    def _opens(self, now: float, longest: float) -> bool:
        with self._lock:
            if not self.closed:
                return False
            self.why = f"a call has waited for {longest:.0f} s"
            if self.ok:
                self.ok, self.since = False, datetime.now(UTC)
            self._failed, self._cost = now, longest
            self._open(now)
            return True


_breakers: Final["weakref.WeakValueDictionary[object, Breaker]"] = weakref.WeakValueDictionary()
_sharing: Final = threading.Lock()
_recent: Final[deque[Breaker]] = deque(maxlen=100)
"""Those of URLs, kept when whoever asked was dropped: an outage that another one meets is no new one."""


def shared_breaker(key: object, name: str = "the store") -> Breaker:
    """The one breaker of this process for a store, or a node: of a client as long as anybody keeps it."""
    with _sharing:
        found = _breakers.get(key)
        if found is None:
            found = _breakers[key] = Breaker(name)
            if isinstance(key, tuple) and isinstance(key[0], str):
                _recent.append(found)
        return found
