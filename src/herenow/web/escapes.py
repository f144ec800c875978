"""Foreign text on its way out: what would steer a terminal, forge a line or turn text around is escaped.

Ids, rooms, sessions, info, names, log lines and a store's errors are others' words. The one place that
says which characters do not go out as they are: controls (C0, C1, DEL), ends of lines and paragraphs,
controls of direction, what is invisible, lone surrogates. The joiners of scripts and emoji stay.
`printable` is for text (a terminal, a pipe, a label), `json_text` for JSON, where the escapes are JSON's
own and lose nothing, `Escaping` for logs. In HTML a name is escaped as ever, and stands in ``<bdi>``.
"""

import logging
import re
from typing import Any, Final

_ABOVE_C0: Final = (
    "\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f"
)
_UNSAFE: Final = re.compile(f"[\x00-\x1f{_ABOVE_C0}]")
_UNSAFE_IN_JSON: Final = re.compile(f"[{_ABOVE_C0}]")
_format_traceback: Final = logging.Formatter().formatException


def printable(text: str, keep: str = "") -> str:
    r"""Write what is unsafe to show as Python would, ``\x1b`` or ``\u202e``; ``keep`` stays as it is."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(lambda one: one[0] if one[0] in keep else ascii(one[0])[1:-1], text)


def json_text(encoded: str) -> str:
    r"""Write what is unsafe to show in JSON as JSON's own ``\u202e``: it says the same."""
    return _UNSAFE_IN_JSON.sub(_as_json, encoded)


def _as_json(match: re.Match[str]) -> str:
    code = match[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{code[i : i + 4]}" for i in range(0, len(code), 4))


_SIGNED: Final = "herenow: "


class Escaping(logging.Filter):
    """Has a logger's records say foreign text escaped: arguments, and what a traceback repeats of it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Escape what a record says; it is logged in any case."""
        if isinstance(record.args, tuple):
            record.args = tuple(map(_escaped, record.args))
        elif record.args:
            record.args = {name: _escaped(one) for name, one in record.args.items()}
        if record.exc_info and not record.exc_text:
            record.exc_text = _format_traceback(record.exc_info)
        if record.exc_text:
            record.exc_text = printable(record.exc_text, keep="\n")
        return True


class Signing(logging.Filter):
    """Has every line of the logger say whose it is: a site's log has many voices."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Put the name before what a record says; it is logged in any case."""
        if isinstance(record.msg, str) and not record.msg.startswith(_SIGNED):
            record.msg = _SIGNED + record.msg
        return True


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    return printable(str(value)) if isinstance(value, BaseException) else value
