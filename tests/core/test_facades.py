"""The two facades: the same names and signatures, documented, quick to import."""

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import herenow
from herenow.outbox.port import AsyncPort, Port
from tests.operations import APART, OPERATIONS, methods

# asyncio has its own ways to close; nothing else may differ
ONLY_ASYNC = {"aclose"}
PUBLIC = sorted(name for name in vars(herenow.Presence) if not name.startswith("_"))


def signature(method: Any) -> list[tuple[str, Any, Any]]:
    return [
        (one.name, one.kind, one.default) for one in inspect.signature(method).parameters.values()
    ]


def public(owner: object) -> set[str]:
    return {name for name in dir(owner) if not name.startswith("_")}


def test_both_have_the_methods_of_the_table_and_no_others() -> None:
    rows = {one.name for one in OPERATIONS} | APART.keys()
    assert public(herenow.Presence) == rows
    assert public(herenow.AsyncPresence) == rows | ONLY_ASYNC


def test_both_ports_have_the_same_methods() -> None:
    assert public(AsyncPort) - public(Port) == {"end_sessions"}  # the service alone has so many
    assert public(Port) <= public(AsyncPort)
    for name in public(Port):
        ours, theirs = (inspect.getattr_static(one, name) for one in (Port, AsyncPort))
        if not isinstance(ours, property):
            assert signature(ours) == signature(theirs), name


@pytest.mark.parametrize("name", PUBLIC)
def test_both_have_the_same_signature(name: str) -> None:
    ours, theirs = (
        inspect.getattr_static(one, name) for one in (herenow.Presence, herenow.AsyncPresence)
    )
    if isinstance(ours, property):
        assert isinstance(theirs, property)
    else:
        assert signature(ours) == signature(theirs)


def test_both_are_made_alike() -> None:
    assert signature(herenow.Presence) == signature(herenow.AsyncPresence)


@pytest.mark.parametrize("name", PUBLIC)
@pytest.mark.parametrize("facade", [herenow.Presence, herenow.AsyncPresence])
def test_every_public_name_has_a_docstring(facade: Any, name: str) -> None:
    assert inspect.getattr_static(facade, name).__doc__


@pytest.mark.parametrize("name", [*methods("read"), "watch"])
def test_every_reading_method_takes_include_hidden(name: str) -> None:
    parameter = inspect.signature(getattr(herenow.Presence, name)).parameters["include_hidden"]
    assert parameter.default is False
    assert parameter.kind is parameter.KEYWORD_ONLY


def modules_after(code: str) -> set[str]:
    code += "\nimport sys; print(' '.join(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(run.stdout.split())


def test_importing_and_making_a_presence_loads_no_client_library() -> None:
    loaded = modules_after("import herenow; herenow.Presence('redis://nowhere:1/0')")
    assert "herenow.presence" in loaded
    assert not loaded & {"redis", "valkey", "asyncio", "flask", "itsdangerous"}


def test_every_script_says_what_it_takes_and_answers() -> None:
    from importlib.resources import files

    folder = Path(str(files("herenow.lua")))
    scripts = [one for one in folder.rglob("*.lua") if not one.name.startswith("_")]
    assert len(scripts) > 10
    for script in scripts:
        header = re.match(r"(--.*\n)+", script.read_text())
        assert header, script.name
        assert {"KEYS", "ARGV", "Reply"} <= set(re.findall(r"KEYS|ARGV|Reply", header[0])), (
            script.name
        )
