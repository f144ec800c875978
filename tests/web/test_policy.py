"""What a request means, as one table: facts of requests in; marks and leaves out.

Each case is a site, and requests to it in turn. Acts are written as one would say them: ``guest`` and
``bot`` for whoever makes the request under such a name.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from herenow import Visitor
from herenow.web.guests import Stranger
from herenow.web.policy import Act, Facts, Leave, Login, Policy, Visit, clean_visitor

FIREFOX: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
GOOGLE: Final = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
SECRET: Final = "a secret of the tests"
UNREAD: Final = Login(unread=True)


def facts(path: str = "/", agent: str = FIREFOX, method: str = "GET", **more: Any) -> Facts:
    return Facts(method, path, "10.0.0.1", agent, **more)


@dataclass
class Request:
    """What an adapter knows of one request, from its start to its answer."""

    before: str | None = None  # whom the session names at the start
    login: str | Login | None = None  # who is logged in at the end
    facts: Facts = field(default_factory=facts)
    rooms: object = None
    status: int = 200
    asks: list[Any] = field(default_factory=list)  # before that: of the site, of a room ("room")
    identify: list[object] = field(default_factory=list)  # the site's own answers, in turn

    def acts(self, policy: Policy) -> Iterator[Act]:
        visit = Visit(policy, self.facts, self.before)
        if not visit.counts:
            return
        for ask in self.asks:
            yield from visit.mark(
                self._who(visit, self.before), lambda: self.rooms, asks_of_room=ask == "room"
            )
        logged_in = self.login.user if isinstance(self.login, Login) else self.login
        who = self._who(visit, self.login)
        yield from visit.logout(lambda: logged_in)
        yield from visit.mark(who, lambda: self.rooms, self.status)

    def _who(self, visit: Visit, login: str | Login | None) -> Any:
        if self.identify:
            answer = self.identify.pop(0) if len(self.identify) > 1 else self.identify[0]
            return visit.identified(answer)
        return visit.who(login if isinstance(login, Login) else Login(login))


def member(user: str, **more: Any) -> Request:
    return Request(before=user, login=user, **more)


def told(act: Act) -> str:
    """Say what an act is."""
    if isinstance(act, Leave):
        by = "" if act.session is None else f" session {act.session!r}"
        return f"{name(act.user)} leaves {'the rooms' if act.rooms_only else 'all'}{by}"
    where = "" if act.room is None else f" in {act.room}"
    instead = "" if act.replaces is None else f" for {name(act.replaces)}"
    return f"{name(act.who)}{where}{instead}"


def name(who: str | Visitor | Stranger) -> str:
    if isinstance(who, Stranger):
        return "stranger"
    user, kind = (who, None) if isinstance(who, str) else (who.user, who.kind)
    found = re.match(r"guest-[\w-]{20}$", user)
    if found is not None:
        return "guest"
    return user if kind is None else f"{kind} {user}"


# site, requests, and what follows from each
Case = tuple[dict[str, Any], list[Request], list[list[str]]]
CASES: dict[str, Case] = {
    # by default
    "nobody is logged in": ({}, [Request()], [["guest"]]),
    "somebody is logged in": ({}, [member("7")], [["7"]]),
    "the day's key is unknown": ({"secret": None}, [Request()], [["stranger"]]),
    "a bot": ({}, [Request(facts=facts(agent=GOOGLE))], [["bot bot-Googlebot"]]),
    "no user agent": ({}, [Request(facts=facts(agent=""))], [["bot bot-unknown"]]),
    "a bot needs no key": (
        {"secret": None},
        [Request(facts=facts(agent=GOOGLE))],
        [["bot bot-Googlebot"]],
    ),
    "a member whose browser calls itself a bot": (
        {},
        [member("7", facts=facts(agent=GOOGLE))],
        [["7"]],
    ),
    # sessions that nobody has read
    "credentials that nobody has read": ({}, [Request(login=UNREAD)], [[]]),
    "credentials read in the view": ({}, [Request(login="7")], [["7 for guest"]]),
    "an untouched session that names its member": (
        {},
        [Request(before="7", login=Login("7", unread=True))],
        [["7"]],
    ),
    # logins and logouts
    "a login": ({}, [Request(), Request(login="7")], [["guest"], ["7 for guest"]]),
    "a login while the key is unknown": (
        {"secret": None},
        [Request(login="7")],
        [["7 for stranger"]],
    ),
    "a login after a question": (
        {},
        [Request(login="7", asks=["site"])],
        [["guest", "7 for guest"]],
    ),
    "a bot logs in": ({}, [Request(login="7", facts=facts(agent=GOOGLE))], [["7"]]),
    "a logout": ({}, [Request(before="7")], [["7 leaves all session ''", "guest"]]),
    "a logout after a question": (
        {},
        [Request(before="7", asks=["site"])],
        [["7", "7 leaves all session ''", "guest"]],
    ),
    "another login": (
        {},
        [Request(before="7", login="8")],
        [["7 leaves all session ''", "8 for guest"]],
    ),
    "a logout whose end nobody has read": (
        {},
        [Request(before="7", login=UNREAD)],
        [["7 leaves all session ''"]],
    ),
    # questions
    "who asks is marked once": ({}, [member("7", asks=["site", "site"])], [["7"]]),
    # an identify of the site's own
    "identify is final": (
        {"by_default": False},
        [
            Request(identify=[one])
            for one in ("alice", 7, Visitor("x", "guest"), Visitor("z"), None)
        ],
        [["alice"], ["7"], ["guest x"], ["z"], []],
    ),
    "identify decides for bots too": (
        {"by_default": False},
        [Request(identify=["alice"], facts=facts(agent=GOOGLE))],
        [["alice"]],
    ),
    "identify names a guest, then a member": (
        {"by_default": False},
        [Request(identify=[Visitor("x", "guest"), "alice"], asks=["site"])],
        [["guest x", "alice for x"]],
    ),
    "identify names a member, then another": (
        {"by_default": False},
        [Request(identify=["alice", "bob"], asks=["site"])],
        [["alice", "bob"]],
    ),
    "a logout is identify's own business": (
        {"by_default": False},
        [Request(before="7", identify=[None])],
        [[]],
    ),
    "identify hides": (
        {"by_default": False},
        [Request(identify=[Visitor("alice", "hidden")])],
        [["hidden alice"]],
    ),
    # what is no visit
    "a browser asks ahead": ({}, [Request(facts=facts(method="OPTIONS"))], [[]]),
    "a static file": ({}, [Request(facts=facts(static=True))], [[]]),
    "excluded paths": (
        {"exclude": ("/healthz", "/api/*")},
        [Request(facts=facts(one)) for one in ("/healthz", "/api/1", "/api/a/b", "/healthz2")],
        [[], [], [], ["guest"]],
    ),
    "a logout on an excluded path": (
        {"exclude": ("/out",)},
        [Request(before="7", facts=facts("/out"))],
        [[]],
    ),
    "a page that is not found is a visit": ({}, [member("7", status=404)], [["7"]]),
    # rooms
    "a room": ({"has_rooms": True}, [member("7", rooms="a")], [["7", "7 in a"]]),
    "several rooms": (
        {"has_rooms": True},
        [member("7", rooms=["a", 2])],
        [["7", "7 in a", "7 in 2"]],
    ),
    "no room": ({"has_rooms": True}, [member("7", rooms=None)], [["7"]]),
    "a site without rooms": ({}, [member("7", rooms="a")], [["7"]]),
    "a stranger in a room": (
        {"has_rooms": True, "secret": None},
        [Request(rooms="a")],
        [["stranger", "stranger in a"]],
    ),
    "a room that is not found": (
        {"has_rooms": True},
        [member("7", rooms="a", status=status) for status in (302, 400, 404, 500)],
        [["7", "7 in a"], ["7"], ["7"], ["7"]],
    ),
    "a question to the site does not wait for the room": (
        {"has_rooms": True},
        [member("7", rooms="a", asks=["site"], status=404)],
        [["7"]],
    ),
    "a question to the site, on a page of a room": (
        {"has_rooms": True},
        [member("7", rooms="a", asks=["site"])],
        [["7", "7 in a"]],
    ),
    "identify names two guests, in a room": (
        {"has_rooms": True, "by_default": False},
        [
            Request(
                identify=[Visitor("x", "guest"), Visitor("y", "guest")], rooms="a", asks=["room"]
            )
        ],
        [["guest x", "guest x in a", "guest y for x", "guest y in a for x"]],
    ),
    "a question about a room": (
        {"has_rooms": True},
        [member("7", rooms="a", asks=["room", "room"], status=404)],
        [["7", "7 in a"]],
    ),
    "a login leaves no guest in a room": (
        {"has_rooms": True},
        [Request(login="7", rooms="a")],
        [["7 for guest", "guest leaves the rooms", "7 in a for guest"]],
    ),
    "a login after a question about a room": (
        {"has_rooms": True},
        [Request(login="7", rooms="a", asks=["room"])],
        [["guest", "guest in a", "7 for guest", "guest leaves the rooms", "7 in a for guest"]],
    ),
    "a logout on a page of a room": (
        {"has_rooms": True},
        [Request(before="7", rooms="a")],
        [["7 leaves all session ''", "guest", "guest in a"]],
    ),
    # bounds
    "too many guests": (
        {"max_guests": 2},
        [Request(facts=facts(agent=FIREFOX + one)) for one in "abcab"] + [member("7")],
        [["guest"], ["guest"], [], ["guest"], ["guest"], ["7"]],
    ),
    "too many guests of an identify": (
        {"max_guests": 1, "by_default": False},
        [Request(identify=[one]) for one in (Visitor("x", "guest"), Visitor("y", "bot"), "alice")],
        [["guest x"], [], ["alice"]],
    ),
    "too many rooms": (
        {"has_rooms": True, "max_rooms": 2},
        [member("7", rooms=one) for one in "abca"],
        [["7", "7 in a"], ["7", "7 in b"], ["7"], ["7", "7 in a"]],
    ),
}


def policy(**site: Any) -> Policy:
    return Policy(**{"window": lambda: 300.0, "secret": SECRET, **site})


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test of the table runs at midnight."""
    monkeypatch.setattr("herenow.web.guests.time.time", lambda: 43_200.0)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("noon")
def test_what_a_request_means(case: str) -> None:
    site, requests, wanted = CASES[case]
    rules = policy(**site)
    assert [[told(act) for act in one.acts(rules)] for one in requests] == wanted


def test_at_midnight_a_guest_takes_the_place_of_yesterdays_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rules, named = policy(), []
    for moment in (86_398.0, 86_402.0, 86_400 + 300.0, 86_400 + 301.0):
        monkeypatch.setattr("herenow.web.guests.time.time", lambda moment=moment: moment)
        [act] = Request().acts(rules)
        assert not isinstance(act, Leave)
        assert isinstance(act.who, Visitor)
        named.append((act.who.user, act.replaces))
    (yesterday, _), *today = named
    assert len({user for user, _ in today}) == 1
    assert today[0][0] != yesterday
    assert [replaced for _, replaced in today] == [yesterday, yesterday, None]
    [act] = Request(facts=facts(agent=GOOGLE)).acts(rules)
    assert told(act) == "bot bot-Googlebot"


@pytest.mark.usefixtures("noon")
def test_a_view_that_asked_who_it_is_before_a_login_leaves_no_guest() -> None:
    visit = Visit(policy(by_default=False), facts())
    for answer in (Visitor("x", "guest"), "alice"):
        visit.identified(answer)
    acts = visit.mark(visit.identified("alice"), status=200)
    assert [told(one) for one in acts] == ["alice for x"]


@pytest.mark.usefixtures("noon")
def test_what_failed_is_given_again_at_the_next_question() -> None:
    visit = Visit(policy(has_rooms=True), facts(), "7")
    who = visit.who(Login("7"))
    first = visit.mark(who, lambda: "a", asks_of_room=True)
    assert told(next(first)) == "7"
    del first  # performing it failed, so no other is asked for
    assert [told(one) for one in visit.mark(who, lambda: "a", 200)] == ["7", "7 in a"]
    assert list(visit.mark(who, lambda: "a", 200)) == []


@pytest.mark.usefixtures("noon")
@pytest.mark.parametrize("status", [None, 404])
def test_rooms_are_not_asked_for_where_none_is_marked(status: int | None) -> None:
    def rooms() -> object:
        raise AssertionError

    visit = Visit(policy(has_rooms=True), facts(), "7")
    assert [told(one) for one in visit.mark(visit.who(Login("7")), rooms, status)] == ["7"]


def test_a_strange_room_is_an_error_after_the_site_is_marked() -> None:
    visit = Visit(policy(has_rooms=True), facts(), "7")
    acts = visit.mark(visit.who(Login("7")), lambda: ["a", "x" * 200], 200)
    assert [told(next(acts)), told(next(acts))] == ["7", "7 in a"]
    with pytest.raises(ValueError, match="a room has at most 128 UTF-8 bytes"):
        next(acts)


@pytest.mark.parametrize(
    "answer, visitor",
    [
        (None, None),
        ("alice", Visitor("alice")),
        (7, Visitor("7")),
        (Visitor("x", "guest"), Visitor("x", "guest")),
        (Visitor(7), Visitor("7")),  # type: ignore[arg-type]
    ],
)
def test_what_identify_may_return(answer: object, visitor: Visitor | None) -> None:
    assert clean_visitor(answer) == visitor


@pytest.mark.parametrize(
    "answer",
    ["", 1.5, object(), Visitor(""), Visitor("x", "ghost"), Visitor(None)],  # type: ignore[arg-type]
)
def test_what_identify_may_not_return(answer: object) -> None:
    with pytest.raises(ValueError, match=r"^a (user|kind) "):
        clean_visitor(answer)


RULES: dict[str, Callable[[], object]] = {
    "facts": lambda: setattr(facts(), "path", "/"),
    "logins": lambda: setattr(UNREAD, "user", "7"),
}


@pytest.mark.parametrize("of", RULES)
def test_facts_do_not_change(of: str) -> None:
    with pytest.raises(AttributeError):
        RULES[of]()
