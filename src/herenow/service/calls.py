"""Calls: what a route of the service is, and one request to it, let in and read.

An `Endpoint` says its verb and path, who may call it, in which rooms, what it takes and what it gives.
Nothing here knows which routes there are: see `endpoints`.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec import Struct
from starlette.requests import Request

from herenow import names
from herenow.aio import AsyncPresence
from herenow.service.access import Access, Gate
from herenow.service.documents import Document
from herenow.service.inputs import Path
from herenow.service.metrics import Metrics
from herenow.service.parameters import Field, fields_of
from herenow.service.problems import forbidden
from herenow.service.streaming import Streams
from herenow.web.tokens import Scope

Values = Mapping[str, Any]


class Service(Protocol):
    """What a call needs of the application that it came to."""

    presence: AsyncPresence
    gate: Gate
    streams: Streams
    metrics: Metrics
    described: Document

    def limit(self, access: Access) -> None:
        """Count a call of a token; a 429 for one too many."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, let in and read."""

    service: Service
    request: Request
    access: Access
    values: Values

    @property
    def presence(self) -> AsyncPresence:
        """The store's."""
        return self.service.presence

    @property
    def room(self) -> AsyncPresence:
        """The room that was named."""
        return self.service.presence.room(self.values["room"])

    @property
    def hidden(self) -> bool:
        """Whether hidden members are to be among those listed: an admin asked for it."""
        wanted = bool(self.values.get("hidden") or self.values.get("kind") == "hidden")
        if wanted and not self.access.sees_hidden():
            raise forbidden("hidden members are shown to the scope admin alone")
        return wanted

    @property
    def numbers(self) -> bool:
        """Whether numbers tell of the hidden."""
        return self.access.sees_hidden()

    @property
    def record(self) -> names.Kind | None:
        """Of what the record is told: of all people, or where the hidden may not show, of members."""
        return None if self.numbers else "member"


Handler = Callable[[Call], Awaitable[Any]]
"""Gives JSON, JSON with a status, or a whole response."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A verb of a route. ``scope`` None: anybody's. ``rooms``: which it touches; None is none, or all."""

    method: str
    path: str
    handler: Handler
    summary: str
    scope: Scope | None = "read"
    answers: Mapping[int, str | None] = field(default_factory=lambda: {200: "object"})
    """By status the name of a schema, a media type, or None for no content."""
    query: type[Struct] | None = None
    body: type[Struct] | None = None
    rooms: Callable[[Values], Iterable[str]] | None = None
    every_room: bool = False
    own: bool = False
    """Whether its user may only be the caller, unless that is an admin."""
    max_body: int = 16_384
    plain: bool = False
    """Whether a body may come as text/plain, as a beacon's does."""
    conflicts: bool = False
    """Whether it may give a user more sessions than there may be."""
    probe: bool = False
    """Whether this machine asks it to know that the service is well, as often as it likes."""

    @property
    def stream(self) -> bool:
        """Whether it answers with a stream of events."""
        return "text/event-stream" in self.answers.values()

    @property
    def path_parameters(self) -> tuple[Field, ...]:
        """The parameters in the path."""
        return tuple(one for one in fields_of(Path) if f"{{{one.name}}}" in self.path)

    def check(self, access: Access, values: Values) -> None:
        """Raise a 403 for whoever may not call it."""
        if self.scope is None:
            return
        access.need(self.scope)
        if self.every_room:
            access.need_every_room()
        if self.rooms is not None:
            access.need_rooms(self.rooms(values))
        if self.own:
            access.need_self(values["user"])


def in_room(values: Values) -> tuple[str, ...]:
    """The one room that is named."""
    return (values["room"],)
