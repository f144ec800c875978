"""What somebody sees who does not ask for the hidden, as a room in which nobody ever hid."""

from typing import Any

from tests.oracle import Oracle, Tab, User


class Outsiders:
    """What somebody sees who does not ask for the hidden: as if whoever hides had left.

    A write to a room as it is becomes the writes (method and arguments) to one in which nobody ever
    hid: who hides leaves at that moment, of what they do while they are hidden nothing is done, and who
    shows themselves comes at that moment, with all their sessions.
    """

    def __init__(self, room: Oracle) -> None:
        self.room = room

    def mark(self, now: int, **said: Any) -> list[tuple[str, dict[str, Any]]]:
        """Mark somebody in the room; what is done where nobody hides."""
        name, replaces = said["name"], said.get("replaces")
        if self.ended_while_hidden(now, name, said.get("age")):
            return []
        seen = dict(said)
        leaves = []
        if replaces is not None:
            if self.hides(now, replaces):
                seen["replaces"] = None
            else:
                leaves = [("leave", {"name": replaces})]
        hid, was = self.hides(now, name), self.kind(now, name)
        if self.room.mark(now, **said) is None:
            return []
        if self.hides(now, name):
            return [*leaves, *([("leave", {"name": name})] if was and not hid else [])]
        if not hid or (not self.kind(now, name) and said.get("kind") in (None, "hidden")):
            return [("mark", seen)] if not hid or seen != said else []
        user = self.room.users[name]
        if not was:
            return [("mark", {**seen, "kind": user.kind or said["kind"]})]
        tabs = user.tabs or {said["session"]: Tab(user.seen)}
        first = {**seen, "kind": user.kind}
        marks = []
        for session, tab in tabs.items():
            said_there = {"session": session, "away": tab.away or None, "info": tab.info or None}
            marks.append(("mark", {**first, **said_there}))
            first = {**first, "replaces": None}
        return marks

    def leave(self, now: int, name: str, session: str | None) -> list[tuple[str, dict[str, Any]]]:
        """Have somebody leave; what is done where nobody hides."""
        hid = self.hides(now, name)
        self.room.leave(now, name, session)
        return [] if hid else [("leave", {"name": name, "session": session})]

    def ended_while_hidden(self, now: int, name: str, age: int | None) -> bool:
        """Whether a late sighting is older than a leave of the hidden time, which undoes it unseen."""
        left = self.room.users.get(name, User()).left_hidden
        return age is not None and left is not None and now - age <= left > now - self.room.window

    def kind(self, now: int, name: str) -> str | None:
        user = self.room.users.get(name, User())
        return user.kind if user.kind and now - user.seen < self.room.window else None

    def hides(self, now: int, name: str) -> bool:
        user = self.room.users.get(name, User())
        if user.kind:
            return user.kind == "hidden"
        return self.room.left_as_hidden(now, user)
