"""The command line: a command a module, imported only when it is called.

To add a command, in three lines:

1. Write ``cli/<name>.py`` with a ``@click.command()`` that takes what it needs from `options`
   (``@with_presence()``, ``@json_option``), and prints by `output`; it returns its exit code.
2. Add it to `COMMANDS` here, where ``--help`` is to show it, with the extra that it needs.
3. Add its row to the table in the README's section "The command line": a test holds the two equal.

What holds for all of them is done in one place, `program`: a ``ValueError`` is the caller's mistake, a
``StoreError`` the store's trouble, a missing package an extra not installed, each one line
``herenow: …`` on stderr and never a traceback; Ctrl-C and a closed pipe end quietly. Exit codes are
those of `program`: 0 yes, 1 no or none, 2 usage, 3 trouble with the store. A command may block, raise any
of those, and read `sys.stdin`; it may not read HERENOW_* itself (`settings` does) or print escape codes
(`output` does, on a terminal alone). Imports of redis, rich, flask and the like stand inside functions:
``herenow --help`` and ``herenow <name> --help`` pay for click alone.
"""

import sys
from typing import Final, NamedTuple


class Entry(NamedTuple):
    """A command as ``--help`` lists it: where it is, what it does, and the extra that it needs."""

    target: str
    summary: str
    part: str
    extra: str = "cli"


_ASK: Final = "Ask"
_LOGS: Final = "Access logs"
_SERVICE: Final = "The service"
_STORE: Final = "Look after the store"
_RECIPE: Final = "Come from the recipe"
_TRY: Final = "Try"

COMMANDS: Final[dict[str, Entry]] = {
    "demo": Entry(
        "herenow.cli.demo:demo", "A forum that shows who is online, to try.", _TRY, "all"
    ),
    "online": Entry("herenow.cli.online:online", "Who is online now, or how many.", _ASK),
    "seen": Entry("herenow.cli.seen:seen", "When users were last seen.", _ASK),
    "why": Entry("herenow.cli.why:why", "Why a user is, or is not, online.", _ASK),
    "rooms": Entry("herenow.cli.rooms:rooms", "The rooms that somebody is in.", _ASK),
    "history": Entry("herenow.cli.history:history", "The curve of a day, a week, a month.", _ASK),
    "watch": Entry("herenow.cli.watch:watch", "A room as it lives: counts, events.", _ASK),
    "replay": Entry(
        "herenow.cli.replay:replay", "Replay access logs: who was online, when.", _LOGS
    ),
    "tail": Entry("herenow.cli.tail:tail", "Follow an access log that is being written.", _LOGS),
    "serve": Entry(
        "herenow.cli.serve:serve", "JSON, live events, metrics, over HTTP.", _SERVICE, "all"
    ),
    "token": Entry("herenow.cli.token:token", "Sign a token for the service.", _SERVICE, "all"),
    "forget": Entry("herenow.cli.forget:forget", "Erase a user everywhere.", _STORE),
    "doctor": Entry("herenow.cli.doctor:doctor", "What the store is, and what ails it.", _STORE),
    "acl": Entry("herenow.cli.acl:acl", "The least rights, as an ACL rule.", _STORE),
    "audit": Entry("herenow.cli.audit:audit", "What a recipe site shows, and the truth.", _RECIPE),
    "migrate": Entry("herenow.cli.migrate:migrate", "Bring a recipe site into herenow.", _RECIPE),
}
"""In the order of ``--help``, which groups them by their part."""


def main() -> None:
    """Run the program; the entry point of ``herenow`` and of ``python -m herenow``."""
    try:
        from herenow.cli.program import run
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] == "herenow":
            raise
        print(
            f'herenow: the command line needs {error.name}: pip install "herenow[cli]"',
            file=sys.stderr,
        )
        raise SystemExit(2) from None
    raise SystemExit(run())
