"""Lines in every format: what they say, and what is none."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from herenow.accesslog import Log, Parser, json_parser, text_parser
from herenow.accesslog.times import read_any, read_clf

AT = datetime(2024, 2, 29, 23, 58, 30, tzinfo=UTC)
MS = int(AT.timestamp()) * 1000


def read(parser: Parser, line: str) -> tuple[str, int, str, str] | None:
    found = parser.read(line.encode())
    if found is None:
        return None
    (host, _, path, agent), moment = found
    assert parser.split(line.encode()) is not None
    return host.decode(), moment.ms, (path or b"").decode(), (agent or b"").decode()


@pytest.mark.parametrize(
    "form, line",
    [
        (None, '{h} - - [{t}] "GET /owl?a=1 HTTP/1.1" 200 12 "-" "Firefox"'),
        ("combined", '{h} - al ice [{t}] "GET /owl?a=1 HTTP/1.1" 200 12 "-" "Firefox"'),
        ("vhost_combined", 'x.example:443 {h} - - [{t}] "GET /owl HTTP/1.1" 200 12 "-" "Firefox"'),
        ('"%h %l %u %t \\"%r\\" %>s %b \\"%{Referer}i\\" \\"%{User-Agent}i\\""',
         '{h} - - [{t}] "GET /owl HTTP/1.1" 200 12 "-" "Firefox"'),
        ('%v %{c}a %D "%{user-agent}i" %U [%{%d/%b/%Y:%T}t.%{msec_frac}t %{%z}t]',
         'x {h} 77 "Firefox" /owl [29/Feb/2024:23:58:30.000 +0000]'),
        ("%a\\t%{sec}t\\t%m %U\\t%{User-Agent}i", "{h}\t{s}\tGET /owl\tFirefox"),
        ("'$remote_addr - $remote_user [$time_local] '\n  '\"$request\" $status \"$http_user_agent\"'",
         '{h} - bob [{t}] "GET http://x.example/owl HTTP/1.1" 200 "Firefox"'),
        ("$host|$remote_addr|$time_iso8601|$request_uri|$http_user_agent",
         "x|{h}|2024-03-01T00:58:30+01:00|/owl?x|Firefox"),
        ('[$msec] ${remote_addr} "$request" "$http_user_agent"', '[{s}.000] {h} "GET /owl" "Firefox"'),
    ],
)  # fmt: skip
def test_a_format_tells_host_time_path_and_agent(form: str | None, line: str) -> None:
    parser = text_parser(form)
    for host in ("192.0.2.7", "2001:db8::7", "a.example"):
        text = line.format(h=host, t="29/Feb/2024:23:58:30 +0000", s=MS // 1000)
        assert read(parser, text) == (host, MS, "/owl", "Firefox")
    assert read(parser, "nonsense") is None
    assert read(parser, "") is None


@pytest.mark.parametrize("form", ["%h %u", "$time_local $host", "", "no format", "%t %r"])
def test_a_format_without_host_or_time_is_refused(form: str) -> None:
    with pytest.raises(ValueError, match="a format names the"):
        text_parser(form)


def test_what_a_visitor_writes_is_never_the_time() -> None:
    line = 'a.example - - "GET /[29/Feb/2024:23:58:30 +0000] HTTP/1.0" 200 5'
    assert read(text_parser(), line) is None


@pytest.mark.parametrize(
    "stamp",
    [
        b"32/Jan/2024:00:00:00 +0000", b"29/Feb/2023:00:00:00 +0000", b"00/Jan/2024:00:00:00 +0000",
        b"01/Jan/2024:24:00:00 +0000", b"01/Jan/2024:00:60:00 +0000", b"31/Dec/2016:23:59:60 +0000",
        b"01/Abc/2024:00:00:00 +0000", b"01/Jan/2024:00:00:00", b"01/Jan/2024:00:00:00 +2400",
        b"01/Jan/2024:00:00:00 +0060", b"01/Jan/0000:00:00:00 +0000", b"31/Dec/1969:23:59:59 +0000",
        b"", b"-", b"nan", b"-1", b"1e9", b"99999999999999999999", b"2024-02-30T00:00:00Z", b"\xff",
    ],
)  # fmt: skip
def test_what_is_no_moment(stamp: bytes) -> None:
    assert read_any(stamp) is None


def test_a_moment_by_every_zone_and_unit() -> None:
    for stamp in (
        b"01/Mar/2024:05:28:30 +0530", b"29/feb/2024:19:58:30 -0400", b"2024-02-29T23:58:30Z",
        b"2024-02-29 23:58:30", b"2024-03-01T00:58:30.000+01:00", b"%d" % (MS // 1000), b"%d" % MS,
        b"%d" % (MS * 1000), b"%d" % (MS * 1_000_000), b"%d.0004" % (MS // 1000),
    ):  # fmt: skip
        found = read_any(stamp)
        assert found is not None
        assert found.ms == MS
    local = read_clf(b"01/Mar/2024:05:28:30 +0530")
    assert local is not None
    assert local.day == datetime(2024, 3, 1, tzinfo=UTC).toordinal()


@pytest.mark.parametrize("before", ["", " ", "  \t", "\0", "\0 \t\0", "\r", " \x0b\x0c"])
def test_the_host_is_the_first_thing_that_is_not_blank(before: str) -> None:
    rest = 'a.example - - [29/Feb/2024:23:58:30 +0000] "GET /owl HTTP/1.0" 200 5 "-" "Firefox"'
    for parser, line in (
        (text_parser(), rest),
        (text_parser(), rest.replace(" - -", " - bob the [owl] ")),
        (text_parser('%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %D'), rest + " 7"),
        (json_parser({"host": "h", "time": "t"}), '{"h": "a.example", "t": 1709251110}'),
    ):
        found = parser.split((before + line).encode())
        assert found is not None, line
        assert found[0] == b"a.example"
        whole = parser.whole((before + line).encode())
        assert whole is not None
        assert whole.host == b"a.example"


def test_json_lines_tell_it_in_fields_of_any_depth() -> None:
    parser = json_parser(
        {"host": "request.remote_ip", "time": "ts", "path": "request.uri", "agent": "a.UA"}
    )
    line = (
        '{"ts": 1709251110.25, "request": {"remote_ip": "192.0.2.7", "uri": "/owl?x"},'
        ' "a": {"UA": ["Firefox"]}}'
    )
    assert read(parser, line) == ("192.0.2.7", MS + 250, "/owl", "Firefox")
    assert parser.read(b'{"ts": "1709251110", "request.remote_ip": "caf\xe9"}') is not None
    for broken in (
        "{", "[]", "7", '{"ts": 1709251110}', '{"ts": null, "request": {"remote_ip": "a"}}',
        '{"ts": 1709251110, "request": {"remote_ip": ""}}', "[" * 100_000,
        '{"ts": 1709251110, "request": {"remote_ip": {"a": 1}}}', '{"ts": 1e999, "request": 5}',
        '{"ts": 1709251110, "request": {"remote_ip": "a\\nb"}}',
    ):  # fmt: skip
        assert parser.read(broken.encode()) is None, broken
    with pytest.raises(ValueError, match="JSON fields are"):
        json_parser({"host": "a"})


_WORDS = st.sampled_from(
    [
        *(b"10.0.0.1", b"-", b"bob", b" ", b"  ", b"[", b"]", b'"', b"\0", b"\r", b"\x0b", b"\xff"),
        *(b"[03/Jan/2026:16:00:01 +0000]", b"[3/jan/2026:16:00:59 -0430]", b"[]", b"[x]"),
        *(b"[03/Jan/2026:16:00:60 +0000]", b"[32/Jan/2026:16:00:00 +0000]", b"\x16\x03\x01"),
        *(b"h - - [03/Jan/2026:16:00:09 +0000]", b'"GET / HTTP/1.1" 200 5', b"\n", b"\n\n"),
    ]
)


@given(st.lists(_WORDS, max_size=40).map(b" ".join), st.booleans())
@example(b"h - - [] [03/Jan/2026:16:00:01 +0000]\nh - - [03/Jan/2026:16:00:01 +0000]", False)
def test_many_lines_at_once_are_what_each_is_by_itself(text: bytes, tight: bool) -> None:
    text = (text.replace(b" \n ", b"\n") if tight else text) + b"\n"
    parser = text_parser()
    assert parser.split_lines is not None
    fast, slow = Log(), Log()
    fast.read([text], parser)
    slow.read([text], replace(parser, split_lines=None))
    assert [*fast.sorter] == [*slow.sorter]
    assert (fast.lines, fast.malformed) == (slow.lines, slow.malformed)
    assert fast.lines == text.count(b"\n")
