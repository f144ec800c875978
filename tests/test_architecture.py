"""docs/architecture.md is true: its places are there, and every read went the way that it tells."""

import re
from pathlib import Path

import pytest

from tests.operations import methods

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/architecture.md").read_text()
PLACES = sorted(set(re.findall(r"`((?:src|tests|docs)/[\w./]+|\w+\.md|pyproject\.toml)`", TEXT)))
RECIPE = TEXT.partition("## A read, step by step\n")[2].partition("\n## ")[0]
TABLES: dict[str, set[str]] = {
    "src/herenow/presence.py": set(),
    "src/herenow/aio.py": set(),
    "src/herenow/web/reads.py": set(),
    "tests/operations.py": set(),
    "tests/core/test_buffer.py": {"rooms", "room_counts"},
    "tests/core/test_clock_set_back.py": {"peak", "history", "unique_users"},
    "tests/core/machine.py": {"get_user_last_activity", "rooms", "room_counts"},
    "tests/flask/test_fail_open.py": set(),
}
"""The files of the recipe that a read is added to, and the reads that they have no place for."""


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


def names(text: str) -> set[str]:
    """The reads that a text calls, defines or lists."""
    return {one for one in methods("read") if re.search(rf"(?:[.\"`]|def ){one}\b", text)}


@pytest.mark.parametrize("table", TABLES)
def test_every_read_went_the_way_of_the_recipe(table: str) -> None:
    assert f"`{table}`" in RECIPE
    text = (ROOT / table).read_text()
    assert {*methods("read")} - names(text) - TABLES[table] == set()


@pytest.mark.parametrize("read", methods("read"))
def test_every_read_is_in_the_table_of_methods(read: str) -> None:
    assert f"`{read}(" in (ROOT / "README.md").read_text()


def test_the_recipe_names_every_file_that_has_all_reads_but_one() -> None:
    places = [ROOT / "README.md", *(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    most = len(methods("read")) - 1
    tables = {str(one.relative_to(ROOT)) for one in places if len(names(one.read_text())) >= most}
    assert "tests/operations.py" in tables
    assert {one for one in tables if f"`{one}`" not in RECIPE} == set()


def test_no_file_of_tests_or_bench_is_longer_than_400_lines() -> None:
    files = [one for folder in ("tests", "bench") for one in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    assert [one for one in files if len(one.read_text().splitlines()) > 400] == []
