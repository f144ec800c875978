"""Telling a store what a log says: steps in order, in the background, and what is not to be told yet.

What is not told are sightings that could change nothing that the store keeps. Of a user who is online
only her last sighting within the window counts; so she is told when she comes, and again before her
window is over in the store, if she was seen since. All that waits is told at once, each sighting with
its age: the store counts who came at her own moment (lua/parts/early.lua).

Memory is bounded by who is online at once and by the sightings of one minute.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from math import inf
from typing import Any, Final

from herenow.accesslog.hosts import Naming
from herenow.models import Counts
from herenow.operations import Operation, Outcome, Plan, answer, history, timeline, upkeep
from herenow.operations.marking import Written
from herenow.operations.scope import Scope
from herenow.outbox.core import Core
from herenow.store.engine import Engine, advance

MINUTE: Final = 60_000
_STEPS: Final = 100
_MARKS: Final = 500
"""What one call may hold the store for: some milliseconds."""
_CALLS: Final = 32
"""In a round trip: a store that is far away is not to be waited for too often."""


class Teller:
    """Sends steps to a store in order, in the background; gives what the counts among them answered."""

    def __init__(self, core: Core, engine: Engine, naming: Naming) -> None:
        self.core, self.scope = core, core.site
        self._engine = engine
        self._name = naming.user
        self._steps: list[timeline.Step] = []
        self._marks = 0
        self._calls: list[list[timeline.Step]] = []
        self._following = _Following(core, self.scope)
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="herenow-replay")
        self._sent: list[Future[list[Counts]]] = []
        self.counted: list[int] = []

    def at(self, ms: int) -> Scope:
        """The room at a moment."""
        return replace(self.scope, clock=partial(float, ms / 1000))

    def begin(self, ms: int) -> None:
        """Write the room's settings, and put it on the list of rooms."""
        write = [(self.at(ms), lambda naming: upkeep.sweep(self.at(ms), naming=naming))]
        for outcome in self._engine.run(self.core.memory.write(write)):
            answer(outcome)

    def touch(self, ms: int, visitors: Sequence[bytes], ages: Sequence[int]) -> None:
        """Record sightings at a moment, each so long before it."""
        users = list(map(self._name, visitors))
        kinds = bytes([one[0] for one in visitors]).decode()
        if kinds.count("m") == len(kinds):
            kinds = ""
        for step in timeline.touches(ms, users, ages, kinds):
            self._add(step, len(visitors))

    def count(self, ms: int) -> None:
        """Ask how many are online at a moment; the answer comes to `counted`."""
        self._add(timeline.count(ms), 1)

    def _add(self, step: timeline.Step, weight: int) -> None:
        self._steps.append(step)
        self._marks += weight
        if len(self._steps) >= _STEPS or self._marks >= _MARKS:
            self._calls.append(self._steps)
            self._steps, self._marks = [], 0
            if len(self._calls) >= _CALLS:
                self._send()

    def _send(self) -> None:
        calls, self._calls = self._calls, []
        self._sent.append(self._sender.submit(self._run, calls))
        if len(self._sent) > 2:  # noqa: PLR2004 - one is being sent, one is ready
            self._take()

    def _run(self, calls: list[list[timeline.Step]]) -> list[Counts]:
        operations = [timeline.timeline(self.scope, steps) for steps in calls]
        following = self._following.operations
        outcomes = self._engine.batch([*following, *operations])
        self._following.take(outcomes[: len(following)])
        while self._following.goes_on:  # what is behind costs more the longer it waits
            self._following.take(self._engine.batch(self._following.operations))
        passed = [answer(outcome) for outcome in outcomes[len(following) :]]
        for one in passed:
            self._following.add(one.written)
        return [count for one in passed for count in one.counts]

    def _take(self) -> None:
        self.counted += [one.people for one in self._sent.pop(0).result()]

    def finish(self) -> None:
        """Wait until all is told."""
        if self._steps:
            self._calls.append(self._steps)
            self._steps = []
        if self._calls:
            self._send()
        while self._sent:
            self._take()
        while operations := self._following.operations:
            self._following.take(self._engine.batch(operations))

    def close(self) -> None:
        """End the background."""
        self._sender.shutdown(cancel_futures=True)


class _Following:
    """What is to follow what was told: for the room's history, and for the list of rooms.

    It goes along with what is told next: by itself it would be two round trips more for each.
    """

    def __init__(self, core: Core, scope: Scope) -> None:
        self._core, self._scope = core, scope
        self._written: list[Written] = []
        self._plan: Plan[None] | None = None
        self._operations: Sequence[Operation[Any]] = ()

    def add(self, written: Written) -> None:
        """Take what a call answered."""
        if written.history or written.listed is not None:
            self._written.append(written)

    @property
    def goes_on(self) -> bool:
        """Whether what was begun is not done yet."""
        return self._plan is not None

    @property
    def operations(self) -> Sequence[Operation[Any]]:
        """What is to be sent next; nothing when all is done."""
        if self._plan is None and self._written:
            self._plan = self._all(self._written)
            self._written = []
            self._go_on(None)
        return self._operations

    def take(self, outcomes: list[Outcome]) -> None:
        """Take what these ended with."""
        if self._plan is not None:
            self._go_on(outcomes)

    def _go_on(self, outcomes: list[Outcome] | None) -> None:
        if self._plan is not None:
            operations, _ = advance(self._plan, outcomes)
            self._operations = operations or ()
            if not operations:
                self._plan = None

    def _all(self, written: Sequence[Written]) -> Plan[None]:
        yield from history.after(self._scope, [one.history for one in written if one.history])
        listed = [one for one in written if one.listed is not None]
        if listed:
            more = self._core.memory.after(self._scope, listed[-1]._replace(history=None))
            if more is not None:
                yield from more


class Told:
    """The sightings that the store is yet to be told, and until when that must be.

    ``_waiting`` are those for the next touch; ``_due`` is when the window of somebody would be over in
    the store who, by what waits, was there all along. Of those whose window is not over soon, ``_known``,
    only the last sighting is kept, in ``_again``, until it is to be told.
    """

    def __init__(self, teller: Teller, window: int) -> None:
        self._teller, self._window = teller, window
        self._waiting: dict[bytes, int] = {}
        self._known: set[bytes] = set()
        self._again: dict[bytes, int] = {}
        self._due: float = inf
        self.came = False
        """Whether somebody among them came: the minute does not end without a touch."""
        self._over: dict[
            int, list[bytes]
        ] = {}  # those told, by the minute in which their window is over
        self._minute = 0

    def come(self, user: bytes, at: int) -> None:
        """Take a sighting of a user who was not online."""
        self.came = True
        self._known.add(user)
        self._waiting[user] = at
        self._due = min(self._due, at + self._window)

    def see(self, user: bytes, at: int, before: int) -> None:
        """Take one of a user who is online, and was seen before at that moment."""
        if user in self._known:
            self._again[user] = at
        else:
            self._waiting[user] = at
            self._due = min(self._due, before + self._window)

    def enter(self, minute: int) -> None:
        """Begin a minute: those whose windows would be over in it wait to be told again."""
        self._minute = minute
        for one in [one for one in self._over if one <= minute]:
            users = self._over.pop(one)
            self._known.difference_update(users)
            for user in users:
                at = self._again.pop(user, None)
                if at is not None:
                    self._waiting[user] = at
                    self._due = min(self._due, one * MINUTE)

    def tell(self, at: int) -> None:
        """Tell the store what waits, at the moment of the last one of these, or later."""
        users, seen = list(self._waiting), list(self._waiting.values())
        self._waiting.clear()
        self._due, self.came = inf, False
        self._teller.touch(at, users, [at - one for one in seen])
        known, again, over, window = self._known, self._again, self._over, self._window
        for user, one in zip(users, seen, strict=True):
            minute = (one + window) // MINUTE
            if minute > self._minute:
                known.add(user)
                if minute in over:
                    over[minute].append(user)
                else:
                    over[minute] = [user]
            else:
                known.discard(user)
                later = again.pop(user, None)
                if later is not None:
                    self._waiting[user] = later
                    self._due = min(self._due, one + window)

    def tell_due(self, until: int, at: int) -> None:
        """Tell the store what it has to know by ``until``; ``at`` is the moment before that."""
        while until >= self._due:
            self.tell(at)

    def tell_all(self, at: int) -> None:
        """Tell the store everything."""
        if self._waiting:
            self.tell(at)
        if self._again:
            self._waiting.update(self._again)
            self._again.clear()
            self.tell(at)
