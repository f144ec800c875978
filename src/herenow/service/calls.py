"""Calls: what a route of the service is, and one request to it, let in and read.

A route is a function, and what `Routes` is given for it: its verb and path, who may call it, what it
answers. What it takes are the parameters of the function, by their types (`inputs`): those that its path
names come in the path, the others in the body where its verb has one, else in the query. The routes
themselves are in `endpoints` and `pages`.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from http import HTTPStatus
from typing import Any, Protocol

from msgspec import Struct
from starlette.requests import Request

from herenow import names
from herenow.aio import AsyncPresence
from herenow.service.access import Access, Gate
from herenow.service.documents import Document
from herenow.service.inputs import IN_QUERY
from herenow.service.metrics import Metrics
from herenow.service.parameters import Field, fields_of, struct_of
from herenow.service.streaming import Streams
from herenow.web.tokens import Scope


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

    @property
    def presence(self) -> AsyncPresence:
        """The store's."""
        return self.service.presence

    @property
    def hidden(self) -> bool:
        """Whether numbers count the hidden."""
        return self.access.sees_hidden()

    @property
    def record(self) -> names.Kind | None:
        """Of what the record is: of all people, or where the hidden may not show, of members."""
        return None if self.hidden else "member"


Handler = Callable[..., Awaitable[Any]]
"""Gives models and JSON, the same with a status, or a whole response."""
Answer = type | str | None
"""The type of a JSON answer, else a media type, or None for no content."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A verb of a route."""

    method: str
    path: str
    handler: Handler
    answers: Mapping[int, Answer]
    path_parameters: tuple[Field, ...]
    query: type[Struct] | None
    body: type[Struct] | None
    scope: Scope | None = "read"
    """None: anybody's."""
    _: KW_ONLY
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
    def summary(self) -> str:
        """What it does."""
        return (inspect.getdoc(self.handler) or "").partition("\n")[0].rstrip(".")

    def check(self, access: Access, values: Mapping[str, Any]) -> None:
        """Raise a 403 for whoever may not call it with these values.

        A token for some rooms is good in those alone; what an admin does in no room that is named, needs
        one of all rooms. Only admins are shown the hidden, or mark anybody but themselves.
        """
        if self.scope is None:
            return
        access.need(self.scope)
        if "rooms" in values:
            access.need_rooms(values["rooms"])
        elif "room" in values:
            named = values["room"]
            access.need_rooms((named,) if isinstance(named, str) else named)
        elif self.scope == "admin":
            access.need_every_room()
        if self.scope == "mark":
            access.need_self(values["user"])
        elif values.get("hidden") or (self.scope == "read" and values.get("kind") == "hidden"):
            access.need_hidden()


class Routes(list[Endpoint]):
    """The routes of a module, in their order; each is noted by a decorator of its function."""

    def __call__(
        self,
        method: str,
        path: str,
        answer: Answer,
        scope: Scope | None = "read",
        *,
        statuses: tuple[int, ...] = (HTTPStatus.OK,),
        **more: Any,
    ) -> Callable[[Handler], Handler]:
        """Note a route; ``more`` is what `Endpoint` takes. Its function's docstring is its summary."""

        def note(handler: Handler) -> Handler:
            _, *taken = inspect.signature(handler).parameters.values()
            places: dict[str, list[inspect.Parameter]] = {"path": [], "query": [], "body": []}
            for one in taken:
                body = method in ("PUT", "POST") and IN_QUERY not in getattr(
                    one.annotation, "__metadata__", ()
                )
                named = f"{{{one.name}}}" in path
                places["path" if named else "body" if body else "query"].append(one)
            path_, query, body_ = (
                struct_of(f"{handler.__name__}_{place}", parameters, null=place == "body")
                for place, parameters in places.items()
            )
            answers = dict.fromkeys(statuses, answer)
            self.append(
                Endpoint(
                    method, path, handler, answers, fields_of(path_), query, body_, scope, **more
                )
            )
            return handler

        return note
