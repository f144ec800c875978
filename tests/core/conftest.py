"""Fixtures of the attacks on the core: a facade of either kind on a store with people in it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from herenow import Sighting
from tests.core.sides import Side, contents, opened
from tests.servers import Server

WAYS = {"sync": ("sync", None), "async": ("async", None), "exact": ("sync", 0)}


@pytest.fixture(params=WAYS)
def side(request: pytest.FixtureRequest, server: Server) -> Iterator[Side]:
    """A facade on a store with somebody of each sort in it."""
    name, resolution = WAYS[request.param]
    with opened(name, server.unix_url, resolution=resolution, timeout=5) as made:
        made.mark_online("alice", session="tab", info={"page": "/"})
        made.mark_online_many(
            ["bob", Sighting("gus", kind="guest"), Sighting("hid", kind="hidden")]
        )
        made.mark_online_many([Sighting("old", age=1000)])
        made.room("narrow", 30).mark_online("alice")
        yield made


@pytest.fixture
def refused(server: Server) -> Callable[[str], Any]:
    """A block that must end with a ValueError that matches, the store being as before."""

    @contextmanager
    def block(rule: str) -> Iterator[None]:
        before = contents(server.control)
        with pytest.raises(ValueError, match=rule):
            yield
        assert contents(server.control) == before

    return block
