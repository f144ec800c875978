"""docs/architecture.md is true: its places are there, and every read went the way that it tells."""

import re
from pathlib import Path

import pytest

import herenow
from tests.operations import READS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/architecture.md").read_text()
PLACES = sorted(set(re.findall(r"`((?:src|tests|docs)/[\w./]+|README\.md|pyproject\.toml)`", TEXT)))


@pytest.mark.parametrize("place", PLACES)
def test_every_place_that_it_names_is_there(place: str) -> None:
    assert (ROOT / place).exists()


def test_every_room_is_in_the_picture() -> None:
    drawn = re.search(r"```mermaid\n(.*?)```", TEXT, re.DOTALL)
    assert drawn is not None
    source = ROOT / "src/herenow"
    rooms = {one.name for one in source.iterdir() if (one / "__init__.py").exists()}
    modules = {one.stem for one in source.glob("*.py")} - {"__init__", "__main__"}
    assert {one for one in rooms | modules if not re.search(rf"\b{one}\b", drawn[1])} == set()


@pytest.mark.parametrize("read", sorted(READS))
def test_every_read_went_the_way_of_one(read: str) -> None:
    assert callable(getattr(herenow.Presence, read))
    assert callable(getattr(herenow.AsyncPresence, read))
    assert f"`{read}(" in (ROOT / "README.md").read_text()


def test_no_file_of_tests_or_bench_is_longer_than_400_lines() -> None:
    files = [one for folder in ("tests", "bench") for one in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    assert [one for one in files if len(one.read_text().splitlines()) > 400] == []
