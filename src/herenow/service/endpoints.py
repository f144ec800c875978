"""Endpoints: every route of the service, and what each does. The one table that all else is made from.

`app` makes the routes of it, checks access and parameters before a handler runs, and `openapi` describes
it; so a handler only asks herenow, and no route can be without its check.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import JSONResponse, Response

from herenow import names
from herenow.errors import WindowTooLong
from herenow.models import Counts, Page, Peak, Room
from herenow.outbox.port import AsyncPort
from herenow.service import inputs
from herenow.service.access import API_KEY, bearer
from herenow.service.calls import Call, Endpoint, in_room
from herenow.service.dashboard import page
from herenow.service.problems import HEADERS, ProblemError, forbidden
from herenow.service.rates import household
from herenow.service.sightings import MAX_BODY, sightings
from herenow.service.streaming import Identity, TooManyOfOne, TooManyStreams
from herenow.web.json_form import json_form

MAX_SAMPLES: Final = 11_000
"""A week of minutes, and a day."""


# ------------------------------------------------------------ reading


async def rooms(call: Call) -> Any:
    """The busiest rooms; of a token for some rooms, those of them that somebody is in."""
    limit = call.values["limit"]
    mine = call.access.rooms
    if mine is None:
        listed = await call.presence.rooms(limit, include_hidden=call.numbers)
        found = list(listed)
    else:
        counted = await call.presence.room_counts(sorted(mine))
        found = [Room(name, counts) for name, counts in counted.items()]
        found.sort(key=lambda one: -_shown(one.counts, hidden=call.numbers))
        found = [one for one in found if _shown(one.counts, hidden=call.numbers)][:limit]
    peaks = await AsyncPort(call.presence).room_peaks(
        [one.name for one in found], call.record, include_hidden=call.numbers
    )
    return {"rooms": [_room(call, one, peaks[one.name]) for one in found]}


def _room(call: Call, room: Room, peak: Peak) -> Any:
    return {**json_form(room, hidden=call.numbers), "peak": json_form(peak)}


def _shown(counts: Counts, *, hidden: bool) -> int:
    return counts.member + counts.guest + counts.bot + (counts.hidden if hidden else 0)


async def room(call: Call) -> Any:
    """One room."""
    record = call.room.peak(call.record, include_hidden=call.numbers)
    counts, peak = await asyncio.gather(call.room.counts(), record)
    return _room(call, Room(call.values["room"], counts), peak)


async def users(call: Call) -> Any:
    """A page of who is online."""
    values, hidden = call.values, call.hidden

    async def page(window: float | None) -> Page:
        return await call.room.page_online_users(
            values["limit"], values["cursor"], window, values["kind"], include_hidden=hidden
        )

    try:
        found = await page(values["window"])
    except WindowTooLong:  # whoever is online was seen within it
        found = await page(None)
    return json_form(found)


async def user(call: Call) -> Any:
    """What is known of a user."""
    name = call.values["user"]
    found = await call.room.lookup([name], include_hidden=call.hidden)
    return json_form(found[name])


async def lookup(call: Call) -> Any:
    """What is known of several users, in the order that they were named."""
    wanted = call.values["users"]
    found = await call.room.lookup(set(wanted), include_hidden=call.hidden)
    return {"users": json_form([found[one] for one in wanted])}


async def counts(call: Call) -> Any:
    """The counts of several rooms."""
    counted = await call.presence.room_counts(set(call.values["rooms"]))
    return {"counts": json_form(counted, hidden=call.numbers)}


async def history(call: Call) -> Any:
    """The most online in each minute, hour or day; the newest samples, where there are too many."""
    step: names.Step = call.values["step"]
    end = call.values["end"] or datetime.now(UTC) + timedelta(minutes=1)
    start = call.values["start"] or end - timedelta(days=1)
    longest = timedelta(minutes=names.STEPS[step] * MAX_SAMPLES)
    if end - start > longest:
        start = end - longest
    hidden = call.numbers
    samples = (
        await call.room.history(start, end, step, include_hidden=hidden) if start < end else []
    )
    return {
        "room": call.values["room"],
        "step": step,
        "samples": json_form(samples, hidden=hidden),
    }


async def uniques(call: Call) -> Any:
    """How many different users there were."""
    days, kind = call.values["days"], call.values["kind"]
    if kind == "guest" and days > 1:  # of every value by itself there is one
        raise ProblemError(404, "guests are told apart for a day only: days is 1")
    number = await call.room.unique_users(days, kind, include_hidden=call.hidden)
    return {"room": call.values["room"], "days": days, "kind": kind, "count": number}


async def why(call: Call) -> Any:
    """Why a user is, or is not, online."""
    found = await call.room.explain(call.values["user"], include_hidden=True)
    return json_form(found, hidden=True)


async def events(call: Call) -> Any:
    """What happens, as it happens: server-sent events; with a session, the stream is presence."""
    values, access, session = call.values, call.access, call.values["session"]
    identity = None
    if session is not None:
        access.need("mark")
        if access.user is None:
            raise forbidden("a stream with a session is its token's user: sign one that names them")
        identity = Identity(access.user, access.kind_for(None), session)
    after = call.request.headers.get("last-event-id") or values["after"]
    named = values["room"]
    server = access is API_KEY  # which shows the streams of many
    client = call.request.client
    try:
        return await call.service.streams.open(
            [named] if isinstance(named, str) else named,
            users=values["user"],
            include_hidden=call.hidden,
            after=after,
            identity=identity,
            until=None if access.until is None else datetime.fromtimestamp(access.until, UTC),
            address=None if server or client is None else household(client.host),
            token=access.user,
        )
    except TooManyOfOne as error:
        raise ProblemError(429, str(error), {"Retry-After": "5"}) from None
    except TooManyStreams as error:
        raise ProblemError(503, str(error), {"Retry-After": "5"}) from None


# ------------------------------------------------------------ marking


async def mark(call: Call) -> Any:
    """Mark a user online; what is known of them then."""
    values, name = call.values, call.values["user"]
    kind = call.access.kind_for(values["kind"])
    came = await call.room.mark_online(
        name, kind, values["session"], values["away"], values["info"]
    )
    found = await call.room.lookup([name], include_hidden=True)
    return (HTTPStatus.CREATED if came else HTTPStatus.OK), json_form(found[name])


async def leave(call: Call) -> Any:
    """Mark a user, or one of their sessions, offline."""
    left = await call.room.mark_offline(call.values["user"], call.values["session"])
    return {"left": left}


async def forget(call: Call) -> Any:
    """Erase a user in every room."""
    return {"rooms": await call.presence.forget(call.values["user"])}


async def beacon(call: Call) -> Any:
    """Mark the token's user, or end their session, for a page that can't set headers any more."""
    values = call.values
    access = call.service.gate.believe(values["token"])
    call.service.limit(access)
    access.need("mark")
    access.need_rooms(in_room(values))
    if access.user is None:
        raise forbidden("a beacon needs a token that names its user")
    if values["leave"]:
        await call.room.mark_offline(access.user, values["session"])
    else:
        kind = access.kind_for(None)
        await call.room.mark_online(access.user, kind, values["session"], values["away"])
    return Response(status_code=HTTPStatus.NO_CONTENT)


# ------------------------------------------------------------ the service itself


async def alive(_: Call) -> Any:
    """That the process answers."""
    return {"ok": True}


async def ready(call: Call) -> Any:
    """Whether the store answers, by one PING."""
    health = await call.presence.health()
    status = HTTPStatus.OK if health.ok else HTTPStatus.SERVICE_UNAVAILABLE
    return status, {"ok": health.ok}


async def metrics(call: Call) -> Any:
    """What Prometheus scrapes."""
    accept = call.request.headers.get("accept", "")
    text, content_type = await call.service.metrics.expose(call.presence, accept)
    return Response(text, headers={**HEADERS, "Content-Type": content_type})


async def log_in(call: Call) -> Any:
    """Trade the credential shown for a cookie that a page's scripts can't read."""
    gate, asked = call.service.gate, call.request.scope
    shown = bearer(asked)
    if shown is None or call.access is API_KEY:
        raise forbidden("a token is traded; the API key is for servers")
    token, access = gate.trade(shown, call.access)
    answer = JSONResponse({"scope": access.scope}, headers=HEADERS)
    answer.set_cookie(
        gate.cookie_name(asked),
        token,
        max_age=max(1, int((access.until or 0) - time.time())),
        path=_root(call),
        secure=asked["scheme"] == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


async def log_out(call: Call) -> Any:
    """Take the cookie away."""
    answer = Response(status_code=HTTPStatus.NO_CONTENT)
    answer.delete_cookie(call.service.gate.cookie_name(call.request.scope), path=_root(call))
    return answer


def _root(call: Call) -> str:
    return call.request.scope.get("root_path", "") or "/"


async def dashboard(call: Call) -> Any:
    """The page that shows all this."""
    return page().respond(call.request)


async def described(call: Call) -> Any:
    """The description of all this."""
    return call.service.described.respond(call.request)


_ROOM: Final = "/v1/rooms/{room}"
_USERS: Final = f"{_ROOM}/users"
_USER: Final = f"{_USERS}/{{user}}"

_STREAM: Final = {200: "text/event-stream"}

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint("GET", "/v1/rooms", rooms, "The rooms that somebody is in, busiest first",
             answers={200: "Rooms"}, query=inputs.RoomsQuery),
    Endpoint("GET", _ROOM, room, "A room: how many, and the most ever",
             answers={200: "Room"}, rooms=in_room),
    Endpoint("GET", _USERS, users, "Who is online, newest first",
             answers={200: "Page"}, rooms=in_room,
             query=inputs.UsersQuery),
    Endpoint("GET", _USER, user, "What is known of a user",
             answers={200: "UserPresence"}, rooms=in_room, query=inputs.HiddenQuery),
    Endpoint("PUT", _USER, mark, "Mark a user online; 201 where this brought them online", "mark",
             answers={200: "UserPresence", 201: "UserPresence"}, rooms=in_room, own=True, conflicts=True,
             body=inputs.MarkBody),
    Endpoint("DELETE", _USER, leave, "Mark a user, or one of their sessions, offline", "mark",
             answers={200: "Left"}, rooms=in_room, own=True, query=inputs.LeaveQuery),
    Endpoint("POST", f"{_ROOM}/sightings", sightings, "Mark many users online", "admin",
             answers={200: "Marked"}, rooms=in_room, conflicts=True,
             body=inputs.SightingsBody, max_body=MAX_BODY),
    Endpoint("POST", f"{_ROOM}/lookup", lookup, "What is known of several users",
             answers={200: "Users"}, rooms=in_room, query=inputs.HiddenQuery, body=inputs.LookupBody,
             max_body=262_144),
    Endpoint("POST", "/v1/counts", counts, "The counts of several rooms",
             answers={200: "RoomCounts"}, rooms=lambda values: values["rooms"],
             body=inputs.CountsBody, max_body=131_072),
    Endpoint("GET", f"{_ROOM}/history", history, "The most online in each minute, hour or day",
             answers={200: "History"}, rooms=in_room, query=inputs.HistoryQuery),
    Endpoint("GET", f"{_ROOM}/uniques", uniques, "How many different users there were",
             answers={200: "Uniques"}, rooms=in_room, query=inputs.UniquesQuery),
    Endpoint("GET", f"{_ROOM}/events", events, "What happens in a room, as it happens",
             answers=_STREAM, rooms=in_room, query=inputs.EventsQuery, conflicts=True),
    Endpoint("GET", "/v1/events", events, "What happens in several rooms, to some users",
             answers=_STREAM, rooms=lambda values: values["room"],
             query=inputs.RoomsEventsQuery, conflicts=True),
    Endpoint("DELETE", "/v1/users/{user}", forget, "Erase a user, in every room", "admin",
             answers={200: "Forgotten"}, every_room=True),
    Endpoint("GET", "/v1/users/{user}/why", why, "Why a user is, or is not, online", "admin",
             answers={200: "Why"}, rooms=in_room, query=inputs.WhyQuery),
    Endpoint("POST", "/v1/beacon", beacon, "Mark oneself, or leave, by a token in the body", None,
             answers={204: None}, plain=True, conflicts=True,
             body=inputs.BeaconBody),
    Endpoint("POST", "/v1/login", log_in, "Trade a token for a cookie, to read with",
             answers={200: "Login"}),
    Endpoint("DELETE", "/v1/login", log_out, "Take that cookie away", None, answers={204: None}),
    Endpoint("GET", "/metrics", metrics, "What Prometheus scrapes", "admin",
             answers={200: "text/plain"}, every_room=True),
    Endpoint("GET", "/", dashboard, "The dashboard", None, answers={200: "text/html"}),
    Endpoint("GET", "/healthz", alive, "That the process answers", None, answers={200: "Alive"},
             probe=True),
    Endpoint("GET", "/readyz", ready, "Whether the store answers", None,
             answers={200: "Alive", 503: "Alive"}, probe=True),
    Endpoint("GET", "/openapi.json", described, "This description", None),
)  # fmt: skip
