"""Generate the modules for threads from those for asyncio, and the fail-open reads from the facade.

``--check``: say which are stale.
"""

import ast
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import unasync

SOURCE: Final = Path(__file__).parents[1] / "src" / "herenow"
GENERATED: Final = {
    "outbox/aio_flushing.py": "outbox/flushing.py",
    "outbox/aio_sessions.py": "outbox/sessions.py",
    "store/aio_engine.py": "store/engine.py",
    "watching/aio_doorbells.py": "watching/doorbells.py",
    "watching/aio_watchers.py": "watching/watchers.py",
    "web/aio_site.py": "web/site.py",
}
NAMES: Final = {
    "AsyncDoorbells": "Doorbells",
    "AsyncEngine": "Engine",
    "AsyncEvents": "Events",
    "AsyncFlushing": "Flushing",
    "AsyncOpenSession": "OpenSession",
    "AsyncPort": "Port",
    "AsyncWatchers": "Watchers",
    "AsyncPresence": "Presence",
    "AsyncSite": "Site",
    "AsyncVisit": "Visit",
    "aio": "presence",
    "aclose": "close",
    "aio_doorbells": "doorbells",
    "aio_engine": "engine",
    "tasks": "threads",
}
RUFF: Final = (sys.executable, "-m", "ruff")


def for_threads(module: str) -> str:
    """Give the half for threads of a module for asyncio."""
    target = SOURCE / GENERATED[module]
    with TemporaryDirectory() as folder:
        source = Path(folder, "aio", target.name)
        source.parent.mkdir()
        source.write_text((SOURCE / module).read_text())
        unasync.unasync_files([str(source)], [unasync.Rule("/aio/", "/threads/", NAMES)])
        text = Path(folder, "threads", target.name).read_text()
    text = f"# Generated from {module} by `make generate`: change that one.\n{text}"
    for step in (("check", "--fix-only", "--quiet", "--select", "I"), ("format", "--quiet")):
        command = [*RUFF, *step, "--stdin-filename", str(target), "-"]
        text = subprocess.run(
            command, input=text, capture_output=True, check=True, text=True
        ).stdout
    return text


# what a read gives where the store does not answer, by what it gives otherwise; None for all else
OTHERWISE: Final = {"bool": "bool", "Page": "lambda: Page((), None)"}


def fail_open_reads() -> str:
    """Give a class of the methods of Presence that read: those which may include the hidden."""
    module = ast.parse((SOURCE / "presence.py").read_text())
    [facade] = [
        one for one in module.body if isinstance(one, ast.ClassDef) and one.name == "Presence"
    ]
    lines, models = [], {"Page"}
    for one in facade.body:
        if not isinstance(one, ast.FunctionDef) or one.name.startswith("_") or one.name == "watch":
            continue
        if "include_hidden" in [argument.arg for argument in one.args.kwonlyargs]:
            gives = ast.unparse(one.returns or ast.Constant(None))
            otherwise = OTHERWISE.get(gives, gives if gives.startswith("list[") else "unknown")
            models |= {gives[5:-1]} - {"str"} if gives.startswith("list[") else set()
            lines.append(f"    {one.name} = fail_open(Presence.{one.name}, {otherwise})\n")
    return (
        "# Generated from presence.py by `make generate`: change that one.\n"
        '"""Every method of `Presence` that reads, so that none raises for the store."""\n\n'
        f"from herenow.models import {', '.join(sorted(models))}\n"
        "from herenow.presence import Presence\n"
        "from herenow.web.asking import Asking, fail_open, unknown\n\n\n"
        'class Reads(Asking):\n    """The reads of one room."""\n\n' + "".join(lines)
    )


def main() -> None:
    check = "--check" in sys.argv
    stale = []
    made = {target: for_threads(module) for module, target in GENERATED.items()}
    for target, text in (made | {"web/reads.py": fail_open_reads()}).items():
        if not (SOURCE / target).exists() or (SOURCE / target).read_text() != text:
            stale.append(target)
            if not check:
                (SOURCE / target).write_text(text)
    if check and stale:
        sys.exit(f"stale, run `make generate`: {', '.join(stale)}")


if __name__ == "__main__":
    main()
