"""The structure of the repository: sizes of files, functions and folders, and import cycles."""

from __future__ import annotations

import ast
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("stream", "models", "pipelines", "configs", "weights")
MAX_FILES, MAX_LINES, MAX_FUNCTION_LINES = 15, 300, 60


@cache
def tracked() -> tuple[Path, ...]:
    """Every file of the repository, relative to its root."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return tuple(Path(name) for name in listed.stdout.splitlines() if (ROOT / name).is_file())


def python_files() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py"]


def test_no_folder_holds_more_than_15_files() -> None:
    counts = Counter(path.parent for path in tracked())
    assert {str(folder): count for folder, count in counts.items() if count > MAX_FILES} == {}


def test_no_file_is_longer_than_300_lines() -> None:
    source = [path for path in tracked() if path.suffix in {".py", ".html", ".css", ".js"}]
    lengths = {str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in source}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES} == {}


def test_no_function_is_longer_than_60_lines() -> None:
    long = [
        f"{path}:{node.name}"
        for path in python_files()
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert long == []


def module_name(path: Path) -> str:
    """`deepclarity.stream.frame` for stream/frame.py."""
    parts = list(path.with_suffix("").parts)
    parts = parts[1:] if parts[0] == "src" else ["deepclarity", *parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path, modules: set[str]) -> set[str]:
    """The modules of the project that a file imports at any depth, those for type checkers included."""
    package = module_name(path).split(".")[: None if path.name == "__init__.py" else -1]
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            names = {f"{source}.{alias.name}" for alias in node.names}
            found |= names & modules or {source} & modules
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & modules
    return found - {module_name(path)}


def test_there_is_no_import_cycle() -> None:
    code = [path for path in python_files() if path.parts[0] in {"src", *FOLDERS}]
    modules = {module_name(path) for path in code}
    graph = {module_name(path): imported(path, modules) for path in code}
    while leaves := [name for name, targets in graph.items() if not targets & graph.keys()]:
        for name in leaves:
            del graph[name]
    assert sorted(graph) == []
