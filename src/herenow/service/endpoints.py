"""Endpoints: the JSON, the streams and the metrics of the service, a function each, noted as its route.

`app` makes the routes of them, checks access and parameters before a function runs, and `openapi`
describes them; so a function only asks herenow, and no route can be without its check.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from herenow import names
from herenow.errors import WindowTooLong
from herenow.models import Counts, Page, UserPresence
from herenow.outbox.port import AsyncPort
from herenow.service import inputs, shapes
from herenow.service.access import API_KEY
from herenow.service.calls import Call, Endpoint, Routes
from herenow.service.pages import PAGES
from herenow.service.problems import HEADERS, ProblemError, forbidden
from herenow.service.rates import household
from herenow.service.sightings import MAX_BODY, mark_each
from herenow.service.streaming import Identity, TooManyOfOne, TooManyStreams

MAX_SAMPLES: Final = 11_000
"""A week of minutes, and a day."""
_ROOM: Final = "/v1/rooms/{room}"
_USERS: Final = f"{_ROOM}/users"
_USER: Final = f"{_USERS}/{{user}}"
_STREAM: Final = "text/event-stream"
_NO_CONTENT: Final = (HTTPStatus.NO_CONTENT,)
_API: Final = Routes()


# ------------------------------------------------------------ reading


@_API("GET", "/v1/rooms", shapes.Rooms)
async def rooms(call: Call, limit: inputs.Limit = 50) -> Any:
    """The rooms that somebody is in, busiest first.

    Of a token for some rooms, those of them.
    """
    mine = call.access.rooms
    if mine is None:
        listed = await call.presence.rooms(limit, include_hidden=call.hidden)
        found = [(one.name, one.counts) for one in listed]
    else:
        counted = await call.presence.room_counts(sorted(mine))
        found = [one for one in counted.items() if _shown(call, one[1])]
        found = sorted(found, key=lambda one: -_shown(call, one[1]))[:limit]
    peaks = await AsyncPort(call.presence).room_peaks(
        [name for name, _ in found], call.record, include_hidden=call.hidden
    )
    return {"rooms": [{"room": name, "counts": one, "peak": peaks[name]} for name, one in found]}


def _shown(call: Call, counts: Counts) -> int:
    return counts.people + counts.bot - (0 if call.hidden else counts.hidden)


@_API("GET", _ROOM, shapes.Room)
async def room(call: Call, room: inputs.Room) -> Any:
    """A room: how many, and the most ever."""
    there = call.presence.room(room)
    record = there.peak(call.record, include_hidden=call.hidden)
    counts, peak = await asyncio.gather(there.counts(), record)
    return {"room": room, "counts": counts, "peak": peak}


@_API("GET", _USERS, Page)
async def users(
    call: Call,
    room: inputs.Room,
    limit: inputs.Limit = 50,
    cursor: inputs.Cursor | None = None,
    window: inputs.Window | None = None,
    kind: inputs.Kind = "member",
    hidden: inputs.Hidden = False,
) -> Any:
    """Who is online, newest first."""

    async def page(window: float | None) -> Page:
        return await call.presence.room(room).page_online_users(
            limit, cursor, window, kind, include_hidden=hidden or kind == "hidden"
        )

    try:
        return await page(window)
    except WindowTooLong:  # whoever is online was seen within it
        return await page(None)


@_API("GET", _USER, UserPresence)
async def user(
    call: Call, room: inputs.Room, user: inputs.User, hidden: inputs.Hidden = False
) -> Any:
    """What is known of a user."""
    return (await call.presence.room(room).lookup([user], include_hidden=hidden))[user]


@_API("POST", f"{_ROOM}/lookup", shapes.Users, max_body=262_144)
async def lookup(
    call: Call, room: inputs.Room, users: inputs.Ids, hidden: inputs.Hidden = False
) -> Any:
    """What is known of several users, in the order that they were named."""
    found = await call.presence.room(room).lookup(set(users), include_hidden=hidden)
    return {"users": [found[one] for one in users]}


@_API("POST", "/v1/counts", shapes.RoomCounts, max_body=131_072)
async def counts(call: Call, rooms: inputs.Rooms) -> Any:
    """The counts of several rooms."""
    return {"counts": await call.presence.room_counts(set(rooms))}


@_API("GET", f"{_ROOM}/history", shapes.History)
async def history(
    call: Call,
    room: inputs.Room,
    start: inputs.Start | None = None,
    end: inputs.End | None = None,
    step: inputs.Step = "minute",
) -> Any:
    """The most online in each minute, hour or day; the newest samples, where there are too many."""
    until: Any = end or datetime.now(UTC) + timedelta(minutes=1)
    begin: Any = start or until - timedelta(days=1)
    begin = max(begin, until - timedelta(minutes=names.STEPS[step] * MAX_SAMPLES))
    samples = []
    if begin < until:
        samples = await call.presence.room(room).history(
            begin, until, step, include_hidden=call.hidden
        )
    return {"room": room, "step": step, "samples": samples}


@_API("GET", f"{_ROOM}/uniques", shapes.Uniques)
async def uniques(
    call: Call,
    room: inputs.Room,
    days: inputs.Days = 1,
    kind: inputs.Kind = "member",
    hidden: inputs.Hidden = False,
) -> Any:
    """How many different users there were."""
    if kind == "guest" and days > 1:  # of every value by itself there is one
        raise ProblemError(404, "guests are told apart for a day only: days is 1")
    number = await call.presence.room(room).unique_users(
        days, kind, include_hidden=hidden or kind == "hidden"
    )
    return {"room": room, "days": days, "kind": kind, "count": number}


@_API("GET", "/v1/users/{user}/why", shapes.Why, "admin")
async def why(call: Call, user: inputs.User, room: inputs.Room = "site") -> Any:
    """Why a user is, or is not, online."""
    return await call.presence.room(room).explain(user, include_hidden=True)


@_API("GET", f"{_ROOM}/events", _STREAM, conflicts=True)
async def room_events(
    call: Call,
    room: inputs.Room,
    user: inputs.StreamUsers | None = None,
    session: inputs.StreamSession | None = None,
    after: inputs.After | None = None,
    hidden: inputs.Hidden = False,
) -> Any:
    """What happens in a room, as it happens: server-sent events."""
    return await _stream(call, [room], user, session, after, hidden=hidden)


@_API("GET", "/v1/events", _STREAM, conflicts=True)
async def events(
    call: Call,
    user: inputs.StreamUsers | None = None,
    session: inputs.StreamSession | None = None,
    after: inputs.After | None = None,
    hidden: inputs.Hidden = False,
    room: inputs.StreamRooms = ("site",),
) -> Any:
    """What happens in several rooms, to some users."""
    return await _stream(call, room, user, session, after, hidden=hidden)


async def _stream(
    call: Call,
    rooms: Sequence[str],
    users: Sequence[str] | None,
    session: str | None,
    after: str | None,
    *,
    hidden: bool,
) -> Response:
    """Open a stream; with a session, it is the presence of its token's user."""
    access, identity = call.access, None
    if session is not None:
        access.need("mark")
        if access.user is None:
            raise forbidden("a stream with a session is its token's user: sign one that names them")
        identity = Identity(access.user, access.kind_for(None), session)
    server = access is API_KEY  # which shows the streams of many
    client = call.request.client
    try:
        return await call.service.streams.open(
            rooms,
            users=users,
            include_hidden=hidden,
            after=call.request.headers.get("last-event-id") or after,
            identity=identity,
            until=None if access.until is None else datetime.fromtimestamp(access.until, UTC),
            address=None if server or client is None else household(client.host),
            token=access.user,
        )
    except TooManyStreams as error:
        status = 429 if isinstance(error, TooManyOfOne) else 503
        raise ProblemError(status, str(error), {"Retry-After": "5"}) from None


# ------------------------------------------------------------ marking


@_API("PUT", _USER, UserPresence, "mark", statuses=(200, 201), conflicts=True)
async def mark(
    call: Call,
    room: inputs.Room,
    user: inputs.User,
    kind: inputs.MarkKind = None,
    session: inputs.Session = "",
    away: inputs.Away = None,
    info: inputs.Info = None,
) -> Any:
    """Mark a user online; 201 where this brought them online."""
    there = call.presence.room(room)
    came = await there.mark_online(user, call.access.kind_for(kind), session, away, info)
    found = await there.lookup([user], include_hidden=True)
    return (HTTPStatus.CREATED if came else HTTPStatus.OK), found[user]


@_API("DELETE", _USER, shapes.Left, "mark")
async def leave(
    call: Call, room: inputs.Room, user: inputs.User, session: inputs.Session | None = None
) -> Any:
    """Mark a user, or one of their sessions, offline."""
    return {"left": await call.presence.room(room).mark_offline(user, session)}


@_API("POST", f"{_ROOM}/sightings", shapes.Marked, "admin", conflicts=True, max_body=MAX_BODY)
async def sightings(call: Call, room: inputs.Room, sightings: inputs.Sightings) -> Any:
    """Mark many users online."""
    return await mark_each(call.presence.room(room), sightings)


@_API("DELETE", "/v1/users/{user}", shapes.Forgotten, "admin")
async def forget(call: Call, user: inputs.User) -> Any:
    """Erase a user, in every room."""
    return {"rooms": await call.presence.forget(user)}


@_API("POST", "/v1/beacon", None, None, statuses=_NO_CONTENT, plain=True, conflicts=True)
async def beacon(
    call: Call,
    token: inputs.Token,
    room: inputs.Room = "site",
    session: inputs.Session = "",
    away: inputs.Away = None,
    leave: inputs.Leave = False,
) -> Any:
    """Mark oneself, or leave, by a token in the body.

    For a page that is being left: it can't set headers any more.
    """
    access = call.service.gate.believe(token)
    call.service.limit(access)
    access.need("mark")
    access.need_rooms((room,))
    if access.user is None:
        raise forbidden("a beacon needs a token that names its user")
    there = call.presence.room(room)
    if leave:
        await there.mark_offline(access.user, session)
    else:
        await there.mark_online(access.user, access.kind_for(None), session, away)
    return Response(status_code=HTTPStatus.NO_CONTENT)


# ------------------------------------------------------------ the service itself


@_API("GET", "/healthz", shapes.Alive, None, probe=True)
async def alive(_: Call) -> Any:
    """That the process answers."""
    return {"ok": True}


@_API("GET", "/readyz", shapes.Alive, None, statuses=(200, 503), probe=True)
async def ready(call: Call) -> Any:
    """Whether the store answers.

    By one PING.
    """
    health = await call.presence.health()
    status = HTTPStatus.OK if health.ok else HTTPStatus.SERVICE_UNAVAILABLE
    return status, {"ok": health.ok}


@_API("GET", "/metrics", "text/plain", "admin")
async def metrics(call: Call) -> Any:
    """What Prometheus scrapes."""
    accept = call.request.headers.get("accept", "")
    text, content_type = await call.service.metrics.expose(call.presence, accept)
    return Response(text, headers={**HEADERS, "Content-Type": content_type})


ENDPOINTS: Final[tuple[Endpoint, ...]] = (*_API, *PAGES)
