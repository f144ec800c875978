"""Format strings of Apache (LogFormat) and nginx (log_format), as patterns.

Two patterns a format: ``head`` ends at the last field that a line must have, host and time, so that
nothing broken after these matters; ``whole`` goes on to the request and the agent. Each field ends where
the text after it begins, so that a line is read in one pass, whatever is in it. Pure.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Final

from herenow.accesslog.times import Moment, ReadTime, read_clf, read_epoch, read_iso

_APACHE: Final = re.compile(
    r"%[<>!,0-9]*(?:\{(?P<name>[^}]*)\})?(?P<letter>\^[A-Za-z]{2}|[A-Za-z%])"
)
_NGINX: Final = re.compile(r"\$(?:\{(?P<braced>\w+)\}|(?P<name>\w+))")
_HOSTS: Final = ("%h", "%a", "$remote_addr", "$realip_remote_addr", "$proxy_protocol_addr")
_REQUESTS: Final = ("%r", "%U", "$request", "$request_uri", "$uri", "$document_uri")
_AGENTS: Final = ("%{user-agent}i", "$http_user_agent")
_USERS: Final = ("%u", "$remote_user")
_TIMES: Final[dict[str, tuple[str, ReadTime]]] = {
    "%t": (r"\[({}[^\]]*)\]", read_clf),
    "$time_local": ('({}[^\\]"]*)', read_clf),
    "$time_iso8601": (r"({}[0-9T:.+Zz-]+)", read_iso),
    "$msec": (r"({}[0-9.]+)", partial(read_epoch, unit=1000.0)),
}
_EPOCHS: Final = {"sec": 1000.0, "msec": 1.0, "usec": 1e-3}
_SHORT: Final = {
    "%T": "%H:%M:%S",
    "%R": "%H:%M",
    "%F": "%Y-%m-%d",
    "%D": "%m/%d/%y",
    "%e": "%d",
    "%h": "%b",
}


@dataclass(frozen=True, slots=True)
class Directives:
    """A format, translated."""

    head: re.Pattern[bytes]
    whole: re.Pattern[bytes]
    times: tuple[str, ...]
    read_time: ReadTime

    def stamp(self, match: re.Match[bytes]) -> bytes:
        """Join a line's time fields by blanks."""
        return b" ".join([match[one] for one in self.times])


def translate(form: str) -> Directives:
    """Translate a format string. ValueError where it names no host or no time."""
    text = _unquoted(form)
    nginx = _NGINX.search(text) is not None and _APACHE.search(text) is None
    grammar = _NGINX if nginx else _APACHE
    names = [_name(one, nginx=nginx) for one in grammar.finditer(text)]
    texts = _between(grammar, text)
    times, read_time = _time_of(names)
    groups = dict(times)
    for group, known in (("host", _HOSTS), ("request", _REQUESTS), ("agent", _AGENTS)):
        found = next((one for one in known if one in names), None)
        if found is not None:
            groups[found] = group
    if "host" not in groups.values():
        raise ValueError("a format names the host: %h or %a, $remote_addr")
    pattern, ends = [r"[ \t\r\v\f\x00]*", _literal(texts[0])], 0
    for i, name in enumerate(names):
        group = groups.pop(name, "")  # the first of a name counts
        quoted = any('"' in one for one in texts[i + 1 :])
        pattern.append(_field(name, group, texts[i], texts[i + 1], quoted=quoted))
        if group == "host" or group in times.values():
            ends = len(pattern)
        pattern.append(_literal(texts[i + 1]))
    return Directives(
        re.compile("".join(pattern[:ends]).encode(), re.DOTALL),
        re.compile("".join(pattern).encode(), re.DOTALL),
        tuple(times.values()),
        read_time,
    )


def _unquoted(form: str) -> str:
    """Take off what stands around a format in a configuration: quotes, several of them in nginx's."""
    text = re.sub(r"'\s+'", "", form.strip())
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        inside = text[1:-1]
        if text[0] == "'" or not re.search(r'(?<!\\)"', inside):
            text = inside
    return text.replace('\\"', '"').replace("\\t", "\t")


def _between(grammar: re.Pattern[str], text: str) -> list[str]:
    at, found = 0, []
    for one in grammar.finditer(text):
        found.append(text[at : one.start()])
        at = one.end()
    return [*found, text[at:]]


def _name(match: re.Match[str], *, nginx: bool) -> str:
    if nginx:
        return f"${match['braced'] or match['name']}"
    name, letter = match["name"], match["letter"]
    if name is None or letter in "ar%":  # %{c}a is an address too
        return f"%{letter}"
    return f"%{{{name if letter == 't' else name.lower()}}}{letter}"


def _time_of(names: list[str]) -> tuple[dict[str, str], ReadTime]:
    """Choose the fields that hold the time, and the function that parses them together."""
    plain = next((one for one in names if one in _TIMES), None)
    if plain is not None:
        return {plain: "time0"}, _TIMES[plain][1]
    forms = {one: _form(one) for one in names if one.startswith("%{") and one.endswith("}t")}
    epoch = next((one for one in forms if forms[one] in _EPOCHS), None)
    if epoch is not None:
        return {epoch: "time0"}, partial(read_epoch, unit=_EPOCHS[forms[epoch]])
    if not forms:
        raise ValueError("a format names the time: %t, $time_local, $time_iso8601 or $msec")
    whole = " ".join("%f" if one.endswith("sec_frac") else _expand(one) for one in forms.values())
    read = lru_cache(maxsize=4096)(partial(_read_formatted, whole))
    return {one: f"time{i}" for i, one in enumerate(forms)}, read


def _form(name: str) -> str:
    return name[2:-2].removeprefix("begin:").removeprefix("end:")


def _expand(form: str) -> str:
    return re.sub(r"%[A-Za-z]", lambda one: _SHORT.get(one[0], one[0]), form)


def _field(name: str, group: str, before: str, after: str, *, quoted: bool) -> str:
    """The pattern of one field: it goes on to the text that follows it."""
    opened = f"(?P<{group}>" if group else "(?:"
    stop = re.escape(after[0]) if after else ""
    if name == "%%":
        return "%"
    if name in _TIMES:
        return _TIMES[name][0].replace("{}", f"?P<{group}>" if group else "?:")
    if before.endswith('"') and after.startswith('"'):
        return rf'{opened}(?:[^"\\]|\\.)*)'
    if group == "host":
        return rf"{opened}[^\s\x00{stop}]+)"
    if name in _USERS:  # may have blanks in it, and what looks like the fields that follow
        return rf'{opened}(?:[^"\\]|\\.)*)' if quoted else f"{opened}.*?)"
    return f"{opened}[^{stop}]*)" if stop else f"{opened}.*)"


def _literal(text: str) -> str:
    # one blank or several: logs are looser than their formats
    return re.sub(r"(?:\\?[ \t])+", r"[ \\t]+", re.escape(text))


def _read_formatted(form: str, stamp: bytes) -> Moment | None:
    try:
        local = datetime.strptime(stamp.decode("ascii"), form)  # noqa: DTZ007 - UTC where it has no zone
    except ValueError:
        return None
    local = local if local.tzinfo is not None else local.replace(tzinfo=UTC)
    return read_iso(local.isoformat().encode())
