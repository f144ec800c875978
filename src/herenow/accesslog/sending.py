"""Send a log's sightings to a store: steps in order, in the background; and what can wait (`Pending`).

Sightings that change nothing in the store are not sent. Of a user who is online only the last sighting
within the window counts; so it is sent when they come, and again before their window ends in the store,
if there was another since. What waits is sent together, each sighting with its age: the store counts each
join at its own moment (see the late sightings in lua/).

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
from herenow.outbox.outbox import Outbox
from herenow.store.commands import advance
from herenow.store.engine import Engine

MINUTE: Final = 60_000
_STEPS: Final = 100
_MARKS: Final = 500
"""Marks of one call: they hold the store for some milliseconds."""
_CALLS: Final = 32
"""Calls of one round trip: a distant store must not cost a wait for each."""


class Sender:
    """Sends steps to a store in order, in the background; ``counted`` collects the answers of counts."""

    def __init__(self, core: Outbox, engine: Engine, naming: Naming) -> None:
        self.core, self.scope = core, core.scopes.site
        self._engine = engine
        self._name = naming.user
        self._steps: list[timeline.Step] = []
        self._marks = 0
        self._calls: list[list[timeline.Step]] = []
        self._follow_ups = _FollowUps(core, self.scope)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="herenow-replay")
        self._sent: list[Future[list[Counts]]] = []
        self.counted: list[int] = []

    def at(self, ms: int) -> Scope:
        """The room at a moment."""
        return replace(self.scope, clock=partial(float, ms / 1000))

    def begin(self, ms: int) -> None:
        """Write the room's settings, and put it on the list of rooms."""
        write = [(self.at(ms), lambda naming: upkeep.sweep(self.at(ms), naming=naming))]
        for outcome in self._engine.run(self.core.rooms.write(write)):
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
        self._sent.append(self._executor.submit(self._run, calls))
        if len(self._sent) > 2:  # noqa: PLR2004 - one is being sent, one is ready
            self._take()

    def _run(self, calls: list[list[timeline.Step]]) -> list[Counts]:
        operations = [timeline.timeline(self.scope, steps) for steps in calls]
        following = self._follow_ups.operations
        outcomes = self._engine.batch([*following, *operations])
        self._follow_ups.take(outcomes[: len(following)])
        while self._follow_ups.goes_on:  # what is behind costs more the longer it waits
            self._follow_ups.take(self._engine.batch(self._follow_ups.operations))
        passed = [answer(outcome) for outcome in outcomes[len(following) :]]
        for one in passed:
            self._follow_ups.add(one.written)
        return [count for one in passed for count in one.counts]

    def _take(self) -> None:
        self.counted += [one.people for one in self._sent.pop(0).result()]

    def finish(self) -> None:
        """Send what is left, and wait until all is done."""
        if self._steps:
            self._calls.append(self._steps)
            self._steps = []
        if self._calls:
            self._send()
        while self._sent:
            self._take()
        while operations := self._follow_ups.operations:
            self._follow_ups.take(self._engine.batch(operations))

    def close(self) -> None:
        """End the background thread."""
        self._executor.shutdown(cancel_futures=True)


class _FollowUps:
    """The operations that follow a write: for the room's history, and for the list of rooms.

    They go in the round trip of the next write: by themselves they would cost two more for each.
    """

    def __init__(self, core: Outbox, scope: Scope) -> None:
        self._core, self._scope = core, scope
        self._written: list[Written] = []
        self._plan: Plan[None] | None = None
        self._operations: Sequence[Operation[Any]] = ()

    def add(self, written: Written) -> None:
        """Note what a call wrote."""
        if written.history or written.listed is not None:
            self._written.append(written)

    @property
    def goes_on(self) -> bool:
        """Whether a plan is under way."""
        return self._plan is not None

    @property
    def operations(self) -> Sequence[Operation[Any]]:
        """The operations to send next; none when all is done."""
        if self._plan is None and self._written:
            self._plan = self._all(self._written)
            self._written = []
            self._go_on(None)
        return self._operations

    def take(self, outcomes: list[Outcome]) -> None:
        """Take the outcomes of ``operations``."""
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
            more = self._core.rooms.after(self._scope, listed[-1]._replace(history=None))
            if more is not None:
                yield from more


class Pending:
    """The sightings that are still to be sent, and by when.

    ``_waiting`` holds those for the next touch; ``_due`` is the first moment when the store would time
    out a user whom a waiting sighting keeps online. Of the users in ``_known``, whose window does not end
    soon, only the last sighting is kept, in ``_again``.
    """

    def __init__(self, sender: Sender, window: int) -> None:
        self._sender, self._window = sender, window
        self._waiting: dict[bytes, int] = {}
        self._known: set[bytes] = set()
        self._again: dict[bytes, int] = {}
        self._due: float = inf
        self.came = False
        """Whether somebody among them came online: the minute does not end without a touch."""
        self._over: dict[
            int, list[bytes]
        ] = {}  # users sent, by the minute in which their window ends
        self._minute = 0

    def come(self, user: bytes, at: int) -> None:
        """Take a sighting of a user who was not online."""
        self.came = True
        self._known.add(user)
        self._waiting[user] = at
        self._due = min(self._due, at + self._window)

    def see(self, user: bytes, at: int, before: int) -> None:
        """Take a sighting of a user who is online, last seen at ``before``."""
        if user in self._known:
            self._again[user] = at
        else:
            self._waiting[user] = at
            self._due = min(self._due, before + self._window)

    def enter(self, minute: int) -> None:
        """Begin a minute: users whose windows end in it wait to be sent again."""
        self._minute = minute
        for one in [one for one in self._over if one <= minute]:
            users = self._over.pop(one)
            self._known.difference_update(users)
            for user in users:
                at = self._again.pop(user, None)
                if at is not None:
                    self._waiting[user] = at
                    self._due = min(self._due, one * MINUTE)

    def send(self, at: int) -> None:
        """Send what waits, at the moment of the last sighting among it, or later."""
        users, seen = list(self._waiting), list(self._waiting.values())
        self._waiting.clear()
        self._due, self.came = inf, False
        self._sender.touch(at, users, [at - one for one in seen])
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

    def send_due(self, until: int, at: int) -> None:
        """Send what the store must have by ``until``; ``at`` is the moment before that."""
        while until >= self._due:
            self.send(at)

    def send_all(self, at: int) -> None:
        """Send everything."""
        if self._waiting:
            self.send(at)
        if self._again:
            self._waiting.update(self._again)
            self._again.clear()
            self.send(at)
