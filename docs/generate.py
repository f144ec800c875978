"""Generate the modules for threads from those for asyncio; ``--check``: say which are stale."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import unasync

SOURCE: Final = Path(__file__).parents[1] / "src" / "herenow"
GENERATED: Final = {
    "store/aio_engine.py": "store/engine.py",
    "watching/aio_doorbells.py": "watching/doorbells.py",
    "watching/aio_watchers.py": "watching/watchers.py",
    "web/aio_site.py": "web/site.py",
}
NAMES: Final = {
    "AsyncDoorbells": "Doorbells",
    "AsyncEngine": "Engine",
    "AsyncEvents": "Events",
    "AsyncWatchers": "Watchers",
    "AsyncPort": "Port",
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


def main() -> None:
    check = "--check" in sys.argv
    stale = []
    for module, target in GENERATED.items():
        text = for_threads(module)
        if not (SOURCE / target).exists() or (SOURCE / target).read_text() != text:
            stale.append(target)
            if not check:
                (SOURCE / target).write_text(text)
    if check and stale:
        sys.exit(f"stale, run `make generate`: {', '.join(stale)}")


if __name__ == "__main__":
    main()
