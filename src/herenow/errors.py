"""What can go wrong with the store.

Bad arguments are a plain ``ValueError`` that names the rule, raised before anything is sent. Trouble
with the store is one of the three classes here, whatever client library it came from.
"""


class StoreError(Exception):
    """The store answered, and refused: wrong types under our keys, read-only, out of memory."""


class StoreUnavailable(StoreError):
    """The store cannot be reached, is still loading, or does not let us in."""


class StoreTimeout(StoreError):
    """The store did not answer in time; what was sent may or may not have been done."""
