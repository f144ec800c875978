"""A site on a real store, for threads and for asyncio: what the policy says is done."""

import inspect
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest

import herenow
from herenow import Counts
from herenow.web import aio_site, site
from herenow.web.options import Options, by_default
from herenow.web.policy import Facts
from herenow.web.settings import read_settings
from tests.servers import Server

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


def facts(request: Any) -> Facts:
    return Facts(path=request.path, address="10.0.0.1", agent=FIREFOX)


class Visit(site.Visit):
    """A request of a framework that is nothing but attributes."""

    facts = staticmethod(facts)

    def signed_in(self) -> str | None:
        user: str | None = self.request.user
        return user


class AsyncVisit(aio_site.AsyncVisit):
    facts = staticmethod(facts)

    def signed_in(self) -> str | None:
        user: str | None = self.request.user
        return user


async def done(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


class Either:
    """A site of one kind, asked alike."""

    def __init__(self, url: str, *, asynchronous: bool, buffered: bool, **given: Any) -> None:
        settings = read_settings({}, {})
        options = Options(None, given.get("identify", by_default), None, given.get("rooms"), {})
        kinds: Any = (
            (herenow.AsyncPresence, aio_site.AsyncSite, AsyncVisit)
            if asynchronous
            else (herenow.Presence, site.Site, Visit)
        )
        self.presence = kinds[0](url, buffered=buffered, timeout=5)
        self.site = kinds[1](options, self.presence, settings)
        self.visit = kinds[2]

    async def get(
        self, path: str = "/", user: str | None = None, status: int = 200, after: Any = "as before"
    ) -> str | None:
        """Make a request; who it was."""
        request = SimpleNamespace(path=path, user=user)
        visit = self.visit(self.site, request)
        await done(visit.mark())
        who = await done(visit.visitor())
        if after != "as before":
            request.user = after
        await done(visit.end(status))
        return None if who is None else str(who.user)

    async def counts(self, room: str | None = None) -> Counts:
        asked = self.presence if room is None else self.presence.room(room)
        found = await done(asked.counts())
        assert isinstance(found, Counts)
        return found


Make = Callable[..., Either]


@pytest.fixture(params=["threads", "asyncio"])
async def make(
    request: pytest.FixtureRequest, server: Server
) -> AsyncIterator[Callable[..., Either]]:
    made: list[Either] = []

    def make(*, buffered: bool, url: str = server.url, **given: Any) -> Either:
        asynchronous = request.param == "asyncio"
        made.append(Either(url, asynchronous=asynchronous, buffered=buffered, **given))
        return made[-1]

    yield make
    for one in made:
        presence = one.presence
        await done(presence.aclose() if hasattr(presence, "aclose") else presence.close())


@pytest.mark.parametrize("buffered", [True, False])
async def test_a_guest_logs_in_and_out(make: Make, *, buffered: bool) -> None:
    one = make(buffered=buffered, rooms=lambda request: request.path.strip("/") or None)
    guest = await one.get("/a")
    assert guest is not None
    assert guest.startswith("guest-")
    assert await one.counts() == await one.counts("a") == Counts(guest=1)
    assert await one.get("/in", after="7") == guest
    assert await one.counts() == Counts(member=1)
    assert await one.counts("a") == Counts()
    assert await one.get("/a", "7") == "7"
    assert await one.counts("a") == Counts(member=1)
    await one.get("/a", "7", after=None)
    assert await one.counts() == await one.counts("a") == Counts(guest=1)
    await one.get("/b", status=404)
    assert await one.counts("b") == Counts()


@pytest.mark.parametrize("buffered", [True, False])
async def test_the_fast_path_marks_a_stranger_once(make: Make, *, buffered: bool) -> None:
    one = make(buffered=buffered)
    meet = one.site.fast_path(facts)
    for _ in range(3):
        await done(meet("10.0.0.1", FIREFOX, SimpleNamespace(path="/")))
    await done(meet("10.0.0.1", FIREFOX + "x" * 9999, SimpleNamespace(path="/")))
    assert await one.counts() == Counts(guest=2)


async def test_a_strange_id_is_logged(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    one = make(buffered=False, identify=lambda request: request.user)
    await one.get(user="alice")
    assert await one.counts() == Counts(member=1)
    with pytest.raises(ValueError, match="a user"):
        await one.get(user="")  # the view asked
    visit = one.visit(one.site, SimpleNamespace(path="/", user=""))
    await done(visit.end(200))
    assert "a visitor is not marked: a user" in caplog.text


async def test_a_store_that_is_not_there_fails_no_page(make: Make) -> None:
    one = make(buffered=False, url="redis://127.0.0.1:1", rooms=lambda _: "a")
    assert await one.get() is None  # nobody knows the day's key
    assert await one.get(user="7", after=None) == "7"
