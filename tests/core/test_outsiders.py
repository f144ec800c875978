"""Hidden against left, by random histories: two stores of one clock, and nothing may tell them apart.

In ``hides`` some members hide; in ``left`` they leave at those moments, and come back when they show
themselves (`tests.outsiders` says what that means). After each step all that may be asked without
``include_hidden`` is compared; by HERENOW_TEST_LONG=1 in hundreds of histories.
"""

import logging
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.conftest import LONG, PHASES
from tests.core.two_rooms import machine_for
from tests.servers import Server

STEPS = 30

log = logging.getLogger(__name__)

PLAIN: dict[str, Any] = {
    "name": "b", "kind": "member", "session": "", "away": None, "info": None, "age": None,
}  # fmt: skip


def test_what_came_late_and_is_older_than_a_leave_while_hidden_is_not_there_for_outsiders(
    server: Server,
) -> None:
    with server.client() as client:
        story: Any = machine_for(server, client)()
        story.begin()
        story.hide(name="b")
        story.leave(name="b", session=None)
        story.mark(said={**PLAIN, "session": "t3"}, replaces=None)
        story.mark(said={**PLAIN, "kind": None, "session": "t1", "age": 1000}, replaces=None)


def test_events_of_a_batch_stand_in_its_order_whoever_was_hidden(server: Server) -> None:
    with server.client() as client:
        story: Any = machine_for(server, client)()
        story.begin()
        story.mark(said={**PLAIN, "session": "t1"}, replaces=None)
        story.hide(name="c")
        story.leave(name="c", session=None)
        story.later(ms=1000)
        story.mark_many(
            many=[
                {**PLAIN, "session": "t1", "info": {"page": "/a"}, "replaces": None},
                {**PLAIN, "name": "c", "replaces": None},
            ]
        )


def test_who_hides_and_who_left_look_alike(server: Server) -> None:
    client = server.client()
    machine = machine_for(server, client)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=50 if LONG else 3,
            stateful_step_count=STEPS,
            deadline=None,
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            database=None,
        ),
    )
    client.close()
    log.info("%d comparisons", machine.compared)
    assert machine.compared > (100_000 if LONG else 1_000)
