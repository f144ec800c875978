"""Flask's own tutorial application passes its own tests, warnings as errors, with three lines added.

It comes out of Flask's source distribution, of the very version and hash that the requirements pin.
"""

import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

import herenow
from tests.flask.conftest import ROOT
from tests.servers import Server, binary, start_server

LINES = [
    ("from flask import Flask\n", "from flask import Flask\nfrom herenow.flask import HereNow\n"),
    ("def create_app(", "here = HereNow()\n\n\ndef create_app("),
    ("    return app\n", "    here.init_app(app)\n    return app\n"),
]
SHOWN = "<p>{{ online_count() }} here: {{ online_users() }} {{ 'test'|last_seen }}</p>\n{% block"


@pytest.fixture(scope="session")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Fetch the tutorial; what unpacks a copy into a folder."""
    folder = tmp_path_factory.mktemp("flask-sdist")
    pinned = (ROOT / "requirements/dev.txt").read_text()
    found = re.search(r"^flask==.*\n(?:    --hash=.*\n)+", pinned, re.MULTILINE)
    assert found
    (folder / "flask.txt").write_text(found[0].rstrip().rstrip("\\") + "\n")
    run(
        *["-m", "pip", "download", "--disable-pip-version-check", "--quiet", "--no-deps"],
        *["--no-binary", "flask", "--require-hashes", "--requirement", "flask.txt"],
        folder=folder,
    )
    [archive] = folder.glob("flask-*.tar.gz")

    def unpack(place: Path) -> Path:
        with tarfile.open(archive) as packed:
            packed.extractall(place, filter="data")
        [copy] = place.glob("flask-*/examples/tutorial")
        return copy

    return unpack


def run(*arguments: str, folder: Path, **environment: str) -> str:
    source = str(Path(herenow.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{source}{os.pathsep}{folder}"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def add_lines(copy: Path, *, shown: bool) -> None:
    for name, changes in (
        ("__init__.py", LINES),
        ("templates/base.html", [("{% block", SHOWN)] if shown else []),
    ):
        file = copy / "flaskr" / name
        text = file.read_text()
        for before, after in changes:
            assert before in text
            text = text.replace(before, after, 1)
        file.write_text(text)


@pytest.mark.parametrize("shown", [False, True], ids=["marked", "marked and shown"])
@pytest.mark.parametrize("store", ["up", "dead", "hung"])
def test_the_tutorial_passes_its_own_tests(
    tutorial: Callable[[Path], Path], tmp_path: Path, server: Server, store: str, shown: bool
) -> None:
    copy = tutorial(tmp_path)
    add_lines(copy, shown=shown)
    if store == "up":
        output = its_tests(copy, server.url)
        assert server.control.zcount("herenow:{site}:online:guest", 0, 4e15) == 1  # its test client
    else:
        with start_server(binary("valkey-9.1")) as own:
            own.pause() if store == "hung" else own.kill()
            output = its_tests(copy, own.url)
    assert re.search(r"\d\d passed", output)
    assert "warning" not in output


def its_tests(copy: Path, url: str) -> str:
    return run(
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-q",
        folder=copy,
        HERENOW_URL=url,
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    )
