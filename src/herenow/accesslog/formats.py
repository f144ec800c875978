"""Lines of an access log: the host, the time and, where the format has them, the path and the user agent.

A line counts when it has a host and a valid moment, however broken the rest of it is. `text_parser` takes
Common and Combined as they are, or any LogFormat of Apache or log_format of nginx; `json_parser` takes
an object a line. Hosts are opaque bytes. Pure.

The rest of a line is looked at only where somebody wants to filter by it: that is half the time.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

from herenow.accesslog.directives import Directives, translate
from herenow.accesslog.times import Moment, ReadTime, read_any, read_clf

# a host is the first thing that is not blank: containers and awk write blanks before it, crashes NULs
_BEFORE: Final = rb"[ \t\r\v\f\x00]*"
_QUOTED: Final = rb'"((?:[^"\\]|\\.)*)"'
# host, ident and user without a blank: most lines by far
# and no other stamp before the quote: a user name may hold one
_USUAL: Final = re.compile(
    _BEFORE + rb'([^\s\x00]\S*) +\S+ +\S+ +\[([^\]]*)\](?=[^"\[\\]*(?:"|\Z))'
)
# the same of each line of many, or else the line: one call finds the hosts and stamps of thousands
_USUAL_LINES: Final = re.compile(
    rb"(?:" + _BEFORE + rb'([^\s\x00]\S*) +\S+ +\S+ +\[([^\]\n]*)\](?=[^"\[\\\n]*["\n]).*|(.*))\n'
)
# a user name with blanks or brackets, or none at all: the stamp is the last before the quote, for a name
# may look like one. Not beyond a quote: there the visitor writes
_UNUSUAL: Final = re.compile(
    _BEFORE + rb'([^\s\x00]\S*)\s(?:[^"\\]|\\.)*\[(\d\d?/[A-Za-z]{3}/\d{4}:[^\]"]*)\]', re.DOTALL
)
_REST: Final = re.compile(
    rb"\s*" + _QUOTED + rb"(?: +\S+ +\S+ +" + _QUOTED + rb" +" + _QUOTED + rb")?"
)
_ABSOLUTE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")

NAMED: Final = {
    "common": '%h %l %u %t "%r" %>s %b',
    "combined": '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"',
    "vhost_combined": '%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"',
}
"""Formats that have a name; the first two need not be named."""


class Line(NamedTuple):
    """A parsed line: ``path`` without its query, ``agent`` unchanged; None where the line has none."""

    host: bytes
    stamp: bytes
    path: bytes | None
    agent: bytes | None


@dataclass(frozen=True, slots=True)
class Parser:
    """How to read the lines of one log.

    ``split`` finds the host and the stamp, and what follows them with ``whole``; None for a line that has
    no host or no stamp. ``read_time`` reads the stamp; it remembers the last thousands, for most lines
    have that of the line before.
    """

    split: Callable[[bytes], tuple[bytes, bytes] | None]
    whole: Callable[[bytes], Line | None]
    read_time: ReadTime
    split_lines: Callable[[bytes], list[tuple[bytes, bytes, bytes]]] | None = None
    """What ``split`` finds in many lines, each with its newline: host, stamp, nothing; of one that is to
    be split by itself (as is one whose stamp is no time) nothing, nothing, the line."""

    def read(self, line: bytes) -> tuple[Line, Moment] | None:
        """Read all of a line; None where it does not count."""
        found = self.whole(line)
        moment = None if found is None else self.read_time(found.stamp)
        return None if found is None or moment is None else (found, moment)


def path_of(request: bytes) -> bytes | None:
    """Find the path in ``GET /a?b HTTP/1.1``, or in ``/a?b``; None where there is none."""
    words = request.split()
    target = next((word for word in words if word.startswith(b"/") or b"://" in word), None)
    if target is None:
        return None
    return _ABSOLUTE.sub(b"", target, count=1).partition(b"?")[0] or b"/"


# ------------------------------------------------------------ text


def _match(line: bytes) -> re.Match[bytes] | None:
    match = _USUAL.match(line)
    if match is not None and read_clf(match[2]) is not None:
        return match
    return _UNUSUAL.match(line)


def _split(line: bytes) -> tuple[bytes, bytes] | None:
    match = _match(line)
    return None if match is None else (match[1], match[2])


def _whole(line: bytes) -> Line | None:
    match = _match(line)
    if match is None:
        return None
    rest = _REST.match(line, match.end())
    path, agent = (None, None) if rest is None else (path_of(rest[1]), rest[3])
    return Line(match[1], match[2], path, agent)


def text_parser(form: str | None = None) -> Parser:
    """Make the parser of Common and Combined (None), of a named format, or of a format string.

    Raises ValueError for a format that names no host or no time, or a directive that is none.
    """
    form = None if form is None else NAMED.get(form.strip().lower(), form)
    if form in (None, NAMED["common"], NAMED["combined"]):
        return Parser(_split, _whole, read_clf, _USUAL_LINES.findall)
    directives = translate(form or "")
    return Parser(
        partial(_directed, directives), partial(_directed_whole, directives), directives.read_time
    )


def _directed(directives: Directives, line: bytes) -> tuple[bytes, bytes] | None:
    match = directives.head.match(line)
    return None if match is None or not match["host"] else (match["host"], directives.stamp(match))


def _directed_whole(directives: Directives, line: bytes) -> Line | None:
    head = _directed(directives, line)
    if head is None:
        return None
    rest = directives.whole.match(line)
    known = {} if rest is None else rest.groupdict()
    request = known.get("request")
    return Line(*head, path_of(request) if request else None, known.get("agent"))


# ------------------------------------------------------------ JSON


def json_parser(fields: Mapping[str, str]) -> Parser:
    """Make the parser of an object a line, whose ``host`` and ``time`` are in the fields named.

    ``path`` and ``agent`` may be named too. ``a.b`` is the field of that name, else b within a; of a
    list the first. A time is ISO 8601, a number since 1970, or as in Common. ValueError for others.
    """
    unknown = set(fields) - {"host", "time", "path", "agent"}
    if unknown or not all(fields.values()) or not {"host", "time"} <= set(fields):
        raise ValueError(
            "JSON fields are host=FIELD,time=FIELD, and if wanted path=FIELD and agent=FIELD"
            + (f"; not {min(unknown)!r}" if unknown else "")
        )

    def whole(line: bytes) -> Line | None:
        try:
            found = json.loads(
                line.lstrip(b"\0 \t\r\v\f").decode("utf-8", "surrogateescape"),
                parse_int=str,
                parse_float=str,
            )
        except (ValueError, RecursionError):
            return None
        if not isinstance(found, dict):
            return None
        values = {name: _field(found, field) for name, field in fields.items()}
        host, stamp, path = values["host"], values["time"], values.get("path")
        if not host or not stamp or b"\n" in host or host.isspace():
            return None
        return Line(host, stamp, path_of(path) if path else None, values.get("agent"))

    def split(line: bytes) -> tuple[bytes, bytes] | None:
        found = whole(line)
        return None if found is None else found[:2]

    return Parser(split, whole, read_any)


def _field(value: Any, name: str) -> bytes | None:
    found: Any = value
    while name and isinstance(found, dict):
        if name in found:
            found, name = found[name], ""
        else:
            head, _, name = name.partition(".")
            found = found.get(head) if name else None
    if isinstance(found, list):
        found = found[0] if found else None
    if name or not isinstance(found, str):  # numbers come as they are written, see parse_int
        return None
    return found.encode("utf-8", "surrogatepass" if _lone(found) else "surrogateescape")


def _lone(text: str) -> bool:
    """Whether a lone surrogate comes from a JSON escape, not from an undecodable byte."""
    return any("\ud800" <= one < "\udc80" or "\udd00" <= one <= "\udfff" for one in text)
