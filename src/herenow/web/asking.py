"""How one method of `Presence` becomes one that does not raise for the store.

`reads` is made of it: each method there that reads, by `make generate`.
"""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from herenow.errors import StoreError
from herenow.presence import Presence
from herenow.web.trouble import Trouble

P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D")


class Asking:
    """A room of a site, and whom it asks: ``get(reading, room)`` gives the Presence."""

    def __init__(
        self,
        get: Callable[[bool, str | None], Presence],
        trouble: Callable[[], Trouble],
        room: str | None = None,
    ) -> None:
        self._reach = get
        self._trouble = trouble
        self._room = room

    def _get(self, *, reading: bool) -> Presence:
        presence = self._reach(reading, self._room)
        return presence if self._room is None else presence.room(self._room)


def fail_open(
    method: Callable[Concatenate[Presence, P], T], otherwise: Callable[[], D], *, asks: bool = True
) -> Callable[Concatenate["Asking", P], T | D]:
    """Make a method of `Presence` one that gives ``otherwise()`` when the store fails.

    ``asks`` is whether it reads: then whoever asks is marked first, and an answer shows that the store
    is there (a mark may never reach it).
    """
    name = method.__name__  # as the Presence at hand has it

    @wraps(method)
    def call(here: "Asking", /, *args: P.args, **kwargs: P.kwargs) -> T | D:
        trouble = here._trouble()  # noqa: SLF001 - a method of it
        try:
            answer: T = getattr(here._get(reading=asks), name)(*args, **kwargs)  # noqa: SLF001
        except StoreError as error:
            trouble.note(error)
            return otherwise()
        if asks:
            trouble.note(None)
        return answer

    return call


def unknown() -> None:
    """What is not known."""
    return
