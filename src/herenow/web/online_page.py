"""The page of who is online, for any framework: as text, JSON or HTML.

Pure: what is accepted and asked for in, the answer out. Whatever the store does not answer is unknown:
null in JSON, the word elsewhere. The hidden are not on it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Final, NamedTuple

from herenow.models import Counts
from herenow.web.escapes import json_text, printable
from herenow.web.json_form import json_form, moment
from herenow.web.people import UNKNOWN, People, last_seen

TEXT: Final = "text/plain"
JSON: Final = "application/json"
HTML: Final = "text/html"
OFFERED: Final = (TEXT, JSON, HTML)
"""What it comes as; the first where anything will do."""
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Vary": "Accept",
    "X-Content-Type-Options": "nosniff",  # ids are the visitors' own words
}
MOST_SHOWN: Final = 500
_PER_PAGE: Final = 50
_PER_LINE: Final = 100
_NO_ANSWER: Final = f"{UNKNOWN} (the store does not answer)"


@dataclass(frozen=True, slots=True)
class Content:
    """Who is online: counts, some or all of the members, the cursor of the next page.

    ``more`` is how many members there are besides; None where that is not known, on a later page.
    """

    counts: Counts | None
    people: People
    cursor: str | None = None
    more: int | None = None


class Answer(NamedTuple):
    """What a request for the page gets, with `HEADERS`."""

    status: int
    kind: str
    body: str


def answer(
    accept: str | None, query: Mapping[str, str], find: Callable[[int, str | None], Content]
) -> Answer:
    """Answer a request for the page, by its Accept header and its ``limit`` and ``cursor``.

    ``find`` is given both. A line of text has no next page, so it takes no cursor.
    """
    kind = negotiate(accept)
    line = kind == TEXT
    limit = query.get("limit", str(_PER_LINE if line else _PER_PAGE))
    try:
        if not limit.isdecimal() or not 0 < int(limit) <= MOST_SHOWN:
            raise ValueError(f"a limit is a whole number from 1 to {MOST_SHOWN}")
        content = find(int(limit), None if line else query.get("cursor"))
    except ValueError as error:
        return Answer(400, TEXT, f"{error}\n")
    return Answer(200, kind, render(kind, content))


def negotiate(accept: str | None) -> str:
    """Choose out of `OFFERED` what an Accept header likes best; text where it likes none of them."""
    ranges: dict[str, float] = {}
    for one in (accept or "").lower().split(","):
        media, *parameters = (part.strip() for part in one.split(";"))
        weights = [part[2:] for part in parameters if part.startswith("q=")]
        try:
            ranges[media] = float(weights[0]) if weights else 1.0
        except ValueError:
            continue
    best, most = TEXT, (0.0, 0)
    for kind in OFFERED:
        matches = (kind, f"{kind.partition('/')[0]}/*", "*/*")
        for exact, media in zip((3, 2, 1), matches, strict=True):
            if media in ranges:  # the most exact one counts
                if ranges[media] > 0 and (ranges[media], exact) > most:
                    best, most = kind, (ranges[media], exact)
                break
    return best


def render(kind: str, content: Content) -> str:
    """Make the page of a kind out of `OFFERED`."""
    return {TEXT: as_text, JSON: as_json, HTML: as_html}[kind](content)


def counted(counts: Counts) -> list[str]:
    """Say how many there are: "1,032 members", "1 guest", "0 bots"."""
    numbers = {"member": counts.member, "guest": counts.guest, "bot": counts.bot}
    return [f"{many:,} {word}{'' if many == 1 else 's'}" for word, many in numbers.items()]


def as_text(content: Content) -> str:
    """Make the recipe's line; of many it names the newest, and how many more there are."""
    if not content.people.known:
        return f"Online: {_NO_ANSWER}"
    more = f", {said_more(content)}" if content.more else ""
    return f"Online: {printable(str(content.people))}{more}"


def said_more(content: Content) -> str:
    """Say how many more there are: "and 49,900 more"; "" where all are shown, or that is not known."""
    return f"and {content.more:,} more" if content.more else ""


def as_json(content: Content) -> str:
    """Make an object of counts, users and the next page's cursor, all null where the store fails."""
    users = [
        {
            "user": one.user,
            "name": one.name,
            "away": one.away,
            "last_seen": moment(one.last_seen),
        }
        for one in content.people
    ]
    form = {
        "counts": json_form(content.counts),
        "users": users if content.people.known else None,
        "cursor": content.cursor,
    }
    return json_text(json.dumps(form, ensure_ascii=False))


def as_html(content: Content) -> str:
    """Make a small page that needs nothing else."""
    counts = content.counts
    if counts is None or not content.people.known:
        summary, people = f"Who is online is {_NO_ANSWER}.", ""
    else:
        summary = ", ".join("<b>{}</b> {}".format(*one.split(" ", 1)) for one in counted(counts))
        people = "".join(
            f"<li{' class=away' if one.away else ''}><span><bdi>{escape(one.name)}</bdi></span>"
            f'<time datetime="{one.last_seen.isoformat() if one.last_seen else ""}">'
            f"{escape(last_seen(one))}</time></li>"
            for one in content.people
        )
    rest = said_more(content) or "More"
    more = (
        f'<p><a href="?cursor={escape(content.cursor)}" rel="next">{rest}</a></p>'
        if content.cursor
        else ""
    )
    return _PAGE.replace("{summary}", summary).replace("{people}", people + "</ul>" + more)


_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Who is online</title>
<style>
  :root { color-scheme: light dark;
    --ink: light-dark(#1d2733, #e8edf2); --dim: light-dark(#64748b, #94a3b8);
    --line: light-dark(#e2e8f0, #2a3543); --card: light-dark(#fff, #17202b);
    --page: light-dark(#f4f6f9, #0f161e) }
  body { margin: 0; padding: 2rem 1rem; background: var(--page); color: var(--ink);
    font: 1rem/1.5 system-ui, sans-serif }
  main { max-width: 34rem; margin: auto; padding: 1.5rem 2rem; background: var(--card);
    border: 1px solid var(--line); border-radius: .75rem }
  h1 { margin: 0; font-size: 1.35rem }
  p { margin: .25rem 0 1rem; color: var(--dim) }
  p b { color: var(--ink) }
  ul { margin: 0; padding: 0; list-style: none }
  li { display: flex; align-items: baseline; gap: .6rem; padding: .5rem 0;
    border-top: 1px solid var(--line) }
  li::before { content: ""; width: .55rem; height: .55rem; border-radius: 50%; background: #22a355 }
  li.away::before { background: #e0a100 }
  li span { flex: 1; overflow-wrap: anywhere }
  time { color: var(--dim); font-size: .875rem; white-space: nowrap }
  a { color: inherit }
</style>
<main>
<h1>Who is online</h1>
<p>{summary}</p>
<ul>{people}
</main>
</html>
"""
