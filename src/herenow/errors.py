"""What can go wrong with the store.

Bad arguments are a ``ValueError`` that names the rule, raised before anything is sent; two rules only the
store can tell broken, and each has a class of its own. Trouble with the store is one of three classes,
whatever client library it came from.
"""


class TooManySessions(ValueError):
    """A user has 32 sessions, and this would be another."""


class WindowTooLong(ValueError):
    """A read asked for a longer window than the room's, or than the retention."""


class StoreError(Exception):
    """The store answered, and refused: wrong types under our keys, read-only, out of memory."""


class StoreUnavailable(StoreError):
    """The store cannot be reached, is still loading, or does not let us in."""


class StoreTimeout(StoreError):
    """The store did not answer in time; what was sent may or may not have been done."""
