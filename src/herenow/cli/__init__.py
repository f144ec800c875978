"""The command line: a command a module, imported only when it is called.

To add a command, in three lines:

1. Write ``cli/<name>.py`` with a ``@click.command()`` that takes its options from `options`
   (``@with_presence()``, ``@json_option``), prints by `output`, and returns its exit code.
2. Add it to `COMMANDS` here, in the order of ``--help``, with the extra that it needs.
3. Add its row to the table in the README's section "The command line": a test compares the two.

`program` handles errors for all of them: a ``ValueError`` is a usage error, a ``StoreError`` a store
error, a missing package an extra not installed; each prints one line ``herenow: …`` on stderr and never a
traceback. Ctrl-C and a closed pipe end quietly. Exit codes are those of `program`: 0 yes, 1 no or none,
2 usage error, 3 store error. A command may block, raise any of those, and read `sys.stdin`; it must not
read HERENOW_* itself (`web.settings` does) or print escape codes (`output` does, only on a terminal).
Import redis, rich, flask and the like inside functions: ``--help`` must import nothing but click.
"""

import sys
from typing import Final, NamedTuple


class Entry(NamedTuple):
    """A command as ``--help`` lists it: its summary, section, and the extra that it needs."""

    summary: str
    part: str
    extra: str = "cli"


_DEMO: Final = "Demo"
_QUERY: Final = "Queries"
_LOGS: Final = "Access logs"
_SERVICE: Final = "HTTP service"
_STORE: Final = "Store"
_RECIPE: Final = "Sites that use the recipe"

COMMANDS: Final[dict[str, Entry]] = {
    "demo": Entry("Run a demo forum that shows who is online.", _DEMO, "all"),
    "online": Entry("List who is online now, or count them.", _QUERY),
    "seen": Entry("Show when users were last seen.", _QUERY),
    "why": Entry("Explain why a user is, or is not, online.", _QUERY),
    "rooms": Entry("List the rooms with somebody online.", _QUERY),
    "history": Entry("Show how many were online over time.", _QUERY),
    "watch": Entry("Watch a room: counts and live events.", _QUERY),
    "replay": Entry("Replay access logs: who was online, when.", _LOGS),
    "tail": Entry("Follow an access log and mark its visitors.", _LOGS),
    "serve": Entry("Serve JSON, live events and metrics.", _SERVICE, "all"),
    "token": Entry("Sign a token for the service.", _SERVICE, "all"),
    "forget": Entry("Erase a user from every room.", _STORE),
    "doctor": Entry("Diagnose the store.", _STORE),
    "acl": Entry("Print a minimal ACL.", _STORE),
    "audit": Entry("Compare what a site shows with the truth.", _RECIPE),
    "migrate": Entry("Import a site's users into herenow.", _RECIPE),
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
