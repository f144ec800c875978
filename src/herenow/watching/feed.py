"""A room that is watched: what a look found of it, and who watches."""

from herenow.operations.scope import Scope
from herenow.watching.contact import Contact
from herenow.watching.watch import View, Watch


class Feed:
    """A room that is watched, and by whom."""

    def __init__(self, scope: Scope, contact: Contact) -> None:
        self.scope = scope
        self.contact = contact
        self.outages: list[tuple[int, int]] = []
        """From and to when the store was unavailable, in its milliseconds: what is yet to be recorded."""
        self.watches: list[Watch] = []
        self.sweep = True
        self.sweeps = 1
        self.failed = 0
        self.proven = float("-inf")
        """When it was looked at last because its line was heard, by `time.monotonic`."""

    @property
    def views(self) -> set[View]:
        """What its watches are to be given of it."""
        return {one.view for one in self.watches if not one.lost}

    def knows(self, bell: tuple[int, int]) -> bool:
        """Whether all its watches know all that a bell rings for."""
        known = {(hidden, place and place.number) for hidden, place in self.views}
        return bool(known) and known <= {(False, bell[0]), (True, bell[1])}
