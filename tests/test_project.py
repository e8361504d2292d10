"""Packaging, imports and the public interface of the project."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("stream", "models", "pipelines", "configs", "weights")


def python(code: str) -> str:
    """Output of a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


def in_the_tree() -> set[str]:
    """Required contents of a wheel, by their names in it."""
    kept = {".py", ".toml", ".html", ".css", ".js", ".md", ".safetensors", ".typed"}
    ours = [ROOT / "src" / "deepclarity", *(ROOT / folder for folder in FOLDERS)]
    found = set()
    for folder in ours:
        for path in folder.rglob("*"):
            if path.is_file() and path.suffix in kept | {""} and "__pycache__" not in path.parts:
                inside = path.relative_to(folder if folder.name == "deepclarity" else ROOT)
                if folder.name != "deepclarity" or inside.parts[0] not in FOLDERS:
                    found.add(f"deepclarity/{inside.as_posix()}")
    return found


def _generated(folder: str, names: list[str]) -> set[str]:
    """Files that must not be committed: builds, caches, outputs of commands."""
    ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info")(folder, names)
    return ignored | ({"build", "dist", "demo", "runs"} if Path(folder) == ROOT else set())


@pytest.mark.timeout(300)
def test_the_wheel_holds_every_package_weight_and_preset(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, symlinks=True, ignore=_generated)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(tree)]
    subprocess.run(command, check=True, capture_output=True, timeout=280)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == in_the_tree()
    assert any(name.endswith(".safetensors") for name in held)


def test_help_imports_nothing_heavy() -> None:
    heavy = python(
        "import sys\nfrom deepclarity.cli.app import run\nassert run(['--help']) == 0\n"
        "print('HEAVY', sorted({'torch', 'cv2', 'av', 'numpy', 'openvino', 'rich'} & set(sys.modules)))"
    )
    assert heavy.endswith("HEAVY []")


def test_the_cpu_path_starts_without_torch() -> None:
    code = (
        "import sys\nfrom deepclarity.pipelines import upscale\nfrom deepclarity.models.load import load_enhancer\n"
        "print(load_enhancer('turbo', device='cpu').backend, 'torch' in sys.modules)"
    )
    backend, torch_there = python(code).rsplit(" ", 1)
    assert backend.startswith("openvino")
    assert torch_there == "False"


def test_every_command_in_the_help_exists() -> None:
    from deepclarity.cli.app import _COMMANDS, run

    for name in _COMMANDS:
        assert run([name, "--help"]) == 0


def test_nobody_imports_the_bare_folders() -> None:
    bare = re.compile(rf"^\s*(?:from|import)\s+(?:{'|'.join(FOLDERS)})\b", re.MULTILINE)
    guilty = [
        path
        for folder in (*FOLDERS, "src/deepclarity/cli", "tests", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if bare.search(path.read_text())
    ]
    assert guilty == []


def test_the_error_tree_has_the_exit_codes_that_the_readme_names() -> None:
    from deepclarity import errors

    codes = {getattr(errors, name).exit_code for name in errors.__all__ if name.endswith("Error")}
    assert codes == {1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("rtsp://user:pass@cam/1", "rtsp://***@cam/1"),
        ("rtsp://u:p@ss:/w#rd@cam:554/x", "rtsp://***@cam:554/x"),
        ("http://cam/x?user=me&password=geheim&res=1", "http://cam/x?user=***&password=***&res=1"),
        ("film.mp4: no such file", "film.mp4: no such file"),
    ],
)
def test_secrets_are_cut_out_of_every_message(text: str, hidden: str) -> None:
    from deepclarity.errors import DeepClarityError, hide_secrets

    assert hide_secrets(text) == hidden
    assert str(DeepClarityError(f"{text}: refused")).startswith(hidden)


def test_nothing_reports_over_the_network() -> None:
    reported = python(
        "import sys\n"
        "called = []\n"
        "sys.addaudithook(lambda event, a: called.append(event) if event.startswith('socket.') else None)\n"
        "from deepclarity.models.load import load_enhancer\nfrom deepclarity.models.detectors import load_detector\n"
        "load_enhancer('turbo', device='cpu'), load_detector('lattice-net'), load_detector('canny-mobilenet')\n"
        "import time; time.sleep(2.5)\nprint(sorted(set(called) - {'socket.__new__'}))"
    )
    assert reported == "[]"


def test_openvino_is_imported_in_one_place() -> None:
    direct = re.compile(r"^\s*(?:from|import) openvino\b", re.MULTILINE)
    guilty = [path for path in ROOT.glob("models/**/*.py") if direct.search(path.read_text())]
    assert [path.name for path in guilty] == ["openvino_no_telemetry.py"]
