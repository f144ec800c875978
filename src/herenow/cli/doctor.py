"""``herenow doctor``: diagnose the store."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from herenow.cli.options import json_option, prefix_option, url_option
from herenow.cli.output import many, show_json, show_lines, show_table, size
from herenow.cli.program import NO, YES
from herenow.errors import StoreError
from herenow.web.json_form import json_form

if TYPE_CHECKING:
    from herenow.doctor import Facts, Finding, Node


@click.command()
@url_option
@prefix_option
@json_option
def doctor(*, url: str | None, prefix: str | None, in_json: bool) -> int:
    """Diagnose the store: what it is, what is wrong with it, and what to do.

    Writes nothing there. Exit code 1 if something is wrong.
    """
    from herenow.cli.logstore import open_store
    from herenow.doctor import examine, findings
    from herenow.outbox.scopes import DEFAULT_TIMEOUT

    with open_store(url, prefix) as store:
        named = bool(os.environ.get("HERENOW_TIMEOUT"))  # without it the command line's differs
        timeout = store.settings.timeout if named else DEFAULT_TIMEOUT
        try:
            facts = examine(store.engine, store.core(), str(store.settings.url), timeout)
        except StoreError as error:
            raise StoreError(
                f"{str(error).rstrip('.')}; start it, or name another with --url or HERENOW_URL"
            ) from error
    found = findings(facts)
    if in_json:
        show_json({**json_form(facts), "findings": found})
    else:
        show_table(("", ""), list(_rows(facts)))
        show_lines(_advice(found))
    return NO if found else YES


def _rows(facts: "Facts") -> Iterator[tuple[str, str]]:
    from herenow.doctor.facts import misnamed

    several = len(facts.nodes) > 1
    yield "store", _topology(facts)
    for node in facts.nodes:
        if node.unavailable is not None:
            yield node.name, "does not answer"
        else:
            yield (node.name if several else "latency"), "; ".join(_of_node(node, whole=several))
    if not several and facts.nodes[0].unavailable is None:
        [node] = facts.nodes
        yield "memory", _memory(node)
        yield "clock", _clock(node)
        yield "persists", _persistence(node)
        if node.copies:
            yield "replicas", _replicas(node)
    yield "timeout", f"{facts.timeout:g} s a wait"
    for one in facts.online:
        each = one.bytes / one.users
        yield "online", f"{many(one.users, one.kind)} in {one.room}: {each:,.0f} bytes each"
    if not misnamed(facts.nodes[0], facts.topology):
        yield "rights", _rights(facts)


def _topology(facts: "Facts") -> str:
    first = next(node for node in facts.nodes if node.unavailable is None)
    version = f"{first.product or 'unknown'} {first.version or ''}".strip()
    if facts.topology == "cluster":
        number = sum(node.replicas or 0 for node in facts.nodes)
        replicas = f"with {many(number, 'replica')}" if number else "without replicas"
        return (
            f"{version}, a cluster of {len(facts.nodes)} masters {replicas}, "
            f"{facts.slots_served or 0:,} slots"
        )
    parts = [version, f"{facts.topology}, {first.name}"]
    if first.replicas:
        parts.append(many(first.replicas, "replica"))
    if facts.sentinels:
        parts.append(f"{facts.sentinels[0]} of {facts.sentinels[1]} sentinels answer")
    return ", ".join(parts)


def _of_node(node: "Node", *, whole: bool) -> Iterator[str]:
    yield f"PING {_ms(node.latency)}, at worst {_ms(node.worst)}"
    if whole:
        yield f"memory {_memory(node)}"
        yield f"clock {_clock(node)}"
        yield f"persists {_persistence(node)}"
        if node.replicas is not None:
            yield f"replicas {_replicas(node)}"


def _memory(node: "Node") -> str:
    if node.used is None:
        return "unknown"
    limit = f"of {size(node.limit)}" if node.limit else "without a limit"
    return f"{size(node.used)} {limit}, {node.policy}"


def _clock(node: "Node") -> str:
    if node.ahead is None:
        return "unknown"
    if abs(node.ahead) <= (node.uncertain or 0):
        return f"in step with this machine, ± {_ms(node.uncertain)}"
    way = "ahead of" if node.ahead > 0 else "behind"
    return f"{_ms(abs(node.ahead))} {way} this machine's, ± {_ms(node.uncertain)}"


def _persistence(node: "Node") -> str:
    ways = ["append-only file"] * bool(node.appends) + ["snapshots"] * bool(node.saves)
    if ways:
        return " and ".join(ways)
    if node.appends is None or node.saves is None:
        return "unknown"
    return "nothing: a restart loses who was online and last seen"


def _replicas(node: "Node") -> str:
    each = [
        f"{one.name} {one.state}"
        + ("" if one.silent is None else f", last ack {one.silent:.0f} s ago")
        + (f", {one.behind:,} bytes behind" if one.behind else "")
        for one in node.copies
    ]
    return " and ".join(each) or "none: when it is down, so are its rooms"


def _rights(facts: "Facts") -> str:
    if facts.scripts or facts.lacking or facts.notifications:
        return "not all: see below"
    allowed = ", every command allowed" if facts.lacking is not None else ""
    return f"scripts run, notifications arrive{allowed}"


def _advice(found: "list[Finding]") -> Iterator[str]:
    if not found:
        yield "nothing is wrong"
        return
    for one in found:
        yield f"! {one.what}"
        yield f"  -> {one.do}"


def _ms(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds * 1000:.3g} ms"
