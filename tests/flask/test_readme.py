"""The README's Python runs, answers what it says, and is the example it names."""

import ast
import re
from typing import Any

import pytest

from tests.flask.conftest import ROOT

TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
URL = "redis://localhost:6379/0"


def test_the_recipe_is_the_example() -> None:
    assert BLOCKS[0] == (ROOT / "examples/flask_recipe.py").read_text()


def test_the_python_runs_and_answers_what_it_says(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HERENOW_URL", url)
    monkeypatch.setenv("HERENOW_SECRET", "a secret that the readme leaves out")
    names: dict[str, Any] = {"__name__": "readme"}
    kept_names: list[object] = []  # one block's `app` lives on when another's takes its name
    assert sum(len(promised(line)) for line in TEXT.splitlines()) > 20
    for block in BLOCKS:
        code = block.replace(URL, url)
        promises = {
            i: said for i, line in enumerate(code.splitlines(), 1) for said in promised(line)
        }
        kept: dict[int, str] = {}
        tree = ast.parse(code)
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and node.lineno in promises:
                node.value = ast.Call(
                    ast.Name("_kept", ast.Load()), [ast.Constant(node.lineno), node.value], []
                )
        names["_kept"] = lambda line, value, kept=kept: kept.setdefault(line, repr(value))
        exec(compile(ast.fix_missing_locations(tree), "README.md", "exec"), names)  # noqa: S102
        kept_names.extend(names.values())
        assert kept == promises
    assert names["here"].get_online_users() == names["presence"].get_online_users()
    names["presence"].close()
    names["here"].presence.close()


def promised(line: str) -> list[str]:
    """The value that a line's comment promises: up to a comma or colon that begins an aside."""
    comment = re.search(r"\)?\S  +# (True|False|None|\d+|\[.*?\]|\{.*?\}|Counts\(.*?\))", line)
    return [comment[1]] if comment else []
