"""The page of who is online as a pure function: what it comes as, how much of it, and what is refused."""

import pytest

from herenow.models import Counts
from herenow.web.online_page import HTML, JSON, TEXT, Answer, Content, answer, negotiate
from herenow.web.people import People


@pytest.mark.parametrize(
    "accept, kind",
    [
        (None, TEXT),
        ("", TEXT),
        ("*/*", TEXT),
        ("image/png", TEXT),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", HTML),
        ("application/json", JSON),
        ("Application/JSON; charset=utf-8", JSON),
        ("application/*", JSON),
        ("text/*", TEXT),
        ("text/*, text/html", HTML),
        ("text/html;q=0.5, application/json;q=0.6", JSON),
        ("text/plain;q=0, */*", JSON),
        ("text/html;q=none", TEXT),
        (";,;q=,,=/", TEXT),
    ],
)
def test_it_comes_as_what_is_liked_best(accept: str | None, kind: str) -> None:
    assert negotiate(accept) == kind


@pytest.mark.parametrize(
    "kind, query, asked",
    [
        (TEXT, {}, (100, None)),
        (TEXT, {"limit": "7", "cursor": "x"}, (7, None)),
        (JSON, {}, (50, None)),
        (HTML, {"limit": "500", "cursor": "x"}, (500, "x")),
    ],
)
def test_it_finds_so_many_from_there(
    kind: str, query: dict[str, str], asked: tuple[int, str | None]
) -> None:
    calls: list[tuple[int, str | None]] = []

    def find(limit: int, cursor: str | None) -> Content:
        calls.append((limit, cursor))
        return Content(Counts(), People())

    found = answer(kind, query, find)
    assert (found.status, found.kind) == (200, kind)
    assert calls == [asked]


@pytest.mark.parametrize("limit", ["0", "501", "-1", "x", "", "1.5"])
def test_a_bad_limit_is_refused_and_nothing_is_looked_up(limit: str) -> None:
    found = answer(JSON, {"limit": limit}, lambda *_: pytest.fail("it was looked up"))
    assert found == Answer(400, TEXT, "a limit is a whole number from 1 to 500\n")


def test_a_bad_cursor_is_refused_in_the_words_of_whoever_reads_it() -> None:
    def find(_: int, __: str | None) -> Content:
        raise ValueError("a cursor is one that a page gave")

    assert answer(JSON, {"cursor": "x"}, find) == Answer(
        400, TEXT, "a cursor is one that a page gave\n"
    )
