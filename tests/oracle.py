"""Presence as twenty people would explain it to each other: one room, in memory, slowly.

The truth that the store is compared with. Times are whole milliseconds. It knows nothing of sorted
sets, scripts or sweeps beyond this: whoever writes first expires whoever is due.
"""

from dataclasses import dataclass, field
from typing import Any

KINDS = ("member", "hidden", "guest", "bot")


def people(counts: dict[str, int]) -> dict[str, int]:
    """All but bots, and those of them whom everybody may see."""
    shown = counts["member"] + counts["guest"]
    return {"people": shown + counts["hidden"], "shown": shown}


@dataclass
class Tab:
    """One session."""

    seen: int
    away: bool = False
    info: dict[str, Any] = field(default_factory=dict)


@dataclass
class User:
    """One user: of no kind while offline. ``shown`` and ``real`` are the last seen of who left."""

    kind: str | None = None
    seen: int = 0
    tabs: dict[str, Tab] = field(default_factory=dict)
    shown: int | None = None
    real: int | None = None
    left: int | None = None
    left_hidden: int | None = None


class Oracle:
    """One room."""

    def __init__(self, window: int, retention: int) -> None:
        self.window, self.retention = window, retention
        self.users: dict[str, User] = {}
        self.naming: int | None = None
        self.peaks: dict[str, tuple[int, int | None]] = {}
        self.minutes: dict[int, dict[str, int]] = {}
        self.seen_on: dict[tuple[int, str], set[str]] = {}
        self.minute: int | None = None
        self.opened: int | None = None
        self.changed = False
        self.until_now = window
        self.since = self.last_join = 0
        self.before: dict[str, tuple[str, int]] = {}
        self.late: list[tuple[int, int, str]] = []

    # writes

    def begin(self, now: int) -> int:
        """What every write does first; how many expired."""
        gone = 0
        self.put_right(now)
        self.sample(now)
        if self.naming is not None:
            if self.naming > self.window:
                gone = self.expire(now)
                self.trim(now)
            self.window, self.naming = self.naming, None
        return gone + self.expire(now)

    def put_right(self, now: int) -> None:
        """No moment is yet to come: the clock was set back."""
        for user in self.users.values():
            user.seen = min(user.seen, now)
            for tab in user.tabs.values():
                tab.seen = min(tab.seen, now)
            user.shown = None if user.shown is None else min(user.shown, now)
            user.real = None if user.real is None else min(user.real, now)
            user.left = None if user.left is None else min(user.left, now)
            hidden = user.left_hidden
            user.left_hidden = None if hidden is None else min(hidden, now)

    def sample(self, now: int) -> None:
        """Count at the start of each minute since the last write, before anything changes."""
        self.before = {n: (u.kind, u.seen) for n, u in self.users.items() if u.kind}
        self.late, self.changed = [], False
        self.until_now = self.window
        this = now // 60_000
        if self.minute is None:
            self.since = now
        self.since = min(self.since, now)
        if self.minute is None or this < self.minute:
            self.most(this, self.counts(now))
        else:
            for minute in range(self.minute + 1, this + 1):
                self.most(minute, self.counts(minute * 60_000, now))
        self.opened, self.minute = self.minute, this

    def most(self, minute: int, counts: dict[str, int]) -> None:
        known = self.minutes.setdefault(minute, dict.fromkeys(counts, 0))
        for what, number in counts.items():
            known[what] = max(known[what], number)

    def counts(self, at: int, now: int | None = None) -> dict[str, int]:
        """How many were online at a moment, as is known now."""
        found = {kind: self.count(at, kind, at if now is None else now) for kind in KINDS}
        return found | people(found)

    def sight(self, name: str, kind: str, at: int) -> None:
        self.seen_on.setdefault((at // 86_400_000, kind), set()).add(name)

    def came_late(self, now: int) -> None:
        """Who joined at a moment before this write counts from then, or from the last join before it.

        ``late`` has (when, one more or less, kind); to be called before the joins are recorded.
        """
        opened = self.minute if self.opened is None else self.opened
        known = max(self.last_join, (opened or 0) * 60_000) if self.opened is not None else 0
        if known > now or not self.late:
            return
        late = [(min(max(at, known), now), by, kind) for at, by, kind in self.late]

        def at(moment: int) -> dict[str, int]:
            found = dict.fromkeys(KINDS, 0)
            for kind, seen in self.before.values():
                found[kind] += moment - seen < self.until_now
            for when, by, kind in late:
                found[kind] += by if when <= moment else 0
            return found | people(found)

        for moment in sorted({when for when, by, _ in late if by > 0 and when < now}):
            begun = now // 60_000 if self.opened is None else self.opened  # of before is no history
            if self.opened is None or moment // 60_000 >= begun:
                self.compare(at(moment), moment, sampled=moment // 60_000 >= begun)
        if self.opened is not None:
            for minute in range(self.opened + 1, now // 60_000 + 1):
                self.most(minute, at(minute * 60_000))

    def expire(self, now: int) -> int:
        due = [u for u in self.users.values() if u.kind and now - u.seen >= self.window]
        for user in due:
            self.go(user)
        return len(due)

    def go(self, user: User) -> None:
        if user.kind == "member":
            user.shown = user.seen
        if user.kind == "hidden":
            user.real = user.seen
        user.kind, user.tabs = None, {}

    def mark(  # noqa: C901, PLR0912, PLR0915
        self,
        now: int,
        name: str,
        kind: str | None = None,
        session: str = "",
        away: bool | None = None,
        info: dict[str, Any] | None = None,
        age: int | None = None,
        replaces: str | None = None,
    ) -> bool | None:
        user, at = self.users.setdefault(name, User()), now - (age or 0)
        told = [one for one in (user.left, user.left_hidden) if one is not None]
        if age is not None and any(at <= one for one in told if now - one < self.window):
            return False
        real = user.real if self.left_as_hidden(now, user) else None
        usual = "hidden" if real is not None else "member"
        if now - at >= self.window:
            newest = max(user.shown or 0, real or 0)
            if not user.kind and newest <= at and at > now - self.retention:
                self.sight(name, kind or usual, at)
                if (kind or usual) == "member":
                    user.shown, user.real = at, None
                if (kind or usual) == "hidden":
                    user.real = at
            return False
        newest = not (age is not None and user.kind and user.seen > at)
        named = session or away is not None or info is not None or self.fresh(user, now)
        tabs = self.fresh(user, now) if user.tabs else {}
        if user.kind and named and not user.tabs:
            tabs = {"": Tab(user.seen)}
        if named:
            if session not in tabs and session and len([t for t in tabs if t]) >= 32:
                return None
            tab = tabs.setdefault(session, Tab(at))
            tab.seen = at if age is None else max(tab.seen, at)
            if newest and away is not None:
                tab.away = away
            if newest and info is not None:
                tab.info = info
        if replaces is not None:
            other = self.users.setdefault(replaces, User())
            if not (age is not None and other.kind and other.seen > at):
                was = other.kind
                self.leave_all(now, other, at)
                if was and at < now:
                    self.late.append((at, -1, was))
        came = not user.kind
        if came:
            user.kind, user.seen, user.real = kind or usual, at, None
            self.changed = True
            if user.kind != "hidden":
                user.shown = None
            if at < now:
                before = self.before.get(name)
                over = before[1] + self.until_now if before else at
                self.late.append((max(at, over), 1, user.kind))
        else:
            seen, user.seen = user.seen, at if age is None else max(user.seen, at)
            if newest and kind and kind != user.kind:
                was, user.kind = user.kind, kind
                self.changed = True
                if kind == "hidden":
                    user.shown = seen if was == "member" else user.shown
                    user.left = max(user.left or at, at)
                else:
                    user.shown = None
                if was == "hidden":
                    tabs = {session: tabs[session], **tabs} if tabs else {}
                    for tab in tabs.values():
                        tab.seen = at
                    if at < now:
                        self.late += [(at, 1, kind), (at, -1, "hidden")]
        self.sight(name, user.kind or "", at)
        user.tabs = tabs
        if set(tabs) == {""} and not tabs[""].away and not tabs[""].info:
            user.tabs = {}
        return came

    def leave_all(self, now: int, user: User, at: int) -> bool:
        if user.kind == "hidden" or (user.kind is None and self.left_as_hidden(now, user)):
            user.left_hidden = at if at == now else max(user.left_hidden or at, at)
        else:
            user.left = at if at == now else max(user.left or at, at)
        was = user.kind is not None
        if was:
            self.go(user)
        return was

    def left_as_hidden(self, now: int, user: User) -> bool:
        return user.real is not None and user.real > now - self.retention

    def leave(self, now: int, name: str, session: str | None = None) -> bool:
        user = self.users.setdefault(name, User())
        if session is None:
            return self.leave_all(now, user, now)
        tabs = self.fresh(user, now) if user.tabs else {"": Tab(user.seen)} if user.kind else {}
        if not user.kind or session not in tabs:
            return False
        del tabs[session]
        if not any(tabs):
            return self.leave_all(now, user, now)
        user.seen = max(tab.seen for tab in tabs.values())
        user.tabs = tabs
        return False

    def trim(self, now: int) -> None:
        for user in self.users.values():
            shown, real, left = user.shown, user.real, user.left
            hidden = user.left_hidden
            user.shown = None if shown is not None and now - shown >= self.retention else shown
            user.real = None if real is not None and now - real >= self.retention else real
            user.left = None if left is not None and now - left >= self.window else left
            user.left_hidden = (
                None if hidden is not None and now - hidden >= self.window else hidden
            )

    def sweep(self, now: int) -> None:
        self.trim(now)

    def forget(self, name: str) -> None:
        self.users.pop(name, None)

    def record(self, now: int) -> None:
        """Compare the peaks, after somebody joined or changed kind."""
        self.compare(self.counts(now), now)
        self.last_join = now if self.changed else self.last_join

    def compare(self, counts: dict[str, int], at: int, *, sampled: bool = True) -> None:
        for kind, count in counts.items():
            if count > self.peaks.get(kind, (0, None))[0]:
                self.peaks[kind] = (count, at)
        if sampled:
            self.most(at // 60_000, counts)

    # reads

    def fresh(self, user: User, now: int) -> dict[str, Tab]:
        return {name: tab for name, tab in user.tabs.items() if now - tab.seen < self.window}

    def online(
        self, at: int, kind: str, window: int | None = None, now: int | None = None
    ) -> list[str]:
        now = at if now is None else now
        there = [
            (user.seen, name.encode(), name)
            for name, user in self.users.items()
            if user.kind == kind and at - user.seen < (window or self.window) and user.seen <= now
        ]
        return [name for _, _, name in sorted(there, reverse=True)]

    def count(self, at: int, kind: str, now: int | None = None) -> int:
        return len(self.online(at, kind, now=now))

    def look(self, now: int, name: str, *, hidden: bool) -> tuple[Any, ...]:
        """Online, kind, away, last seen, sessions: what a lookup says."""
        user = self.users.get(name, User())
        kind: str | None = user.kind
        seen: int | None = user.seen
        if kind == "hidden" and not hidden:
            kind, seen = None, user.shown
        if seen is not None and seen > now and kind:
            return False, "member", False, None, {}
        if kind and seen is not None and now - seen < self.window:
            tabs = self.fresh(user, now)
            if not any(name or tab.away or tab.info for name, tab in tabs.items()):
                tabs = {}
            counting = {n: t for n, t in tabs.items() if n} or tabs
            away = bool(counting) and all(tab.away for tab in counting.values())
            return True, kind, away, seen, {n: (t.seen, t.away, t.info) for n, t in tabs.items()}
        left = kind or "member"
        if not kind:
            seen = user.shown
            if hidden and user.real is not None:
                left, seen = "hidden", user.real
        if seen is None or seen > now or left in ("guest", "bot") or now - seen >= self.retention:
            return False, "member", False, None, {}
        return False, left, False, seen, {}

    def active(self, now: int, window: int, *, hidden: bool) -> list[str]:
        found = []
        for name, user in self.users.items():
            moments = [user.shown] if user.kind in (None, "hidden") else []
            there = user.kind == "member" or (hidden and user.kind == "hidden")
            moments += [user.seen] if there else []
            moments += [user.real] if hidden else []
            newest = max((m for m in moments if m is not None and m <= now), default=None)
            if newest is not None and now - newest < window:
                found.append((newest, name.encode(), name))
        return [name for _, _, name in sorted(found, reverse=True)]
