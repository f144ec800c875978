# Generated from presence.py by `make generate`: change that one.
"""Every method of `Presence` that reads, so that none raises for the store."""

from herenow.models import Page, Room, Sample
from herenow.presence import Presence
from herenow.web.asking import Asking, fail_open, unknown


class Reads(Asking):
    """The reads of one room."""

    is_online = fail_open(Presence.is_online, bool)
    get_user_last_activity = fail_open(Presence.get_user_last_activity, unknown)
    lookup = fail_open(Presence.lookup, unknown)
    get_online_users = fail_open(Presence.get_online_users, list[str])
    page_online_users = fail_open(Presence.page_online_users, lambda: Page((), None))
    count_online_users = fail_open(Presence.count_online_users, unknown)
    counts = fail_open(Presence.counts, unknown)
    count_active_users = fail_open(Presence.count_active_users, unknown)
    get_active_users = fail_open(Presence.get_active_users, list[str])
    peak = fail_open(Presence.peak, unknown)
    history = fail_open(Presence.history, list[Sample])
    unique_users = fail_open(Presence.unique_users, unknown)
    snapshot = fail_open(Presence.snapshot, unknown)
    explain = fail_open(Presence.explain, unknown)
    rooms = fail_open(Presence.rooms, list[Room])
    room_counts = fail_open(Presence.room_counts, unknown)
