"""What pages show: the page of who is online, and what templates may ask.

In templates: ``online_count()``, ``online_users()``, ``people(ids)``, ``person(id)`` and the filter
``last_seen``. None raises for the store. Who was shown once in a request is not looked up again in it:
``people(ids)`` before a list makes every ``id|last_seen`` in it free.
"""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, Response, has_request_context, request
from jinja2 import ChainableUndefined

from herenow.names import Kind, clean_user
from herenow.web import online_page
from herenow.web.people import UNKNOWN, People, Person, last_seen

if TYPE_CHECKING:
    from datetime import datetime

    from flask.templating import Environment

    from herenow.flask.extension import HereNow
    from herenow.models import UserPresence

_SHOWN: Final = "herenow.shown"


class Unknown(ChainableUndefined):
    """A number that no store gave: it prints as unknown, is neither more nor less than any, and false.

    Jinja takes it for undefined, so ``{% if count is defined %}`` and ``count|default("?")`` do as one
    would think.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return UNKNOWN

    def __format__(self, _: str) -> str:
        return UNKNOWN

    def __int__(self) -> int:  # type: ignore[override]
        return -1  # where a template insists on a number: at least it is not 0

    def __float__(self) -> float:  # type: ignore[override]
        return math.nan

    def _same(self, *_: object) -> "Unknown":
        return self

    def _no(self, *_: object) -> bool:
        return False

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _same  # type: ignore[assignment]
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = _same  # type: ignore[assignment]
    __pow__ = __rpow__ = __neg__ = __pos__ = __abs__ = __round__ = _same  # type: ignore[assignment]
    __lt__ = __le__ = __gt__ = __ge__ = _no  # type: ignore[assignment]


def add_to_templates(here: "HereNow", app: Flask) -> None:
    """Let an app's templates ask; what the app calls by the same name stays its own.

    The environment of its templates is not made for that: what is set up until then counts.
    """

    def online_count(kind: Kind | None = None, room: object = None) -> "int | Unknown":
        counts = (here if room is None else here.room(room)).counts()
        if counts is None:
            return Unknown()
        return counts.member + counts.guest if kind is None else int(getattr(counts, kind))

    def online_users(limit: int = 50, kind: Kind = "member", room: object = None) -> People:
        return _shown((here if room is None else here.room(room)).online_users(limit, kind))

    def people(ids: Iterable[object]) -> People:
        wanted = [clean_user(one) for one in ids]
        shown = _known()
        found = here.people([one for one in dict.fromkeys(wanted) if one not in shown])
        fresh = shown | {one.user: one for one in _shown(found)}
        listed = [fresh[one] for one in wanted]
        return People(listed, known=all(one.known for one in listed))

    def person(user: object) -> Person:
        return people([user])[0]

    def last_seen_of(one: "Person | UserPresence | datetime | object | None") -> str:
        if one is None or hasattr(one, "last_seen") or hasattr(one, "timestamp"):
            return last_seen(one)  # type: ignore[arg-type]
        return last_seen(person(one))

    offered: dict[str, Any] = {
        "online_count": online_count,
        "online_users": online_users,
        "people": people,
        "person": person,
    }
    _offer(app, offered, {"last_seen": last_seen_of})


def _offer(app: Flask, functions: Mapping[str, Any], filters: Mapping[str, Any]) -> None:
    make = app.create_jinja_environment

    def add_to(environment: "Environment") -> "Environment":
        for offered, theirs in ((functions, environment.globals), (filters, environment.filters)):
            theirs.update({name: one for name, one in offered.items() if name not in theirs})
        return environment

    if "jinja_env" in vars(app):
        add_to(app.jinja_env)
    else:
        app.create_jinja_environment = lambda: add_to(make())  # type: ignore[method-assign]


def _known() -> dict[str, Person]:
    shown: dict[str, Person] = {}
    return request.environ.setdefault(_SHOWN, shown) if has_request_context() else shown


def _shown(people: People) -> People:
    _known().update((one.user, one) for one in people)
    return people


def online_page_of(here: "HereNow") -> Response:
    """Answer a request for the page."""
    answer = online_page.answer(request.headers.get("Accept"), request.args, here.online_content)
    return Response(answer.body, answer.status, online_page.HEADERS, mimetype=answer.kind)
