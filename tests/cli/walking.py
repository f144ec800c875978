"""A walk through the whole API, so that every command of every script is called."""

import time
from datetime import UTC, datetime, timedelta

import herenow
from herenow import Sighting
from herenow.cli.logstore import LogStore, open_store
from herenow.operations import answer
from herenow.operations.history import outage
from herenow.operations.logs import follow, read_to
from herenow.operations.marking import Mark
from herenow.outbox.port import Port
from tests.conftest import Clock
from tests.operations import READS


def walk(url: str) -> None:
    """Call all of it, on a store with nothing in it."""
    clock = Clock(time.time() - 7200)
    with herenow.Presence(url, resolution=0, clock=clock, history=True) as presence:
        _be_there(presence, clock)
        _ask(presence)
        _pass_hours(presence, clock)
    with herenow.Presence(url, resolution=0) as presence:
        _watch(presence)
        _read_logs(presence, url)
        _forget(presence)


def _be_there(presence: herenow.Presence, clock: Clock) -> None:
    presence.mark_online("alice")
    presence.mark_online("alice")
    presence.mark_online("bob")
    clock.now += 1
    presence.mark_online("bob", session="tab-1", info={"page": "/"})
    presence.mark_online("bob", session="tab-2", away=True)
    presence.mark_online("carol", kind="hidden")
    presence.mark_online("gus", kind="guest")
    presence.mark_online("googlebot", kind="bot")
    presence.mark_online("bob")
    presence.mark_online_many(["dave", Sighting("erin", age=2), Sighting("frank", age=1000)])
    presence.mark_online_many([Sighting("dave", age=1), Sighting("frank", age=900)])
    presence.mark_online("gina", replaces="gus")
    presence.mark_offline("bob", "tab-1")
    presence.mark_offline("dave")
    with presence.session("heidi", session="tab") as session:
        session.update(away=True)
    clock.now += 310
    presence.mark_online("alice")
    presence.mark_online("carol", kind="member")
    presence.sweep()
    presence.room("doc:1", window=30).mark_online("alice")
    for _ in range(4):  # in one second of 16 a mark looks for what is due
        clock.now = clock.now // 16 * 16 + 16.5
        presence.mark_online("alice")


def _ask(presence: herenow.Presence) -> None:
    for hidden in (False, True):
        for read in READS.values():
            read.call(presence, include_hidden=hidden)
        presence.get_user_last_activity("bob", include_hidden=hidden)
        presence.get_online_users(limit=5, include_hidden=hidden)
        presence.explain("bob", include_hidden=hidden)
        page = presence.page_online_users(1, include_hidden=hidden)
        presence.page_online_users(1, page.cursor, include_hidden=hidden)
    for kind in ("member", "hidden", "guest", "bot"):
        presence.count_online_users(kind=kind)
        presence.peak(kind)
    Port(presence).room_peaks(["site", "doc:1"])
    Port(presence).day_key(datetime.now(UTC).date())
    Port(presence).day_key(datetime.now(UTC).date())
    assert presence.health().ok


def _pass_hours(presence: herenow.Presence, clock: Clock) -> None:
    for hours in (1, 1, 0.01):
        clock.now += hours * 3600
        presence.mark_online_many(["alice", "bob"])
        presence.mark_online_many([f"user-{i}" for i in range(5500)])  # the stream is cut at 10,000
        presence.sweep()
    now = datetime.now(UTC)
    for step in ("minute", "hour", "day"):
        presence.history(now - timedelta(hours=4), now, step)
    presence.unique_users()
    presence.unique_users(7, include_hidden=True)
    minute = int(clock.now // 60)
    for operation in outage(presence._scope, minute - 30, minute - 20):
        answer(presence._engine.batch([operation])[0])


def _watch(presence: herenow.Presence) -> None:
    with presence.watch() as events:
        presence.mark_online("grace")
        first = next(events)
        presence.mark_offline("grace")
        assert next(events).type == "leave"
    with presence.watch(after=first.id) as events:
        assert next(events).type == "leave"
    with presence.watch() as events:  # some of the rooms share a line, and are taken off it
        for watched in [presence.room(f"doc:{i}").watch() for i in range(8)]:
            watched.close()
            time.sleep(0.1)
        presence.mark_online("grace")
        assert next(events).type == "join"
    for i in range(160):  # each 50th event trims the stream, if nothing is due
        presence.mark_online(f"late-{i}")


def _read_logs(presence: herenow.Presence, url: str) -> None:
    with open_store(url, room="log") as store:
        _read_log(store)
    with open_store(url, room="log") as store:
        assert store.engine.call(read_to(store.core().scopes.site, "log")) == "here"


def _read_log(store: LogStore) -> None:
    store.refuse_unless_new()
    store.hosts_key()
    scope, core = store.core().scopes.site, store.core()

    def make(naming: bool) -> object:
        return follow(scope, [Mark("host")], [5], "log", "here", naming=naming)

    for outcome in store.engine.run(core.rooms.write([(scope, make)])):  # type: ignore[list-item]
        answer(outcome)


def _forget(presence: herenow.Presence) -> None:
    presence.mark_online("bob", session="tab", info={"page": "/"})
    presence.forget("bob")
    presence.forget("nobody")
