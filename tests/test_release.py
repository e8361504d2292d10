"""What is published: one version everywhere, and distributions that work where nothing but they are installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

from deepclarity.version import __version__
from tests.test_project import ROOT, _generated


def test_the_version_is_the_same_everywhere() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == __version__
    (newest, *_) = re.findall(
        r"^## (\S+) \((?:unreleased|\d{4}-\d\d-\d\d)\)$", (ROOT / "CHANGELOG.md").read_text(), re.M
    )
    assert newest == __version__


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_wheel_from_the_source_distribution_runs_the_demo(tmp_path: Path) -> None:
    tree, built, there = tmp_path / "tree", tmp_path / "built", tmp_path / "installed"
    shutil.copytree(ROOT, tree, symlinks=True, ignore=_generated)

    def python(*arguments: str | Path, **variables: str) -> str:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=280
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    python("-m", "build", "--sdist", "--no-isolation", "--outdir", built, tree)
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"Dockerfile", "mkdocs.yml", "docs/index.md", "deploy/compose.yaml", "tests/conftest.py"} <= names
    python("-m", "pip", "install", "--no-deps", "--no-build-isolation", "--target", there, source)
    assert (there / "deepclarity" / "py.typed").is_file()
    code = "import deepclarity; print(deepclarity.__version__, deepclarity.__file__)"
    assert python("-c", code, PYTHONPATH=str(there)).split() == [
        __version__,
        str(there / "deepclarity" / "__init__.py"),
    ]
    printed = python("-m", "deepclarity", "demo", "--seconds", "1", PYTHONPATH=str(there))
    assert re.search(r"25 in, 25 out: 8 repaired", printed)
