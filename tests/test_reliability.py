"""The table of faults in docs/reliability.md: complete, and every test that it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"
FAULTS = 48


def rows() -> list[tuple[int, list[str]]]:
    """(number, tests) of each fault."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if re.match(r"\| \d+ \|", line)]
    return [(int(line.split("|")[1]), re.findall(r"`([\w/]+\.py::\w+)`", line)) for line in lines]


@cache
def names_in(path: Path) -> frozenset[str]:
    """The test functions of a file, as pytest collects them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name[:5] == "test_")


def test_every_fault_has_a_test() -> None:
    assert [number for number, _ in rows()] == list(range(1, FAULTS + 1))
    assert [number for number, tests in rows() if not tests] == []


def test_every_test_of_the_table_exists() -> None:
    named = [test.split("::") for _, tests in rows() for test in tests]
    missing = [f"{file}::{name}" for file, name in named if name not in names_in(ROOT / "tests" / file)]
    assert missing == []
